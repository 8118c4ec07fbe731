import Globalization
import LinearAlgebra
import OptimizationCore

/// Newton's, Gauss–Newton's or a quasi-Newton model within a trust region, with a choice of solvers for its subproblem.
///
///     p ≈ argmin gᵀp + ½pᵀBp over ‖p‖ ≤ Δ,   ρ = (L(θ) − L(θ + p))/(−gᵀp − ½pᵀBp),   θ⁺ = θ + p where ρ > acceptance
///
/// B = ∇²L, which may be indefinite, or JᵀJ, or what is learnt from gradients; Δ follows ρ by ``TrustRadius``. By product only:
/// `steihaug-toint` (``SteihaugToint``) and `gltr` (``GLTR``), to ‖residual‖ ≤ η·‖g‖ with η by Eisenstat and Walker (``ForcingTerm``). With a
/// dense B from P products, for small problems: `exact` (``ExactSubproblem``), `dogleg` and `double-dogleg` (``DoglegSubproblem``).
///
/// **`quasi-newton`** needs no more than a gradient. B (``SecantHessian``) learns by symmetric rank one, Powell's symmetric Broyden or damped
/// BFGS, dense or from the last m pairs, from refused trials too, so that each step is one trial (``SecantTrustRegion``). Products with B
/// cost no gradient and are solved to a fixed η. A limited memory has its `exact` minimiser in O(m²P) (``LowRankSubproblem``); the doglegs,
/// which factorise B, are refused there.
///
/// **`structured-secant`** is for sums of squares whose residuals stay large and curved, where `gauss-newton` converges slowly or not at all:
/// B = JᵀJ + S, S learnt from the steps by the update of Dennis, Gay and Welsch and followed where it foretells the loss better than JᵀJ alone
/// (``StructuredSecant``). It needs no Hessian; a step taken costs a residual and a Jᵀ·w more, and S holds P²/2 doubles.
///
/// Cost: a gradient a trial, and the products; a refused trial is followed by another radius within the step, with what the subproblem's
/// solver has found so far. One radius serves all parameters: where they differ in scale by many orders, steps are short
/// (`levenberg-marquardt` scales). A trial that is not finite shrinks Δ to a quarter; where no radius gives one that is, or a product is
/// not finite, the method breaks down. Stationary where the loss's rounding hides every decrease. A revision keeps Δ. No constant has the
/// loss's scale; Δ₀ has that of the parameters.
/// Variants: SciPy's `trust-ncg`, `trust-krylov`, `trust-exact` and `dogleg` are these four, with Δ₀ = 1 and an η that depends on the
/// loss's scale.
/// Source: Conn, Gould & Toint, *Trust-Region Methods*, 2000, doi:10.1137/1.9780898719857, alg. 6.1.1; Nocedal & Wright, 2nd ed., ch. 4.
public struct TrustRegion: Optimizer, Configurable {
    public enum Subproblem: String, CaseIterable, Sendable, Hashable {
        case steihaugToint = "steihaug-toint"
        case gltr
        case dogleg
        case doubleDogleg = "double-dogleg"
        case exact

        /// Whether B is formed.
        public var isDense: Bool { self != .steihaugToint && self != .gltr }
    }

    /// The matrix of the quadratic model.
    public enum Model: String, CaseIterable, Sendable, Hashable {
        /// ∇²L: a ``TwiceDifferentiableProblem``.
        case hessian
        /// JᵀJ: a ``LeastSquaresProblem``.
        case gaussNewton = "gauss-newton"
        /// JᵀJ + S, S learnt from the change of J over the steps: a ``LeastSquaresProblem``.
        case structuredSecant = "structured-secant"
        /// Learnt from gradients: any problem.
        case quasiNewton = "quasi-newton"

        /// The curvature that the problem gives.
        var exact: CurvatureModel? {
            switch self {
            case .hessian: .hessian
            case .gaussNewton, .structuredSecant: .gaussNewton
            case .quasiNewton: nil
            }
        }
    }

    public var subproblem = Subproblem.gltr
    public var model = Model.hessian
    /// Of `quasi-newton`.
    public var quasiNewton = SecantModel()
    public var radius = TrustRadius()
    /// Δ₀; 0 stands for the length of the first step of ``Descent``, min(2L/‖g‖, 1).
    public var initialRadius = 0.0
    /// Of `steihaug-toint` and `gltr` on the exact curvature.
    public var forcing = ForcingTerm()
    /// Inner iterations for one model at most, of `steihaug-toint` and `gltr`.
    public var maximumIterations = 250
    /// Radii tried in one step, on the exact curvature.
    public var maximumTrials = 30

