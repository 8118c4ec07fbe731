import LinearAlgebra
import OptimizationCore

/// SOAP: Adam in the eigenbasis of Shampoo's preconditioner.
///
/// For a block with gradient G ∈ ℝʳˣᶜ at step k, entrywise where no product stands:
///
///     G̃ = Q_LᵀGQ_R      M ← β₁M + (1 − β₁)G      V ← β₂V + (1 − β₂)G̃²
///     θ ← (1 − ηλ)(θ − η √(1 − β₂ᵏ)/(1 − β₁ᵏ) · Q_L[(Q_LᵀMQ_R)/(√V + ε)]Q_Rᵀ)
///     L ← β₃L + (1 − β₃)GGᵀ   R ← β₃R + (1 − β₃)GᵀG;   every f steps  Q ← orth(L·Q), the columns in the order of qᵀLq
///
/// V stands in the eigenbasis, M in that of θ. The first gradient makes the bases, as eigenvectors, and moves nothing. A side longer than
/// `maximumDimension` keeps its own basis; a vector (a layer's biases) is Adam's. η = `learningRate` times the schedule's factor,
/// β₁ = `momentum`, β₂ = `squareMomentum`, β₃ = `basisMomentum`, ε = `epsilon`, λ = `weightDecay`, f = `refresh`.
///
/// One gradient a step, 7rc(r + c) flops a block, symmetric products counted once, and 14(r³ + c³)/3 every f steps;
/// 2(r² + c²) + 2rc numbers. Breaks down where loss or gradient is not finite; a revision keeps all. A basis whose statistic has
/// overflowed stays as it was.
/// Variant: the reference code's (nikhilvyas/SOAP), with β₃ = β₂ and its rate; physics-informed networks take β₁ = 0.9, β₂ = 0.99 … 0.999 and
/// f = 2 … 10 (Wang, Bhartari, Li & Perdikaris, arXiv:2502.00604). That code refreshes the bases in single precision; here all is double.
/// Source: Vyas et al., arXiv:2409.11321.
public struct SOAP: BlockwiseMethod, Configurable {
    /// η > 0.
    public var learningRate = 3e-3
    /// β₁ ∈ [0, 1).
    public var momentum = 0.95
    /// β₂ ∈ [0, 1).
    public var squareMomentum = 0.95
    /// β₃ ∈ [0, 1).
    public var basisMomentum = 0.95
    /// ε ≥ 0.
    public var epsilon = 1e-8
    /// λ ≥ 0: 0.01 in the reference code, which biases the minimum of a fit that is to be exact.
    public var weightDecay = 0.0
    /// f ≥ 1.
    public var refresh = 10
    /// The longest side that is rotated.
    public var maximumDimension = 10_000
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public init(
        learningRate: Double, momentum: Double = 0.95, squareMomentum: Double = 0.95, basisMomentum: Double = 0.95, refresh: Int = 10,
        schedule: any Schedule = Constant()
    ) {
        (self.learningRate, self.momentum, self.squareMomentum) = (learningRate, momentum, squareMomentum)
        (self.basisMomentum, self.refresh, self.schedule) = (basisMomentum, refresh, schedule)
    }

