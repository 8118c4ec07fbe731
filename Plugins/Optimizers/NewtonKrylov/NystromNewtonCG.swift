import Globalization
import LinearAlgebra
import OptimizationCore

/// NysNewton-CG (NNCG): a damped Newton direction by conjugate gradients with a randomised preconditioner, for the end of a PINN's
/// training.
///
///     (B + μI)·p = −∇L to ‖residual‖ ≤ tolerance·‖∇L‖,   θ⁺ = θ + αp,   B = ∇²L or JᵀJ
///
/// PINN losses have Hessians whose largest eigenvalues (10³ … 10⁵) stand over a long tail: a Nyström sketch of rank k takes the large ones
/// out (``NystromPreconditioner``), and conjugate gradients see a condition number near one plus (λₖ₊₁)/μ. The sketch is drawn anew every
/// `refresh` steps, after a revision, and after a step that failed. α by Armijo's rule with halvings from 1.
/// Cost: a loss and a gradient, up to `maximumIterations` products with B a step, `rank` more with each sketch; Pk doubles. Where B curves
/// down the iterate reached so far is taken, or the direction itself where there is none. μ is relative to the sketch's largest eigenvalue,
/// so that no constant has the loss's scale. A product that is not finite breaks down; a failed search tries steepest descent.
/// Variants: the authors' code has an absolute μ, tuned over 1e-5 … 1e-1 (`dampingUnit: absolute`), a tolerance of 1e-16, which makes every
/// solve take the 1 000 iterations allowed, and continues from the last direction (`warmStart`).
/// Source: Rathore, Lei, Frangella, Lu & Udell, ICML 2024, arXiv:2402.01868, algorithms 2 to 4: k = 60, a sketch every 20 steps, c₁ = 0.1.
public struct NystromNewtonCG: Optimizer, Configurable {
    /// What μ is measured in.
    public enum DampingUnit: String, CaseIterable, Sendable, Hashable {
        /// The sketch's largest eigenvalue.
        case largestEigenvalue = "largest-eigenvalue"
        /// The loss's own: the authors'. Not free of the loss's scale.
        case absolute
    }

    public var model = CurvatureModel.hessian
    /// k.
    public var rank = 60
    /// μ > 0; with eigenvalues up to 10⁴ the authors' 1e-5 … 1e-1 are 1e-9 … 1e-5 of the largest.
    ///
    /// On a one-dimensional Poisson network (97 parameters, three seeds), 40 steps after 60 of Newton–CG that left L = 0.03 … 0.1: with 1e-8
    /// L = 4e-3 … 2e-2 by ∇²L and 1e-4 … 4e-3 by JᵀJ (185 inner iterations a step); 1e-10 … 1e-14 end no lower by ∇²L, and at 0.01 … 0.1 by
    /// JᵀJ, which 2P iterations then do not solve.
    public var damping = 1e-8
    public var dampingUnit = DampingUnit.largestEigenvalue
    /// Steps between two sketches.
    public var refresh = 20
    public var tolerance = 1e-8
    public var maximumIterations = 1000
    /// Whether conjugate gradients begin with the last direction, as the authors' do. No gain was seen on the network above.
    public var warmStart = false
    public var lineSearch: any LineSearch = NystromNewtonCG.halving
    /// Of the sketches.
    public var seed = 0

    public init() {}

    /// Armijo's rule with c₁ = 0.1 and halvings.
    static var halving: BacktrackingArmijo {
        var search = BacktrackingArmijo()
        (search.sufficientDecrease, search.smallestShrink, search.largestShrink) = (0.1, 0.5, 0.5)
        return search
    }