    public init() {}

    public init(_ subproblem: Subproblem, model: Model = .hessian) { (self.subproblem, self.model) = (subproblem, model) }

    public init(_ subproblem: Subproblem, learning quasiNewton: SecantModel) {
        (self.subproblem, model, self.quasiNewton) = (subproblem, .quasiNewton, quasiNewton)
    }

    public static let identifier = "trust-region"
    public static let summary = "Newton, Gauss–Newton or quasi-Newton in a trust region: Steihaug–Toint, GLTR, doglegs or exact."
    public static var fields: [Field<Self>] {
        [
            .choice("subproblem", \.subproblem, meaning: "how the model is minimised within the region"),
            .choice(
                "model", \.model,
                meaning: "the matrix of the quadratic model; gauss-newton where J or a metric is at hand, structured-secant where J is"),
            .part("quasiNewton", \.quasiNewton, meaning: "how the matrix of a quasi-newton model is learnt"),
            .part("radius", \.radius, meaning: "how the radius follows the gain ratio"),
            .number("initialRadius", \.initialRadius, in: .nonNegative, meaning: "Δ₀; 0 stands for min(2L/‖∇L‖, 1)"),
            .part("forcing", \.forcing, meaning: "how accurately the model is minimised, by products"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations for one model at most"),
            .integer("maximumTrials", \.maximumTrials, atLeast: 1, meaning: "radii tried in one step"),
        ]
    }

    public func validate() throws {
        do {
            try quasiNewton.validate()
        } catch let error as ConfigurationError {
            throw ConfigurationError(path: "quasiNewton.\(error.path)", line: error.line, reason: error.reason)
        }
        guard model == .quasiNewton, quasiNewton.memory > 0, subproblem == .dogleg || subproblem == .doubleDogleg else { return }
        throw ConfigurationError(
            path: "subproblem",
            reason:
                "\(subproblem.rawValue) factorises the matrix, which a limited memory does not form; take exact, which costs less there, "
                + "gltr or steihaug-toint, or quasiNewton: {memory: 0}")
    }

    public func check(_ problem: any DifferentiableProblem) throws {
        try validate()
        try model.exact?.check(problem)
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> TrustRegionState {
        try check(problem)
        var state = TrustRegionState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
        if model == .quasiNewton { state.secant = SecantMemory() }
        if model == .structuredSecant { state.structured = StructuredSecant(order: parameters.count) }
        return state
    }

    public func step(_ state: inout TrustRegionState, on problem: any DifferentiableProblem) throws -> StepReport {
        if let exact = model.exact { return try step(&state, exact, on: problem) }
        var memory = state.secant ?? SecantMemory()
        state.secant = nil  // so that B is changed where it lies
        defer { state.secant = memory }
        var report = try secant.step(&state.standpoint, &memory, on: problem)
        if subproblem.isDense { report.linearIterations = 0 }
        return report
    }

    private var secant: SecantTrustRegion {
        let (subproblem, forcing, limit) = (subproblem, quasiNewton.forcing, maximumIterations)
        return SecantTrustRegion(quasiNewton, radius: radius, initialRadius: initialRadius) { g, B in
            switch (subproblem, B) {
            case (.steihaugToint, _):
                SteihaugToint(g, forcing: forcing, maximumIterations: Swift.min(limit, 2 * g.count), keepingPath: false) { B.times($0) }
            case (.gltr, _): GLTR(g, forcing: forcing, maximumIterations: limit) { B.times($0) }
            case (.exact, .dense(let B)): ExactSubproblem(g, matrix: B.full)
            case (.exact, .lowRank(let B)): LowRankSubproblem(g, B)
            case (.dogleg, .dense(let B)): DoglegSubproblem(g, matrix: B.full, double: false)
            case (.doubleDogleg, .dense(let B)): DoglegSubproblem(g, matrix: B.full, double: true)
            case (.dogleg, .lowRank), (.doubleDogleg, .lowRank): preconditionFailure("a dogleg on a limited memory")
            }
        }
    }

    private func step(
        _ state: inout TrustRegionState, _ model: CurvatureModel, on problem: any DifferentiableProblem
    ) throws -> StepReport {
        let here = state.standpoint
        let θ = here.parameters.values
        var (Δ, ratio, trials, products) = (state.radius ?? 0, 0.0, 0, 0)
        var (recoveries, structure): ([String], Structure?) = ([], nil)
        func report(_ standpoint: Standpoint, _ verdict: StepVerdict, stepLength: Double? = nil, floor: Finding? = nil) -> StepReport {
            StepReport(
                loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, stepLength: stepLength, verdict: verdict,
                details: [
                    .init("radius", Δ), .init("gainRatio", ratio), .init("trials", Double(trials)), .init("products", Double(products)),
                ] + (structure.map { [.init("structured", $0.learnt.isFollowed ? 1 : 0)] } ?? []), floor: floor,
                linearIterations: products, recoveries: recoveries)
        }
        guard here.isFinite else { return report(here, .brokeDown(.nonFinite(at: θ, on: problem))) }
        if here.hasVanishingGradient { return report(here, .stationary, floor: .vanishingGradient(here.gradient.norm)) }
        let first = initialRadius > 0 ? initialRadius : here.gradient.norm * Descent.firstStep(from: here)
        if state.radius == nil { Δ = first }
        let η = forcing.value(gradientNorm: here.gradient.norm, after: state.forcing)
        structure = try state.structured.map { try Structure(at: θ, learnt: $0, on: problem) }
        var solver = try solver(of: here, model, structure, η, on: problem)
        func failed(_ failure: FactorizationFailure) -> StepReport {
            let reason: Breakdown.Reason = failure == .nonFinite ? .nonFinite : .linearSolver
            let detail =
                failure == .nonFinite ? "a product with the curvature matrix is not finite" : "no minimiser of the model: \(failure)"
            return report(here, .brokeDown(Breakdown(reason, detail, lookingAt: [θ], on: problem)))
        }
        var nowhere: Vector?
        var anyFinite = false
        while trials < maximumTrials {
            let found: TrustRegionStep
            switch solver.step(within: Δ) {
            case .failure(let failure): return failed(failure)
            case .success(let step): found = step
            }
            products = solver.products
            let length = found.p.norm
            guard found.decrease > here.lastBits, length > 0 else {
                if let nowhere { return report(here, .brokeDown(.nonFinite(at: nowhere, on: problem))) }
                if structure?.learnt.isFollowed == true {
                    // What was learnt may be to blame.
                    structure?.learnt.distrust()
                    recoveries.append("the model with S promised nothing that could be seen: the one of Gauss and Newton was taken")
                    solver = try self.solver(of: here, model, structure, η, on: problem)
                    continue
                }
                return try unpromising(&state, found.decrease, &solver, within: Swift.max(Δ, first), on: problem, report, failed)
            }
            trials += 1
            let candidate = θ + found.p
            let value = try problem.lossAndGradient(at: candidate)
            guard value.isFinite else {
                (Δ, nowhere) = (0.25 * length, candidate)
                guard candidate != θ else { break }
                continue
            }
            anyFinite = true
            ratio = (here.loss.total - value.loss.total) / found.decrease
            let used = Δ
            Δ = radius.updated(
                Δ, gainRatio: ratio, stepNorm: length, slope: here.gradient.dot(found.p), change: value.loss.total - here.loss.total)
            guard ratio > radius.acceptance else {
                // A step that a rule leaves where it is would be tried for ever.
                if Δ >= used { Δ = 0.5 * length }
                continue
            }
            (state.standpoint, state.radius) = (Standpoint(at: here.parameters.with(candidate), value), Δ)
            if let structure { state.structured = try structure.learning(found.p, from: here, to: state.standpoint) }
            if !subproblem.isDense {
                state.forcing = ForcingMemory(forcing: η, gradientNorm: here.gradient.norm, residualNorm: found.residualNorm)
            }
            var accepted = report(state.standpoint, .accepted, stepLength: length)
            accepted.details[0] = .init("radius", used)
            return accepted
        }
        guard anyFinite else { return report(here, .brokeDown(.nonFinite(at: nowhere ?? θ, on: problem))) }
        state.radius = Δ
        if let structure { state.structured = structure.learnt }
        return report(here, .rejected)
    }

    private func solver(
        of here: Standpoint, _ model: CurvatureModel, _ structure: Structure?, _ η: Double, on problem: any DifferentiableProblem
    ) throws -> any TrustRegionSubproblem {
        let (θ, g) = (here.parameters.values, here.gradient)
        func product() throws -> any HessianOperator { try structure ?? model.operator(at: θ, on: problem) }
        func matrix() throws -> Matrix { try structure?.matrix ?? model.matrix(at: θ, on: problem) }
        switch subproblem {
        case .steihaugToint:
            let B = try product()
            return SteihaugToint(g, forcing: η, maximumIterations: Swift.min(maximumIterations, 2 * g.count)) { B.product($0) }
        case .gltr:
            let B = try product()
            return GLTR(g, forcing: η, maximumIterations: maximumIterations) { B.product($0) }
        case .dogleg, .doubleDogleg:
            return DoglegSubproblem(g, matrix: try matrix(), double: subproblem == .doubleDogleg)
        case .exact: return ExactSubproblem(g, matrix: try matrix())
        }
    }

    /// Within its radius the model promises no more than the loss's last bits: the end where it does not promise more farther out either,
    /// or where rounding hides that.
    private func unpromising(
        _ state: inout TrustRegionState, _ promised: Double, _ solver: inout any TrustRegionSubproblem, within widest: Double,
        on problem: any DifferentiableProblem, _ report: (Standpoint, StepVerdict, Double?, Finding?) -> StepReport,
        _ failed: (FactorizationFailure) -> StepReport
    ) throws -> StepReport {
        let here = state.standpoint
        let wide: TrustRegionStep
        switch solver.step(within: widest) {
        case .failure(let failure): return failed(failure)
        case .success(let step): wide = step
        }
        guard wide.decrease > here.lastBits else {
            return report(here, .stationary, nil, .hiddenDecrease(Swift.max(promised, wide.decrease), hidden: here.lastBits))
        }
        var end = try here.deadEnd(along: wide.p, on: problem)
        if case .unexplained = end {
            // A step that is too long explains nothing, and refused ones, shorter and shorter, were more and more along −g.
            end = try here.deadEnd(along: -Descent.firstStep(from: here) * here.gradient, on: problem, seeingCurvature: true)
        }
        switch end {
        case .stationary(let finding): return report(here, .stationary, nil, finding)
        case .unexplained:
            let detail = "the radius shrank to \(state.radius ?? 0) without a decrease"
            let place = here.parameters.values + wide.p
            return report(here, .brokeDown(Breakdown(.regularization, detail, lookingAt: [place], on: problem)), nil, nil)
        case .step(let sample):
            let there = try here.accepting(sample, on: problem)
            guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem)), nil, nil) }
            let length = (there.parameters.values - here.parameters.values).norm
            (state.standpoint, state.radius, state.forcing) = (there, length, nil)
            var accepted = report(there, .accepted, length, nil)
            accepted.recoveries = ["within its radius the model promised nothing that could be seen: the radius begun anew"]
            return accepted
        }
    }

    /// Loss and gradient are evaluated anew; the radius is kept, and what was learnt.
    public func adapt(_ state: inout TrustRegionState, to problem: any DifferentiableProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        state.forcing = nil
        state.secant?.adapt()
    }

    /// A tenth of the radius.
    public func shortenSteps(_ state: inout TrustRegionState) -> Bool {
        let here = state.standpoint
        if model == .quasiNewton {
            var memory = state.secant ?? SecantMemory()
            defer { state.secant = memory }
            return secant.shorten(&memory, at: here)
        }
        let first = initialRadius > 0 ? initialRadius : here.gradient.norm * Descent.firstStep(from: here)
        let shorter = 0.1 * (state.radius ?? first)
        guard shorter > 0, shorter.isFinite else { return false }
        state.radius = shorter
        return true
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let p = Double(parameters)
        if model == .quasiNewton {
            let (k, isLimited) = (2 * Double(quasiNewton.memory), quasiNewton.memory > 0)
            let matrix = isLimited ? 2 * k * p + k * k : 0.5 * p * (p + 1)
            switch subproblem {
            case .steihaugToint: return bytes(ofNumbers: matrix + 10 * p)
            case .gltr: return bytes(ofNumbers: matrix + (Double(Swift.min(maximumIterations, parameters)) + 10) * p)
            case .dogleg, .doubleDogleg: return bytes(ofNumbers: matrix + 2 * p * p + 10 * p)
            case .exact: return bytes(ofNumbers: matrix + (isLimited ? 2 * k * p + 4 * k * k : 4 * p * p) + 10 * p)
            }
        }
        let learnt = model == .structuredSecant ? p * (p + 1) + 4 * p : 0
        switch subproblem {
        case .steihaugToint: return bytes(ofNumbers: learnt + (2 * Double(Swift.min(maximumIterations, 2 * parameters)) + 10) * p)
        case .gltr: return bytes(ofNumbers: learnt + (Double(Swift.min(maximumIterations, parameters)) + 10) * p)
        case .dogleg, .doubleDogleg: return bytes(ofNumbers: learnt + 2 * p * p + 10 * p)
        case .exact: return bytes(ofNumbers: learnt + 4 * p * p + 10 * p)
        }
    }

    /// With one trial and, by products, twenty inner iterations.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let (p, k) = (Double(parameters), Double(Swift.min(20, parameters)))
        guard let model = model.exact else {
            let m = Double(quasiNewton.memory)
            let (product, update) = m > 0 ? (8 * m * p, 8 * m * m * p) : (2 * p * p, 5 * p * p)
            let inner: Double
            switch subproblem {
            case .steihaugToint, .gltr: inner = k * product + (subproblem == .gltr ? 4 * p * k * k + 8 * k * k * k : 10 * p * k)
            case .dogleg, .doubleDogleg: inner = p * p * p / 3
            case .exact: inner = m > 0 ? 24 * m * m * p + 70 * m * m * m : 4 * p * p * p
            }
            return StepCost([.init(.gradient, 1)], flops: update + inner)
        }
        let learns = self.model == .structuredSecant
        let learning: [StepCost.Item] = learns ? [.init(.residual, 1), .init(.transposedProduct, 1)] : []
        guard subproblem.isDense else {
            let flops = subproblem == .gltr ? 4 * p * k * k + 8 * k * k * k : 10 * p * k
            return StepCost(
                [.init(.gradient, 1)] + model.cost(products: k) + learning, flops: flops + (learns ? (2 * k + 7) * p * p : 0))
        }
        return StepCost(
            [.init(.gradient, 1)] + (model == .hessian ? model.cost(products: p) : [.init(.linearization, 1)]) + learning,
            flops: (subproblem == .exact ? 4 : 1.0 / 3) * p * p * p + (learns ? 7 * p * p : 0))
    }

    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? {
        subproblem.isDense && model.exact == .gaussNewton ? .gramian : nil
    }
}

