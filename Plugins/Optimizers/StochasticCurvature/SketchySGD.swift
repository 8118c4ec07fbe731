import Globalization
import LinearAlgebra
import OptimizationCore

/// SketchySGD: gradients of samples, preconditioned by a sketch of another sample's curvature, at a rate that a third one's decides.
///
///     θ⁺ = θ − ηₖ·(Ĥ + ρI)⁻¹·g_S,   η = α/λ₁((Ĥ + ρI)^(−½)·H′·(Ĥ + ρI)^(−½))
///
/// Every `refresh` steps a rank-k Nyström sketch Ĥ of the curvature of one sample of `curvatureBatch` is drawn (``NystromPreconditioner``),
/// and ten power iterations with the curvature H′ of the next one give λ₁: how wrong the sketch may be. Between refreshes a step costs a
/// gradient and 4Pk flops. Streams: “sketchy-sgd/gradient”, “…/curvature” and “…/sketch”.
/// α = `learningRate` times the schedule's factor; ρ = `regularization`·ŝ₁, so that no constant has the loss's scale.
/// Cost: a gradient a step, k + 10 products every `refresh` steps; Pk doubles. It converges to where the samples' noise lets it: a falling
/// schedule goes on. Where the curvature is indefinite its negative part counts as flat. A value that is not finite breaks down.
/// Variants: the paper's ρ is absolute, 1e-3 for normalised data; α = ½ as in the authors' code. Of the methods that PROMISE builds on the
/// same preconditioner (arXiv:2309.02014) those that reduce variance are not here.
/// Source: Frangella, Rathore, Zhao & Udell, SIAM J. Math. Data Sci. 6 (2024) 1173–1204, arXiv:2211.08597: k = 10, a sketch an epoch.
public struct SketchySGD: Optimizer, Configurable {
    public var model = CurvatureModel.hessian
    /// S.
    public var batch = BatchSettings()
    /// What sketches and rates are taken of.
    public var curvatureBatch = BatchSettings()
    /// k.
    public var rank = 10
    /// ρ/ŝ₁ > 0.
    public var regularization = 1e-3
    /// Steps between two sketches.
    public var refresh = 50
    /// α > 0.
    public var learningRate = 0.5
    /// The factor of α at each step.
    public var schedule: any Schedule = Constant()
    /// Of the sketches.
    public var seed = 0

    public init() {}

    public init(
        batch: BatchSettings, curvatureBatch: BatchSettings, rank: Int = 10, regularization: Double = 1e-3, refresh: Int = 50,
        schedule: any Schedule = Constant()
    ) {
        precondition(rank >= 1 && regularization > 0 && refresh >= 1, "rank and refresh ≥ 1, regularization > 0")
        (self.batch, self.curvatureBatch, self.rank) = (batch, curvatureBatch, rank)
        (self.regularization, self.refresh, self.schedule) = (regularization, refresh, schedule)
    }

    public static let identifier = "sketchy-sgd"
    public static let summary = "Stochastic gradients preconditioned by a sketch of the curvature, at a rate of its own finding."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix that is sketched; gauss-newton for sums of squares only"),
            .part("batch", \.batch, meaning: "the samples of a gradient"),
            .part("curvatureBatch", \.curvatureBatch, meaning: "the samples of a sketch, and of the rate"),
            .integer("rank", \.rank, atLeast: 1, meaning: "k, the rank of the sketch"),
            .number("regularization", \.regularization, in: .positive, meaning: "ρ, relative to the sketch's largest eigenvalue"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "steps between two sketches"),
            .number("learningRate", \.learningRate, in: .positive, meaning: "α, the step in units of the largest stable one's half"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the sketches"),
        ]
    }

    public func validate() throws {
        guard curvatureBatch.holding == 1 else {
            throw ConfigurationError(path: "curvatureBatch.holding", reason: "must be 1: a sketch is kept for refresh steps")
        }
    }

    private var gradients: Sampling { Sampling(batch, stream: "sketchy-sgd/gradient") }

    public func check(_ problem: any TwiceDifferentiableProblem & SampledProblem) throws { try model.check(problem) }

    public func start(on problem: any TwiceDifferentiableProblem & SampledProblem, from parameters: Parameters) throws -> SketchySGDState {
        try check(problem)
        return SketchySGDState(
            point: try gradients.start(on: problem, from: parameters),
            curvature: try SampleDraw(curvatureBatch, of: problem.sampleSets, stream: "sketchy-sgd/curvature", path: "curvatureBatch"),
            random: RandomStream(seed: UInt64(seed), name: "sketchy-sgd/sketch"))
    }

    public func step(_ state: inout SketchySGDState, on problem: any TwiceDifferentiableProblem & SampledProblem) throws -> StepReport {
        let (point, here) = (state.point, state.point.standpoint)
        let θ = here.parameters.values
        guard here.isFinite else { return point.ended(.brokeDown(.nonFinite(at: θ, on: try point.sample.view(of: problem)))) }
        if here.hasVanishingGradient {
            let (report, next) = try point.leaving(
                .stationary, floor: .vanishingGradient(here.gradient.norm), by: gradients, on: problem)
            if let next { state.point = next }
            return report
        }
        var next = state
        if next.sketch == nil || next.age >= refresh {
            if let breakdown = try next.redraw(self, at: θ, on: problem) { return point.ended(.brokeDown(breakdown)) }
        }
        guard let sketch = next.sketch else { preconditionFailure("a step without a sketch") }
        let ρ = regularization * (sketch.eigenvalues.first ?? 0)
        let η = state.stepScale * next.rate * learningRate * schedule.factor(at: state.step + 1)
        let candidate = θ.adding(sketch.regularized(here.gradient, by: ρ, power: -1), scaledBy: -η)
        next.point = try gradients.next(after: point, at: here.parameters.with(candidate), on: problem)
        guard next.point.standpoint.isFinite else {
            return point.ended(.brokeDown(.nonFinite(at: candidate, on: try next.point.sample.view(of: problem))))
        }
        (next.age, next.step) = (next.age + 1, next.step + 1)
        state = next
        return StepReport(
            loss: next.point.standpoint.loss, gradientNorm: next.point.standpoint.gradient.norm, stepLength: η,
            details: [.init("largestEigenvalue", sketch.eigenvalues.first ?? 0), .init("sketchAge", Double(next.age - 1))],
            sampleFraction: next.point.sample.fraction)
    }

    /// Loss and gradient are evaluated anew; the sketch is drawn anew at the next step.
    public func adapt(_ state: inout SketchySGDState, to problem: any TwiceDifferentiableProblem & SampledProblem) throws {
        state.point = try gradients.adapted(state.point, to: problem)
        state.curvature = try state.curvature.revised(curvatureBatch, of: problem.sampleSets, path: "curvatureBatch")
        (state.sketch, state.age) = (nil, 0)
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout SketchySGDState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    /// The sketch and what it takes to make one.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (4 * Double(Swift.min(rank, parameters)) + 8) * Double(parameters))
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let (p, k) = (Double(parameters), Double(Swift.min(rank, parameters)))
        let share = 1 / Double(refresh)
        return StepCost(
            [.init(.gradient, 1)] + model.cost(products: (k + 10) * share), flops: 4 * p * k + share * (6 * p * k * k + 80 * p * k),
            isOnBatch: true)
    }
}

