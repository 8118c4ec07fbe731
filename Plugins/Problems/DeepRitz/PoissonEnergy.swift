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

/// Poisson's equation on the unit interval by the deep Ritz method: the network minimises the energy that the solution minimises.
///
///     E(u) = ∫₀¹ ½u′² − f u dx,   f = (kπ)² sin kπx,   u(0) = u(1) = 0,
///     u_θ(x) = x(1 − x) N_θ(x),   L(θ) = Σᵢ wᵢ (½u_θ′(xᵢ)² − f(xᵢ) u_θ(xᵢ)).
///
/// k = ``frequency``; (xᵢ, wᵢ) = ``quadrature``. The solution is u* = sin kπx with E(u*) = −(kπ)²/4 = ``leastEnergy``, and for every
/// other u that meets the conditions E(u) − E(u*) = ½∫(u′ − u*′)² dx: what the energy lacks to its minimum is the error, squared, in
/// the energy's norm. L is negative near the solution, and it is no sum of squares: there is no residual, and Gauss–Newton and
/// Levenberg–Marquardt do not apply. The energy is quadratic in u, though, and its second derivative, ∫v′w′, is a metric in the tangent space of
/// the network, G = Σᵢ wᵢ (∂u_θ′(xᵢ)/∂θ)ᵀ(∂u_θ′(xᵢ)/∂θ), by which natural gradients go (Müller & Zeinhofer, arXiv:2302.13163).
///
/// Variant: the conditions hold exactly, whatever θ, through the factor x(1 − x). The method's paper adds a penalty β∫u² over the
/// boundary instead; its minimiser satisfies u′·n + 2βu = 0 there, which is off by O(1/β), and a large β makes the problem stiff.
/// With the factor, E(u_θ) bounds E(u*) from above, but for the quadrature. The paper draws points at random in each step; here the
/// rule is composite Gauss–Legendre, and batches of its nodes give unbiased estimates of L where a stochastic method wants them.
///
/// Cost: a jet of two channels (u, u′) at each node. W. E, B. Yu, Commun. Math. Stat. 6 (2018) 1, doi:10.1007/s40304-018-0127-z.
public struct PoissonEnergy: Sendable {
    /// k: half waves in the interval.
    public let frequency: Int
    public let model: any NetworkModel
    public private(set) var quadrature: CompositeGaussLegendre
    public let identity: Setting
    public private(set) var version = 0
    /// The rule's nodes that the problem holds: all of them, or a batch's.
    private var taken: [Int]
    private var program: Program
    /// The same energy by a rule that training does not see.
    private let monitor: Program
    private let density: CompiledResidual
    /// Residuals √wᵢ·u_θ′(xᵢ), whose Jacobian is the metric's factor.
    private var metric: Program
    private let slope: CompiledResidual
    private let error: ErrorMeasure

    /// `identity` says everything that decides the problem; it becomes part of a run's identity. Throws a ``QuadratureError`` or a
    /// `ModelError` where the parts do not fit together.
    public init(
        frequency: Int, model: any NetworkModel, quadrature: CompositeGaussLegendre, identity: Setting
    ) throws {
        precondition(frequency > 0, "a frequency of \(frequency)")
        guard model.inputCount == 1, model.outputCount == 1 else {
            throw ModelError("the network maps \(model.inputCount) inputs to \(model.outputCount) outputs; the energy needs one of each")
        }
        try Self.checkSpan(of: quadrature)
        (self.frequency, self.model, self.quadrature, self.identity) = (frequency, model, quadrature, identity)
        let κ = Double(frequency) * .pi
        density = try Self.trace { u, x in 0.5 * u.x * u.x - κ * κ * sin(κ * x) * u }
        taken = Array(quadrature.nodes.indices)
        program = Self.program(density, model, quadrature.nodes, quadrature.weights, model.precision)
        slope = try Trace.run(axes: Axes(["x"]), fields: 1, data: ["√w"]) { network, p in
            [Residual("slope", p.data("√w") * (p.x * (1 - p.x) * network[0]).x)]
        }.compiled
        metric = Self.metric(slope, model, quadrature.nodes, quadrature.weights)
        // Other elements, and other nodes in each.
        let elements = (3 * (quadrature.mesh.count - 1) + 1) / 2
        let finer = try CompositeGaussLegendre(elements: elements, nodesPerElement: quadrature.nodesPerElement + 1)
        monitor = Self.program(density, model, finer.nodes, finer.weights, .double)
        error = ErrorMeasure(κ: κ, value: try Self.trace { u, _ in u })
    }

    /// −(kπ)²/4: the energy of the solution, which no u that meets the conditions falls below.
    public var leastEnergy: Double { -0.25 * (Double(frequency) * .pi) * (Double(frequency) * .pi) }

    /// u_θ at some points.
    public func solution(at x: [Double], parameters θ: Vector) -> [Double] { error.solution(monitor, x, θ) }