/// Where the method stands, its radius, and what its forcing term remembers or its quasi-Newton model has learnt.
public struct TrustRegionState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    /// Δ; nil before the first step.
    public internal(set) var radius: Double?
    public internal(set) var forcing: ForcingMemory?
    /// Of `quasi-newton`, its radius included.
    public internal(set) var secant: SecantMemory?
    /// Of `structured-secant`.
    public internal(set) var structured: StructuredSecant?

    public static var formatVersion: Int { 2 }

    public var parameters: Parameters { standpoint.parameters }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("radius", radius.map { [$0] } ?? [])
        if let forcing { archive.set("forcing", forcing) }
        if let secant { archive.set("secant", secant) }
        if let structured { archive.set("structured", structured) }
    }

    public init(from archive: Archive) throws {
        (standpoint, radius) = (try archive.value("standpoint"), try archive.doubles("radius").first)
        forcing = try archive.groupIfPresent("forcing")?.decoded()
        secant = try archive.groupIfPresent("secant")?.decoded()
        structured = try archive.groupIfPresent("structured")?.decoded()
        guard structured?.matrix.order ?? standpoint.parameters.count == standpoint.parameters.count else {
            throw ArchiveError(entry: "structured", reason: "is not of order \(standpoint.parameters.count)")
        }
    }
}

