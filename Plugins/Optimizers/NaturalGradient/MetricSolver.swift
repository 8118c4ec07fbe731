import LinearAlgebra
import OptimizationCore

/// In which space the metric is inverted: the two give the same direction, by (JᵀJ + λI)⁻¹Jᵀ = Jᵀ(JJᵀ + λI)⁻¹.
public enum MetricSpace: String, CaseIterable, Sendable, Hashable {
    /// The one with fewer operations: what the problem takes to form its square, and the solver on it; that of parameters where there is no
    /// residual.
    case automatic
    /// G = JᵀJ ∈ ℝᴾˣᴾ, the Gramian of the energy: ENGD.
    case parameters
    /// K = JJᵀ ∈ ℝᴺˣᴺ, the neural tangent kernel (Woodbury): ENGD-W.
    case samples

    /// By the numbers alone, as squares of a dense J compare.
    package func resolved(parameters: Int, residuals: Int) -> MetricSpace {
        self == .automatic ? (residuals < parameters ? .samples : .parameters) : self
    }

    /// By what the problem takes for each square, and the solver on a matrix of its order.
    func choice(on problem: any LeastSquaresProblem, arithmetic: (_ order: Double) -> Double, precision: SquarePrecision) -> SquareChoice {
        let gramian = SquareChoice.Candidate(problem.plan(of: .gramian), arithmetic: arithmetic(Double(problem.layout.count)))
        let kernel = SquareChoice.Candidate(problem.plan(of: .kernel), arithmetic: arithmetic(Double(problem.residualCount)))
        let takesKernel = self == .samples || (self == .automatic && kernel.flops < gramian.flops)
        return SquareChoice(takesKernel ? kernel : gramian, over: takesKernel ? gramian : kernel, precision: precision)
    }
}

/// From what the running average of the metric begins.
public enum MetricStart: String, CaseIterable, Sendable, Hashable {
    /// Zero: the first average is 1 − β of the first metric, and its direction 1/(1 − β) times longer, which a line search makes up for.
    case zero
    /// I, forgotten with the first metrics' weights: the first steps are cautious.
    case identity
}

/// What λ is added to.
public enum MetricScaling: String, CaseIterable, Sendable, Hashable {
    /// A itself, G or K.
    case none
    /// S·A·S with S = diag(A)^(−½), whose diagonal is one: λ then means the same in every row.
    case jacobi
}

/// How the damped metric is inverted.
public enum MetricSolver: Sendable, Hashable {
    /// By Cholesky's factorisation.
    case exact
    /// By its eigenvalues, the small ones cut off.
    case truncated(TruncatedMetric)
    /// Approximately, by a randomised sketch of it.
    case nystrom(NystromMetric)
    /// By conjugate gradients that a sketch preconditions.
    case pcg(PreconditionedMetric)

    var settings: Setting {
        switch self {
        case .exact: ExactMetric().settings
        case .truncated(let kind): kind.settings
        case .nystrom(let kind): kind.settings
        case .pcg(let kind): kind.settings
        }
    }
}

/// Cholesky's factorisation of A + λI; where rounding makes that indefinite, λ grows tenfold until it is not.
public struct ExactMetric: Configurable, Hashable {
    public init() {}
    public static let identifier = "exact"
    public static let summary = "Cholesky's factorisation of the damped metric."
    public static var fields: [Field<Self>] { [] }
}

/// Σ vᵢ(vᵢᵀb)/(λᵢ + λ) over the eigenvalues λᵢ of A above a multiple of the largest: what is lost in rounding is not followed at all,
/// where a factorisation follows it 1/λ times too far.
///
/// With λ → 0 the least-norm solution of the paper on energy natural gradients (arXiv:2302.13163), whose code leaves the cut-off at
/// ε times the order. About 4n³ flops, a dozen times those of the factorisation.
public struct TruncatedMetric: Configurable, Hashable {
    /// rcond, a bound on λᵢ/λ₁ = σᵢ²/σ₁².
    public var relativeCutoff = 1e-14

