import Differentiation
import LinearAlgebra

/// A network as the engine has it and as a formula in any numbers.
struct WrittenNetwork: Sendable {
    enum Structure: String, CaseIterable, Sendable {
        case dense
        case gated
        case residual
        /// Weights V·diag(eˢ).
        case factorised
        /// Trained slopes, one for a layer.
        case sloped
        /// Waves of fixed frequencies before the first layer.
        case fourier
        /// Two networks side by side: u of all coordinates, and a coefficient k of the last one.
        case coefficient
    }

    let structure: Structure
    let dimension: Int
    let width: Int
    let depth: Int
    let fields: Int
    let activation: Activation
    /// x̂ = ax + c before a dense network; rows of frequencies before a Fourier one.
    private let factors: [Double]
    private let offsets: [Double]
    let network: Network

    init(
        _ structure: Structure, dimension: Int, width: Int, depth: Int, fields: Int, activation: Activation, using rng: inout Seeded
    ) {
        let fields = structure == .coefficient ? 2 : fields
        (self.structure, self.dimension, self.width) = (structure, dimension, width)
        (self.depth, self.fields, self.activation) = (depth, fields, activation)
        let factors = rng.vector(structure == .fourier ? 2 * dimension : dimension).map { 1 + 0.5 * $0 }
        let offsets = rng.vector(dimension).elements
        (self.factors, self.offsets) = (factors, offsets)
        let σ = ActivationFunction.standard(activation)
        var builder = NetworkBuilder(coordinates: dimension)
        func dense(_ x: Features, _ outputs: Int, _ name: String, σ: ActivationFunction? = nil) -> Features {
            builder.dense(x, outputs: outputs, activation: σ, name: name)
        }
        if structure == .dense {
            network = Network(
                DenseNetwork(
                    inputs: dimension, hidden: Array(repeating: width, count: depth), outputs: fields, activation: activation,
                    inputFactors: factors, inputOffsets: offsets))
            return
        }
        let x = builder.coordinates
        var h = x
        switch structure {
        case .dense: break
        case .gated:
            let (u, v) = (dense(x, width, "encoder1", σ: σ), dense(x, width, "encoder2", σ: σ))
            let difference = builder.sum(v, u, α: 1, β: -1)
            for layer in 0..<depth { h = builder.sum(u, builder.product(dense(h, width, "layer\(layer)", σ: σ), difference)) }
        case .residual:
            h = dense(x, width, "first", σ: σ)
            for layer in 0..<depth {
                h = builder.sum(h, dense(dense(h, width, "inner\(layer)", σ: σ), width, "outer\(layer)", σ: σ))
            }
        case .factorised:
            for layer in 0..<depth {
                let directions = builder.dense(h, outputs: width, hasBias: false, name: "layer\(layer)")
                h = builder.activation(σ, of: builder.scaled(directions, by: .exponential, hasShift: true, name: "factor\(layer)"))
            }
        case .sloped:
            for layer in 0..<depth {
                h = builder.activation(
                    σ, of: builder.scaled(dense(h, width, "layer\(layer)"), by: .linear(2), isShared: true, name: "slope\(layer)"))
            }
        case .fourier:
            let phases = builder.fixed(
                x, weights: (0..<dimension).flatMap { i in (0..<4).map { factors[2 * i + $0 % 2] } },
                offsets: [.pi / 2, .pi / 2, 0, 0])
            h = builder.activation(.standard(.sin), of: phases)
            for layer in 0..<depth { h = dense(h, width, "layer\(layer)", σ: σ) }
        case .coefficient:
            for layer in 0..<depth { h = dense(h, width, "u\(layer)", σ: σ) }
            let u = dense(h, 1, "u")
            let k = dense(dense(builder.selected((dimension - 1)..<dimension, of: x), width, "k0", σ: σ), 1, "k")
            network = builder.network(output: builder.concatenated([u, k]))
            return
        }
        network = builder.network(output: dense(h, fields, "output"))
    }

