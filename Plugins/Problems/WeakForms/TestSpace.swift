import Differentiation
import PhysicsInformed

/// A test function at a node of quadrature, as a weak form sees it.
public struct TestFunction: Sendable {
    /// φ.
    public let value: Expression
    /// φ′.
    public let slope: Expression
}

/// The test functions of weak forms on a mesh x₀ < x₁ < … < xₙ, and the quadrature by which they are tested with: hats and bubbles, a
/// hierarchical basis of the continuous functions that are polynomials of degree K + 1 on each element and vanish at both ends.
///
/// On an element of length h with ξ ∈ [−1, 1] its bubbles are, for k = 1 … K,
///
///     φ = √h (P_{k+1}(ξ) − P_{k−1}(ξ)) / (2√(2k + 1)),   φ′ = √((2k + 1)/h) P_k(ξ),
///
/// and the hat of an inner node xᵢ is linear on the elements left and right of it, of lengths h and h′, 0 at their other ends:
///
///     φ(xᵢ) = (1/h + 1/h′)^−½ .
///
/// All have ∫φ′² dx = 1, so that residuals of different degrees and elements compare. Bubbles are orthogonal in that inner product to each
/// other and to the hats; hats are not to their neighbours. Symbols: K = ``bubbles``, Pₖ Legendre's polynomials.
///
/// Breaks down where K is large and elements are short: bubble k sees only what u′ has beyond the degree k − 1 there, some (h/2ℓ)ᵏ/(2k − 1)‼
/// of it for u′ with the length scale ℓ, as a difference of numbers of the size of u′. Where that is below their rounding, so is the residual.
///
/// A functional of a test function is one residual of a tuple of points: the Q nodes of an element, or the 2Q of two. Cost: the jets of a
/// tuple's nodes once for its K bubbles, and once more for its hat. Writing the functionals down, once, takes time that grows as K·Q²: some
/// seconds at K = 30 and Q = 36.
///
/// Variants: one element is the space of variational PINNs, E. Kharazmi, Z. Zhang, G. E. Karniadakis, arXiv:1912.00873, but for the norm of its
/// functions; several elements without hats are that of hp-VPINNs by the same (Comput. Methods Appl. Mech. Eng. 374 (2021) 113547,
/// doi:10.1016/j.cma.2020.113547), which let fluxes of a solution jump between elements that no residual sees. The hats see them.
public struct TestSpace: Sendable, Hashable {
    /// The mesh with Q nodes in each element.
    public let rule: CompositeGaussLegendre
    /// K.
    public let bubbles: Int

    /// Throws a ``QuadratureError`` where there is no test function, or so many bubbles that the nodes do not tell them apart.
    public init(rule: CompositeGaussLegendre, bubbles: Int) throws {
        guard bubbles >= 0, bubbles < rule.nodesPerElement else {
            throw QuadratureError(
                "\(bubbles) bubbles in an element of \(rule.nodesPerElement) nodes: there must be more nodes, for P_k vanishes at k of them"
            )
        }
        guard bubbles > 0 || rule.mesh.count > 2 else {
            throw QuadratureError("one element without bubbles has no test function: take more elements or some bubbles")
        }
        (self.rule, self.bubbles) = (rule, bubbles)
    }

    /// n.
    public var elements: Int { rule.mesh.count - 1 }
    /// The families of test functions that there are: elements with bubbles, inner nodes with a hat.
    var families: [Family] { (bubbles > 0 ? [.bubbles] : []) + (elements > 1 ? [.hats] : []) }

    /// Test functions that are alike but for their place.
    enum Family: String, Sendable, CaseIterable {
        case bubbles, hats
    }

    /// How many places a family has.
    func count(of family: Family) -> Int { family == .bubbles ? elements : elements - 1 }

