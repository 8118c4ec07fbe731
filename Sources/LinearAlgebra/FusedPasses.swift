import CKernels

// Long vectors cost what their memory traffic costs: passes that do two things at once, over the pool's threads. Shards and the order of
// sums depend on the length alone: the same bits for any number of threads.

extension Vector {
    /// ⟨self, other⟩ over the pool. 2n flops, 2n doubles read.
    public func pooledDot(_ other: Vector) -> Double {
        precondition(count == other.count, "dot of vectors of different lengths: \(count) and \(other.count)")
        return elements.withUnsafeBufferPointer { v in
            other.elements.withUnsafeBufferPointer { w in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: ck_vector_shards(count)) { partial in
                    ck_vector_dot(v.count, v.baseAddress, w.baseAddress, partial.baseAddress)
                }
            }
        }
    }

    /// self ← scale·self + α·other, and ⟨self, next⟩ of the new self: 5n flops, and 3n doubles read, n written.
    public mutating func update(scaledBy scale: Double = 1, adding other: Vector, times α: Double, dotting next: Vector) -> Double {
        precondition(
            count == other.count && count == next.count, "vectors of different lengths: \(count), \(other.count) and \(next.count)")
        return elements.withUnsafeMutableBufferPointer { y in
            other.elements.withUnsafeBufferPointer { x in
                next.elements.withUnsafeBufferPointer { z in
                    withUnsafeTemporaryAllocation(of: Double.self, capacity: ck_vector_shards(y.count)) { partial in
                        ck_vector_update_dot(y.count, scale, y.baseAddress, α, x.baseAddress, z.baseAddress, partial.baseAddress)
                    }
                }
            }
        }
    }

    /// Running means of a gradient and of its square, and the step that they make; self is the gradient g before and the step after:
    ///
    ///     m ← β₁m + (1 − β₁)g    v ← β₂v + (1 − β₂)g²    self ← (a·m + b·g)/(√(c·v) + ε),  0 where that is 0/0
    ///
    /// Over the pool: 14n flops, and 3n doubles read and written.
    public mutating func updateMoments(
        mean m: inout Vector, keeping β1: Double, meanSquare v: inout Vector, keeping β2: Double, _ a: Double, _ b: Double = 0,
        rootOf c: Double, plus ε: Double
    ) {
        precondition(
            count == m.count && count == v.count, "vectors of different lengths: \(count), \(m.count) and \(v.count)")
        let rule = ck_moments(keep1: β1, keep2: β2, mean: a, gradient: b, square: c, epsilon: ε)
        withUnsafeMutableBufferPointer { g in
            m.withUnsafeMutableBufferPointer { m in
                v.withUnsafeMutableBufferPointer { v in
                    ck_vector_moments(g.count, rule, g.baseAddress, m.baseAddress, v.baseAddress)
                }
            }
        }
    }
}
