#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Between the modes a₀ … a_K of u(x) = Σ aₖ cos kπx and its values at the nodes j/K, for K a power of two.
///
/// Both ways are the same cosine transform of type I, Vₖ = v₀ + (−1)ᵏ v_K + 2 Σ vⱼ cos(πjk/K) over 0 < j < K: the Fourier transform of the
/// even sequence of 2K numbers, which is one complex transform of length K of its even and odd entries. Cost: some 5 K log₂ K flops.
struct CosineTransform: Sendable {
    private let intervals: Int
    /// e^{−πik/K} for k = 0 … K.
    private let roots: [Complex]
    private let reversed: [Int]

    init(intervals: Int) {
        precondition(intervals > 1 && intervals & (intervals - 1) == 0, "a transform over \(intervals) intervals: a power of two is needed")
        self.intervals = intervals
        roots = (0...intervals).map { k in
            let angle = .pi * Double(k) / Double(intervals)
            return Complex(cos(angle), -sin(angle))
        }
        let bits = intervals.trailingZeroBitCount
        reversed = (0..<intervals).map { index in (0..<bits).reduce(0) { $0 | (index >> $1 & 1) << (bits - 1 - $1) } }
    }

    /// The values at the nodes.
    func values(_ modes: [Double]) -> [Double] {
        var halved = modes
        for k in 1..<intervals { halved[k] *= 0.5 }
        return typeOne(halved)
    }

    /// The modes.
    func modes(_ values: [Double]) -> [Double] {
        var modes = typeOne(values)
        for k in modes.indices { modes[k] /= Double(k == 0 || k == intervals ? 2 * intervals : intervals) }
        return modes
    }

    private func typeOne(_ v: [Double]) -> [Double] {
        let n = intervals
        precondition(v.count == n + 1, "\(v.count) numbers for \(n) intervals")
        // Entry m of the even sequence is v[m] up to K and v[2K − m] beyond.
        func entry(_ m: Int) -> Double { v[m <= n ? m : 2 * n - m] }
        var z = reversed.map { Complex(entry(2 * $0), entry(2 * $0 + 1)) }
        fourier(&z)
        return (0...n).map { k in
            let (a, b) = (z[k % n], z[(n - k) % n].conjugate)
            let odd = roots[k] * (a - b)
            // (a + b)/2 − i·odd/2, of which the imaginary part is zero.
            return 0.5 * (a.real + b.real + odd.imaginary)
        }
    }

    /// The transform of a sequence in bit-reversed order, by Cooley and Tukey's butterflies of two.
    private func fourier(_ z: inout [Complex]) {
        z.withUnsafeMutableBufferPointer { z in
            roots.withUnsafeBufferPointer { roots in
                var half = 1
                while half < z.count {
                    // The root of order 2·half is e^{−πi/half}.
                    let stride = intervals / half
                    var start = 0
                    while start < z.count {
                        for k in 0..<half {
                            let (low, high) = (z[start + k], z[start + half + k] * roots[k * stride])
                            z[start + k] = low + high
                            z[start + half + k] = low - high
                        }
                        start += 2 * half
                    }
                    half *= 2
                }
            }
        }
    }
}
