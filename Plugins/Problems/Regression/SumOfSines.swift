import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// f(x) = Σₖ aₖ sin 2πκₖx on [0, 1].
public struct SumOfSines: Sendable, Hashable {
    /// κₖ, whole waves in the interval.
    public var frequencies: [Double]
    /// aₖ.
    public var amplitudes: [Double]

    public init(frequencies: [Double], amplitudes: [Double]) {
        precondition(frequencies.count == amplitudes.count, "\(frequencies.count) frequencies with \(amplitudes.count) amplitudes")
        (self.frequencies, self.amplitudes) = (frequencies, amplitudes)
    }

    public func callAsFunction(_ x: Double) -> Double {
        zip(frequencies, amplitudes).reduce(0) { $0 + $1.1 * sin(2 * .pi * $1.0 * x) }
    }
}

/// Samples of a function with noise: yᵢ = f(xᵢ) + σεᵢ, εᵢ ∼ 𝒩(0, 1).
public struct NoisySamples: Sendable, Hashable {
    /// xᵢ ∈ [0, 1].
    public var points: [Double]
    /// yᵢ.
    public var values: [Double]

    public init(points: [Double], values: [Double]) {
        precondition(points.count == values.count, "\(points.count) points with \(values.count) values")
        (self.points, self.values) = (points, values)
    }

    /// `count` samples at the midpoints of a grid, or where `isScattered` at uniform points from the stream `name`/points of a seed; the noise is
    /// from `name`/noise.
    init(_ count: Int, of f: SumOfSines, noise σ: Double, isScattered: Bool, seed: UInt64, name: String) {
        var place = RandomStream(seed: seed, name: "\(name)/points")
        var noise = RandomStream(seed: seed, name: "\(name)/noise")
        points = (0..<count).map { isScattered ? place.uniform() : (Double($0) + 0.5) / Double(count) }
        values = points.map { f($0) + (σ > 0 ? σ * noise.normal() : 0) }
    }

    public var count: Int { points.count }

    func taking(_ indices: [Int]) -> NoisySamples {
        NoisySamples(points: indices.map { points[$0] }, values: indices.map { values[$0] })
    }
}
