import Globalization
import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Methods of a gradient's running mean m that scale each entry by an estimate of the curvature's diagonal: `adahessian` and `sophia`.
///
///     D = (1/s) Σⱼ zⱼ ⊙ (B·zⱼ),  zⱼ random signs,  B = ∇²L or JᵀJ          E[D] = diag(B)   (Hutchinson)
///
/// every k = `refresh` steps, s = `probes`; the signs come from a stream named after the method. Gradient and D are of the same samples: in
/// batches, both of the batch that drives the step, which is evaluated when the step before has been taken.
/// Common settings: η = `learningRate` times the schedule's factor, β₁ = `momentum`, β₂ = `curvatureMomentum`, λ = `weightDecay` outside of
/// the moments. Cost: a gradient and s/k products with B a step, 4 vectors of memory. They break down where loss, gradient or a product
/// is not finite; a revision keeps the moments.
public protocol DiagonalCurvatureMethod: Optimizer, Configurable
where Objective == any TwiceDifferentiableProblem, State == DiagonalCurvatureState {
    var model: CurvatureModel { get set }
    /// η > 0.
    var learningRate: Double { get set }
    /// β₁ ∈ [0, 1).
    var momentum: Double { get set }
    /// β₂ ∈ [0, 1).
    var curvatureMomentum: Double { get set }
    /// λ ≥ 0.
    var weightDecay: Double { get set }
    /// k ≥ 1.
    var refresh: Int { get set }
    /// s ≥ 1.
    var probes: Int { get set }
    /// The factor of η at each step.
    var schedule: any Schedule { get set }
    /// Of the signs.
    var seed: Int { get set }

    /// Takes an estimate D into the running one; `layout` says which entries belong to one block.
    func accumulate(_ D: Vector, into running: inout Vector, layout: ParameterLayout)

    /// What one entry's m is turned into by its running estimate at a step, which counts from 1.
    func scale(at step: Int) -> (_ m: Double, _ running: Double) -> Double
}

extension DiagonalCurvatureMethod {
    static var commonFields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix whose diagonal is estimated; gauss-newton for sums of squares only"),
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the factor of a scaled step"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the memory of the gradient's mean"),
            .number("curvatureMomentum", \.curvatureMomentum, in: .fraction, meaning: "β₂, the memory of the diagonal"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "k, the steps between two estimates of the diagonal"),
            .integer("probes", \.probes, atLeast: 1, meaning: "s, the products that an estimate is the mean of"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the signs of the probes"),
        ]
    }

    public func check(_ problem: any TwiceDifferentiableProblem) throws { try model.check(problem) }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> DiagonalCurvatureState {
        try check(problem)
        var random = RandomStream(seed: UInt64(seed), name: "\(Self.identifier)/probes")
        let value = try problem.lossAndGradient(at: parameters.values)
        let D = try diagonal(at: parameters.values, forStep: 1, on: problem, &random)
        return DiagonalCurvatureState(at: parameters, value, diagonal: D, random: random)
    }

    public func step(_ state: inout DiagonalCurvatureState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        func brokeDown(at θ: Vector, _ value: Evaluation?) -> StepReport {
            let breakdown =
                value.map(\.isFinite) ?? true
                ? Breakdown(.nonFinite, "a product with the curvature matrix is not finite", lookingAt: [θ], on: problem)
                : Breakdown.nonFinite(at: θ, on: problem)
            return StepReport(loss: state.loss, gradientNorm: state.gradient.norm, verdict: .brokeDown(breakdown))
        }
        let here = Evaluation(loss: state.loss, gradient: state.gradient)
        let θ = state.parameters.values
        guard here.isFinite, state.diagonal?.isFinite ?? true else { return brokeDown(at: θ, here) }
        var next = state
        next.step += 1
        next.mean.scale(by: momentum)
        next.mean.add(state.gradient, scaledBy: 1 - momentum)
        if let D = state.diagonal { accumulate(D, into: &next.running, layout: state.parameters.layout) }
        let η = state.stepScale * learningRate * schedule.factor(at: next.step)
        let scaled = scale(at: next.step)
        let update = Vector(zip(next.mean, next.running).map { η * scaled($0, $1) })
        let candidate = (weightDecay > 0 ? (1 - η * weightDecay) * θ : θ) - update
        let value = try problem.lossAndGradient(at: candidate)
        guard value.isFinite else { return brokeDown(at: candidate, value) }
        next.diagonal = try diagonal(at: candidate, forStep: next.step + 1, on: problem, &next.random)
        guard next.diagonal?.isFinite ?? true else { return brokeDown(at: candidate, value) }
        next.parameters.values = candidate
        (next.loss, next.gradient) = (value.loss, value.gradient)
        state = next
        return StepReport(loss: value.loss, gradientNorm: value.gradient.norm, stepLength: update.norm)
    }

    /// D at θ where the step that begins there takes one in.
    private func diagonal(
        at θ: Vector, forStep step: Int, on problem: any TwiceDifferentiableProblem, _ random: inout RandomStream
    ) throws -> Vector? {
        guard (step - 1) % refresh == 0 else { return nil }
        let B = try model.operator(at: θ, on: problem)
        var D = Vector.zeros(θ.count)
        for _ in 0..<probes {
            let z = random.signVector(θ.count)
            let product = B.product(z)
            for i in 0..<θ.count { D[i] += z[i] * product[i] / Double(probes) }
        }
        return D
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout DiagonalCurvatureState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    public func adapt(_ state: inout DiagonalCurvatureState, to problem: any TwiceDifferentiableProblem) throws {
        let θ = state.parameters.values
        let value = try problem.lossAndGradient(at: θ)
        (state.loss, state.gradient) = (value.loss, value.gradient)
        state.diagonal = try diagonal(at: θ, forStep: state.step + 1, on: problem, &state.random)
    }

    public var evaluatesAhead: Bool { true }

    /// Evaluates nothing: what the batch before gave at the present parameters drives the next step, whose evaluation is of the new batch.
    public func adapt(_ state: inout DiagonalCurvatureState, toBatch batch: any TwiceDifferentiableProblem) {}

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { bytes(ofNumbers: 8 * Double(parameters)) }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let share = Double(probes) / Double(refresh)
        return StepCost([.init(.gradient, 1)] + model.cost(products: share), flops: (12 + 3 * share) * Double(parameters))
    }
}

