// Entrywise rules over vectors of one length. Long vectors are shared among the pool's threads, for one thread does not fill the memory's
// bandwidth; no entry depends on another, so the shares change no bit.

/// Runs `body` over ranges that cover 0..<count: once over all of it, or, where there are many entries, over shares on the pool.
@inlinable @inline(__always)
public func forEachShare(of count: Int, _ body: (Range<Int>) -> Void) {
    let length = 32_768
    guard count >= 2 * length else { return body(0..<count) }
    parallelFor(count: (count + length - 1) / length) { share, _ in body((share * length)..<min((share + 1) * length, count)) }
}

extension Vector {
    /// self ← β·self + (1 − β)·x. 3n flops.
    public mutating func average(in x: Vector, keeping β: Double) {
        precondition(count == x.count, "mean of vectors of different lengths: \(count) and \(x.count)")
        let rest = 1 - β
        withUnsafeMutableBufferPointer { y in
            x.withUnsafeBufferPointer { x in
                forEachShare(of: y.count) { for i in $0 { y[i] = β * y[i] + rest * x[i] } }
            }
        }
    }

    /// self ← β·self + (1 − β)·x², entrywise. 4n flops.
    public mutating func average(squaresOf x: Vector, keeping β: Double) {
        precondition(count == x.count, "mean of vectors of different lengths: \(count) and \(x.count)")
        let rest = 1 - β
        withUnsafeMutableBufferPointer { y in
            x.withUnsafeBufferPointer { x in
                forEachShare(of: y.count) { for i in $0 { y[i] = β * y[i] + rest * x[i] * x[i] } }
            }
        }
    }

    /// self ← α·self/(√(c·v) + ε) entrywise, and 0 where that is 0/0. 5n flops.
    public mutating func scale(by α: Double, overRootsOf v: Vector, times c: Double = 1, plus ε: Double) {
        precondition(count == v.count, "vectors of different lengths: \(count) and \(v.count)")
        withUnsafeMutableBufferPointer { x in
            v.withUnsafeBufferPointer { v in
                forEachShare(of: x.count) {
                    for i in $0 {
                        let scale = (c * v[i]).squareRoot() + ε
                        x[i] = scale > 0 ? α * x[i] / scale : 0
                    }
                }
            }
        }
    }
}

extension Matrix {
    /// self ← β·self + α·X. 3mn flops.
    public mutating func accumulate(_ x: Matrix, keeping β: Double, adding α: Double) {
        precondition(rows == x.rows && columns == x.columns, "\(x.rows) × \(x.columns) into \(rows) × \(columns)")
        elements.withUnsafeMutableBufferPointer { y in
            x.elements.withUnsafeBufferPointer { x in
                forEachShare(of: y.count) { for i in $0 { y[i] = β * y[i] + α * x[i] } }
            }
        }
    }
}