    public static let identifier = "soap"
    public static let summary = "Adam in the eigenbasis of Shampoo's preconditioner, layer by layer."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the memory of the gradient's mean"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "β₂, the memory of the rotated gradient's mean square"),
            .number("basisMomentum", \.basisMomentum, in: .fraction, meaning: "β₃, the memory of GGᵀ and GᵀG"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root mean square"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of each parameter to zero"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "f, the steps between two refreshments of the bases"),
            .integer("maximumDimension", \.maximumDimension, atLeast: 1, meaning: "the longest side of a block that is rotated"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    /// M, V, and for each side that is rotated its statistic and its basis.
    public struct Block: BlockMemory {
        public var shape: BlockShape
        public var mean: Vector
        public var meanSquare: Vector
        /// R and L: columns × columns and rows × rows; nil where the side is not rotated.
        public var columnSide: Side?
        public var rowSide: Side?

        public init(_ shape: BlockShape, longest: Int) {
            (self.shape, mean, meanSquare) = (shape, .zeros(shape.count), .zeros(shape.count))
            guard shape.isMatrix else { return }
            if shape.columns <= longest { columnSide = Side(order: shape.columns) }
            if shape.rows <= longest { rowSide = Side(order: shape.rows) }
        }

        public func encode(into archive: inout Archive) {
            archive.set("shape", shape)
            archive.set("mean", mean)
            archive.set("meanSquare", meanSquare)
            if let columnSide { archive.set("columnSide", columnSide) }
            if let rowSide { archive.set("rowSide", rowSide) }
        }

        public init(from archive: Archive) throws {
            (shape, mean, meanSquare) = (try archive.value("shape"), try archive.vector("mean"), try archive.vector("meanSquare"))
            if archive["columnSide"] != nil { columnSide = try archive.value("columnSide") }
            if archive["rowSide"] != nil { rowSide = try archive.value("rowSide") }
            try shape.check(mean, "mean")
            try shape.check(meanSquare, "meanSquare")
            try shape.check(columnSide?.basis, order: shape.columns, "columnSide")
            try shape.check(rowSide?.basis, order: shape.rows, "rowSide")
        }
    }

    /// A side's statistic, a running mean of GGᵀ, and the basis Q in which its gradients are seen.
    public struct Side: Checkpointable, Equatable {
        public var statistic: Matrix
        public var basis: Matrix

        init(order n: Int) { (statistic, basis) = (.zeros(n, n), .identity(n)) }

        public func encode(into archive: inout Archive) {
            archive.set("statistic", statistic)
            archive.set("basis", basis)
        }

        public init(from archive: Archive) throws {
            (statistic, basis) = (try archive.matrix("statistic"), try archive.matrix("basis"))
            guard statistic.rows == basis.rows, statistic.columns == basis.columns else {
                throw ArchiveError(entry: "statistic", reason: "is of another shape than the basis")
            }
        }

        /// The eigenvectors of the statistic, that of the greatest eigenvalue first.
        mutating func decompose() {
            guard case .success(let eigen) = SymmetricEigen.factorize(statistic) else { return }
            basis = eigen.vectors.selectingColumns((0..<basis.columns).reversed())
        }

        /// One power iteration and its QR factorisation; returns the order of the old columns.
        mutating func refresh() -> [Int] {
            let product = Matrix.product(statistic, basis)
            let values = (0..<basis.columns).map { basis.column($0).dot(product.column($0)) }
            let order = values.indices.sorted { values[$0] > values[$1] || (values[$0] == values[$1] && $0 < $1) }
            guard case .success(let qr) = QR.factorize(product.selectingColumns(order)) else { return Array(values.indices) }
            basis = qr.thinQ
            return order
        }
    }

    public func start(_ shape: BlockShape, isInner: Bool) -> Block { Block(shape, longest: maximumDimension) }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, block: inout Block) {
        let gradient = block.shape.matrix(g)
        func observe() {
            block.columnSide?.statistic.accumulate(gradient.outerGram, keeping: basisMomentum, adding: 1 - basisMomentum)
            block.rowSide?.statistic.accumulate(gradient.gram, keeping: basisMomentum, adding: 1 - basisMomentum)
        }
        guard step > 1 else {
            observe()
            block.columnSide?.decompose()
            block.rowSide?.decompose()
            g = .zeros(g.count)
            return
        }
        let k = step - 1
        let η = learningRate * schedule.factor(at: k)
        block.mean.average(in: g, keeping: momentum)
        block.meanSquare.average(squaresOf: Vector(block.rotated(gradient).elements), keeping: squareMomentum)
        let rate = η * correction(momentum, after: k) / correction(squareMomentum, after: k).squareRoot()
        var mean = Vector(block.rotated(block.shape.matrix(block.mean)).elements)
        mean.scale(by: rate, overRootsOf: block.meanSquare, plus: epsilon)
        g = Vector(block.rotatedBack(block.shape.matrix(mean)).elements)
        if weightDecay > 0 { g = (1 - η * weightDecay) * g + η * weightDecay * θ }
        observe()
        if k % refresh == 0 { block.refresh() }
    }

    /// As for one square block of all parameters: a dozen vectors and eight matrices of its size.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 20 * parameters * MemoryLayout<Double>.stride }

    /// As for one square block of all parameters; several blocks take less.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost([.init(.gradient, 1)], flops: p.squareRoot() * p * (14 + 28 / (3 * Double(refresh))) + 10 * p)
    }
}

extension SOAP.Block {
    /// Q_RᵀXQ_L for X ∈ ℝᶜˣʳ, a block's transpose.
    func rotated(_ x: Matrix) -> Matrix {
        var x = x
        if let columnSide { x = .product(columnSide.basis, x, transposingFirst: true) }
        if let rowSide { x = .product(x, rowSide.basis) }
        return x
    }

    /// Q_RXQ_Lᵀ.
    func rotatedBack(_ x: Matrix) -> Matrix {
        var x = x
        if let columnSide { x = .product(columnSide.basis, x) }
        if let rowSide { x = .product(x, rowSide.basis, transposingSecond: true) }
        return x
    }

    /// New bases, and V in the order of their columns.
    mutating func refresh() {
        let columns = columnSide?.refresh() ?? Array(0..<shape.columns)
        let rows = rowSide?.refresh() ?? Array(0..<shape.rows)
        meanSquare = Vector(rows.flatMap { i in columns.map { meanSquare[i * shape.columns + $0] } })
    }
}

extension Matrix {
    /// The columns in the order given.
    func selectingColumns(_ order: some Sequence<Int>) -> Matrix {
        let entries = order.flatMap { elements[($0 * rows)..<(($0 + 1) * rows)] }
        return Matrix(rows: rows, columns: rows == 0 ? columns : entries.count / rows, elements: entries)
    }
}