    /// The fields at x. `probe` sees the dense maps as they are met.
    func values<S: Number>(at x: [S], _ θ: [S], _ probe: inout Probe<S>) -> [S] {
        func σ(_ z: [S]) -> [S] { z.map { activation.applied(to: $0) } }
        var h = x
        switch structure {
        case .dense:
            h = x.indices.map { S(factors[$0]) * x[$0] + S(offsets[$0]) }
            for _ in 0..<depth { h = σ(probe.dense(h, width, θ)) }
        case .gated:
            let u = σ(probe.dense(x, width, θ))
            let v = σ(probe.dense(x, width, θ))
            for _ in 0..<depth {
                let z = σ(probe.dense(h, width, θ))
                h = z.indices.map { (S(1) - z[$0]) * u[$0] + z[$0] * v[$0] }
            }
        case .residual:
            h = σ(probe.dense(x, width, θ))
            for _ in 0..<depth {
                let inner = σ(probe.dense(h, width, θ))
                h = zip(h, σ(probe.dense(inner, width, θ))).map { $0 + $1 }
            }
        case .factorised:
            for _ in 0..<depth {
                let directions = probe.dense(h, width, hasBias: false, θ)
                let (s, b) = (probe.next(width, θ), probe.next(width, θ))
                h = σ(directions.indices.map { s[$0].exponential * directions[$0] + b[$0] })
            }
        case .sloped:
            for _ in 0..<depth {
                let affine = probe.dense(h, width, θ)
                let slope = probe.next(1, θ)[0]
                h = σ(affine.map { S(2) * slope * $0 })
            }
        case .fourier:
            let phases = (0..<2).map { row in x.indices.reduce(S(0)) { $0 + S(factors[2 * $1 + row]) * x[$1] } }
            h = phases.map { ($0 + S(.pi / 2)).sine } + phases.map(\.sine)
            for _ in 0..<depth { h = σ(probe.dense(h, width, θ)) }
        case .coefficient:
            for _ in 0..<depth { h = σ(probe.dense(h, width, θ)) }
            let u = probe.dense(h, 1, θ)
            return u + probe.dense(σ(probe.dense([x[dimension - 1]], width, θ)), 1, θ)
        }
        return probe.dense(h, fields, θ)
    }

    /// Glorot-uniform weights; everything else uniform in ±½.
    func parameters(using rng: inout Seeded) -> Vector {
        Vector(
            network.blocks.flatMap { block in
                let bound = block.shape.count == 2 ? (6 / Double(block.shape[0] + block.shape[1])).squareRoot() : 0.5
                return (0..<block.count).map { _ in rng.uniform(-bound...bound) }
            })
    }
}

/// Where in θ a formula has come to, the dense maps that it has met, and what is added to one of them.
struct Probe<S: Number> {
    struct DenseMap {
        var offset: Int
        var outputs: Int
        var hasBias: Bool
        var input: [S]
    }

    private var offset = 0
    private(set) var maps: [DenseMap] = []
    /// A number to add to a unit of the map whose weights begin at `offset`.
    var bump: (offset: Int, unit: Int, amount: S)?

    /// The next `count` parameters.
    mutating func next(_ count: Int, _ θ: [S]) -> [S] {
        defer { offset += count }
        return Array(θ[offset..<(offset + count)])
    }

    /// Wᵀx + b with the next weights and biases.
    mutating func dense(_ x: [S], _ outputs: Int, hasBias: Bool = true, _ θ: [S]) -> [S] {
        let start = offset
        maps.append(DenseMap(offset: start, outputs: outputs, hasBias: hasBias, input: x))
        offset += (x.count + (hasBias ? 1 : 0)) * outputs
        return (0..<outputs).map { j in
            var z = hasBias ? θ[start + x.count * outputs + j] : S(0)
            for i in x.indices { z = z + x[i] * θ[start + i * outputs + j] }
            if let bump, bump.offset == start, bump.unit == j { z = z + bump.amount }
            return z
        }
    }
}
