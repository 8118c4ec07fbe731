import LinearAlgebra

/// A residual r: ℝⁿ → ℝᵐ written once, over any ``SmoothNumber``; its derivatives come from the same lines.
protocol ResidualFunction: Sendable {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S]

    // Requirements, so that each function has them specialised; the extension below provides them.
    func value(at x: Vector) -> Vector
    func jacobian(at x: Vector) -> Matrix
    func secondOrderProduct(at x: Vector, along v: Vector) -> Vector
}

extension ResidualFunction {
    func value(at x: Vector) -> Vector { Vector(residual(x.elements)) }

    /// J ∈ ℝᵐˣⁿ, a column at a time: n evaluations over hyper-dual numbers.
    func jacobian(at x: Vector) -> Matrix {
        var (point, elements, rows) = (x.elements.map { HyperDual($0) }, [Double](), 0)
        for j in point.indices {
            point[j].first = 1
            let column = residual(point)
            point[j].first = 0
            rows = column.count
            elements += column.map(\.first)
        }
        return Matrix(rows: rows, columns: x.count, elements: elements)
    }

    /// ∇²L·v for L = ½‖r‖²: component j is Σᵢ (∂ⱼrᵢ·∂ᵥrᵢ + rᵢ·∂ⱼ∂ᵥrᵢ). n evaluations over hyper-dual numbers.
    func secondOrderProduct(at x: Vector, along v: Vector) -> Vector {
        var point = zip(x, v).map { HyperDual($0, first: 0, second: $1) }
        return Vector(
            point.indices.map { j in
                point[j].first = 1
                defer { point[j].first = 0 }
                return residual(point).reduce(0.0) { $0 + $1.first * $1.second + $1.real * $1.mixed }
            })
    }
}
