import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import PhysicsInformed

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Poisson's equation on the unit interval in its weak form: a variational physics-informed network.
///
///     −u″ = f = (kπ)² sin kπx,   u(0) = u(1) = 0,   u* = sin kπx,
///     R_φ(θ) = ∫₀¹ u_θ′φ′ − f φ dx,   u_θ = x(1 − x)N_θ,   L(θ) = ½ Σ_φ R_φ(θ)².
///
/// φ runs over the hats and bubbles of a ``TestSpace``, whose quadrature gives the integrals; k = ``frequency``. Integrated by parts once,
/// the equation asks for first derivatives only: a jet of two channels where the strong form needs three. R is linear in u_θ, and a
/// residual ties the nodes of one or two elements together, so that r, J and H·v are exact.
///
/// Where the mesh is one element, the test functions are orthonormal in ∫φ′ψ′ and R_φ = ∫(u_θ′ − u*′)φ′: L is half the squared error in
/// the energy's norm but for the degrees above K, and the residual is measured in the dual norm in which it is the error. With hats it is
/// equivalent to that, within a factor that grows with the number of elements.
///
/// Breaks down where a network oscillates between the nodes or above the degree of the test functions: R = 0 then says nothing, so K and
/// the nodes must grow with the solution's scales. The monitor loss, on other elements with other nodes, shows that.
///
/// Variants: E. Kharazmi, Z. Zhang, G. E. Karniadakis, arXiv:1912.00873, whose R⁽²⁾ this is (R⁽¹⁾ tests u″ + f, R⁽³⁾ integrates by parts
/// twice); they add the conditions as loss terms, take Pₖ₊₁ − Pₖ₋₁ without a norm, and divide by the number of test functions. S. Rojas et
/// al., Comput. Methods Appl. Mech. Eng. 425 (2024) 116904, arXiv:2308.16910, weigh residuals by the inverse Gram matrix of any test
/// functions, which is the identity for those of one element here.
///
/// Cost: a jet of two channels at every node, twice where there are hats and bubbles.
public struct WeakPoisson: Sendable {
    /// k: half waves in the interval.
    public let frequency: Int
    public let model: any NetworkModel
    public let space: TestSpace
    public let identity: Setting
    /// The places that the problem holds, of each family: all of them, or a batch's.
    private var taken: [[Int]]
    private let residuals: [CompiledResidual]
    private var program: Program
    /// The same residuals on a mesh that training does not see.
    private let monitor: Program
    private let field: CompiledResidual
    private let slope: CompiledResidual

    /// `identity` says everything that decides the problem; it becomes part of a run's identity. Throws a ``QuadratureError`` or a
    /// `ModelError` where the parts do not fit together.
    public init(frequency: Int, model: any NetworkModel, space: TestSpace, identity: Setting) throws {
        precondition(frequency > 0, "a frequency of \(frequency)")
        guard model.inputCount == 1, model.outputCount == 1 else {
            throw ModelError("the network maps \(model.inputCount) inputs to \(model.outputCount) outputs; the equation needs one of each")
        }
        guard space.rule.mesh.first == 0, space.rule.mesh.last == 1 else {
            throw QuadratureError(
                "the mesh runs from \(space.rule.mesh.first ?? 0) to \(space.rule.mesh.last ?? 0); the interval is [0, 1]")
        }
        (self.frequency, self.model, self.space, self.identity) = (frequency, model, space, identity)
        let κ = Double(frequency) * .pi
        residuals = try Self.residuals(on: space, κ)
        taken = space.families.map { Array(0..<space.count(of: $0)) }
        program = Self.program(space, residuals, model, taken, model.precision)
        // Other elements, and other nodes in each.
        let rule = try CompositeGaussLegendre(
            elements: (3 * space.elements + 1) / 2, nodesPerElement: min(space.rule.nodesPerElement + 1, 100))
        let finer = try TestSpace(rule: rule, bubbles: space.bubbles)
        monitor = Self.program(
            finer, try Self.residuals(on: finer, κ), model, finer.families.map { Array(0..<finer.count(of: $0)) }, .double)
        field = try Self.trace { u in u }
        slope = try Self.trace { u in u.x }
    }

