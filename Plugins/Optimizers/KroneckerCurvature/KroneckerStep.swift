import Globalization
import LinearAlgebra
import OptimizationCore

/// How far a step goes along a preconditioned direction.
public enum KroneckerStepLength: Sendable {
    /// By a line search; the grid 1, ½, …, 2⁻³⁰ in the paper.
    case search(any LineSearch)
    /// With the momentum, by the quadratic model of the loss: KFAC*.
    case automatic(QuadraticModelStep)

    var settings: Setting {
        switch self {
        case .search(let search): search.settings
        case .automatic(let step): step.settings
        }
    }
}

/// α and μ of the step s = αΔ + μδ at the minimum of the quadratic model gᵀs + ½‖Js‖² + ½λ‖s‖², δ being the last step.
///
///     [ΔᵀGΔ + λΔᵀΔ   ΔᵀGδ + λΔᵀδ] [α]     [gᵀΔ]
///     [ΔᵀGδ + λΔᵀδ   δᵀGδ + λδᵀδ] [μ] = − [gᵀδ],   G = JᵀJ by two products with J
///
/// Before there is a δ, α is `firstRate`. Where Δ and δ are parallel to rounding, μ = 0. s descends, so that a part of it lowers the loss: with
/// `monotone` it is halved until it does (Armijo's rule).
/// Source: Martens & Grosse, ICML 2015, arXiv:1503.05671, section 7; as Dangel, Müller & Zeinhofer, arXiv:2405.15603, have it, who take the
/// step whatever it does to the loss.
public struct QuadraticModelStep: Configurable, Hashable {
    /// α of the first step.
    public var firstRate = 1e-6
    /// Whether a step is halved until it lowers the loss. Without, KFAC* on poisson-2d (257 parameters, λ = 1e-8) had a relative error of 133 after
    /// 35 steps; with it, of 0.05 after 50.
    public var isMonotone = true

    public init() {}
    public init(firstRate: Double = 1e-6, isMonotone: Bool = true) { (self.firstRate, self.isMonotone) = (firstRate, isMonotone) }

    public static let identifier = "automatic"
    public static let summary = "Rate and momentum at the minimum of the loss's quadratic model."
    public static var fields: [Field<Self>] {
        [
            .number("firstRate", \.firstRate, in: .positive, meaning: "the rate of the first step, which has none before it"),
            .flag("monotone", \.isMonotone, meaning: "whether a step is halved until it lowers the loss"),
        ]
    }

    /// α and μ, and the decrease that the model promises with them.
    func rates(_ model: any Linearization, _ g: Vector, _ Δ: Vector, _ δ: Vector?, λ: Double) -> (α: Double, μ: Double, promised: Double) {
        let slope = g.dot(Δ)
        guard let δ else { return (firstRate, 0, -firstRate * slope) }
        let (JΔ, Jδ) = (model.product(Δ), model.product(δ))
        let (a, b, c) = (JΔ.dot(JΔ) + λ * Δ.dot(Δ), JΔ.dot(Jδ) + λ * Δ.dot(δ), Jδ.dot(Jδ) + λ * δ.dot(δ))
        guard a.isFinite, b.isFinite, c.isFinite else { return (.nan, .nan, .nan) }
        let determinant = a * c - b * b
        let last = g.dot(δ)
        guard determinant > 4 * .ulpOfOne * a * c else { return (-slope / a, 0, 0.5 * slope * slope / a) }
        let (α, μ) = ((b * last - c * slope) / determinant, (b * slope - a * last) / determinant)
        return (α, μ, -0.5 * (α * slope + μ * last))
    }
}

extension Field {
    /// A line search, or the quadratic model's step, chosen by its name.
    static func kroneckerStepLength(_ name: String, _ path: Path<KroneckerStepLength>, meaning: String) -> Field {
        .variant(
            name, among: [GridLineSearch.self, BacktrackingArmijo.self, StrongWolfe.self, MoreThuente.self, QuadraticModelStep.self],
            meaning: meaning, describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            if let search = chosen as? any LineSearch {
                root[keyPath: path] = .search(search)
            } else if let step = chosen as? QuadraticModelStep {
                root[keyPath: path] = .automatic(step)
            }
        }
    }
}

/// P⁻¹g for a preconditioner P at one point, the λ that it took, and the products with P where P⁻¹ was not at hand.
struct Preconditioned {
    var vector: Vector
    var damping: Double
    var products = 0
}

/// A step along −P⁻¹g: what the methods with Kronecker factors have in common.
struct KroneckerStep {
    var damping: Double
    var momentum: Double
    var stepLength: KroneckerStepLength

