import LinearAlgebra
import OptimizationCore

/// An analytic test problem that carries its answers: start, minimisers, minimum and citation.
///
/// Losses are in this framework's convention L = ½‖r‖²; the collection's f = ‖r‖² is 2L. Derivatives are exact: the residual is
/// evaluated over hyper-dual numbers, at the cost of n evaluations for a gradient, a Jacobian or a Hessian product.
///
/// Reference: Moré, Garbow & Hillstrom, *Testing unconstrained optimization software*, ACM Transactions on Mathematical
/// Software 7(1):17–41, 1981, doi:10.1145/355934.355936.
public struct ZooProblem: ResidualCurvatureProblem, ReferencedProblem {
    /// The kebab-case name of the function.
    public let name: String
    /// The problem's number in the collection.
    public let number: Int
    /// n.
    public let dimension: Int
    /// The standard starting point x₀.
    public let start: Vector
    /// L(x₀), published or in closed form; `nil` where it is not known for this n.
    public let lossAtStart: Double?
    /// The least value of L, published or in closed form; `nil` where it is not known for this n.
    public let minimum: Double?
    /// The values of L at other local minima where descent from the start may end, limits at infinity included.
    public let localMinima: [Double]
    /// Points where the minimum is attained, where they have a closed form.
    public let minimizers: [Vector]
    /// What makes the problem hard.
    public let traits: Set<Trait>

    public enum Trait: Sendable, Hashable, CaseIterable {
        /// Curvatures or parameters differ by more than ten orders of magnitude.
        case badlyScaled
        /// J loses rank at the minimiser, or everywhere.
        case singular
        /// The residual has poles, jumps or kinks in ℝⁿ.
        case restrictedDomain
        /// r is linear.
        case linear
        /// ‖r‖ stays away from zero.
        case largeResidual
    }

    let function: any ResidualFunction

    init(
        _ name: String, number: Int, start: [Double], twiceLossAtStart: Double?, twiceMinimum: Double?, otherMinima: [Double] = [],
        minimizers: [[Double]] = [], traits: Set<Trait> = [], _ function: any ResidualFunction
    ) {
        (self.name, self.number, self.start, dimension) = (name, number, Vector(start), start.count)
        (lossAtStart, minimum, localMinima) = (twiceLossAtStart.map { $0 / 2 }, twiceMinimum.map { $0 / 2 }, otherMinima.map { $0 / 2 })
        (self.minimizers, self.traits, self.function) = (minimizers.map { Vector($0) }, traits, function)
        residualCount = function.value(at: Vector(start)).count
    }

    public var citation: String { "Moré, Garbow & Hillstrom 1981, problem \(number)" }

    public var identity: Setting {
        .map([
            .init("name", .scalar("test-function")), .init("function", .scalar(name)), .init("dimension", .integer(dimension)),
        ])
    }

    public var layout: ParameterLayout { ParameterLayout(count: dimension) }
    public func initialParameters(from random: inout RandomStream) -> Parameters { Parameters(start) }

    // MARK: Values and derivatives

    public let residualCount: Int

    public func residual(at x: Vector) -> Vector { function.value(at: x) }

    public func loss(at x: Vector) -> LossValue {
        let r = residual(at: x)
        return LossValue(0.5 * r.dot(r))
    }

    public func lossAndGradient(at x: Vector) -> Evaluation {
        let r = residual(at: x)
        return Evaluation(loss: LossValue(0.5 * r.dot(r)), gradient: function.jacobian(at: x).transposedTimes(r))
    }

    public func linearization(at x: Vector) -> any Linearization {
        DenseLinearization(residual: residual(at: x), jacobian: function.jacobian(at: x))
    }

    public func hessian(at x: Vector) -> any HessianOperator { ResidualHessian(function: function, point: x) }

    public func curvature(at x: Vector, slopes w: Vector, bends h: Vector) -> any HessianOperator {
        ResidualHessian(function: function, point: x, derivatives: SeparableDerivatives(slopes: w, bends: h))
    }

    public func locateFault(at x: Vector) -> Fault? {
        residual(at: x).firstIndex { !$0.isFinite }.map { Fault(term: terms[0], sample: "residual \($0 + 1)") }
    }

    /// The distance to the nearest known minimiser x*, relative to ‖x*‖ where that is not zero.
    public func referenceError(at x: Vector) -> Double? {
        minimizers.map { answer in (x - answer).norm / (answer.norm > 0 ? answer.norm : 1) }.min()
    }
}

extension ZooProblem: CustomStringConvertible {
    public var description: String { "\(name)(\(dimension))" }
}

/// ∇²L of L = ½‖r‖², or of another separable function of r, at one point.
struct ResidualHessian: HessianOperator {
    let function: any ResidualFunction
    let point: Vector
    var derivatives: SeparableDerivatives?

    var parameterCount: Int { point.count }
    func product(_ v: Vector) -> Vector { function.secondOrderProduct(at: point, along: v, derivatives) }
}
