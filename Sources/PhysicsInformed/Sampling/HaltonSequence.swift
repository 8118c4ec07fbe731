import OptimizationCore

/// Halton's sequence in (0, 1)ᵈ, its digits scrambled at random.
///
/// Coordinate j of point i mirrors the digits of i at the point, in the j-th prime b as base:
///
///     i = Σₖ aₖ bᵏ,   xⱼ = Σₖ πⱼₖ(aₖ) b^{−k−1},
///
/// with πⱼₖ an independent random permutation of {0, …, b − 1} for each coordinate j and each digit k, leading zeros included, as many
/// digits as a double tells apart (K = ⌈53 / log₂ b⌉). So each point is uniform on the multiples of b^{−K}, and of any bᵐ successive
/// points that begin at a multiple of bᵐ one lies in each interval [c b⁻ᵐ, (c + 1) b⁻ᵐ), as without scrambling; but the regular patterns
/// of the larger bases (17 and 19 put the first seventeen points on a line) are broken. A shift modulo 1 keeps those patterns.
///
/// Cost: K divisions a coordinate; Σ bⱼ Kⱼ integers of memory (under 10 000 in the largest dimension).
/// Variant: independent permutations of the digits, not Owen's nested ones, in which πₖ depends on the digits before it.
/// Source: Owen, *A randomized Halton algorithm in R*, 2017, arXiv:1706.02808; the sequence: Halton, Numerische Mathematik 2:84–90,
/// 1960, doi:10.1007/BF01386213.
public struct HaltonSequence: Sendable {
    /// The largest dimension.
    public static let largestDimension = primes.count

    private static let primes = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71]

    /// πⱼₖ(a) at k·b + a, for each coordinate j.
    private let permutations: [[Int]]

    /// The sequence, with its permutations drawn from `random`.
    public init(dimension: Int, scrambledBy random: inout RandomStream) {
        precondition(
            (0...Self.largestDimension).contains(dimension),
            "Halton's sequence has 0 to \(Self.largestDimension) dimensions here, not \(dimension)")
        permutations = Self.primes.prefix(dimension).map { base in
            (0..<Self.digits(base)).flatMap { _ in random.permutation(of: base) }
        }
    }

    public var dimension: Int { permutations.count }

    /// The least K with b^K ≥ 2⁵³.
    private static func digits(_ base: Int) -> Int {
        var (count, power) = (0, 1)
        while power < 1 << 53 {
            power *= base
            count += 1
        }
        return count
    }

    /// xⱼ of point i ≥ 0, in [0, 1).
    public func coordinate(_ j: Int, of i: Int) -> Double {
        let (base, permutation) = (Self.primes[j], permutations[j])
        let count = permutation.count / base
        // The last digits first, so that the sum is rounded once at its size.
        var digits = [Int](repeating: 0, count: count)
        var rest = i
        for k in 0..<count {
            digits[k] = permutation[k * base + rest % base]
            rest /= base
        }
        // All digits b − 1 may round to 1.
        return min(digits.reversed().reduce(0.0) { (Double($1) + $0) / Double(base) }, 1 - 0x1p-53)
    }
}
