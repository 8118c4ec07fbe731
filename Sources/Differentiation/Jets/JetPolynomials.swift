import CKernels

/// The generic rule for jets through an activation, for any set of channels: Faà di Bruno's formula as polynomials in σ's
/// derivatives and the channels, and what follows from it by differentiating them.
///
/// The derivative of σ⁽ᵏ⁾·Π z_β along a coordinate is σ⁽ᵏ⁺¹⁾·z_e·Π z_β plus σ⁽ᵏ⁾ times the product rule; h_α is reached from
/// h₀ = σ one coordinate at a time. The reverse rule is z̄_β = Σ_α h̄_α ∂h_α/∂z_β, and the tangent of either is its derivative in
/// the direction ż (and of the cotangents). Slower than the kernels written out for order ≤ 2, and their reference.
///
/// Factors are numbers of columns: four groups of C, and after them the pointwise coefficients of the operators.
struct JetPolynomials: Sendable {
    /// h from z.
    let forward: [ck_monomial]
    /// z̄ from z, h̄.
    let reverse: [ck_monomial]
    /// ḣ from z, ż.
    let tangent: [ck_monomial]
    /// z̄ and then its tangent from z, ż, h̄ and its tangent.
    let tangentReverse: [ck_monomial]

    /// How many groups of C columns there are.
    static let groups = 4

    /// Where the columns that a factor names begin, in units of C: z, ż, h̄, the tangent of h̄.
    private enum Column: Int {
        case value = 0
        case tangent = 1
        case cotangent = 2
        case cotangentTangent = 3
    }

    init(_ space: JetSpace) {
        let channels = space.count
        let firstCoefficient = JetPolynomials.groups * channels
        var h: [Polynomial] = []
        for derivative in space.derivatives {
            guard let coordinate = derivative.orders.firstIndex(where: { $0 > 0 }), let lower = derivative.lowered(along: coordinate) else {
                h.append([Monomial(coefficient: 1, derivative: 0, factors: [])])
                continue
            }
            let along = MultiIndex.along(coordinate, dimension: derivative.dimension)
            h.append(
                differentiated(h[space.channel(of: lower)], first: space.channel(of: along), constantsFrom: firstCoefficient) {
                    space.channel(of: space.derivatives[$0].raised(along: coordinate))
                })
        }
        for (index, contraction) in space.operators.enumerated() {
            var polynomial = [Monomial(coefficient: 1, derivative: 1, factors: [space.derivatives.count + index])]
            for entry in contraction.entries {
                let pair = [space.channel(ofFirst: entry.first), space.channel(ofFirst: entry.second)]
                switch entry.coefficient {
                case .constant(let value): polynomial.append(Monomial(coefficient: value, derivative: 2, factors: pair))
                case .pointwise(let column):
                    polynomial.append(Monomial(coefficient: 1, derivative: 2, factors: pair + [firstCoefficient + column]))
                }
            }
            h.append(merged(polynomial))
        }
        var zbar: [Polynomial] = Array(repeating: [], count: channels)
        for (α, polynomial) in h.enumerated() {
            let cotangent = Column.cotangent.rawValue * channels + α
            for m in polynomial {
                zbar[0].append(Monomial(coefficient: m.coefficient, derivative: m.derivative + 1, factors: m.factors + [cotangent]))
                for (i, factor) in m.factors.enumerated() where factor < firstCoefficient {
                    var others = m.factors
                    others[i] = cotangent
                    zbar[factor].append(Monomial(coefficient: m.coefficient, derivative: m.derivative, factors: others))
                }
            }
        }
        zbar = zbar.map(merged)
        let dot = { (polynomial: Polynomial) in
            differentiated(polynomial, first: channels, constantsFrom: firstCoefficient) { $0 + channels }
        }
        forward = kernelTable(h)
        reverse = kernelTable(zbar)
        tangent = kernelTable(h.map(dot))
        tangentReverse = kernelTable(zbar + zbar.map(dot))
    }
}

private typealias Polynomial = [Monomial]

/// coefficient · σ⁽derivative⁾ · Π factors, a factor being the number of a column.
private struct Monomial {
    var coefficient: Double
    var derivative: Int
    var factors: [Int]

    func sharesProduct(with other: Monomial) -> Bool { derivative == other.derivative && factors == other.factors }
}

/// The derivative of a polynomial, given the column that z₀'s derivative lies in and what each factor becomes; factors from
/// `constants` on are constants.
private func differentiated(
    _ polynomial: Polynomial, first: Int, constantsFrom constants: Int, _ raised: (Int) -> Int
) -> Polynomial {
    var result: Polynomial = []
    for m in polynomial {
        result.append(Monomial(coefficient: m.coefficient, derivative: m.derivative + 1, factors: m.factors + [first]))
        for i in m.factors.indices where m.factors[i] < constants {
            var term = m
            term.factors[i] = raised(term.factors[i])
            result.append(term)
        }
    }
    return merged(result)
}

/// Equal products added up, in a fixed order.
private func merged(_ polynomial: Polynomial) -> Polynomial {
    let sorted = polynomial.map { Monomial(coefficient: $0.coefficient, derivative: $0.derivative, factors: $0.factors.sorted()) }
        .sorted { a, b in a.derivative != b.derivative ? a.derivative < b.derivative : a.factors.lexicographicallyPrecedes(b.factors) }
    var result: Polynomial = []
    for m in sorted {
        if let last = result.last, last.sharesProduct(with: m) {
            result[result.count - 1].coefficient += m.coefficient
        } else {
            result.append(m)
        }
    }
    return result
}

private func kernelTable(_ polynomials: [Polynomial]) -> [ck_monomial] {
    polynomials.enumerated().flatMap { output, polynomial in
        polynomial.map { m in
            precondition(m.factors.count < 8, "a product of \(m.factors.count) factors")
            let f = (m.factors + Array(repeating: -1, count: 8 - m.factors.count)).map { Int32($0) }
            return ck_monomial(
                coefficient: m.coefficient, output: Int32(output), derivative: Int32(m.derivative),
                factors: (f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]))
        }
    }
}