    /// Writes an expression of u = x(1 − x)N and x.
    private static func trace(_ body: (_ u: Expression, _ x: Expression) -> Expression) throws -> CompiledResidual {
        try Trace.run(axes: Axes(["x"]), fields: 1) { network, p in
            [Residual("energy", body(p.x * (1 - p.x) * network[0], p.x))]
        }.compiled
    }

    private static func program(
        _ density: CompiledResidual, _ model: any NetworkModel, _ nodes: [Double], _ weights: [Double], _ precision: JetPrecision
    ) -> Program {
        Program(
            network: model.network, terms: [ProgramTerm(name: "energy", integrand: density, points: [nodes], weights: weights)],
            options: ProgramOptions(precision: precision))
    }

    private static func metric(
        _ slope: CompiledResidual, _ model: any NetworkModel, _ nodes: [Double], _ weights: [Double]
    ) -> Program {
        Program(
            network: model.network,
            terms: [ProgramTerm(name: "metric", function: slope, points: [nodes], data: [weights.map { $0.squareRoot() }], scale: 1)],
            options: ProgramOptions(precision: model.precision))
    }

    private static func checkSpan(of rule: CompositeGaussLegendre) throws {
        guard rule.mesh.first == 0, rule.mesh.last == 1 else {
            throw QuadratureError("the mesh runs from \(rule.mesh.first ?? 0) to \(rule.mesh.last ?? 0); the interval is [0, 1]")
        }
    }

    /// The problem by another rule.
    private func by(_ rule: CompositeGaussLegendre, version: Int) -> PoissonEnergy {
        var copy = self
        (copy.quadrature, copy.version, copy.taken) = (rule, version, Array(rule.nodes.indices))
        copy.program = Self.program(density, model, rule.nodes, rule.weights, model.precision)
        copy.metric = Self.metric(slope, model, rule.nodes, rule.weights)
        return copy
    }
}

// MARK: Capabilities

extension PoissonEnergy: TwiceDifferentiableProblem {
    public var name: String { "deep-ritz-1d" }
    public var layout: ParameterLayout { model.layout }
    public var terms: [String] { ["energy"] }

    public func initialParameters(from random: inout RandomStream) -> Parameters { model.initialParameters(from: &random) }

    public func loss(at θ: Vector) -> LossValue { LossValue(program.loss(at: θ)) }

    public func lossAndGradient(at θ: Vector) -> Evaluation {
        let value = program.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(value.loss), gradient: value.gradient)
    }

    public func hessian(at θ: Vector) -> any HessianOperator { EnergyHessian(base: program.hessian(at: θ)) }

    public func locateFault(at θ: Vector) -> Fault? {
        program.locateNonFinite(θ).map { Fault(term: "energy", sample: "(x = \($0.coordinates[0]))") }
    }
}

private struct EnergyHessian: HessianOperator {
    let base: ProgramHessian

    var parameterCount: Int { base.program.parameterCount }
    func product(_ v: Vector) -> Vector { base.times(v) }
}

extension PoissonEnergy: GeneralizedGaussNewtonProblem {
    /// The nodes.
    public var factorRowCount: Int { taken.count }

    /// A = √wᵢ·∂u_θ′(xᵢ)/∂θ, a row for each node: for e = ½u′² − fu, ∂²e is one for u′ and zero for u.
    public func gaussNewtonFactor(at θ: Vector) -> any GaussNewtonFactor { EnergyMetric(base: metric.jacobian(at: θ)) }

    public func plan(of square: JacobianSquare) -> SquarePlan {
        let factor = metric.jacobian(at: .zeros(layout.count))
        switch square {
        case .gramian: return SquarePlan(.gramian, form: "from rows of J", flops: factor.normalMatrixCost, bytes: factor.normalMatrixBytes)
        case .kernel: return .fromJacobian(.kernel, residuals: factorRowCount, parameters: layout.count)
        }
    }
}

private struct EnergyMetric: GaussNewtonFactor {
    let base: ProgramJacobian

    var rowCount: Int { base.rows }
    var parameterCount: Int { base.columns }
    func product(_ v: Vector) -> Vector { base.times(v) }
    func transposedProduct(_ w: Vector) -> Vector { base.transposedTimes(w) }
    func jacobian(rows: Range<Int>) -> Matrix { base.jacobian(rows: rows) }
    func gramian() -> Matrix { base.normalMatrix() }
}

extension PoissonEnergy: SampledProblem {
    public var sampleSets: [SampleSet] { [SampleSet(name: "nodes", count: taken.count)] }

    /// The energy by some of the nodes, their weights multiplied by how many times fewer they are: unbiased for L where each
    /// node is as likely as any other.
    public func restricted(to batch: Batch) throws -> PoissonEnergy {
        guard batch.indices.count == 1, let indices = batch.indices.first, !indices.isEmpty else {
            throw QuadratureError("a batch needs one list of at least one node, for the set “nodes”")
        }
        if let bad = indices.first(where: { !taken.indices.contains($0) }) {
            throw QuadratureError("a batch asks for node \(bad) of \(taken.count)")
        }
        var view = self
        view.taken = indices.map { taken[$0] }
        let share = Double(quadrature.nodes.count) / Double(view.taken.count)
        let (nodes, weights) = (view.taken.map { quadrature.nodes[$0] }, view.taken.map { share * quadrature.weights[$0] })
        view.program = Self.program(density, model, nodes, weights, model.precision)
        view.metric = Self.metric(slope, model, nodes, weights)
        return view
    }
}

