import LinearAlgebra
import OptimizationCore

/// How an approximation B of the Hessian learns from a pair (s, y): with r = y − Bs,
public enum HessianUpdate: String, CaseIterable, Sendable, Hashable {
    /// B⁺ = B + rrᵀ/rᵀs, left out where |rᵀs| < 1e-8·‖r‖‖s‖: symmetric rank one, indefinite where the loss is.
    case symmetricRankOne = "sr1"
    /// B⁺ = B + (rsᵀ + srᵀ)/sᵀs − (rᵀs)·ssᵀ/(sᵀs)²: Powell's symmetric Broyden, the least change in the Frobenius norm.
    case powellSymmetricBroyden = "psb"
    /// B⁺ = B − Bs(Bs)ᵀ/sᵀBs + ŷŷᵀ/sᵀŷ with Powell's damped ŷ: BFGS, positive definite whatever the loss does.
    case dampedBFGS = "damped-bfgs"
}

/// The settings of a quadratic model whose matrix is learnt from gradients.
public struct SecantModel: Configurable, Hashable {
    public var update = HessianUpdate.symmetricRankOne
    /// m, how many pairs B is built from; 0 for a dense B that forgets none.
    public var memory = 0
    /// η in ‖g + Bp‖ ≤ η·‖g‖, where an inner iteration ends: a product with B costs no gradient, so there is nothing to save.
    public var forcing = 1e-3

    public init() {}

    public init(_ update: HessianUpdate, memory: Int = 0) { (self.update, self.memory) = (update, memory) }

    public static let identifier = "quasi-newton-model"
    public static let summary = "A model of the loss whose matrix is learnt from gradients."
    public static var fields: [Field<Self>] {
        [
            .choice("update", \.update, meaning: "how the Hessian's approximation learns"),
            .integer("memory", \.memory, meaning: "how many of the last steps it is built from; 0 for a dense matrix that forgets none"),
            .number("forcing", \.forcing, in: .openUnit, meaning: "the relative residual at which the inner iteration ends"),
        ]
    }

    public func validate() throws {
        guard update == .powellSymmetricBroyden, memory > 0 else { return }
        throw ConfigurationError(
            path: "memory",
            reason: "psb has no limited memory: its update is not one of few vectors over σI; take sr1, damped-bfgs or memory 0")
    }
}

/// B as one step sees it.
public enum SecantMatrix: Sendable {
    case dense(SymmetricMatrix)
    case lowRank(LowRankMatrix)

    /// B·v.
    public func times(_ v: Vector) -> Vector {
        switch self {
        case .dense(let B): B.times(v)
        case .lowRank(let B): B.times(v)
        }
    }
}

/// B = σI + ΨCΨᵀ with Ψ ∈ ℝᴾˣᵏ and a symmetric C ∈ ℝᵏˣᵏ, k ≪ P: a product takes 4kP flops.
public struct LowRankMatrix: Sendable {
    public let scale: Double
    /// Ψ.
    public let columns: Matrix
    /// C.
    public let middle: Matrix

    public init(scale: Double, columns: Matrix, middle: Matrix) {
        precondition(
            middle.rows == columns.columns && middle.columns == columns.columns,
            "a \(middle.rows) × \(middle.columns) matrix between \(columns.columns) columns")
        (self.scale, self.columns, self.middle) = (scale, columns, middle)
    }

    public func times(_ v: Vector) -> Vector {
        guard columns.columns > 0 else { return scale * v }
        return (scale * v) + columns.times(middle.times(columns.transposedTimes(v)))
    }
}

extension CompactRepresentation {
    /// B of the pairs over σI, or nil where the small matrix in its middle is singular to working precision.
    ///
    ///     BFGS: Ψ = [Y σS], C = −M        SR1: Ψ = Y − σS, C = (D + L + Lᵀ − σSᵀS)⁻¹
    ///
    /// Source: Byrd, Nocedal & Schnabel, Math. Prog. 63 (1994) 129–156, eq. 3.2 and 5.2.
    package func lowRank(_ update: HessianUpdate, scale σ: Double, order: Int) -> LowRankMatrix? {
        let middle: Matrix?
        var columns: [Vector]
        if update == .symmetricRankOne {
            columns = pairs.map { $0.change.adding($0.step, scaledBy: -σ) }
            middle = symmetricRankOneMiddle(σ)
        } else {
            columns = pairs.map(\.change) + pairs.map { σ * $0.step }
            middle = self.middle(σ).map { M in Matrix(rows: M.rows, columns: M.columns, elements: M.elements.map { -$0 }) }
        }
        guard let middle, middle.isFinite else { return nil }
        return LowRankMatrix(
            scale: σ, columns: Matrix(rows: order, columns: columns.count, elements: columns.flatMap(\.elements)), middle: middle)
    }
}