/// Where a method of the curvature's diagonal stands, and what it remembers.
public struct DiagonalCurvatureState: OptimizerState, Equatable {
    public internal(set) var parameters: Parameters
    public internal(set) var loss: LossValue
    public internal(set) var gradient: Vector
    /// D at the parameters, where the next step takes one in.
    public internal(set) var diagonal: Vector?
    /// m.
    public internal(set) var mean: Vector
    /// What has become of the estimates: v of AdaHessian, h of Sophia.
    public internal(set) var running: Vector
    /// Steps committed.
    public internal(set) var step = 0
    public internal(set) var random: RandomStream
    /// The factor of every step: 1, or halved by each recovery from a breakdown that shortens steps.
    public internal(set) var stepScale = 1.0

    init(at parameters: Parameters, _ value: Evaluation, diagonal: Vector?, random: RandomStream) {
        (self.parameters, loss, gradient) = (parameters, value.loss, value.gradient)
        (self.diagonal, self.random) = (diagonal, random)
        (mean, running) = (.zeros(parameters.count), .zeros(parameters.count))
    }

    public func encode(into archive: inout Archive) {
        archive.set("parameters", parameters)
        archive.set("loss", loss.total)
        archive.set("terms", loss.terms)
        archive.set("gradient", gradient)
        archive.set("diagonal", diagonal?.elements ?? [])
        archive.set("mean", mean)
        archive.set("running", running)
        archive.set("step", step)
        archive.set("random", random)
        archive.set("stepScale", stepScale)
    }

    public init(from archive: Archive) throws {
        parameters = try archive.value("parameters")
        loss = LossValue(total: try archive.double("loss"), terms: try archive.doubles("terms"))
        gradient = try archive.vector("gradient")
        let stored = try archive.vector("diagonal")
        diagonal = stored.isEmpty ? nil : stored
        (mean, running) = (try archive.vector("mean"), try archive.vector("running"))
        (step, random, stepScale) = (try archive.count("step"), try archive.value("random"), try archive.double("stepScale"))
        for (name, vector) in [("gradient", gradient), ("diagonal", diagonal ?? gradient), ("mean", mean), ("running", running)]
        where vector.count != parameters.count {
            throw ArchiveError(entry: name, reason: "\(vector.count) values for \(parameters.count) parameters")
        }
    }
}

// MARK: The two methods

/// AdaHessian: Adam with the mean square of the Hessian's diagonal in place of the gradient's.
///
///     m ← β₁m + (1 − β₁)g      v ← β₂v + (1 − β₂)D̄²      θ ← θ − ηₖ·m̂/(v̂^{κ/2} + ε) − ηₖλθ
///
/// m̂ = m/(1 − β₁ᵏ), v̂ = v/(1 − β₂ᵏ), κ = `hessianPower`. D̄ is D with each b = `averaging` consecutive entries of a block of parameters
/// replaced by their mean (the last of a block may be fewer), which tames Hutchinson's variance; 1 leaves D as it is.
/// D, cost, failure and the common settings: ``DiagonalCurvatureMethod``.
/// Variants: the mean is the paper's (9); the authors' code takes the mean of magnitudes, of convolutions alone, and pytorch_optimizer
/// none. v is corrected by steps, also where D comes every few of them, as there.
/// Source: Yao, Gholami, Shen, Mustafa, Keutzer & Mahoney, AAAI 2021, arXiv:2006.00719.
public struct AdaHessian: DiagonalCurvatureMethod {
    public var model = CurvatureModel.hessian
    /// η > 0. The authors' 0.1 … 0.15 are for entries whose D is averaged over convolutions.
    public var learningRate = 0.01
    public var momentum = 0.9
    public var curvatureMomentum = 0.999
    /// ε ≥ 0.
    public var epsilon = 1e-4
    /// κ ∈ [0, 1].
    public var hessianPower = 1.0
    /// b ≥ 1.
    public var averaging = 1
    public var weightDecay = 0.0
    public var refresh = 1
    public var probes = 1
    public var schedule: any Schedule = Constant()
    public var seed = 0

