import Differentiation

/// x + σ(W₂ᵀσ(W₁ᵀx + b₁) + b₂): a residual block of two dense layers of the input's width.
public struct ResidualBlock: NetworkLayer {
    public var activation: ActivationFunction

    public init(activation: ActivationFunction = .standard(.tanh)) { self.activation = activation }

    public func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
        let inner = network.dense(x, outputs: x.count, activation: activation, name: "\(name).inner")
        let outer = network.dense(inner, outputs: x.count, activation: activation, name: "\(name).outer")
        return network.sum(x, outer)
    }
}

/// σ(n·a∘(Wᵀx + b)) with trained slopes a, one for each unit or one for the layer, that start at a = 1/n.
///
/// A. D. Jagtap, K. Kawaguchi, G. E. Karniadakis, J. Comput. Phys. 404 (2020) 109136, doi:10.1016/j.jcp.2019.109136 (one slope for all
/// layers), and Proc. R. Soc. A 476 (2020) 20200334, doi:10.1098/rspa.2020.0334 (a slope for each layer or unit, as here).
public struct AdaptiveDense: NetworkLayer {
    public var outputs: Int
    public var activation: ActivationFunction
    public var isShared: Bool
    /// n
    public var scale: Double

    public init(outputs: Int, activation: ActivationFunction = .standard(.tanh), isShared: Bool = false, scale: Double = 1) {
        (self.outputs, self.activation, self.isShared, self.scale) = (outputs, activation, isShared, scale)
    }

    public func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
        let affine = network.dense(x, outputs: outputs, name: name)
        return network.activation(
            activation, of: network.scaled(affine, by: .linear(scale), isShared: isShared, name: "\(name).slope"))
    }
}

/// σ(eˢ∘(Vᵀx) + b): a dense layer whose weights W = V·diag(eˢ) are factorised, each unit with a scale of its own.
///
/// S. Wang, H. Wang, J. H. Seidman, P. Perdikaris, arXiv:2210.01274: s is drawn from N(μ, σ²) with μ = 1 and σ = 0.1, and V such that W is
/// distributed as without factors. s is what is trained, as in the paper; the authors' jaxpi trains eˢ itself.
public struct FactorisedDense: NetworkLayer {
    public var outputs: Int
    /// Nil for a layer without activation.
    public var activation: ActivationFunction?

    public init(outputs: Int, activation: ActivationFunction? = .standard(.tanh)) {
        (self.outputs, self.activation) = (outputs, activation)
    }

    public func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
        let directions = network.dense(x, outputs: outputs, hasBias: false, name: name)
        let affine = network.scaled(directions, by: .exponential, hasShift: true, name: "\(name).factor")
        return activation.map { network.activation($0, of: affine) } ?? affine
    }
}

/// (cos Bx, sin Bx) with frequencies B that are not trained: m rows of d entries.
///
/// M. Tancik et al., NeurIPS 2020, arXiv:2006.10739; for PDEs S. Wang, H. Wang, P. Perdikaris, CMAME 384 (2021) 113938,
/// doi:10.1016/j.cma.2021.113938. Entries of B are drawn from N(0, scale²); the factor 2π of the first paper is left out, as in jaxpi, which
/// trains B.
public struct FourierFeatures: NetworkLayer {
    /// B by rows.
    public let frequencies: [[Double]]

    public init(frequencies: [[Double]]) { self.frequencies = frequencies }

    public func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
        precondition(frequencies.allSatisfy { $0.count == x.count }, "frequencies of another length than the \(x.count) features")
        let m = frequencies.count
        // cos t = sin(t + π/2).
        let weights = (0..<x.count).flatMap { i in (0..<(2 * m)).map { frequencies[$0 % m][i] } }
        let phases = network.fixed(x, weights: weights, offsets: (0..<(2 * m)).map { $0 < m ? .pi / 2 : 0 })
        return network.activation(.standard(.sin), of: phases)
    }
}

/// (cos ωxᵢ, sin ωxᵢ) in place of every coordinate i with a period, ω = 2π/period; the others as they are. What is built on them is periodic,
/// with all its derivatives.
///
/// S. Dong, N. Ni, J. Comput. Phys. 435 (2021) 110242, doi:10.1016/j.jcp.2021.110242; one harmonic.
public struct PeriodicEmbedding: NetworkLayer {
    /// A period for each coordinate, nil where it has none.
    public let periods: [Double?]

    public init(periods: [Double?]) { self.periods = periods }

    public func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
        precondition(periods.count == x.count, "\(periods.count) periods for \(x.count) features")
        precondition(periods.allSatisfy { $0.map { $0 > 0 } ?? true }, "a period must be positive")
        // The waves first, then the coordinates that stay.
        var columns: [(axis: Int, factor: Double, offset: Double)] = []
        for (i, period) in periods.enumerated() {
            if let period { columns += [(i, 2 * .pi / period, .pi / 2), (i, 2 * .pi / period, 0)] }
        }
        let waves = columns.count
        for (i, period) in periods.enumerated() where period == nil { columns.append((i, 1, 0)) }
        let weights = (0..<x.count).flatMap { i in columns.map { $0.axis == i ? $0.factor : 0 } }
        let embedded = network.fixed(x, weights: weights, offsets: columns.map(\.offset))
        return waves == 0 ? embedded : network.activation(.standard(.sin), of: embedded, range: 0..<waves)
    }
}

/// The gated network: two encoders U, V of the input, and in every layer H ← (1 − Z)∘U + Z∘V with Z = σ(WᵀH + b).
///
/// The “modified MLP” of S. Wang, Y. Teng, P. Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055, doi:10.1137/20M1318043. The first Z reads the
/// input itself, as in the authors' jaxpi, where U and V have each other's places: the same networks.
public struct GatedLayers: NetworkLayer {
    public var width: Int
    public var depth: Int
    public var activation: ActivationFunction

    public init(width: Int, depth: Int, activation: ActivationFunction = .standard(.tanh)) {
        (self.width, self.depth, self.activation) = (width, depth, activation)
    }

    public func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
        let u = network.dense(x, outputs: width, activation: activation, name: "\(name).encoder1")
        let v = network.dense(x, outputs: width, activation: activation, name: "\(name).encoder2")
        let difference = network.sum(v, u, α: 1, β: -1)
        var h = x
        for layer in 1...max(depth, 1) {
            let z = network.dense(h, outputs: width, activation: activation, name: "\(name).layer\(layer)")
            // (1 − Z)∘U + Z∘V = U + Z∘(V − U)
            h = network.sum(u, network.product(z, difference))
        }
        return h
    }
}
