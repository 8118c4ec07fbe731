import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A stream of random numbers, addressed by a seed and a name: Philox 4×32 with ten rounds.
///
/// The i-th number is a pure function of (seed, name, i), so a stream is stored as three integers, streams of different
/// names are independent, and no stream's use shifts another's numbers.
///
/// Reference: Salmon, Moraes, Dror & Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC11, doi:10.1145/2063384.2063405.
public struct RandomStream: RandomNumberGenerator, Checkpointable, Equatable {
    private let key: UInt64
    /// How many 64-bit numbers have been drawn.
    public private(set) var position: UInt64 = 0

    public init(seed: UInt64, name: String) {
        // FNV-1a over the name, then one splitmix64 step over its sum with the seed: stable across processes.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        var z = (hash ^ (seed &* 0x9e37_79b9_7f4a_7c15)) &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        key = z ^ (z >> 31)
    }

    public mutating func next() -> UInt64 {
        let (block, half) = (position / 2, position % 2)
        position &+= 1
        let x = RandomStream.philox(
            counter: (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), 0, 0),
            key: (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32)))
        return half == 0 ? UInt64(x.0) | UInt64(x.1) << 32 : UInt64(x.2) | UInt64(x.3) << 32
    }

    /// Ten rounds of Philox 4×32 (multipliers and Weyl constants of the reference).
    package static func philox(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var (c, k) = (counter, key)
        for round in 0..<10 {
            if round > 0 { k = (k.0 &+ 0x9e37_79b9, k.1 &+ 0xbb67_ae85) }
            let p0 = UInt64(0xd251_1f53) * UInt64(c.0)
            let p1 = UInt64(0xcd9e_8d57) * UInt64(c.2)
            c = (
                UInt32(p1 >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: p1),
                UInt32(p0 >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: p0)
            )
        }
        return c
    }

    public func encode(into archive: inout Archive) {
        archive.set("key", key)
        archive.set("position", position)
    }

    public init(from archive: Archive) throws {
        key = try archive.unsigned("key")
        position = try archive.unsigned("position")
    }
}

extension RandomStream {
    /// A number from the uniform distribution on [0, 1), a multiple of 2⁻⁵³.
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number from the uniform distribution on [range.lowerBound, range.upperBound).
    public mutating func uniform(in range: ClosedRange<Double>) -> Double {
        range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
    }

    /// A number from the standard normal distribution, by Box and Muller's transformation (two draws a number).
    public mutating func normal() -> Double {
        let radius = (-2 * log(1 - uniform())).squareRoot()
        return radius * cos(2 * .pi * uniform())
    }

    /// An integer in 0..<bound, without bias.
    public mutating func index(below bound: Int) -> Int {
        precondition(bound > 0, "no index lies below \(bound)")
        let range = UInt64(bound)
        let limit = UInt64.max - UInt64.max % range
        while true {
            let draw = next()
            if draw < limit { return Int(draw % range) }
        }
    }

    /// A vector of independent standard normal numbers.
    public mutating func normalVector(_ count: Int) -> Vector { Vector((0..<count).map { _ in normal() }) }

    /// A vector of independent signs ±1 (Rademacher's distribution), a draw each: −1 where its highest bit is set.
    public mutating func signVector(_ count: Int) -> Vector { Vector((0..<count).map { _ in next() >> 63 == 0 ? 1.0 : -1.0 }) }

    /// A random order of 0..<count (Fisher and Yates).
    public mutating func permutation(of count: Int) -> [Int] {
        var order = Array(0..<count)
        for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, index(below: i + 1)) }
        return order
    }
}