    /// u = x(1 − x)N.
    private static func field(_ network: Expression, _ x: Expression) -> Expression { x * (1 - x) * network }

    /// The weak form, tested with each family.
    private static func residuals(on space: TestSpace, _ κ: Double) throws -> [CompiledResidual] {
        try space.families.map { family in
            try space.residuals(of: family, field: field) { u, φ, x in u.x * φ.slope - κ * κ * sin(κ * x) * φ.value }
        }
    }

    /// Writes an expression of u.
    private static func trace(_ body: (_ u: Expression) -> Expression) throws -> CompiledResidual {
        try Trace.run(axes: Axes(["x"]), fields: 1) { network, p in [Residual("value", body(field(network[0], p.x)))] }.compiled
    }

    private static func program(
        _ space: TestSpace, _ residuals: [CompiledResidual], _ model: any NetworkModel, _ places: [[Int]], _ precision: JetPrecision
    ) -> Program {
        let terms = zip(zip(space.families, residuals), places).map { next, places in
            let (family, residual) = next
            // A batch of the places stands for all of them.
            let share = Double(space.count(of: family)) / Double(places.count)
            return space.term(family, residual, places: places, scale: share.squareRoot())
        }
        return Program(network: model.network, terms: terms, options: ProgramOptions(precision: precision))
    }

    /// u_θ at some points.
    public func solution(at x: [Double], parameters θ: Vector) -> [Double] { monitor.values(of: field, at: [x], parameters: θ)[0] }
}

// MARK: Capabilities

extension WeakPoisson: LeastSquaresProblem, TwiceDifferentiableProblem {
    public var name: String { "weak-poisson-1d" }
    public var layout: ParameterLayout { model.layout }
    public var terms: [String] { program.termNames }
    public var residualCount: Int { program.residualCount }

    public func initialParameters(from random: inout RandomStream) -> Parameters { model.initialParameters(from: &random) }

    public func loss(at θ: Vector) -> LossValue {
        let terms = program.losses(at: θ)
        return LossValue(total: terms.reduce(0, +), terms: terms)
    }

    public func lossAndGradient(at θ: Vector) -> Evaluation {
        let value = program.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(total: value.loss, terms: value.terms), gradient: value.gradient)
    }

    public func residual(at θ: Vector) -> Vector { program.residuals(at: θ) }

    public func linearization(at θ: Vector) -> any Linearization {
        WeakLinearization(residual: program.residuals(at: θ), base: program.jacobian(at: θ))
    }

    public func hessian(at θ: Vector) -> any HessianOperator { WeakHessian(base: program.hessian(at: θ)) }

    public func locateFault(at θ: Vector) -> Fault? {
        program.locateNonFinite(θ).map { fault in
            let family = space.families[fault.term]
            let place = taken[fault.term][fault.point]
            let mesh = space.rule.mesh
            let sample =
                family == .bubbles ? "element \(place), [\(mesh[place]), \(mesh[place + 1])]" : "node \(place + 1), x = \(mesh[place + 1])"
            return Fault(term: fault.name, sample: sample)
        }
    }
}

private struct WeakLinearization: Linearization {
    let residual: Vector
    let base: ProgramJacobian

    var residualCount: Int { base.rows }
    var parameterCount: Int { base.columns }
    func product(_ v: Vector) -> Vector { base.times(v) }
    func transposedProduct(_ w: Vector) -> Vector { base.transposedTimes(w) }
    func jacobian(rows: Range<Int>) -> Matrix { base.jacobian(rows: rows) }
    func gramian() -> Matrix { base.normalMatrix() }
    func kernel() -> Matrix { base.outerMatrix() }
}

private struct WeakHessian: HessianOperator {
    let base: ProgramHessian

