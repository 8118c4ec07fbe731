import LinearAlgebra

/// A residual r: ℝⁿ → ℝᵐ written once, over any ``SmoothNumber``; its derivatives come from the same lines.
protocol ResidualFunction: Sendable {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S]

    // Requirements, so that each function has them specialised; the extension below provides them.
    func value(at x: Vector) -> Vector
    func jacobian(at x: Vector) -> Matrix
    func secondOrderProduct(at x: Vector, along v: Vector, _ derivatives: SeparableDerivatives?) -> Vector
}

/// wᵢ = φᵢ′(rᵢ) and hᵢ = φᵢ″(rᵢ) of a function Σφᵢ(rᵢ).
struct SeparableDerivatives {
    var slopes: Vector
    var bends: Vector
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

    /// ∇²L·v for L = Σφᵢ(rᵢ), ½‖r‖² where nothing else is given: component j is Σᵢ (hᵢ·∂ⱼrᵢ·∂ᵥrᵢ + wᵢ·∂ⱼ∂ᵥrᵢ). n evaluations over
    /// hyper-dual numbers.
    func secondOrderProduct(at x: Vector, along v: Vector, _ derivatives: SeparableDerivatives?) -> Vector {
        var point = zip(x, v).map { HyperDual($0, first: 0, second: $1) }
        return Vector(
            point.indices.map { j in
                point[j].first = 1
                defer { point[j].first = 0 }
                guard let derivatives else { return residual(point).reduce(0.0) { $0 + $1.first * $1.second + $1.real * $1.mixed } }
                let (w, h) = (derivatives.slopes, derivatives.bends)
                return residual(point).enumerated().reduce(0.0) { sum, entry in
                    let (i, r) = entry
                    return sum + h[i] * r.first * r.second + w[i] * r.mixed
                }
            })
    }
}
