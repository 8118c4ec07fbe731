import LinearAlgebra
import OptimizationCore

/// Which blocks Muon orthogonalises; the others are Adam's.
public enum MuonMatrices: String, CaseIterable, Sendable, Hashable {
    /// All matrices.
    case all
    /// All but the first and the last: neither the layer on the coordinates nor the output.
    case inner
}

/// Muon: momentum whose singular values are all made one, matrix by matrix.
///
/// For a block with gradient G ∈ ℝʳˣᶜ (r inputs, c outputs):
///
///     M ← μM + (1 − μ)G      N = μM + (1 − μ)G with `nesterov`, else M
///     X₀ = N/max(‖N‖_F, ε)   Xᵢ₊₁ = aXᵢ + (bA + cA²)Xᵢ,  A = XᵢXᵢᵀ,  (a, b, c) = (3.4445, −4.7750, 2.0315)
///     θ ← (1 − ηλ)θ − η·max(1, c/r)^½·X₅
///
/// The iteration brings singular values into about [0.7, 1.2] and not nearer: its slope at zero is what was tuned. Biases and, with
/// `matrices: inner`, the first and last layer go by Adam at a rate η̃ of its own. η = `learningRate`, η̃ = `vectorLearningRate`, each times
/// the schedule's factor; μ = `momentum`, λ = `weightDecay`, ε = `epsilon`; Adam's β₁, β₂ are `vectorMomentum` and `vectorSquareMomentum`, its
/// ε `vectorEpsilon`.
///
/// One gradient a step and, with s the shorter side, 15s·rc + 5s³ flops a block at five iterations, symmetric products counted once; one
/// number a parameter of matrices, two of others. Steps have one length whatever the gradient, so the rate must fall for the loss to
/// settle. Breaks down where loss or gradient is not finite; a revision keeps all.
/// Variant: Jordan's code (KellerJordan/Muon), which computes in bfloat16 and takes hidden layers only (`inner`); here in double precision.
/// Source: Jordan et al., https://kellerjordan.github.io/posts/muon (2024).
public struct Muon: BlockwiseMethod, Configurable {
    /// η > 0.
    public var learningRate = 0.02
    /// μ ∈ [0, 1).
    public var momentum = 0.95
    public var isNesterov = true
    /// The iterations of Newton and Schulz.
    public var iterations = 5
    /// ε > 0, which keeps a vanishing gradient from being blown up.
    public var epsilon = 1e-7
    /// λ ≥ 0.
    public var weightDecay = 0.0
    public var matrices = MuonMatrices.all
    /// η̃ > 0, the rate of what is Adam's.
    public var vectorLearningRate = 3e-4
    /// β₁ ∈ [0, 1).
    public var vectorMomentum = 0.9
    /// β₂ ∈ [0, 1).
    public var vectorSquareMomentum = 0.95
    /// ε ≥ 0 of Adam.
    public var vectorEpsilon = 1e-10
    /// The factor of both rates at each step.
    public var schedule: any Schedule = Constant()

    public init() {}

    public init(
        learningRate: Double, momentum: Double = 0.95, vectorLearningRate: Double = 3e-4, matrices: MuonMatrices = .all,
        schedule: any Schedule = Constant()
    ) {
        (self.learningRate, self.momentum, self.vectorLearningRate) = (learningRate, momentum, vectorLearningRate)
        (self.matrices, self.schedule) = (matrices, schedule)
    }

