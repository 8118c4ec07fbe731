import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Methods that remember a running mean m of the gradient and a running mean square v: Adam's family.
///
/// Common settings: η = `learningRate` times the schedule's factor, β₁ = `momentum`, β₂ = `squareMomentum`, ε = `epsilon`. One gradient a
/// step, about 10 P flops, two vectors of memory. They break down where loss or gradient is not finite; a revision keeps m and v.
public protocol MomentMethod: FirstOrderMethod, Configurable {
    /// η > 0.
    var learningRate: Double { get set }
    /// β₁ ∈ [0, 1).
    var momentum: Double { get set }
    /// β₂ ∈ [0, 1).
    var squareMomentum: Double { get set }
    /// ε ≥ 0.
    var epsilon: Double { get set }
    /// The factor of η at each step.
    var schedule: any Schedule { get set }
}

extension MomentMethod {
    public static var fields: [Field<Self>] { momentFields }

    static var momentFields: [Field<Self>] {
        [
            .number("learningRate", \.learningRate, in: .positive, meaning: "η, the size of a step in each parameter"),
            .number("momentum", \.momentum, in: .fraction, meaning: "β₁, the memory of the gradient's mean"),
            .number("squareMomentum", \.squareMomentum, in: .fraction, meaning: "β₂, the memory of the gradient's mean square"),
            .number("epsilon", \.epsilon, in: .nonNegative, meaning: "ε, added to the root mean square"),
            .schedule("schedule", \.schedule, meaning: "the factor of the learning rate at each step"),
        ]
    }

    func rate(at step: Int) -> Double { learningRate * schedule.factor(at: step) }
}

extension MomentMethod where Memory == AdamMemory {
    public func start(count n: Int) -> AdamMemory { AdamMemory(mean: .zeros(n), meanSquare: .zeros(n)) }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? { 5 * parameters * MemoryLayout<Double>.stride }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 10 * Double(parameters))
    }
}

/// 1/(1 − βᵏ): what a running mean that began at zero is short of after k steps.
func correction(_ β: Double, after step: Int) -> Double { 1 / (1 - pow(β, Double(step))) }

/// x/(√v + ε), and 0 where that is 0/0: a parameter that the loss has never felt stays where it is, with ε = 0 too.
@inline(__always)
func scaled(_ x: Double, byRootOf v: Double, _ ε: Double) -> Double {
    let scale = v.squareRoot() + ε
    return scale > 0 ? x / scale : 0
}

/// What Adam remembers: m and v.
public struct AdamMemory: Checkpointable, Equatable {
    /// m ∈ ℝᴾ.
    public var mean: Vector
    /// v ∈ ℝᴾ.
    public var meanSquare: Vector

    public init(mean: Vector, meanSquare: Vector) { (self.mean, self.meanSquare) = (mean, meanSquare) }

    public func encode(into archive: inout Archive) {
        archive.set("mean", mean)
        archive.set("meanSquare", meanSquare)
    }

    public init(from archive: Archive) throws {
        self.init(mean: try archive.vector("mean"), meanSquare: try archive.vector("meanSquare"))
        guard mean.count == meanSquare.count else {
            throw ArchiveError(entry: "meanSquare", reason: "\(meanSquare.count) values for \(mean.count) parameters")
        }
    }
}
