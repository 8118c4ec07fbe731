import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Which of a matrix's two factors are triangular; the others are diagonal.
public enum KronTriangles: String, CaseIterable, Sendable, Hashable {
    /// Both.
    case both
    /// That of the shorter side; of two equal sides that of the columns.
    case shorter
    /// Neither.
    case none
}

/// What the preconditioner is to whiten.
public enum KronWhitening: String, CaseIterable, Sendable, Hashable {
    case momentum
    case gradient
}

/// PSGD-Kron: gradients whitened by a Kronecker product of triangular factors, which are learnt by steps on a Lie group.
///
/// For a block with gradient G ∈ ℝʳˣᶜ, upper triangular L ∈ ℝʳˣʳ and R ∈ ℝᶜˣᶜ, and a preconditioner P = LᵀL ⊗ RᵀR:
///
///     M ← βM + (1 − β)G                        M̂ = M/(1 − βᵏ)
///     A = LM̂Rᵀ      B = L⁻ᵀVR⁻¹,  V of independent standard normal entries
///     L ← L − μ·triu(AAᵀ − BBᵀ)L/‖AAᵀ + BBᵀ‖    R ← R − μ·triu(AᵀA − BᵀB)R/‖AᵀA + BᵀB‖
///     D = LᵀLM̂RᵀR                              θ ← θ − η(min(1, κ/(rms(D) + 10⁻⁶))·D + λθ)
///
/// The factors' steps descend on E[gᵀPg + vᵀP⁻¹v], least where P·E[ggᵀ]·P = I: the steps are white. ‖·‖ is a lower bound of the spectral norm by
/// two products. A factor is diagonal where its side is 1 or longer than `maximumDimension`, or where `triangles` says so; its step divides by
/// the largest entry. Vectors have one diagonal factor. They are updated when 1/p steps have passed since the last time,
/// p = max(p_min, min(1, exp(−γ(k − 1 − k₀)))), and L and R are brought to one magnitude with probability `balance` before that. λ acts on
/// matrices only. Each block draws from a stream of its own, “psgd-kron/probes/offset”.
///
/// η = `learningRate` times the schedule's factor, β = `momentum`, μ = `factorRate`, p_min = `leastProbability`, γ = `probabilityDecay`,
/// k₀ = `flatSteps`, κ = `clipping`, λ = `weightDecay`. The first factors are `initialScale`^½·I, a vector's `initialScale`·I.
///
/// One gradient a step, 8rc(r + c) flops a block; 14rc(r + c) + 2(r³ + c³) more for an update of the factors; r² + c² + rc numbers. Steps have
/// about one length whatever the gradient, so the rate must fall for the loss to settle. Breaks down where loss or gradient is not finite; a
/// revision keeps all. A factor whose step is not finite stays as it was; where gradients vanish factors
/// grow until ‖BBᵀ‖ is at 2⁻¹²⁶, which is added to all norms.
/// Variant: pytorch_optimizer's and kron_torch's (evanatyourservice), with factors in double precision; they draw one balance for all blocks. Li's
/// psgd_torch has damped pairs and other groups.
/// Sources: Li, IEEE TNNLS 29(5), 2018, doi:10.1109/TNNLS.2017.2672978, arXiv:1512.04202; Li, arXiv:2402.11858.
public struct PSGDKron: BlockwiseMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-3
    /// β ∈ [0, 1).
    public var momentum = 0.9
    /// μ ∈ [0, 1).
    public var factorRate = 0.1
    /// p_min ∈ (0, 1].
    public var leastProbability = 0.03
    /// γ ≥ 0.
    public var probabilityDecay = 1e-3
    /// k₀ ≥ 0.
    public var flatSteps = 500
    /// The probability of a balance before an update of the factors.
    public var balance = 0.01
    /// κ > 0.
    public var clipping = 1.1
    /// λ ≥ 0.
    public var weightDecay = 0.0
    public var whitens = KronWhitening.momentum
    public var triangles = KronTriangles.both
    /// The longest side with a triangular factor.
    public var maximumDimension = 8_192
    /// > 0.
    public var initialScale = 1.0
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()
    /// Of V and the balances.
    public var seed = 0

    public init() {}

    public init(
        learningRate: Double, momentum: Double = 0.9, factorRate: Double = 0.1, triangles: KronTriangles = .both,
        schedule: any Schedule = Constant(), seed: Int = 0
    ) {
        precondition(seed >= 0, "a seed of \(seed)")
        (self.learningRate, self.momentum, self.factorRate) = (learningRate, momentum, factorRate)
        (self.triangles, self.schedule, self.seed) = (triangles, schedule, seed)
    }

    public static let identifier = "psgd-kron"
    public static let summary = "Gradients whitened by triangular factors that are learnt from random vectors, layer by layer."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a whitened step"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β, the memory of the gradient's mean"),
            .number("factorRate", \.factorRate, in: .fraction, meaning: "μ, the relative size of the factors' steps"),
            .number(
                "leastProbability", \.leastProbability, in: Bounds("in (0, 1]") { $0 > 0 && $0 <= 1 },
                meaning: "p_min, the least share of steps that update the factors"),
            .number("probabilityDecay", \.probabilityDecay, in: .nonNegative, meaning: "γ, the rate at which that share falls from 1"),
            .integer("flatSteps", \.flatSteps, meaning: "k₀, the steps before it falls"),
            .number(
                "balance", \.balance, in: .within(0...1), meaning: "the probability that an update brings two factors to one magnitude"),
            .number("clipping", \.clipping, in: .positive, meaning: "κ, the greatest root mean square of a block's whitened gradient"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of a matrix's entries to zero"),
            .choice("whitens", \.whitens, meaning: "what the preconditioner is to whiten"),
            .choice("triangles", \.triangles, meaning: "which of a matrix's two factors are triangular; the others are diagonal"),
            .integer("maximumDimension", \.maximumDimension, atLeast: 1, meaning: "the longest side with a triangular factor"),
            .number(
                "initialScale", \.initialScale, in: .positive, meaning: "the square of it is what the first preconditioner multiplies by"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
            .integer("seed", \.seed, atLeast: 0, atMost: .max, meaning: "seeds the random vectors"),
        ]
    }

    /// M, the factors, the steps since their last update, and the stream of V and the balances.
    public struct Block: BlockMemory {
        public var shape: BlockShape
        public var mean: Vector
        /// L.
        public var rowSide: Factor
        /// R; nil for vectors.
        public var columnSide: Factor?
        public var waited = 0
        public var random: RandomStream

        public init(_ shape: BlockShape, mean: Vector, rowSide: Factor, columnSide: Factor?, random: RandomStream) {
            (self.shape, self.mean, self.rowSide, self.columnSide, self.random) = (shape, mean, rowSide, columnSide, random)
        }

        public func encode(into archive: inout Archive) {
            archive.set("shape", shape)
            archive.set("mean", mean)
            archive.set("rowSide", rowSide.values)
            archive.setIfPresent("columnSide", columnSide?.values)
            archive.set("waited", waited)
            archive.set("random", random)
        }

        public init(from archive: Archive) throws {
            (shape, mean) = (try archive.value("shape"), try archive.vector("mean"))
            rowSide = try Factor(values: try archive.matrix("rowSide"), order: shape.rows, entry: "rowSide")
            let columns = shape.columns
            columnSide = try archive.matrixIfPresent("columnSide").map { try Factor(values: $0, order: columns, entry: "columnSide") }
            (waited, random) = (try archive.count("waited"), try archive.value("random"))
            try shape.check(mean, "mean")
            guard (columnSide != nil) == shape.isMatrix else {
                throw ArchiveError(entry: "columnSide", reason: "matrices have two factors, vectors one")
            }
        }
    }

    /// An upper triangular n × n matrix, or the diagonal of a diagonal one as n × 1.
    public struct Factor: Hashable, Sendable {
        public var values: Matrix

        var order: Int { values.rows }
        var isTriangular: Bool { values.columns == order && order > 1 }

        init(order n: Int, isTriangular: Bool, scale: Double) {
            values = Matrix(rows: n, columns: 1, elements: Array(repeating: scale, count: n))
            guard isTriangular, n > 1 else { return }
            values = .identity(n)
            for i in 0..<n { values[i, i] = scale }
        }

        fileprivate init(values: Matrix, order n: Int, entry: String) throws {
            guard values.rows == n, values.columns == 1 || values.columns == n else {
                throw ArchiveError(entry: entry, reason: "\(values.rows) × \(values.columns) where \(n) × \(n) or \(n) × 1 belongs")
            }
            self.values = values
        }
    }

    public func start(_ shape: BlockShape, isInner: Bool) -> Block {
        let isRowLonger = shape.rows >= shape.columns
        func factor(_ order: Int, isLonger: Bool, scale: Double) -> Factor {
            let isTriangular = shape.isMatrix && order <= maximumDimension && (triangles == .both || triangles == .shorter && !isLonger)
            return Factor(order: order, isTriangular: isTriangular, scale: scale)
        }
        let scale = shape.isMatrix ? initialScale.squareRoot() : initialScale
        return Block(
            shape, mean: .zeros(shape.count), rowSide: factor(shape.rows, isLonger: isRowLonger, scale: scale),
            columnSide: shape.isMatrix ? factor(shape.columns, isLonger: !isRowLonger, scale: scale) : nil,
            random: RandomStream(seed: UInt64(seed), name: "\(Self.identifier)/probes/\(shape.offset)"))
    }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, block: inout Block) {
        block.mean.average(in: g, keeping: momentum)
        let mean = block.shape.matrix(correction(momentum, after: step) * block.mean).transposed
        let isBalanced = block.columnSide != nil && block.random.uniform() < balance
        block.waited += 1
        if Double(block.waited) >= 1 / probability(at: step) {
            block.waited = 0
            if isBalanced { block.balance() }
            let probe = block.shape.matrix(block.random.normalVector(g.count)).transposed
            block.learn(from: whitens == .momentum ? mean : block.shape.matrix(g).transposed, probe, rate: factorRate)
        }
        let direction = block.preconditioned(mean)
        g = Vector(direction.transposed.elements)
        let rms = g.norm / Double(Swift.max(1, g.count)).squareRoot()
        // The least root mean square is the reference code's.
        g.scale(by: Swift.min(1, clipping / (rms + 1e-6)))
        if weightDecay > 0, block.shape.isMatrix { g.add(θ, scaledBy: weightDecay) }
        g.scale(by: learningRate * schedule.factor(at: step))
    }

    /// p at a step, which counts from 1.
    func probability(at step: Int) -> Double {
        Swift.max(leastProbability, Swift.min(1, exp(-probabilityDecay * (Double(step - 1) - Double(flatSteps)))))
    }

    /// As for one square block of all parameters: a few vectors and a dozen matrices of its size.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 18 * parameters * MemoryLayout<Double>.stride }

    /// As for one square block of all parameters, with the factors updated at each step; several blocks and later steps take less.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost([.init(.gradient, 1)], flops: 48 * p * p.squareRoot() + 40 * p)
    }
}