    public static let identifier = "muon"
    public static let summary = "Momentum with all singular values made one, layer by layer; Adam for vectors."
    public static var fields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a matrix's step in the spectral norm"),
            .number("momentum", \.momentum, in: .fraction, meaning: "μ, the memory of the gradient's mean"),
            .flag("nesterov", \.isNesterov, meaning: "whether the step looks ahead along the mean"),
            .integer("iterations", \.iterations, atLeast: 1, meaning: "iterations of Newton and Schulz"),
            .number("epsilon", \.epsilon, in: .positive, meaning: "ε, the least norm that a matrix is divided by"),
            .number("weightDecay", \.weightDecay, in: .nonNegative, meaning: "λ, the pull of a matrix's entries to zero"),
            .choice("matrices", \.matrices, meaning: "whether the first and the last matrix are made orthogonal too"),
            .number("vectorLearningRate", \.vectorLearningRate, in: .positive, meaning: "η̃, the rate of what Adam does"),
            .number("vectorMomentum", \.vectorMomentum, in: .fraction, meaning: "Adam's β₁"),
            .number("vectorSquareMomentum", \.vectorSquareMomentum, in: .fraction, meaning: "Adam's β₂"),
            .number("vectorEpsilon", \.vectorEpsilon, in: .nonNegative, meaning: "Adam's ε"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rates at each step"),
        ]
    }

    /// M; and Adam's mean square for what is not made orthogonal.
    public struct Block: BlockMemory {
        public var shape: BlockShape
        public var mean: Vector
        /// nil where the block is made orthogonal.
        public var meanSquare: Vector?

        public init(_ shape: BlockShape, isOrthogonal: Bool) {
            (self.shape, mean, meanSquare) = (shape, .zeros(shape.count), isOrthogonal ? nil : .zeros(shape.count))
        }

        public func encode(into archive: inout Archive) {
            archive.set("shape", shape)
            archive.set("mean", mean)
            if let meanSquare { archive.set("meanSquare", meanSquare) }
        }

        public init(from archive: Archive) throws {
            (shape, mean) = (try archive.value("shape"), try archive.vector("mean"))
            meanSquare = archive["meanSquare"] == nil ? nil : try archive.vector("meanSquare")
            try shape.check(mean, "mean")
            if let meanSquare { try shape.check(meanSquare, "meanSquare") }
        }
    }

    public func start(_ shape: BlockShape, isInner: Bool) -> Block {
        Block(shape, isOrthogonal: shape.isMatrix && (matrices == .all || isInner))
    }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, block: inout Block) {
        let factor = schedule.factor(at: step)
        guard var v = block.meanSquare else {
            block.mean.average(in: g, keeping: momentum)
            if isNesterov {
                g.average(in: block.mean, keeping: 1 - momentum)
            } else {
                g = block.mean
            }
            let η = learningRate * factor
            let shape = Swift.max(1, Double(block.shape.columns) / Double(Swift.max(1, block.shape.rows))).squareRoot()
            g = η * shape * Vector(orthogonalized(block.shape.matrix(g)).elements)
            if weightDecay > 0 { g.add(θ, scaledBy: η * weightDecay) }
            return
        }
        let (β1, β2, η) = (vectorMomentum, vectorSquareMomentum, vectorLearningRate * factor)
        g.updateMoments(
            mean: &block.mean, keeping: β1, meanSquare: &v, keeping: β2, η * correction(β1, after: step),
            rootOf: correction(β2, after: step), plus: vectorEpsilon)
        block.meanSquare = v
    }

    /// UVᵀ of X = UΣVᵀ, about.
    private func orthogonalized(_ x: Matrix) -> Matrix {
        let isTall = x.rows > x.columns
        var x = isTall ? x.transposed : x
        let scale = 1 / Swift.max(x.frobeniusNorm, epsilon)
        for i in x.elements.indices { x.elements[i] *= scale }
        let (a, b, c) = (3.4445, -4.7750, 2.0315)
        for _ in 0..<iterations {
            let square = x.outerGram
            var polynomial = square.outerGram  // A², for A is symmetric
            polynomial.accumulate(square, keeping: c, adding: b)
            let product = Matrix.product(polynomial, x)
            x.accumulate(product, keeping: a, adding: 1)
        }
        return isTall ? x.transposed : x
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 9 * parameters * MemoryLayout<Double>.stride }

    /// As for one square block of all parameters; several blocks take less.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let p = Double(parameters)
        return StepCost([.init(.gradient, 1)], flops: 4 * Double(iterations) * p.squareRoot() * p + 6 * p)
    }
}
