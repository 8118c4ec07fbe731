import LinearAlgebra
import OptimizationCore

/// The density of the eigenvalues of a symmetric A ∈ ℝⁿˣⁿ by stochastic Lanczos quadrature, as nodes and weights:
///
///     φ(λ) = (1/n) Σᵢ δ(λ − λᵢ) ≈ (1/k) Σₗ Σⱼ ωⱼ⁽ˡ⁾ δ(λ − τⱼ⁽ˡ⁾)
///
/// over k probes of independent normal entries, scaled to unit length, each with a ``LanczosQuadrature`` of m nodes. Means Σ ω f(τ) estimate
/// tr f(A)/n with a relative deviation of some √(2/(nk)); eigenvalues of the inside that lie closer than the nodes are not told apart.
/// Cost: k·m products with A. B. Ghorbani, S. Krishnan, Y. Xiao, ICML 2019, arXiv:1901.10159; S. Ubaru, J. Chen, Y. Saad, SIAM J.
/// Matrix Anal. Appl. 38 (2017) 1075, doi:10.1137/16M1104974.
public struct SpectralDensity: Sendable, Hashable {
    /// A node of the quadrature.
    public struct Node: Sendable, Hashable {
        public var eigenvalue: Double
        /// The share of the spectrum that it stands for.
        public var weight: Double
        /// An eigenvalue of A lies within this distance.
        public var bound: Double

        public init(eigenvalue: Double, weight: Double, bound: Double) {
            (self.eigenvalue, self.weight, self.bound) = (eigenvalue, weight, bound)
        }
    }

    /// n.
    public let order: Int
    /// In ascending order; their weights add up to 1.
    public let nodes: [Node]

    /// At least one node.
    public init(order: Int, nodes: [Node]) {
        precondition(!nodes.isEmpty, "a density without nodes")
        (self.order, self.nodes) = (order, nodes.sorted { $0.eigenvalue < $1.eigenvalue })
    }

    /// The least node: an upper bound of the smallest eigenvalue.
    public var smallest: Double { nodes[0].eigenvalue }
    /// The greatest node: a lower bound of the largest eigenvalue.
    public var largest: Double { nodes[nodes.count - 1].eigenvalue }
    /// n Σ ω τ, an estimate of the trace.
    public var trace: Double { Double(order) * nodes.reduce(0) { $0 + $1.weight * $1.eigenvalue } }

    /// Estimates the density of the operator of order n with products `product`.
    public static func estimate(
        order n: Int, probes: Int, steps: Int, random: inout RandomStream, product: (Vector) throws -> Vector
    ) rethrows -> Result<SpectralDensity, FactorizationFailure> {
        precondition(n > 0 && probes > 0, "\(probes) probes of an operator of order \(n)")
        var nodes: [Node] = []
        for _ in 0..<probes {
            switch try LanczosQuadrature.measure(from: random.normalVector(n), steps: steps, product: product) {
            case .success(let rule):
                nodes += rule.nodes.indices.map {
                    Node(eigenvalue: rule.nodes[$0], weight: rule.weights[$0] / Double(probes), bound: rule.bounds[$0])
                }
            case .failure(let failure): return .failure(failure)
            }
        }
        return .success(SpectralDensity(order: n, nodes: nodes))
    }
}
