import LinearAlgebra
import OptimizationCore

/// The limited-memory BFGS matrix in compact form, B = σI − W·M·Wᵀ with W = [Y σS] ∈ ℝᴾˣ²ᵐ:
///
///     M⁻¹ = [−D  Lᵀ; L  σSᵀS],   D = diag(sᵢᵀyᵢ),   L strictly lower with Lᵢⱼ = sᵢᵀyⱼ (i > j)
///
/// S and Y hold the pairs as columns, the oldest first; σ is the inverse of H₀'s scale. Products with B, and with parts of B between some
/// of the parameters, cost 4mP; setting up 2m inner products a new pair, kept from pair to pair, and a factorisation of order 2m.
/// Source: Byrd, Nocedal & Schnabel, Math. Prog. 63 (1994) 129–156, doi:10.1007/BF01582063, eq. 3.2.
package struct CompactRepresentation: Sendable, Equatable {
    package private(set) var pairs: [SecantPair] = []
    /// sᵢᵀyⱼ and sᵢᵀsⱼ, by rows.
    private var products: [[Double]] = []
    private var squares: [[Double]] = []

    package init() {}

    package init(_ pairs: [SecantPair]) { for pair in pairs { append(pair, keeping: pairs.count) } }

    /// Takes in a pair as the newest; keeps the last `memory`.
    package mutating func append(_ pair: SecantPair, keeping memory: Int) {
        if pairs.count >= memory {
            let surplus = pairs.count - memory + 1
            pairs.removeFirst(surplus)
            products = products.dropFirst(surplus).map { Array($0.dropFirst(surplus)) }
            squares = squares.dropFirst(surplus).map { Array($0.dropFirst(surplus)) }
        }
        for i in pairs.indices {
            products[i].append(pairs[i].step.pooledDot(pair.change))
            squares[i].append(pairs[i].step.pooledDot(pair.step))
        }
        products.append(pairs.map { pair.step.pooledDot($0.change) } + [pair.curvature])
        squares.append(pairs.indices.map { squares[$0][pairs.count] } + [pair.step.pooledDot(pair.step)])
        pairs.append(pair)
    }

    /// σ = yᵀy/sᵀy of the newest pair.
    package var scale: Double? { pairs.last.map { 1 / $0.inverseCurvature } }

    /// M, or nil where M⁻¹ is singular to working precision.
    package func middle(_ σ: Double) -> Matrix? {
        let m = pairs.count
        var inverse = Matrix.zeros(2 * m, 2 * m)
        for i in 0..<m {
            inverse[i, i] = -products[i][i]
            for j in 0..<m {
                inverse[m + i, m + j] = σ * squares[i][j]
                if i > j { (inverse[m + i, j], inverse[j, m + i]) = (products[i][j], products[i][j]) }
            }
        }
        return inverted(inverse)
    }

    /// (D + L + Lᵀ − σSᵀS)⁻¹ of symmetric rank one, or nil where it is singular to working precision.
    package func symmetricRankOneMiddle(_ σ: Double) -> Matrix? {
        let m = pairs.count
        var inverse = Matrix.zeros(m, m)
        for i in 0..<m { for j in 0..<m { inverse[i, j] = products[Swift.max(i, j)][Swift.min(i, j)] - σ * squares[i][j] } }
        return inverted(inverse)
    }

    /// Wᵀ·v.
    package func transposedProduct(_ v: Vector, scale σ: Double) -> Vector {
        Vector(pairs.map { $0.change.pooledDot(v) } + pairs.map { σ * $0.step.pooledDot(v) })
    }

    /// Row i of W.
    package func row(_ i: Int, scale σ: Double) -> Vector {
        Vector(pairs.map { $0.change[i] } + pairs.map { σ * $0.step[i] })
    }

    /// W·c.
    package func product(_ c: Vector, scale σ: Double, count: Int) -> Vector {
        let m = pairs.count
        var sum = Vector.zeros(count)
        for i in 0..<m {
            sum.add(pairs[i].change, scaledBy: c[i])
            sum.add(pairs[i].step, scaledBy: σ * c[m + i])
        }
        return sum
    }

    /// B·v with B's own scale, or nil where there is no pair or M⁻¹ is singular.
    package func times(_ v: Vector) -> Vector? {
        guard let σ = scale, let M = middle(σ) else { return nil }
        return σ * v - product(M.times(transposedProduct(v, scale: σ)), scale: σ, count: v.count)
    }
}

/// A⁻¹ of a small matrix whose rows and columns may differ by orders of magnitude, or nil where it is singular to working precision.
func inverted(_ a: Matrix) -> Matrix? {
    let n = a.rows
    // Rows and columns are scaled by powers of two, which changes no bits of what follows.
    func power(_ x: Double) -> Double { x > 0 && x.isFinite ? Double(sign: .plus, exponent: -(x.exponent >> 1), significand: 1) : 1 }
    let d = (0..<n).map { i in power((0..<n).reduce(0) { Swift.max($0, abs(a[i, $1])) }) }
    var scaled = a
    for i in 0..<n { for j in 0..<n { scaled[i, j] = d[i] * a[i, j] * d[j] } }
    guard case .success(let qr) = QR.factorize(scaled) else { return nil }
    var inverse = Matrix.zeros(n, n)
    for j in 0..<n {
        var unit = Vector.zeros(n)
        unit[j] = 1
        guard case .success(let x) = qr.solveLeastSquares(unit), x.isFinite else { return nil }
        for i in 0..<n { inverse[i, j] = d[i] * x[i] * d[j] }
    }
    return inverse
}