    public init() {}
    public init(relativeCutoff: Double) { self.relativeCutoff = relativeCutoff }

    public static let identifier = "truncated"
    public static let summary = "Eigenvalues of the metric, the small ones cut off."
    public static var fields: [Field<Self>] {
        [
            .number(
                "relativeCutoff", \.relativeCutoff, in: .fraction, meaning: "eigenvalues at or below this times the largest are cut off")
        ]
    }
}

/// (Â + λI)⁻¹ with Â a randomised Nyström sketch of A, drawn anew in every step.
///
/// λ is at least the sketch's least eigenvalue λ̂ₗ, below which it knows nothing of A: with a smaller one, directions outside of the
/// sketch would be followed 1/λ times too far. Guzmán-Cordero et al. (arXiv:2505.12149) divide by λ there, as `liftsDamping: false` does. PDE losses
/// keep half of N as their effective dimension, so a sketch of a tenth buys speed with accuracy.
public struct NystromMetric: Configurable, Hashable {
    /// l/n, of the order n of A.
    public var share = 0.1
    /// Whether λ is raised to λ̂ₗ where it is less.
    public var liftsDamping = true

    public init() {}
    public init(share: Double, liftsDamping: Bool = true) { (self.share, self.liftsDamping) = (share, liftsDamping) }

    public static let identifier = "nystrom"
    public static let summary = "A randomised sketch of the metric in place of it."
    public static var fields: [Field<Self>] {
        [
            .number("share", \.share, in: .openUnit, meaning: "the sketch's rank over the order of the metric"),
            .flag("liftsDamping", \.liftsDamping, meaning: "whether λ is raised to the sketch's least eigenvalue"),
        ]
    }
}

/// Conjugate gradients on A + λI by products with J and Jᵀ, with the preconditioner of a Nyström sketch: sketch and precondition.
///
/// No matrix of order n is formed. Source: Frangella, Tropp & Udell, doi:10.1137/21M1466244, algorithm 5.1.
public struct PreconditionedMetric: Configurable, Hashable {
    /// l/n, of the order n of A; 0 for no preconditioner.
    public var share = 0.1
    /// The residual at which the iteration ends, relative to the right-hand side.
    public var tolerance = 1e-8
    public var maximumIterations = 200

    public init() {}
    public init(share: Double, tolerance: Double = 1e-8, maximumIterations: Int = 200) {
        (self.share, self.tolerance, self.maximumIterations) = (share, tolerance, maximumIterations)
    }

    public static let identifier = "pcg"
    public static let summary = "Conjugate gradients on products with J, preconditioned by a randomised sketch."
    public static var fields: [Field<Self>] {
        [
            .number("share", \.share, in: .fraction, meaning: "the sketch's rank over the order of the metric; 0 for none"),
            .number("tolerance", \.tolerance, in: .openUnit, meaning: "the relative residual at which the iteration ends"),
            .integer("maximumIterations", \.maximumIterations, atLeast: 1, meaning: "the most iterations of a solution"),
        ]
    }
}

extension MetricSolver {
    /// The share of the largest eigenvalue up to which others are cut off.
    var cutoff: Double? {
        guard case .truncated(let kind) = self else { return nil }
        return kind.relativeCutoff
    }

    /// Whether A is formed, with its diagonal.
    var isDense: Bool {
        switch self {
        case .exact, .truncated: true
        case .nystrom, .pcg: false
        }
    }
}

extension Field {
    /// A solver chosen by its name.
    static func metricSolver(_ name: String, _ path: Path<MetricSolver>, meaning: String) -> Field {
        .variant(
            name, among: [ExactMetric.self, TruncatedMetric.self, NystromMetric.self, PreconditionedMetric.self], meaning: meaning,
            describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            switch chosen {
            case let kind as TruncatedMetric: root[keyPath: path] = .truncated(kind)
            case let kind as NystromMetric: root[keyPath: path] = .nystrom(kind)
            case let kind as PreconditionedMetric: root[keyPath: path] = .pcg(kind)
            default: root[keyPath: path] = .exact
            }
        }
    }
}
