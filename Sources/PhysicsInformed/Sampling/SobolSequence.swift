/// Sobol's low-discrepancy sequence in up to 21 dimensions, with the direction numbers of Joe and Kuo.
///
/// Point n of dimension j is the exclusive or of the direction numbers v_{j,k} over the bits k that are set in the Gray code
/// n ⊕ ⌊n/2⌋, read as a binary fraction of 52 bits (Antonov and Saleev 1979). Blocks of 2ᵐ points starting at a multiple of 2ᵐ are
/// (t, m, d)-nets. The origin is the first point, as in Joe and Kuo's own program; skipping it, as some libraries do, breaks
/// the net property of the first block.
///
/// A scrambled sequence multiplies the bits of every dimension by a random lower-triangular matrix over the field of two
/// elements and adds a random shift (Matoušek 1998): the net property stays, and every point is uniformly distributed. This is the
/// cheap relative of Owen's nested scrambling, which permutes further bits depending on the leading ones.
///
/// Cost: one exclusive or a coordinate. S. Joe, F. Y. Kuo, SIAM J. Sci. Comput. 30 (2008) 2635, doi:10.1137/070709359, the table
/// `new-joe-kuo-6.21201`; J. Matoušek, J. Complexity 14 (1998) 527, doi:10.1006/jcom.1998.0489.
public struct SobolSequence: Sendable {
    /// The highest dimension for which direction numbers are held.
    public static let largestDimension = seeds.count + 1

    public let dimension: Int
    /// v_{j,k} at j·52 + k, the leading bit of the fraction being bit 51.
    private var directions: [UInt64]
    private var shift: [UInt64]
    private let offset: Double

    private static let bits = 52

    /// The plain sequence; throws where the dimension is not in 1…21.
    public init(dimension: Int) throws {
        guard (1...Self.largestDimension).contains(dimension) else {
            throw SamplingError(
                "Sobol points are available in 1 to \(Self.largestDimension) dimensions, not in \(dimension): take random points")
        }
        self.dimension = dimension
        let bits = Self.bits
        directions = (0..<bits).map { 1 << UInt64(bits - 1 - $0) }
        for j in 1..<max(dimension, 1) { directions += Self.directionNumbers(Self.seeds[j - 1]) }
        shift = Array(repeating: 0, count: dimension)
        offset = 0
    }

    /// The sequence scrambled by `draw`, which returns 64 fresh random bits a call.
    public init(dimension: Int, scrambledBy draw: () -> UInt64) throws {
        let plain = try SobolSequence(dimension: dimension)
        let bits = Self.bits
        let mask: UInt64 = (1 << UInt64(bits)) - 1
        var (scrambled, shift) = (plain.directions, plain.shift)
        for j in 0..<dimension {
            // Column c of the matrix: a one on the diagonal (bit c from the top), random bits below it.
            let columns = (0..<bits).map { c -> UInt64 in
                let top: UInt64 = 1 << UInt64(bits - 1 - c)
                return top | (draw() & (top - 1))
            }
            for k in 0..<bits {
                let v = plain.directions[j * bits + k]
                var product: UInt64 = 0
                for c in 0..<bits where v >> UInt64(bits - 1 - c) & 1 == 1 { product ^= columns[c] }
                scrambled[j * bits + k] = product
            }
            shift[j] = draw() & mask
        }
        self.dimension = dimension
        directions = scrambled
        self.shift = shift
        // Half a unit of the last bit: no coordinate is 0 or 1.
        offset = 0.5
    }

    /// Points `first` ..< `first + count`, point after point (`dimension` numbers each), in [0, 1)ᵈ.
    public func points(_ count: Int, from first: Int = 0) -> [Double] {
        precondition(count >= 0 && first >= 0, "\(count) points from \(first)")
        let bits = Self.bits
        let unit = 1.0 / Double(1 << UInt64(bits))
        var state = shift
        let gray = UInt64(first) ^ (UInt64(first) >> 1)
        for j in 0..<dimension { for k in 0..<bits where gray >> UInt64(k) & 1 == 1 { state[j] ^= directions[j * bits + k] } }
        var result: [Double] = []
        result.reserveCapacity(count * dimension)
        for n in first..<(first + count) {
            for j in 0..<dimension { result.append((Double(state[j]) + offset) * unit) }
            let k = min((n + 1).trailingZeroBitCount, bits - 1)
            for j in 0..<dimension { state[j] ^= directions[j * bits + k] }
        }
        return result
    }

    /// v₁ … v₅₂ from the primitive polynomial xˢ + a₁xˢ⁻¹ + … + 1 and the initial odd numbers m₁ … mₛ.
    private static func directionNumbers(_ seed: (polynomial: UInt64, initial: [UInt64])) -> [UInt64] {
        let s = seed.initial.count
        var v = seed.initial.enumerated().map { k, m in m << UInt64(bits - 1 - k) }
        for k in s..<bits {
            var next = v[k - s] ^ (v[k - s] >> UInt64(s))
            for i in 1..<max(s, 1) where seed.polynomial >> UInt64(s - 1 - i) & 1 == 1 { next ^= v[k - i] }
            v.append(next)
        }
        return v
    }

    /// Dimensions 2 … 21 of the table: the inner coefficients of the polynomial as a binary number, and m₁ … mₛ.
    private static let seeds: [(polynomial: UInt64, initial: [UInt64])] = [
        (0, [1]), (1, [1, 3]), (1, [1, 3, 1]), (2, [1, 1, 1]), (1, [1, 1, 3, 3]), (4, [1, 3, 5, 13]), (2, [1, 1, 5, 5, 17]),
        (4, [1, 1, 5, 5, 5]), (7, [1, 1, 7, 11, 19]), (11, [1, 1, 5, 1, 1]), (13, [1, 1, 1, 3, 11]), (14, [1, 3, 5, 5, 31]),
        (1, [1, 3, 3, 9, 7, 49]), (13, [1, 1, 1, 15, 21, 21]), (16, [1, 3, 1, 13, 27, 49]), (19, [1, 1, 1, 15, 7, 5]),
        (22, [1, 3, 1, 15, 13, 25]), (25, [1, 1, 5, 5, 19, 61]), (1, [1, 3, 7, 11, 23, 15, 103]), (4, [1, 3, 7, 13, 13, 15, 69]),
    ]
}

/// Why points could not be drawn.
public struct SamplingError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