    public init() {}

    public init(learningRate: Double, averaging: Int = 1, schedule: any Schedule = Constant()) {
        precondition(averaging >= 1, "a mean of \(averaging) entries")
        (self.learningRate, self.averaging, self.schedule) = (learningRate, averaging, schedule)
    }

    public static let identifier = "adahessian"
    public static let summary = "Adam scaled by a running estimate of the Hessian's diagonal."
    public static var fields: [Field<Self>] {
        commonFields + [
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the diagonal's root mean square"),
            .number("hessianPower", \.hessianPower, in: .within(0...1), meaning: "κ, the power of the diagonal"),
            .integer("averaging", \.averaging, atLeast: 1, meaning: "b, the entries whose diagonal is averaged"),
        ]
    }

    public func accumulate(_ D: Vector, into running: inout Vector, layout: ParameterLayout) {
        for block in layout.blocks {
            for first in stride(from: block.range.lowerBound, to: block.range.upperBound, by: averaging) {
                let group = first..<Swift.min(first + averaging, block.range.upperBound)
                let mean = group.reduce(0) { $0 + D[$1] } / Double(group.count)
                for i in group { running[i] = curvatureMomentum * running[i] + (1 - curvatureMomentum) * mean * mean }
            }
        }
    }

    public func scale(at step: Int) -> (Double, Double) -> Double {
        let (c1, c2) = (1 / (1 - pow(momentum, Double(step))), 1 / (1 - pow(curvatureMomentum, Double(step))))
        let (κ, ε) = (hessianPower, epsilon)
        return { m, v in
            let scale = (κ == 1 ? (c2 * v).squareRoot() : pow(c2 * v, 0.5 * κ)) + ε
            return scale > 0 ? c1 * m / scale : 0
        }
    }
}

/// Sophia: the gradient's mean over the curvature's diagonal, clipped entry by entry.
///
///     m ← β₁m + (1 − β₁)g      h ← β₂h + (1 − β₂)D every k steps      θ ← θ − ηₖ·clip(m/max(γh, ε), ±ρ) − ηₖλθ
///
/// Entries of little or negative curvature move by ηρ in m's direction, as in a method of signs; ρ bounds what an outdated h can do.
/// D, cost, failure and the common settings: ``DiagonalCurvatureMethod``.
/// Variant: Sophia-H, by Hutchinson's estimate of ∇²L, or of JᵀJ with `model: gauss-newton`. The paper's Sophia-G estimates the
/// Gauss–Newton diagonal from labels drawn anew from the model's own distribution (Gauss–Newton–Bartlett), which a problem here does not
/// offer. ρ = 1 and γ = 0.01 as in the paper; pytorch_optimizer has γ = 1 and ρ = 0.01, the same steps at a hundredfold η. λ is 0, not the
/// paper's 0.1 … 0.2: weight decay biases the minimum. Source: Liu, Li, Hall, Liang & Ma, ICLR 2024, arXiv:2305.14342.
public struct Sophia: DiagonalCurvatureMethod {
    public var model = CurvatureModel.hessian
    public var learningRate = 1e-3
    public var momentum = 0.96
    public var curvatureMomentum = 0.99
    /// γ > 0.
    public var curvatureScale = 0.01
    /// ε > 0.
    public var epsilon = 1e-12
    /// ρ > 0.
    public var clip = 1.0
    public var weightDecay = 0.0
    public var refresh = 10
    public var probes = 1
    public var schedule: any Schedule = Constant()
    public var seed = 0

    public init() {}

    public init(learningRate: Double, curvatureScale: Double = 0.01, schedule: any Schedule = Constant()) {
        (self.learningRate, self.curvatureScale, self.schedule) = (learningRate, curvatureScale, schedule)
    }

    public static let identifier = "sophia"
    public static let summary = "The gradient's mean over an estimate of the Hessian's diagonal, clipped entry by entry."
    public static var fields: [Field<Self>] {
        commonFields + [
            .number("curvatureScale", \.curvatureScale, in: .positive, meaning: "γ, the factor of the diagonal"),
            .number("epsilon", \.epsilon, in: .positive, meaning: "ε, the least scaled curvature"),
            .number("clip", \.clip, in: .positive, meaning: "ρ, the most that an entry moves by, in units of η"),
        ]
    }

    public func accumulate(_ D: Vector, into running: inout Vector, layout: ParameterLayout) {
        running.scale(by: curvatureMomentum)
        running.add(D, scaledBy: 1 - curvatureMomentum)
    }

    public func scale(at step: Int) -> (Double, Double) -> Double {
        let (γ, ε, ρ) = (curvatureScale, epsilon, clip)
        return { m, h in Swift.min(Swift.max(m / Swift.max(γ * h, ε), -ρ), ρ) }
    }
}