/// JᵀJ + S at one θ, or JᵀJ where that is the model to follow, and what a step from there teaches.
private struct Structure: HessianOperator {
    let model: any Linearization
    let problem: any LeastSquaresProblem
    var learnt: StructuredSecant

    init(at θ: Vector, learnt: StructuredSecant, on problem: any DifferentiableProblem) throws {
        guard let squares = problem as? any LeastSquaresProblem else { preconditionFailure("\(problem.name) is no sum of squares") }
        (self.problem, self.learnt, model) = (squares, learnt, try squares.linearization(at: θ))
    }

    var parameterCount: Int { model.parameterCount }

    func product(_ v: Vector) -> Vector {
        let product = model.transposedProduct(model.product(v))
        return learnt.isFollowed ? product + learnt.matrix.times(v) : product
    }

    var matrix: Matrix {
        var matrix = model.gramian()
        guard learnt.isFollowed else { return matrix }
        let S = learnt.matrix.full
        for i in matrix.elements.indices { matrix.elements[i] += S.elements[i] }
        return matrix
    }

    /// S and the model to follow after a step p.
    func learning(_ p: Vector, from here: Standpoint, to there: Standpoint) throws -> StructuredSecant {
        var next = learnt
        let image = model.product(p)
        let without = -here.gradient.dot(p) - 0.5 * image.dot(image)
        let bend = 0.5 * p.dot(learnt.matrix.times(p))
        let r = try problem.residual(at: there.parameters.values)
        // (J⁺ − J)ᵀr⁺ with J⁺ᵀr⁺ = ∇L(θ⁺).
        let change = there.gradient - model.transposedProduct(r)
        next.learn(step: p, change: there.gradient - here.gradient, curvatureChange: change)
        next.judge(decrease: here.loss.total - there.loss.total, promisedWith: without - bend, promisedWithout: without)
        return next
    }
}
