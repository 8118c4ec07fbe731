import COpenBLAS

/// Why a factorisation or a solve could not be carried out: a numerical outcome, not a crash.
public enum FactorizationFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The input holds a NaN or an infinity; LAPACK, which may loop on such input, was not called.
    case nonFinite
    /// The leading minor that ends at this row (from 0) is not positive.
    case notPositiveDefinite(pivot: Int)
    /// This diagonal entry (from 0) of a triangular factor is exactly zero.
    case singular(pivot: Int)
    /// The iteration for singular values or eigenvalues did not converge.
    case notConverged

    public var description: String {
        switch self {
        case .nonFinite: "the matrix or the right-hand side holds a NaN or an infinity"
        case .notPositiveDefinite(let pivot): "the matrix is not positive definite (pivot \(pivot))"
        case .singular(let pivot): "the triangular factor is singular (pivot \(pivot))"
        case .notConverged: "the singular value or eigenvalue iteration did not converge"
        }
    }
}

/// Asks a LAPACK routine for its workspace, then runs it; returns its `info`.
func withWorkspace(_ routine: (_ work: UnsafeMutablePointer<Double>, _ count: Int32) -> Int32) -> Int32 {
    _ = BLASThreads.single
    var wanted = 1.0
    let queried = withUnsafeMutablePointer(to: &wanted) { routine($0, -1) }
    precondition(queried == 0, "LAPACK refused argument \(-queried) of a workspace query")
    let count = Swift.max(1, Int(wanted))
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: count) { work in
        guard let base = work.baseAddress else { preconditionFailure("an empty workspace") }
        let info = routine(base, blasInt(count))
        precondition(info >= 0, "LAPACK refused argument \(-info)")
        return info
    }
}

/// A leading dimension as LAPACK wants it: at least one.
func leading(_ rows: Int) -> Int32 { blasInt(Swift.max(1, rows)) }

/// Whether no entry is NaN or infinite, over the pool where there are many.
package func allFinite(_ values: [Double]) -> Bool {
    values.withUnsafeBufferPointer { buffer in
        let share = 1 << 18
        guard buffer.count > 2 * share else { return allFinite(buffer) }
        return withUnsafeTemporaryAllocation(of: Bool.self, capacity: (buffer.count + share - 1) / share) { finite in
            parallelFor(count: finite.count) { index, _ in
                let part = (index * share)..<min(buffer.count, (index + 1) * share)
                finite.initializeElement(at: index, to: allFinite(UnsafeBufferPointer(rebasing: buffer[part])))
            }
            return finite.allSatisfy { $0 }
        }
    }
}

/// Whether no entry is NaN or infinite, by the exponent bits: an integer reduction, which vectorises.
func allFinite(_ values: UnsafeBufferPointer<Double>) -> Bool {
    let exponent: UInt64 = 0x7FF0_0000_0000_0000
    var bad: UInt64 = 0
    for value in values { bad |= (value.bitPattern & exponent) == exponent ? 1 : 0 }
    return bad == 0
}