/// An approximation B ∈ ℝᴾˣᴾ of ∇²L that learns from pairs (s, y): a dense matrix, or the last m pairs over σI.
///
/// It begins with a multiple of I that the caller gives and is rescaled to (yᵀy/sᵀy)·I by the first pair that has curvature; with a
/// limited memory σ is yᵀy/sᵀy of the newest pair that has. Where the pairs of a limited memory do not give back Bs = y of the newest one (its
/// small matrix is near singular), the oldest are left out until they do.
/// Cost of a pair: 5P² flops and one pass over P²/2 doubles, or 8m²P flops and 2mP doubles.
public struct SecantHessian: Checkpointable, Equatable {
    /// P.
    public let order: Int
    /// The σ of B before any pair.
    public let initialScale: Double
    /// Whether no pair has set B's scale yet.
    public private(set) var isFresh = true
    /// B, where it is dense.
    private var dense: SymmetricMatrix?
    /// The pairs, where the memory is limited; those that BFGS learns from are damped.
    package private(set) var memory = CompactRepresentation()

    /// σI.
    public init(order: Int, scale: Double, _ model: SecantModel) {
        (self.order, initialScale) = (order, scale)
        if model.memory == 0 { dense = .identity(order, scaledBy: scale) }
    }

    /// B by the model's update.
    public func matrix(_ model: SecantModel) -> SecantMatrix {
        if let dense { return .dense(dense) }
        var pairs = memory.pairs
        while let newest = pairs.last {
            let compact = pairs.count == memory.pairs.count ? memory : CompactRepresentation(pairs)
            let curved = pairs.last { $0.curvature > 0 }
            let σ = curved.map { 1 / $0.inverseCurvature } ?? initialScale
            if let B = compact.lowRank(model.update, scale: σ, order: order) {
                let image = B.times(newest.step)
                if (image - newest.change).norm <= 1e-6 * (newest.change.norm + σ * newest.step.norm) { return .lowRank(B) }
            }
            pairs.removeFirst()
        }
        let σ = memory.pairs.last { $0.curvature > 0 }.map { 1 / $0.inverseCurvature } ?? initialScale
        return .lowRank(LowRankMatrix(scale: σ, columns: .zeros(order, 0), middle: .zeros(0, 0)))
    }

    /// Takes in a pair. Returns whether rounding had cost a dense B its definiteness, so that it was begun anew with this pair.
    @discardableResult
    public mutating func learn(_ s: Vector, _ y: Vector, _ model: SecantModel) -> Bool {
        let curved = hasCurvature(s, y, tolerance: 1e-12)
        if isFresh, curved, dense != nil { dense = .identity(order, scaledBy: y.dot(y) / s.dot(y)) }
        let wasFresh = isFresh
        if curved { isFresh = false }
        let image = dense.map { $0.times(s) } ?? matrix(model).times(s)
        var isAnew = false
        switch model.update {
        case .symmetricRankOne:
            let r = y - image
            let mixed = r.dot(s)
            // A zero divisor is one that is small beside ‖r‖‖s‖. Over σI the pair sets σ anew, which is decided when B is built.
            guard abs(mixed) >= 1e-8 * r.norm * s.norm, (1 / mixed).isFinite else { return false }
            dense?.update(scaling: 1, s, r, ss: 0, sq: 0, qq: 1 / mixed)
            if dense == nil { memory.append(SecantPair(step: s, change: y), keeping: model.memory) }
        case .powellSymmetricBroyden:
            let r = y - image
            let (square, mixed) = (s.dot(s), r.dot(s))
            dense?.update(scaling: 1, s, r, ss: -mixed / (square * square), sq: 1 / square, qq: 0)
        case .dampedBFGS:
            var (image, bend) = (image, s.dot(image))
            if dense != nil, bend <= 0 {
                // Rounding has cost B its definiteness: anew. A limited memory is built anew with every pair.
                let σ = curved ? y.dot(y) / s.dot(y) : initialScale
                (dense, image, bend, isAnew) = (.identity(order, scaledBy: σ), σ * s, σ * s.dot(s), true)
            }
            let mended = wasFresh && curved ? y : damped(y, along: s, image: image)
            guard hasCurvature(s, mended, tolerance: 1e-12), dense == nil || bend > 0 else { return isAnew }
            dense?.update(scaling: 1, mended, image, ss: 1 / s.dot(mended), sq: 0, qq: -1 / bend)
            if dense == nil { memory.append(SecantPair(step: s, change: mended), keeping: model.memory) }
        }
        return isAnew
    }

    public func encode(into archive: inout Archive) {
        archive.set("order", order)
        archive.set("initialScale", initialScale)
        archive.set("isFresh", isFresh)
        archive.set("matrix", dense?.packed ?? [])
        archive.set(pairs: memory.pairs)
    }

    public init(from archive: Archive) throws {
        order = try archive.count("order")
        initialScale = try archive.double("initialScale")
        isFresh = try archive.bool("isFresh")
        let packed = try archive.doubles("matrix")
        if !packed.isEmpty {
            guard let matrix = SymmetricMatrix(order: order, packed: packed) else {
                throw ArchiveError(entry: "matrix", reason: "is not the packed triangle of a matrix of order \(order)")
            }
            dense = matrix
        }
        memory = CompactRepresentation(try archive.pairs(of: order))
    }
}