extension PoissonEnergy: MonitoredProblem, ReferencedProblem {
    /// The energy by a rule of its own, which shows a network that fits the training rule's nodes instead of the solution.
    public func monitorLoss(at θ: Vector) -> Double? { monitor.loss(at: θ) }
    /// ‖u_θ − u*‖₂ / ‖u*‖₂ on 2 001 points, both ends included.
    public func referenceError(at θ: Vector) -> Double? { error.measure(monitor, θ).relativeL2 }
}

extension PoissonEnergy: FreshlyReferencedProblem {
    /// On a grid of other points than the 2 001 of the run's own error.
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? {
        error.measure(monitor, θ, points: try freshGrid(grid, besides: [ErrorMeasure.points])[0])
    }
}

extension PoissonEnergy: PredictingProblem, PicturedProblem {
    public var coordinateNames: [String] { ["x"] }

    /// u_θ and its derivative u_x. There are no residuals.
    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction {
        precondition(points.columns == 1, "points of \(points.columns) coordinates")
        if let outside = points.elements.first(where: { !(0...1).contains($0) }) {
            throw QuadratureError("the point x = \(outside) lies outside the interval [0, 1]")
        }
        var columns = [Prediction.Column("u", meaning: "the field x(1 − x)N")]
        var values = solution(at: points.elements, parameters: θ)
        if extras.contains(.derivatives) {
            columns.append(.init("u_x", meaning: "∂u/∂x"))
            values += monitor.values(of: try Self.trace { u, _ in u.x }, at: [points.elements], parameters: θ)[0]
        }
        return Prediction(columns, values: Matrix(rows: points.rows, columns: columns.count, elements: values))
    }

    public func picture(at θ: Vector) -> SolutionPicture? {
        let x = (0...400).map { Double($0) / 400 }
        let κ = Double(frequency) * .pi
        return SolutionPicture(
            axes: [.init("x", x)], fields: ["u"], values: Matrix(rows: x.count, columns: 1, elements: solution(at: x, parameters: θ)),
            reference: Matrix(rows: x.count, columns: 1, elements: x.map { sin(κ * $0) }))
    }
}

// MARK: Revisions

/// Another rule for the energy: a mesh that is finer where it is wanted, or one that the network has not yet seen.
public struct QuadratureRevision: Revision {
    public var rule: CompositeGaussLegendre
    public var summary: String

    public init(_ rule: CompositeGaussLegendre, reason: String = "new quadrature") {
        self.rule = rule
        summary = "\(reason): \(rule.mesh.count - 1) elements of \(rule.nodesPerElement) nodes"
    }
}

extension PoissonEnergy: RevisableProblem {
    public func revised(by revision: any Revision) throws -> PoissonEnergy {
        guard let revision = revision as? QuadratureRevision else {
            throw QuadratureError("“\(revision.summary)” is no revision that \(name) knows: it takes another quadrature rule")
        }
        try Self.checkSpan(of: revision.rule)
        return by(revision.rule, version: version + 1)
    }

    public func encodeRevisions(into archive: inout Archive) {
        archive.set("version", version)
        archive.set("mesh", quadrature.mesh)
        archive.set("nodesPerElement", quadrature.nodesPerElement)
    }

    public func restoringRevisions(from archive: Archive) throws -> PoissonEnergy {
        let rule = try CompositeGaussLegendre(
            mesh: try archive.doubles("mesh"), nodesPerElement: try archive.integer("nodesPerElement"))
        try Self.checkSpan(of: rule)
        return by(rule, version: try archive.integer("version"))
    }
}

// MARK: The error

/// The relative error against sin κx on a grid.
private struct ErrorMeasure: Sendable {
    let κ: Double
    /// u itself, as a function of the network's output.
    let value: CompiledResidual
    static let points = 2001

    init(κ: Double, value: CompiledResidual) { (self.κ, self.value) = (κ, value) }

    func solution(_ program: Program, _ x: [Double], _ θ: Vector) -> [Double] {
        program.values(of: value, at: [x], parameters: θ)[0]
    }

    func measure(_ program: Program, _ θ: Vector, points: Int = Self.points) -> ReferenceErrors {
        let grid = (0..<points).map { Double($0) / Double(points - 1) }
        let reference = Vector(grid.map { sin(κ * $0) })
        let difference = Vector(solution(program, grid, θ)) - reference
        return ReferenceErrors(
            relativeL2: difference.norm / reference.norm, maximum: difference.maximumNorm, samples: "\(points) points of x")
    }
}
