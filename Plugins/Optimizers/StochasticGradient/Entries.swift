import LinearAlgebra

// Entrywise rules over vectors of one length, without a check an entry; inlined, the body becomes the loop.

@inline(__always)
func forEachEntry(_ a: inout Vector, _ b: inout Vector, _ body: (inout Double, inout Double) -> Void) {
    precondition(a.count == b.count, "a memory of \(b.count) for \(a.count) parameters")
    a.withUnsafeMutableBufferPointer { a in
        b.withUnsafeMutableBufferPointer { b in
            for i in a.indices { body(&a[i], &b[i]) }
        }
    }
}

@inline(__always)
func forEachEntry(
    _ a: inout Vector, _ b: inout Vector, _ c: inout Vector, _ body: (inout Double, inout Double, inout Double) -> Void
) {
    precondition(a.count == b.count && a.count == c.count, "memories of \(b.count) and \(c.count) for \(a.count) parameters")
    a.withUnsafeMutableBufferPointer { a in
        b.withUnsafeMutableBufferPointer { b in
            c.withUnsafeMutableBufferPointer { c in
                for i in a.indices { body(&a[i], &b[i], &c[i]) }
            }
        }
    }
}
