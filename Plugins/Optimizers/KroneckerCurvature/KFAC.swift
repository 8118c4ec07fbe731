import Globalization
import LinearAlgebra
import OptimizationCore

/// K-FAC for physics-informed networks: JᵀJ's block of each layer as a sum of two Kronecker products, inverted exactly.
///
/// With x̃ ∈ ℝᵃ the inputs of a layer (1 appended for the biases) and g ∈ ℝᵇ the derivatives of a weighted residual by its outputs, for the
/// value and every derivative that travels through it, C vectors a point:
///
///     A_t ← βA_t + (1 − β)·mean x̃x̃ᵀ     B_t ← βB_t + (1 − β)·Σ ggᵀ        t = 1: the equation, t = 2: all conditions
///     Δ = −[(A₁ + λI) ⊗ (B₁ + λI) + (A₂ + λI) ⊗ (B₂ + λI)]⁻¹∇L             layer by layer
///
/// Then either θ⁺ = θ + αM, M ← μM + Δ, α by a grid line search (KFAC), or θ⁺ = θ + αΔ + μδ with both rates from the loss's quadratic model
/// (KFAC*: `stepLength: automatic`, ``QuadraticModelStep``). β = `averaging`, λ = `damping`, μ = `momentum`.
///
/// The terms with the most channels are taken as the equation's; all others share one product, as if they were one term, since only two can
/// be diagonalised at once. With `groups: terms` each term has a product of its own; three or more are inverted by conjugate gradients
/// (`KroneckerSumSolver`: to a residual of 10⁻¹⁰, at most 200 products a layer, which are reported). For a network without hidden layers and one vector a point the products are exact. λ goes to each factor: a
/// product gets λ(A ⊗ I + I ⊗ B) + λ²I; published runs were tuned to 1e-14 … 1e-8. All parameters must be of affine layers: a network with
/// trained slopes, factorised weights or unknown coefficients is refused. A batch should be held for some hundred steps.
///
/// Where a search finds no step along M, M is dropped and Δ tried, then Δ with λ raised a hundredfold, three times over, then −∇L; λ is
/// raised too where a factor is not positive definite. It is stationary where rounding hides all decreases and breaks down where none of
/// this leads on, or something is not finite. A revision or another batch keeps the factors and the memory.
/// Cost: a forward pass and a reverse pass for each residual of a point; C·N(a² + b²) and 36(a³ + b³) flops a layer; 31 losses by the grid, or
/// a linearisation and two J·v; one gradient. 2(a² + b²) numbers a layer, twice that at work.
/// Variant: factors by expansion (`KFAC-expand`) with the derivative of residuals (type 2); the bases of the inverse: `KroneckerSumInverse`. Dangel et al.'s
/// losses have two terms, the heat equation's initial and boundary values being one: `equation-and-conditions`.
/// Source: Dangel, Müller & Zeinhofer, NeurIPS 2024, arXiv:2405.15603; Martens & Grosse, ICML 2015, arXiv:1503.05671.
public struct KFAC: Optimizer, Configurable {
    /// λ ≥ 0.
    public var damping = 1e-10
    public var dampingSplit = DampingSplit.same
    public var groups = KroneckerGroups.equationAndConditions
    /// β ∈ [0, 1).
    public var averaging = 0.95
    /// The identity in the published runs. From zero, poisson-2d with 257 parameters is at 1.4e-4 where KFAC* from the identity is at 2.5e-3 after
    /// as long, and at 6.4e-3 instead of 2.9e-2 with the grid.
    public var factorStart = FactorStart.zero
    /// The steps between two evaluations of the factors.
    public var refresh = 1
    public var stepLength = KroneckerStepLength.search(GridLineSearch())
    /// μ ∈ [0, 1).
    public var momentum = 0.0

    public init() {}

    public init(
        damping: Double = 1e-10, dampingSplit: DampingSplit = .same, averaging: Double = 0.95, factorStart: FactorStart = .zero,
        refresh: Int = 1, stepLength: KroneckerStepLength = .search(GridLineSearch()), momentum: Double = 0,
        groups: KroneckerGroups = .equationAndConditions
    ) {
        (self.damping, self.dampingSplit, self.averaging, self.factorStart) = (damping, dampingSplit, averaging, factorStart)
        self.groups = groups
        (self.refresh, self.stepLength, self.momentum) = (refresh, stepLength, momentum)
    }

    public static let identifier = "kfac"
    public static let summary = "JᵀJ layer by layer as a sum of Kronecker products (KFAC, KFAC*)."
    public static var fields: [Field<Self>] {
        [
            .number("damping", \.damping, in: .nonNegative, meaning: "λ, which is added to every factor"),
            .choice("dampingSplit", \.dampingSplit, meaning: "how λ is shared out to a product's factors"),
            .choice("groups", \.groups, meaning: "which terms' products are kept apart"),
            .number("averaging", \.averaging, in: .fraction, meaning: "β, the part of the factors that is kept"),
            .choice("factorStart", \.factorStart, meaning: "from what the factors' means begin"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "the steps between two evaluations of the factors"),
            .kroneckerStepLength("stepLength", \.stepLength, meaning: "how far a step goes"),
            .number("momentum", \.momentum, in: .fraction, meaning: "μ, the part of the last direction that is kept"),
        ]
    }