    /// The residuals ∫ integrand(u, φ, x) dx of a family's test functions, by quadrature, over a network's output N: one for each φ of a place.
    ///
    /// `field` makes u of N and x.
    func residuals(
        of family: Family, field: (_ network: Expression, _ x: Expression) -> Expression,
        _ integrand: (_ u: Expression, _ φ: TestFunction, _ x: Expression) -> Expression
    ) throws -> CompiledResidual {
        let reference = try CompositeGaussLegendre(elements: 1, nodesPerElement: rule.nodesPerElement, on: -1...1)
        let (ξ, w, q) = (reference.nodes, reference.weights, rule.nodesPerElement)
        return try Trace.run(
            axes: Axes(["x"]), fields: 1, data: family == .bubbles ? ["half"] : ["left", "right"], points: family == .bubbles ? q : 2 * q
        ) { network, p in
            let u = Fields(of: network, at: p) { [field($0[0], $1.x)] }
            /// ∫ over the element whose nodes begin at a point of the tuple, of half its length.
            func integral(from first: Int, half: Expression, _ φ: (_ node: Int) -> TestFunction) -> Expression {
                (0..<q).reduce(Expression(0)) { sum, i in
                    sum + w[i] * half * integrand(u.at(first + i)[0], φ(i), p.at(first + i).x)
                }
            }
            switch family {
            case .bubbles:
                let half = p.data("half")
                let root = sqrt(half)
                let legendre = ξ.map { Self.legendre(upTo: bubbles + 1, at: $0) }
                return stride(from: 1, through: bubbles, by: 1).map { k in
                    let norm = (0.5 * Double(2 * k + 1)).squareRoot()
                    let integral = integral(from: 0, half: half) { i in
                        let bubble = (legendre[i][k + 1] - legendre[i][k - 1]) / (2 * norm)
                        return TestFunction(value: bubble * root, slope: norm * legendre[i][k] / root)
                    }
                    return Residual("bubble \(k)", integral)
                }
            case .hats:
                let (left, right) = (p.data("left"), p.data("right"))
                let height = 1 / sqrt(0.5 / left + 0.5 / right)
                let rising = integral(from: 0, half: left) { i in
                    TestFunction(value: 0.5 * (1 + ξ[i]) * height, slope: 0.5 * height / left)
                }
                let falling = integral(from: q, half: right) { i in
                    TestFunction(value: 0.5 * (1 - ξ[i]) * height, slope: -0.5 * height / right)
                }
                return [Residual("hat", rising + falling)]
            }
        }.compiled
    }

    /// The term of a family's residuals at some of its places: the nodes of their elements, and the elements' half lengths.
    func term(_ family: Family, _ residuals: CompiledResidual, places: [Int], scale: Double) -> ProgramTerm {
        let q = rule.nodesPerElement
        func nodes(from shift: Int) -> [[Double]] { (0..<q).map { i in places.map { rule.nodes[($0 + shift) * q + i] } } }
        func halves(from shift: Int) -> [Double] {
            places.map { 0.5 * (rule.mesh[$0 + shift + 1] - rule.mesh[$0 + shift]) }
        }
        switch family {
        case .bubbles:
            return ProgramTerm(name: family.rawValue, function: residuals, points: nodes(from: 0), data: [halves(from: 0)], scale: scale)
        case .hats:
            return ProgramTerm(
                name: family.rawValue, function: residuals, points: nodes(from: 0) + nodes(from: 1),
                data: [halves(from: 0), halves(from: 1)],
                scale: scale)
        }
    }

    /// P₀ … Pₙ at x, by the recurrence k Pₖ = (2k − 1) x P_{k−1} − (k − 1) P_{k−2}.
    private static func legendre(upTo n: Int, at x: Double) -> [Double] {
        var values = [1, x]
        for k in stride(from: 2, through: n, by: 1) {
            values.append((Double(2 * k - 1) * x * values[k - 1] - Double(k - 1) * values[k - 2]) / Double(k))
        }
        return values
    }
}
