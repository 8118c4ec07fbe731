import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a natural-gradient step remembers of those before. With φ the memory and d(ζ) = Jᵀ(JJᵀ + λI)⁻¹ζ:
///
///     none         p = d(−r)
///     heavy-ball   φ ← μφ + d(−r)                p = φ
///     nesterov     φ ← μφ + d(−r)                p = d(−r) + μφ
///     spring       φ ← μφ + d(−r − μJφ)          p = φ, or φ/√(1 − μ²ᵏ) after k steps
///
/// SPRING subtracts from the residual what the memory explains already, so that φ solves min ‖Jφ + r‖² + λ‖φ − μφ₋‖²: the samples of one
/// batch correct the memory of the batches before, and never count twice. φ is kept as it is, not multiplied by the step length.
public enum NaturalMomentum: Sendable, Hashable {
    case none
    case heavyBall(HeavyBallMomentum)
    case nesterov(NesterovMomentum)
    case spring(SPRINGMomentum)

    var settings: Setting {
        switch self {
        case .none: NoMomentum().settings
        case .heavyBall(let kind): kind.settings
        case .nesterov(let kind): kind.settings
        case .spring(let kind): kind.settings
        }
    }

    /// What is solved for: ζ = −r or −r − μJφ; without a residual −g or −g − μJᵀJφ, which is Jᵀζ where there is one.
    func target(_ model: any GaussNewtonFactor, residual r: Vector?, gradient g: Vector, memory φ: Vector?) -> MetricTarget {
        guard case .spring(let kind) = self, let φ else { return r.map { .samples(-$0) } ?? .parameters(-g) }
        let explained = model.product(φ)
        if let r { return .samples((-r).adding(explained, scaledBy: -kind.decay)) }
        return .parameters((-g).adding(model.transposedProduct(explained), scaledBy: -kind.decay))
    }

    /// φ after the step, where one is kept, the direction p, and by how much p is longer than the momentum's own for the sake of a rate.
    /// `count` is k, this step included.
    func combine(_ d: Vector, memory φ: Vector?, count: Int) -> (memory: Vector?, direction: Vector, correction: Double) {
        func accumulated(_ μ: Double) -> Vector { φ.map { d.adding($0, scaledBy: μ) } ?? d }
        switch self {
        case .none: return (nil, d, 1)
        case .heavyBall(let kind):
            let φ = accumulated(kind.decay)
            return (φ, φ, 1)
        case .nesterov(let kind):
            let φ = accumulated(kind.decay)
            return (φ, d.adding(φ, scaledBy: kind.decay), 1)
        case .spring(let kind):
            let φ = accumulated(kind.decay)
            guard kind.biasCorrection, kind.decay > 0 else { return (φ, φ, 1) }
            let correction = 1 / (1 - pow(kind.decay, Double(2 * count))).squareRoot()
            return (φ, correction * φ, correction)
        }
    }
}

/// Each step by itself.
public struct NoMomentum: Configurable, Hashable {
    public init() {}
    public static let identifier = "none"
    public static let summary = "No momentum."
    public static var fields: [Field<Self>] { [] }
}

/// Polyak's momentum of natural gradients.
public struct HeavyBallMomentum: Configurable, Hashable {
    /// μ.
    public var decay = 0.9

    public init() {}
    public init(decay: Double) { self.decay = decay }

    public static let identifier = "heavy-ball"
    public static let summary = "Natural gradients summed up with geometric weights."
    public static var fields: [Field<Self>] {
        [.number("decay", \.decay, in: .fraction, meaning: "μ, the part of the memory that is kept")]
    }
}

/// Nesterov's momentum of natural gradients, in the form without a second evaluation (Sutskever et al. 2013; as torch.optim.SGD has it).
public struct NesterovMomentum: Configurable, Hashable {
    /// μ.
    public var decay = 0.9

    public init() {}
    public init(decay: Double) { self.decay = decay }

    public static let identifier = "nesterov"
    public static let summary = "Natural gradients summed up, and the sum followed one step ahead."
    public static var fields: [Field<Self>] {
        [.number("decay", \.decay, in: .fraction, meaning: "μ, the part of the memory that is kept")]
    }
}

/// SPRING: momentum inside of the kernel solve.
///
/// 0.99 and no line search are the published defaults, for batches; with a line search on all samples the best was about 0.06.
/// Sources: Goldshlager, Abrahamsen & Lin, J. Comput. Phys. 516 (2024) 113351, arXiv:2401.10190; for least-squares losses of PDEs
/// Guzmán-Cordero et al., arXiv:2505.12149, whose randomised code has the bias correction and whose SPRING has none.
public struct SPRINGMomentum: Configurable, Hashable {
    /// μ.
    public var decay = 0.99
    /// Whether the direction is φ/√(1 − μ²ᵏ).
    public var biasCorrection = true

    public init() {}
    public init(decay: Double, biasCorrection: Bool = true) { (self.decay, self.biasCorrection) = (decay, biasCorrection) }

    public static let identifier = "spring"
    public static let summary = "The memory is corrected by what it leaves unexplained of the residual."
    public static var fields: [Field<Self>] {
        [
            .number("decay", \.decay, in: .fraction, meaning: "μ, the part of the memory that is kept"),
            .flag("biasCorrection", \.biasCorrection, meaning: "whether early steps are enlarged by 1/√(1 − μ²ᵏ)"),
        ]
    }
}

extension Field {
    /// A momentum chosen by its name.
    static func naturalMomentum(_ name: String, _ path: Path<NaturalMomentum>, meaning: String) -> Field {
        .variant(
            name, among: [NoMomentum.self, HeavyBallMomentum.self, NesterovMomentum.self, SPRINGMomentum.self], meaning: meaning,
            describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            switch chosen {
            case let kind as HeavyBallMomentum: root[keyPath: path] = .heavyBall(kind)
            case let kind as NesterovMomentum: root[keyPath: path] = .nesterov(kind)
            case let kind as SPRINGMomentum: root[keyPath: path] = .spring(kind)
            default: root[keyPath: path] = .none
            }
        }
    }
}
