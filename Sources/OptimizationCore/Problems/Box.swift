import LinearAlgebra

/// l ≤ θ ≤ u, entry by entry.
package struct Box: Sendable, Equatable {
    package var lower: Vector
    package var upper: Vector

    package init(lower: Vector, upper: Vector) { (self.lower, self.upper) = (lower, upper) }

    package func projected(_ θ: Vector) -> Vector {
        var inside = θ
        for i in inside.indices { inside[i] = Swift.min(Swift.max(θ[i], lower[i]), upper[i]) }
        return inside
    }

    /// The displacement p from θ, cut where it leaves the box.
    package func cut(_ p: Vector, from θ: Vector) -> Vector {
        var inside = p
        for i in inside.indices { inside[i] = Swift.min(Swift.max(p[i], lower[i] - θ[i]), upper[i] - θ[i]) }
        return inside
    }

    /// The gradient without what points out of the box at its faces: zero at a stationary point.
    package func reduced(_ g: Vector, at θ: Vector) -> Vector {
        var reduced = g
        for i in g.indices where (g[i] > 0 && θ[i] <= lower[i]) || (g[i] < 0 && θ[i] >= upper[i]) { reduced[i] = 0 }
        return reduced
    }

    /// The longest α with θ + αp in the box.
    package func longestStep(from θ: Vector, along p: Vector) -> Double {
        var longest = Double.infinity
        for i in p.indices where p[i] != 0 {
            let room = p[i] > 0 ? upper[i] - θ[i] : lower[i] - θ[i]
            longest = Swift.min(longest, room / p[i])
        }
        return Swift.max(0, longest)
    }

    /// How many entries stand at a bound.
    package func active(at θ: Vector) -> Int { θ.indices.count { θ[$0] <= lower[$0] || θ[$0] >= upper[$0] } }
}