    /// `next` is the state with the factors that belong to the step; `precondition` applies their damped inverse to a vector.
    func take(
        _ state: inout KroneckerState, _ next: KroneckerState, on problem: any LayeredCurvatureProblem,
        precondition: (Vector, _ λ: Double) -> Result<Preconditioned, FactorizationFailure>
    ) throws -> StepReport {
        let here = state.standpoint
        var (next, λ, trials) = (next, damping, 0)
        var used: Double?
        var products = 0
        func report(
            _ at: Standpoint, _ verdict: StepVerdict, α: Double? = nil, μ: Double? = nil, floor: Finding? = nil
        ) -> StepReport {
            var details: [StepReport.Detail] = [.init("trials", Double(trials))]
            if let used { details.append(.init("damping", used)) }
            if products > 0 { details.append(.init("products", Double(products))) }
            if let μ { details.append(.init("momentum", μ)) }
            return StepReport(
                loss: at.loss, gradientNorm: at.gradient.norm, stepLength: α, verdict: verdict, details: details, floor: floor)
        }
        func broken(_ failure: FactorizationFailure) -> StepReport {
            let breakdown = Breakdown(
                .linearSolver, "the Kronecker factors could not be inverted: \(failure)", lookingAt: [here.parameters.values], on: problem)
            return report(here, .brokeDown(breakdown))
        }
        func direction() -> Result<Vector, FactorizationFailure> {
            precondition(here.gradient, λ).flatMap { solved in
                used = solved.damping
                products += solved.products
                return solved.vector.isFinite ? .success(-solved.vector) : .failure(.nonFinite)
            }
        }
        func take(_ there: Standpoint, α: Double, μ: Double? = nil) -> StepReport {
            guard there.isFinite else { return report(here, .brokeDown(.nonFinite(at: there.parameters.values, on: problem))) }
            next.standpoint = there
            next.steps += 1
            state = next
            return report(there, .accepted, α: α, μ: μ)
        }

        func attempt(_ p: Vector, by search: any LineSearch, from first: Double) throws -> LineSearchResult<Trial> {
            let result = try search.search(along: here.ray(along: p, on: problem), from: first)
            trials += result.trials
            return result
        }
        /// What is left where nothing else led on.
        func descend(by search: any LineSearch, after reason: String, _ tried: [Vector]) throws -> StepReport {
            let steepest = -Descent.firstStep(from: here) * here.gradient
            next.memory = nil
            var found = try attempt(steepest, by: search, from: state.stepScale).usable
            if found == nil {
                switch try here.deadEnd(along: steepest, on: problem, seeingCurvature: true) {
                case .stationary(let finding): return report(here, .stationary, floor: finding)
                case .step(let sample): found = sample
                case .unexplained: break
                }
            }
            if let found { return take(try here.accepting(found, on: problem), α: found.stepLength) }
            let breakdown = Breakdown(
                .lineSearch, "no step along the preconditioned gradient: \(reason)",
                lookingAt: tried + [here.parameters.values + steepest], on: problem)
            return report(here, .brokeDown(breakdown))
        }

        var Δ: Vector
        switch direction() {
        case .failure(let failure): return broken(failure)
        case .success(let found): Δ = found
        }
        switch stepLength {
        case .automatic(let rule):
            let model = try problem.linearization(at: here.parameters.values)
            let (α, μ, promised) = rule.rates(model, here.gradient, Δ, state.memory, λ: λ)
            guard promised.isFinite else {
                let breakdown = Breakdown(
                    .linearSolver, "the quadratic model of the step is not finite", lookingAt: [here.parameters.values], on: problem)
                return report(here, .brokeDown(breakdown))
            }
            if state.memory != nil, promised <= here.lastBits {
                return report(here, .stationary, floor: .hiddenDecrease(promised, hidden: here.lastBits))
            }
            var s = α * Δ
            if let δ = state.memory { s.add(δ, scaledBy: μ) }
            guard rule.isMonotone else {
                trials = 1
                s.scale(by: state.stepScale)
                next.memory = s
                let θ = here.parameters.values + s
                let there = Standpoint(at: here.parameters.with(θ), try problem.lossAndGradient(at: θ))
                return take(there, α: state.stepScale * α, μ: state.stepScale * μ)
            }
            let search = BacktrackingArmijo()
            let result = try attempt(s, by: search, from: state.stepScale)
            if let sample = result.usable {
                next.memory = sample.stepLength * s
                return take(try here.accepting(sample, on: problem), α: sample.stepLength * α, μ: sample.stepLength * μ)
            }
            switch try here.deadEnd(along: s, on: problem) {
            case .stationary(let finding): return report(here, .stationary, floor: finding)
            case .step(let sample):
                next.memory = sample.stepLength * s
                return take(try here.accepting(sample, on: problem), α: sample.stepLength * α, μ: sample.stepLength * μ)
            case .unexplained: break
            }
            let reason = result.failure?.description ?? "no step"
            return try descend(by: search, after: reason, [here.parameters.values + s])
        case .search(let search):
            if momentum > 0, let m = state.memory {
                let p = Δ.adding(m, scaledBy: momentum)
                if let sample = try attempt(p, by: search, from: state.stepScale).usable {
                    next.memory = p
                    return take(try here.accepting(sample, on: problem), α: sample.stepLength)
                }
            }
            var (reason, tried) = ("", [Vector]())
            for rescue in 0...3 {
                if rescue > 0 {
                    λ = 100 * Swift.max(λ, used ?? λ)
                    switch direction() {
                    case .failure(let failure): return broken(failure)
                    case .success(let found): Δ = found
                    }
                }
                next.memory = momentum > 0 ? Δ : nil
                let result = try attempt(Δ, by: search, from: state.stepScale)
                if let sample = result.usable { return take(try here.accepting(sample, on: problem), α: sample.stepLength) }
                if rescue == 0 {
                    reason = result.failure?.description ?? "no step"
                    switch try here.deadEnd(along: Δ, on: problem) {
                    case .stationary(let finding): return report(here, .stationary, floor: finding)
                    case .step(let sample): return take(try here.accepting(sample, on: problem), α: sample.stepLength)
                    case .unexplained: break
                    }
                }
                tried.append(here.parameters.values + Δ)
            }
            return try descend(by: search, after: reason, tried)
        }
    }
}