    var parameterCount: Int { base.program.parameterCount }
    func product(_ v: Vector) -> Vector { base.times(v) }
}

extension WeakPoisson: PartiallyLinearProblem {
    /// The network's last layer: the weak form is linear in u.
    public var linearParameters: [Int] { model.linearBlocks.compactMap { layout[$0]?.range }.flatMap { $0 } }
}

extension WeakPoisson: SampledProblem {
    /// Elements with their bubbles, and inner nodes with their hats.
    public var sampleSets: [SampleSet] { zip(terms, taken).map { SampleSet(name: $0, count: $1.count) } }

    /// The loss by some of the test functions, multiplied by how many times fewer they are.
    public func restricted(to batch: Batch) throws -> WeakPoisson {
        guard batch.indices.count == taken.count, batch.indices.allSatisfy({ !$0.isEmpty }) else {
            throw QuadratureError(
                "a batch needs a list of at least one index for each of: \(terms.joined(separator: ", "))")
        }
        var view = self
        for (set, indices) in batch.indices.enumerated() {
            if let bad = indices.first(where: { !taken[set].indices.contains($0) }) {
                throw QuadratureError("a batch asks for place \(bad) of the \(taken[set].count) of “\(terms[set])”")
            }
            view.taken[set] = indices.map { taken[set][$0] }
        }
        view.program = Self.program(space, residuals, model, view.taken, model.precision)
        return view
    }
}

extension WeakPoisson: MonitoredProblem, FreshlyReferencedProblem {
    /// The loss on half as many elements again, with one node more in each.
    public func monitorLoss(at θ: Vector) -> Double? { monitor.loss(at: θ) }

    /// ‖u_θ − u*‖₂ / ‖u*‖₂ on 2 001 points, both ends included.
    public func referenceError(at θ: Vector) -> Double? { errors(at: θ, on: Self.gridCount).relativeL2 }

    /// On a grid of other points than the 2 001 of the run's own error.
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? {
        errors(at: θ, on: try freshGrid(grid, besides: [Self.gridCount])[0])
    }

    private static let gridCount = 2001

    private func errors(at θ: Vector, on count: Int) -> ReferenceErrors {
        let (x, κ) = ((0..<count).map { Double($0) / Double(count - 1) }, Double(frequency) * .pi)
        let reference = Vector(x.map { sin(κ * $0) })
        let difference = Vector(solution(at: x, parameters: θ)) - reference
        return ReferenceErrors(
            relativeL2: difference.norm / reference.norm, maximum: difference.maximumNorm, samples: "\(count) points of x")
    }
}

extension WeakPoisson: PredictingProblem, PicturedProblem {
    public var coordinateNames: [String] { ["x"] }

    /// u_θ and its derivative u_x. Residuals belong to test functions, not to points: there are none to show.
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction {
        precondition(points.columns == 1, "points of \(points.columns) coordinates")
        if let outside = points.elements.first(where: { !(0...1).contains($0) }) {
            throw QuadratureError("the point x = \(outside) lies outside the interval [0, 1]")
        }
        var columns = [Prediction.Column("u", meaning: "the field x(1 − x)N")]
        var values = solution(at: points.elements, parameters: θ)
        if extras.contains(.derivatives) {
            columns.append(.init("u_x", meaning: "∂u/∂x"))
            values += monitor.values(of: slope, at: [points.elements], parameters: θ)[0]
        }
        return Prediction(columns, values: Matrix(rows: points.rows, columns: columns.count, elements: values))
    }

    public func picture(at θ: Vector) -> SolutionPicture? {
        let (x, κ) = ((0...400).map { Double($0) / 400 }, Double(frequency) * .pi)
        return SolutionPicture(
            axes: [.init("x", x)], fields: ["u"], values: Matrix(rows: x.count, columns: 1, elements: solution(at: x, parameters: θ)),
            reference: Matrix(rows: x.count, columns: 1, elements: x.map { sin(κ * $0) }))
    }
}
