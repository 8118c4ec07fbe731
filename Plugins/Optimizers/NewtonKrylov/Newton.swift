import Globalization
import LinearAlgebra
import OptimizationCore

/// Newton's method with the whole Hessian, made positive definite where it is not: for small problems, and as the reference of the others.
///
///     (B + E)·p = −∇L,   θ⁺ = θ + αp,   B = ∇²L or JᵀJ
///
/// E is Gill, Murray and Wright's diagonal (``modification`` `modified-cholesky`: only where a pivot needs it), or a multiple of I that
/// lifts a least eigenvalue λ below `floor` times the largest magnitude to that, or to |λ| (`eigenvalue-shift`), which turns the whole step
/// towards −∇L. E = 0 where B is safely positive definite: quadratic convergence.
/// Cost: a gradient and P products with ∇²L a step (JᵀJ as the problem forms it), P³/3 or 4P³ flops, 2P² doubles. A matrix that is not
/// finite breaks down; a failed search tries steepest descent. No constant has the loss's scale.
/// Source: Nocedal & Wright, 2nd ed., §3.4; Gill, Murray & Wright, *Practical Optimization*, §4.4.2.
public struct Newton: Optimizer, Configurable {
    public enum Modification: String, CaseIterable, Sendable, Hashable {
        case modifiedCholesky = "modified-cholesky"
        case eigenvalueShift = "eigenvalue-shift"
    }

    public var model = CurvatureModel.hessian
    public var modification = Modification.modifiedCholesky
    /// For the shift: the least eigenvalue relative to the largest magnitude.
    public var floor = 1e-10
    public var lineSearch: any LineSearch = StrongWolfe()

    public init() {}

    public init(_ modification: Modification, model: CurvatureModel = .hessian) { (self.modification, self.model) = (modification, model) }

    public static let identifier = "newton"
    public static let summary = "Newton's method with the whole Hessian, made positive definite: for small problems."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton where there are residuals or a metric"),
            .choice("modification", \.modification, meaning: "how an indefinite matrix is made positive definite"),
            .number("floor", \.floor, in: .openUnit, meaning: "the least eigenvalue after a shift, relative to the largest magnitude"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
        ]
    }

    public func check(_ problem: any TwiceDifferentiableProblem) throws { try model.check(problem) }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> NewtonState {
        try check(problem)
        return NewtonState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout NewtonState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        try NewtonSearch(lineSearch: lineSearch, problem: problem).step(&state) { here in
            let B = try model.matrix(at: here.parameters.values, on: problem)
            guard B.isFinite else { return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem)) }
            return direction(B, here, on: problem)
        }.report
    }

    private func direction(
        _ B: Matrix, _ here: Standpoint, on problem: any TwiceDifferentiableProblem
    ) -> Result<NewtonDirection, Breakdown> {
        let g = here.gradient
        switch modification {
        case .modifiedCholesky:
            // A model without any curvature proposes no length.
            guard let factors = ModifiedCholesky(B) else { return .success(NewtonDirection(p: here.mirrored(-g, curvature: 0))) }
            return .success(NewtonDirection(p: -factors.solve(g), details: [.init("modification", factors.modification.maximumNorm)]))
        case .eigenvalueShift:
            return spectrum(of: B, here, on: problem).map { eigen in
                let largest = Swift.max(abs(eigen.values[0]), abs(eigen.values[eigen.values.count - 1]))
                guard largest > 0 else { return NewtonDirection(p: here.mirrored(-g, curvature: 0)) }
                let least = eigen.values[0]
                let shift = least >= floor * largest ? 0 : Swift.max(floor * largest, abs(least)) - least
                return NewtonDirection(
                    p: eigen.weighted(g) { -1 / ($0 + shift) }, details: [.init("modification", shift)])
            }
        }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        return bytes(ofNumbers: (modification == .modifiedCholesky ? 2 : 4) * p * p + 10 * p)
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost(
            [.init(.gradient, 1)] + (model == .hessian ? model.cost(products: p) : [.init(.linearization, 1)]),
            flops: (modification == .modifiedCholesky ? 1.0 / 3 : 4) * p * p * p)
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? { model == .gaussNewton ? .gramian : nil }
}

/// The eigendecomposition, or the breakdown that its failure is.
func spectrum(of B: Matrix, _ here: Standpoint, on problem: any DifferentiableProblem) -> Result<SymmetricEigen, Breakdown> {
    SymmetricEigen.factorize(B).mapError { failure in
        failure == .nonFinite
            ? .nonFiniteCurvature(at: here.parameters.values, on: problem)
            : Breakdown(.linearSolver, "no eigenvalues: \(failure)", lookingAt: [here.parameters.values], on: problem)
    }
}

extension SymmetricEigen {
    /// V·diag(f(λ))·Vᵀ·x.
    func weighted(_ x: Vector, by f: (Double) -> Double) -> Vector {
        var coefficients = vectors.transposedTimes(x)
        for i in 0..<coefficients.count { coefficients[i] *= f(values[i]) }
        return vectors.times(coefficients)
    }
}