/// Where the method stands, its sketch with its rate and its age in steps, and the streams that both come from.
public struct SketchySGDState: OptimizerState, Equatable {
    public internal(set) var point: SampledPoint
    public internal(set) var curvature: SampleDraw
    public internal(set) var random: RandomStream
    var sketch: NystromPreconditioner?
    /// 1/λ₁.
    public internal(set) var rate = 0.0
    public internal(set) var age = 0
    /// Steps taken.
    public internal(set) var step = 0
    /// The factor of every step: 1, or halved by each recovery from a breakdown that shortens steps.
    public internal(set) var stepScale = 1.0

    public var parameters: Parameters { point.parameters }

    init(point: SampledPoint, curvature: SampleDraw, random: RandomStream) {
        (self.point, self.curvature, self.random) = (point, curvature, random)
    }

    /// A sketch of the present sample of curvature and the rate by the next one's; a breakdown where there is none.
    mutating func redraw(
        _ method: SketchySGD, at θ: Vector, on problem: any TwiceDifferentiableProblem & SampledProblem
    ) throws -> Breakdown? {
        let view = try curvature.view(of: problem)
        let B = try method.model.operator(at: θ, on: view)
        let drawn = NystromPreconditioner.sketch(dimension: θ.count, rank: method.rank, random: &random, product: { B.product($0) })
        guard case .success(let made) = drawn, let largest = made.eigenvalues.first, largest > 0, made.eigenvalues.isFinite else {
            if case .success(let made) = drawn, made.eigenvalues.isFinite {
                return Breakdown(.linearSolver, "the sketch finds no positive curvature", lookingAt: [θ], on: view)
            }
            return Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: view)
        }
        curvature.leave()
        let other = try curvature.view(of: problem)
        let C = try method.model.operator(at: θ, on: other)
        let ρ = method.regularization * largest
        var (v, λ) = (random.normalVector(θ.count), 0.0)
        for _ in 0..<10 where v.norm > 0 {
            v.scale(by: 1 / v.norm)
            v = made.regularized(C.product(made.regularized(v, by: ρ, power: -0.5)), by: ρ, power: -0.5)
            λ = v.norm
        }
        guard λ.isFinite else {
            return Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: other)
        }
        curvature.leave()
        // Another sample without curvature says nothing of the rate.
        (sketch, rate, age) = (made, λ > 0 ? 1 / λ : 1, 0)
        return nil
    }

    public func encode(into archive: inout Archive) {
        archive.set("point", point)
        archive.set("curvature", curvature)
        archive.set("random", random)
        archive.set("rate", rate)
        archive.set("age", age)
        archive.set("step", step)
        archive.set("stepScale", stepScale)
        archive.set("eigenvalues", sketch?.eigenvalues.elements ?? [])
        archive.set("basis", sketch?.basis ?? .zeros(0, 0))
    }

    public init(from archive: Archive) throws {
        (point, curvature) = (try archive.value("point"), try archive.value("curvature"))
        (random, rate) = (try archive.value("random"), try archive.double("rate"))
        (age, step, stepScale) = (try archive.count("age"), try archive.count("step"), try archive.double("stepScale"))
        let (eigenvalues, basis) = (try archive.vector("eigenvalues"), try archive.matrix("basis"))
        guard basis.columns == eigenvalues.count, eigenvalues.isEmpty || basis.rows == point.parameters.count else {
            throw ArchiveError(
                entry: "basis",
                reason: "\(basis.rows) × \(basis.columns) for \(eigenvalues.count) values in \(point.parameters.count) parameters")
        }
        sketch = eigenvalues.isEmpty ? nil : NystromPreconditioner(basis: basis, eigenvalues: eigenvalues)
    }
}
