import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Whose step length Shampoo's direction is given, block by block; vectors take that method's whole step.
public enum Grafting: String, CaseIterable, Sendable, Hashable {
    /// The direction as it is; vectors take the gradient.
    case none
    /// The gradient's norm.
    case sgd
    /// That of G/(√ΣG² + ε).
    case adagrad
    /// That of G/(√V + ε), V ← β₂V + (1 − β₂)G².
    case rmsprop
}

/// Shampoo: gradients multiplied from both sides by the inverse fourth roots of their second moments.
///
/// For a block with gradient G ∈ ℝʳˣᶜ:
///
///     L ← β₂L + (1 − β₂)GGᵀ   R ← β₂R + (1 − β₂)GᵀG   (L₀ = R₀ = εI; sums where β₂ = 1)
///     S = L^(−¼)GR^(−¼),  S ← S·‖D‖/‖S‖ with D the step of the grafted method
///     M ← β₁M + S         θ ← θ − η(β₁M + S) with `nesterov`, else θ − ηM
///
/// The roots are computed every `refresh` steps; before step `warmUp` the grafted method alone acts, with the same momentum. A matrix with a
/// side longer than `maximumDimension`, and all vectors, stay the grafted method's. η = `learningRate` times the schedule's factor,
/// β₁ = `momentum`, β₂ = `squareMomentum`, ε = `epsilon`; the grafted method's ε is 1e-10.
///
/// One gradient a step, 4rc(r + c) flops a block, and 11(r³ + c³) every `refresh` steps; 2(r² + c²) + 3rc numbers. Breaks down where loss or
/// gradient is not finite; a revision keeps all. Roots of a statistic that has overflowed stay as they were; eigenvalues below 2⁻⁵²λ₁
/// count as that.
/// Variant: Anil et al.'s with momentum outside of the grafting, without their blocking of large layers; grafted on RMSProp, as Shi et al.
/// (arXiv:2309.06497) advise and adaptive rates need, where Anil's code has SGD.
/// Sources: Gupta, Koren & Singer, ICML 2018, arXiv:1802.09568; Anil et al., arXiv:2002.09018.
public struct Shampoo: BlockwiseMethod, Configurable {
    /// η > 0.
    public var learningRate = 1e-3
    /// β₁ ∈ [0, 1).
    public var momentum = 0.9
    public var isNesterov = true
    /// β₂ ∈ [0, 1].
    public var squareMomentum = 0.999
    /// ε > 0.
    public var epsilon = 1e-6
    public var grafting = Grafting.rmsprop
    /// The step from which on the preconditioner acts.
    public var warmUp = 5
    /// The steps between two computations of the roots.
    public var refresh = 1
    /// The longest side that is preconditioned.
    public var maximumDimension = 8_192
    /// The factor of η at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public init(
        learningRate: Double, momentum: Double = 0.9, squareMomentum: Double = 0.999, grafting: Grafting = .rmsprop, refresh: Int = 1,
        schedule: any Schedule = Constant()
    ) {
        (self.learningRate, self.momentum, self.squareMomentum) = (learningRate, momentum, squareMomentum)
        (self.grafting, self.refresh, self.schedule) = (grafting, refresh, schedule)
    }

    public static let identifier = "shampoo"
    public static let summary =
        "Gradients between inverse fourth roots of their second moments, layer by layer, with a grafted step length."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the factor of the grafted step"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the part of the last direction that is kept"),
            .flag("nesterov", \.isNesterov, meaning: "whether the step looks ahead along the kept direction"),
            .number("squareMomentum", \.squareMomentum, in: .within(0...1), meaning: "β₂, the memory of second moments; 1 sums them up"),
            .number("epsilon", \.epsilon, in: .positive, meaning: "ε, the diagonal from which GGᵀ and GᵀG are summed"),
            .choice("grafting", \.grafting, meaning: "the method whose step length each block takes"),
            .integer("warmUp", \.warmUp, atLeast: 1, meaning: "the step from which on the preconditioner acts"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "the steps between two computations of the roots"),
            .integer("maximumDimension", \.maximumDimension, atLeast: 1, meaning: "the longest side of a block that is preconditioned"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    /// M, the same of the grafted method, its second moments, and for a preconditioned matrix R and L with their roots.
    public struct Block: BlockMemory {
        public var shape: BlockShape
        public var momentum: Vector
        public var graftedMomentum: Vector
        public var square: Vector
        /// R and L, columns × columns and rows × rows; nil where the block is not preconditioned.
        public var columnSide: Side?
        public var rowSide: Side?

        public init(_ shape: BlockShape, longest: Int, epsilon ε: Double) {
            let zeros = Vector.zeros(shape.count)
            (self.shape, momentum, graftedMomentum, square) = (shape, zeros, zeros, zeros)
            guard shape.isMatrix, shape.rows <= longest, shape.columns <= longest else { return }
            (columnSide, rowSide) = (Side(order: shape.columns, epsilon: ε), Side(order: shape.rows, epsilon: ε))
        }

        public func encode(into archive: inout Archive) {
            archive.set("shape", shape)
            archive.set("momentum", momentum)
            archive.set("graftedMomentum", graftedMomentum)
            archive.set("square", square)
            if let columnSide { archive.set("columnSide", columnSide) }
            if let rowSide { archive.set("rowSide", rowSide) }
        }

        public init(from archive: Archive) throws {
            (shape, momentum) = (try archive.value("shape"), try archive.vector("momentum"))
            (graftedMomentum, square) = (try archive.vector("graftedMomentum"), try archive.vector("square"))
            if archive["columnSide"] != nil { columnSide = try archive.value("columnSide") }
            if archive["rowSide"] != nil { rowSide = try archive.value("rowSide") }
            try shape.check(momentum, "momentum")
            try shape.check(graftedMomentum, "graftedMomentum")
            try shape.check(square, "square")
            try shape.check(columnSide?.root, order: shape.columns, "columnSide")
            try shape.check(rowSide?.root, order: shape.rows, "rowSide")
        }
    }

    /// A side's second moment and its inverse fourth root.
    public struct Side: Checkpointable, Equatable {
        public var statistic: Matrix
        public var root: Matrix

        init(order n: Int, epsilon ε: Double) {
            (statistic, root) = (.identity(n), .identity(n))
            for i in 0..<n { statistic[i, i] = ε }
        }

        public func encode(into archive: inout Archive) {
            archive.set("statistic", statistic)
            archive.set("root", root)
        }

        public init(from archive: Archive) throws {
            (statistic, root) = (try archive.matrix("statistic"), try archive.matrix("root"))
            guard statistic.rows == root.rows, statistic.columns == root.columns else {
                throw ArchiveError(entry: "statistic", reason: "is of another shape than its root")
            }
        }

        mutating func refresh() {
            guard case .success(let eigen) = SymmetricEigen.factorize(statistic), let largest = eigen.values.last, largest > 0 else {
                return
            }
            let powers = Vector(eigen.values.map { pow(Swift.max($0, .ulpOfOne * largest), -0.25) })
            root = .product(eigen.vectors.scalingColumns(by: powers), eigen.vectors, transposingSecond: true)
        }
    }

    public func start(_ shape: BlockShape, isInner: Bool) -> Block { Block(shape, longest: maximumDimension, epsilon: epsilon) }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, block: inout Block) {
        let (β1, β2, η) = (momentum, squareMomentum, learningRate * schedule.factor(at: step))
        let fresh = β2 == 1 ? 1 : 1 - β2
        let gradient = block.shape.matrix(g)
        block.columnSide?.statistic.accumulate(gradient.outerGram, keeping: β2, adding: fresh)
        block.rowSide?.statistic.accumulate(gradient.gram, keeping: β2, adding: fresh)
        if step % refresh == 0 {
            block.columnSide?.refresh()
            block.rowSide?.refresh()
        }
        var grafted = g
        switch grafting {
        case .none, .sgd: break
        case .adagrad:
            for i in 0..<g.count { block.square[i] += g[i] * g[i] }
            grafted.scale(by: 1, overRootsOf: block.square, plus: 1e-10)
        case .rmsprop:
            for i in 0..<g.count { block.square[i] = β2 * block.square[i] + fresh * g[i] * g[i] }
            grafted.scale(by: 1, overRootsOf: block.square, plus: 1e-10)
        }
        var direction = grafted
        if let columnSide = block.columnSide, let rowSide = block.rowSide {
            direction = Vector(Matrix.product(.product(columnSide.root, gradient), rowSide.root).elements)
            // The least norm is the reference code's.
            if grafting != .none { direction.scale(by: grafted.norm / (direction.norm + 1e-16)) }
        }
        block.momentum.scale(by: β1)
        block.momentum.add(direction)
        block.graftedMomentum.scale(by: β1)
        block.graftedMomentum.add(grafted)
        let (newest, sum) = step >= warmUp ? (direction, block.momentum) : (grafted, block.graftedMomentum)
        g = isNesterov ? η * newest.adding(sum, scaledBy: β1) : η * sum
    }

    /// As for one square block of all parameters: ten vectors and eight matrices of its size.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 18 * parameters * MemoryLayout<Double>.stride }

    /// As for one square block of all parameters; several blocks take less.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost([.init(.gradient, 1)], flops: p.squareRoot() * p * (8 + 22 / Double(refresh)) + 14 * p)
    }
}