extension PSGDKron.Block {
    /// LᵀLXRᵀR for X ∈ ℝʳˣᶜ.
    package func preconditioned(_ x: Matrix) -> Matrix {
        let x = rowSide.times(rowSide.times(x), transposed: true)
        guard let columnSide else { return x }
        return columnSide.times(columnSide.times(x.transposed), transposed: true).transposed
    }

    /// Both factors get the geometric mean of their largest entries for that.
    mutating func balance() {
        guard var columns = columnSide else { return }
        let (l, r) = (rowSide.values.maximumNorm, columns.values.maximumNorm)
        let mean = (l * r).squareRoot()
        guard l > 0, r > 0, mean > 0, mean.isFinite else { return }
        for i in rowSide.values.elements.indices { rowSide.values.elements[i] *= mean / l }
        for i in columns.values.elements.indices { columns.values.elements[i] *= mean / r }
        columnSide = columns
    }

    /// A step of the factors for what is to be white, X ∈ ℝʳˣᶜ, and V.
    mutating func learn(from x: Matrix, _ V: Matrix, rate μ: Double) {
        var a = rowSide.times(x)
        guard var b = rowSide.solvingTransposed(V) else { return }
        if let columnSide {
            a = columnSide.times(a.transposed).transposed
            guard let solved = columnSide.solvingTransposed(b.transposed) else { return }
            b = solved.transposed
        }
        rowSide.learn(a, b, rate: μ)
        columnSide?.learn(a.transposed, b.transposed, rate: μ)
    }
}