    public func validate() throws { try stepLength.validate(momentum: momentum) }

    public func start(on problem: any LayeredCurvatureProblem, from parameters: Parameters) throws -> KroneckerState {
        _ = try problem.completeCurvatures(at: parameters.values, for: Self.identifier)
        return KroneckerState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout KroneckerState, on problem: any LayeredCurvatureProblem) throws -> StepReport {
        if let end = state.end(on: problem) { return end }
        var next = state
        if state.steps % refresh == 0 || state.layers.isEmpty {
            let curvatures = try problem.completeCurvatures(at: state.parameters.values, for: Self.identifier)
            next.observe(curvatures, keeping: averaging, from: factorStart, grouped: groups.grouped)
        }
        let step = KroneckerStep(damping: damping, momentum: momentum, stepLength: stepLength)
        return try step.take(&state, next, on: problem) { g, λ in
            var (result, used, products) = (g, λ, 0)
            for layer in next.layers {
                let pairs = next.pairs(of: layer, keeping: averaging, from: factorStart)
                switch inverse(of: pairs, damping: λ) {
                case .failure(let failure): return .failure(failure)
                case .success(let (inverse, damping)):
                    used = Swift.max(used, damping)
                    let (a, b) = (pairs[0].input.rows, pairs[0].output.rows)
                    let x = Matrix(rows: b, columns: a, elements: Array(g.elements[layer.offset..<(layer.offset + a * b)]))
                    let solved = inverse.times(x)
                    products += solved.products
                    for (i, value) in solved.solution.elements.enumerated() { result[layer.offset + i] = value }
                }
            }
            return .success(Preconditioned(vector: result, damping: used, products: products))
        }
    }

    /// The damped inverse, λ being raised tenfold until the factors are positive definite.
    private func inverse(
        of pairs: [KroneckerPair], damping λ: Double
    ) -> Result<(inverse: KroneckerSumSolver, damping: Double), FactorizationFailure> {
        let entries = pairs.flatMap { [$0.input.maximumNorm, $0.output.maximumNorm] }
        let largest = entries.max() ?? 0
        guard entries.allSatisfy(\.isFinite) else { return .failure(.nonFinite) }
        var used = λ
        while true {
            switch KroneckerSumSolver.of(pairs, damping: pairs.map { dampingSplit.parts(of: used, for: $0) }) {
            case .success(let inverse): return .success((inverse, used))
            case .failure(let failure):
                guard failure != .nonFinite, used <= largest else { return .failure(failure) }
                used = Swift.max(10 * used, .ulpOfOne * largest, .leastNormalMagnitude)
            }
        }
    }

    /// Loss and gradient are evaluated anew; factors and memory are kept.
    public func adapt(_ state: inout KroneckerState, to problem: any LayeredCurvatureProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout KroneckerState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    /// As for one square layer of all parameters: its factors twice, their bases, and a dozen vectors.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        guard let residuals else { return nil }
        return bytes(ofNumbers: 32 * Double(parameters) + 4 * Double(residuals))
    }

    /// The factors as a linearisation, and as for one square layer of all parameters; several layers take less.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return stepLength.cost(refresh: refresh, flops: 80 * p * p.squareRoot())
    }
}

extension KroneckerState {
    /// Where nothing is left to be done: a standpoint that is not finite, or has no slope.
    func end(on problem: any LayeredCurvatureProblem) -> StepReport? {
        func report(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            StepReport(loss: standpoint.loss, gradientNorm: standpoint.gradient.norm, verdict: verdict, floor: floor)
        }
        guard standpoint.isFinite else { return report(.brokeDown(.nonFinite(at: parameters.values, on: problem))) }
        return standpoint.hasVanishingGradient ? report(.stationary, floor: .vanishingGradient(standpoint.gradient.norm)) : nil
    }
}

extension KroneckerStepLength {
    func validate(momentum: Double) throws {
        guard case .automatic = self, momentum > 0 else { return }
        throw ConfigurationError(path: "momentum", reason: "\(momentum) must be 0 where the step length is automatic, which sets its own")
    }

    func cost(refresh: Int, flops: Double) -> StepCost {
        var items: [StepCost.Item] = [.init(.linearization, 1 / Double(refresh))]
        switch self {
        case .automatic: items += [.init(.jacobianProduct, 2)]
        case .search(let search):
            if let grid = search as? GridLineSearch { items.append(.init(.loss, Double(grid.count))) }
        }
        return StepCost(items + [.init(.gradient, 1)], flops: flops)
    }
}