    public static let identifier = "nystrom-newton-cg"
    public static let summary = "Damped Newton by conjugate gradients with a randomised Nyström preconditioner (NNCG)."
    public static var fields: [Field<Self>] {
        [
            .choice("model", \.model, meaning: "the matrix of the quadratic model; gauss-newton where there are residuals or a metric"),
            .integer("rank", \.rank, atLeast: 1, meaning: "k, the preconditioner's rank"),
            .number("damping", \.damping, in: .positive, meaning: "μ in (B + μI)p = −∇L"),
            .choice("dampingUnit", \.dampingUnit, meaning: "what μ is measured in; absolute for the loss's own unit"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "steps between two sketches"),
            .number("tolerance", \.tolerance, in: .openUnit, meaning: "the relative residual at which the inner iteration ends"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "inner iterations of one step at most"),
            .flag("warmStart", \.warmStart, meaning: "whether the inner iteration begins with the last direction"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the sketches"),
        ]
    }

    public func check(_ problem: any TwiceDifferentiableProblem) throws { try model.check(problem) }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> NystromNewtonCGState {
        try check(problem)
        return NystromNewtonCGState(
            standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)),
            random: RandomStream(seed: UInt64(seed), name: "nystrom-newton-cg/sketch"))
    }

    public func step(_ state: inout NystromNewtonCGState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        let last = state.direction
        var (random, sketch, age) = (state.random, state.sketch, state.age)
        let search = NewtonSearch(lineSearch: lineSearch, problem: problem, consequence: "the sketch and the last direction dropped")
        let outcome = try search.step(&state) { here in
            let B = try model.operator(at: here.parameters.values, on: problem)
            if sketch == nil || age >= refresh {
                let drawn = NystromPreconditioner.sketch(
                    dimension: here.gradient.count, rank: rank, random: &random, product: { B.product($0) })
                switch drawn {
                case .failure(.nonFinite): return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem))
                case .failure(let failure):
                    return .failure(
                        Breakdown(.linearSolver, "the sketch failed: \(failure)", lookingAt: [here.parameters.values], on: problem))
                case .success(let made): (sketch, age) = (made, 0)
                }
            }
            guard let sketch else { preconditionFailure("a step without a sketch") }
            return direction(B, here, sketch, last, on: problem)
        }
        if let (step, direction) = outcome.moved {
            // A direction that led nowhere is one of a model or a sketch that is wrong.
            (state.random, state.sketch, state.age) = (random, step.fellBack ? nil : sketch, age + 1)
            state.direction = step.fellBack ? nil : direction.p
        }
        return outcome.report
    }

    private func direction(
        _ B: any HessianOperator, _ here: Standpoint, _ sketch: NystromPreconditioner, _ last: Vector?,
        on problem: any TwiceDifferentiableProblem
    ) -> Result<NewtonDirection, Breakdown> {
        let g = here.gradient
        let largest = sketch.eigenvalues.first ?? 0
        let μ = dampingUnit == .absolute ? damping : damping * largest
        func solve(from guess: Vector?) -> TruncatedConjugateGradients {
            TruncatedConjugateGradients(
                g, target: tolerance * g.norm, maximumIterations: Swift.min(maximumIterations, 2 * g.count), from: guess,
                preconditioner: { sketch.apply($0, damping: μ) }, product: { B.product($0).adding($0, scaledBy: μ) })
        }
        var inner = solve(from: warmStart ? last : nil)
        var iterations = inner.iterations
        // From a guess an iterate cut short need not descend.
        if warmStart, last != nil, !(g.dot(inner.p) < 0), inner.p.isFinite {
            inner = solve(from: nil)
            iterations += inner.iterations
        }
        var found = NewtonDirection(p: inner.p, iterations: iterations)
        var isNegative = false
        switch inner.end {
        case .nonFinite: return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem))
        case .converged, .exhausted: break
        case .negativeCurvature(let d, let curvature):
            isNegative = true
            if !(g.dot(inner.p) < 0) { found.p = here.mirrored(d, curvature: curvature) }
        }
        found.details = [
            .init("damping", μ), .init("largestEigenvalue", largest), .init("innerIterations", Double(iterations)),
            .init("negativeCurvature", isNegative ? 1 : 0),
        ]
        return .success(found)
    }

    /// Loss and gradient are evaluated anew; the sketch, of the old problem, is drawn anew at the next step.
    public func adapt(_ state: inout NystromNewtonCGState, to problem: any TwiceDifferentiableProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
        (state.history, state.sketch, state.direction, state.age) = (SearchHistory(), nil, nil, 0)
    }

    /// The sketch and what it takes to make one.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (4 * Double(Swift.min(rank, parameters)) + 12) * Double(parameters))
    }

    /// With a hundred inner iterations, and a sketch's share.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let (p, k) = (Double(parameters), Double(Swift.min(rank, parameters)))
        return StepCost(
            [.init(.gradient, 1), .init(.loss, 1)] + model.cost(products: 100 + k / Double(refresh)),
            flops: 100 * (4 * p * k + 12 * p) + 6 * p * k * k / Double(refresh))
    }
}

/// Where the method stands, its sketch with its age in steps, the last direction and the stream that sketches are drawn from.
public struct NystromNewtonCGState: NewtonLikeState, Equatable {
    public var standpoint: Standpoint
    public internal(set) var history = SearchHistory()
    public internal(set) var random: RandomStream
    var sketch: NystromPreconditioner?
    public internal(set) var age = 0
    /// The last direction; nil before the first step and where it led nowhere.
    public internal(set) var direction: Vector?

    public var parameters: Parameters { standpoint.parameters }

    init(standpoint: Standpoint, random: RandomStream) { (self.standpoint, self.random) = (standpoint, random) }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set("history", history)
        archive.set("random", random)
        archive.set("age", age)
        archive.set("direction", direction?.elements ?? [])
        archive.set("eigenvalues", sketch?.eigenvalues.elements ?? [])
        archive.set("basis", sketch?.basis ?? .zeros(0, 0))
    }

    public init(from archive: Archive) throws {
        (standpoint, history) = (try archive.value("standpoint"), try archive.value("history"))
        (random, age) = (try archive.value("random"), try archive.count("age"))
        let count = standpoint.parameters.count
        let (direction, eigenvalues) = (try archive.vector("direction"), try archive.vector("eigenvalues"))
        let basis = try archive.matrix("basis")
        guard direction.isEmpty || direction.count == count else {
            throw ArchiveError(entry: "direction", reason: "\(direction.count) values for \(count) parameters")
        }
        guard basis.columns == eigenvalues.count, eigenvalues.isEmpty || basis.rows == count else {
            throw ArchiveError(
                entry: "basis", reason: "\(basis.rows) × \(basis.columns) for \(eigenvalues.count) values in \(count) parameters")
        }
        self.direction = direction.isEmpty ? nil : direction
        sketch = eigenvalues.isEmpty ? nil : NystromPreconditioner(basis: basis, eigenvalues: eigenvalues)
    }
}