extension PSGDKron.Factor {
    /// QX or QᵀX.
    func times(_ x: Matrix, transposed: Bool = false) -> Matrix {
        guard !isTriangular else { return .product(values, x, transposingFirst: transposed) }
        return scalingRows(of: x) { $0 * $1 }
    }

    /// Q⁻ᵀX; nil where that is not finite.
    func solvingTransposed(_ x: Matrix) -> Matrix? {
        guard isTriangular else {
            let solved = scalingRows(of: x) { $0 / $1 }
            return solved.isFinite ? solved : nil
        }
        guard case .success(let solved) = values.solvingTriangle(.upper, x, transposed: true), solved.isFinite else { return nil }
        return solved
    }

    /// Q ← Q − μ·triu(AAᵀ − BBᵀ)Q/‖AAᵀ + BBᵀ‖.
    mutating func learn(_ a: Matrix, _ b: Matrix, rate μ: Double) {
        var next = values
        // What a norm of zero is kept from: the reference code's.
        let least = 0x1p-126
        if isTriangular {
            let (x, y) = (a.outerGram, b.outerGram)
            var (sum, difference) = (x, x)
            sum.accumulate(y, keeping: 1, adding: 1)
            difference.accumulate(y, keeping: 1, adding: -1)
            for j in 0..<order { for i in (j + 1)..<Swift.max(order, j + 1) { difference.elements[i + j * order] = 0 } }
            let scale = μ / (Self.spectralNormBound(sum) + least)
            next.accumulate(.product(difference, values), keeping: 1, adding: -scale)
        } else {
            let (x, y) = (Self.rowSquares(a), Self.rowSquares(b))
            let largest = (x + y).maximumNorm + least
            for i in 0..<order { next.elements[i] -= μ * (x[i] - y[i]) / largest * values.elements[i] }
        }
        if next.isFinite { values = next }
    }

    private func scalingRows(of x: Matrix, _ combine: (Double, Double) -> Double) -> Matrix {
        var x = x
        for j in 0..<x.columns { for i in 0..<order { x.elements[i + j * order] = combine(x.elements[i + j * order], values.elements[i]) } }
        return x
    }

    private static func rowSquares(_ x: Matrix) -> Vector {
        var squares = Vector.zeros(x.rows)
        for j in 0..<x.columns { for i in 0..<x.rows { squares[i] += x.elements[i + j * x.rows] * x.elements[i + j * x.rows] } }
        return squares
    }

    /// ‖S(Ss)‖/‖Ss‖ with s the longest column of a symmetric S: at most its spectral norm.
    private static func spectralNormBound(_ S: Matrix) -> Double {
        let largest = S.maximumNorm
        guard largest > 0, largest.isFinite else { return largest }
        var scaled = S
        for i in scaled.elements.indices { scaled.elements[i] /= largest }
        let squares = (0..<scaled.columns).map { scaled.column($0).dot(scaled.column($0)) }
        guard let longest = squares.indices.max(by: { squares[$0] < squares[$1] }) else { return largest }
        let x = scaled.times(scaled.column(longest))
        return largest * scaled.times((1 / x.norm) * x).norm
    }
}
