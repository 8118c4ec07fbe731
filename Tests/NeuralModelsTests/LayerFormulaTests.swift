import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Values of the layers against the formulas of their papers, written out in loops over named blocks of θ.
@Suite struct LayerFormulaTests {
    /// A model's blocks at random numbers, all of them, so that none drops out of a formula.
    private struct Blocks {
        let model: LayeredNetwork
        let θ: Vector

        init(_ model: LayeredNetwork, seed: UInt64) {
            self.model = model
            var random = RandomStream(seed: seed, name: "blocks")
            θ = Vector((0..<model.network.parameterCount).map { _ in 0.6 * random.normal() })
        }

        func values(_ name: String) -> [Double] {
            guard let block = model.network.blocks.first(where: { $0.name == name }) else {
                Issue.record("no block \(name) among \(model.network.blocks.map(\.name))")
                return []
            }
            return Array(θ.elements[block.offset..<(block.offset + block.count)])
        }

        /// Wᵀx, with W ∈ ℝⁱⁿˣᵒᵘᵗ by rows.
        func linear(_ name: String, _ x: [Double]) -> [Double] {
            let w = values("\(name).weights")
            let outputs = w.count / x.count
            return (0..<outputs).map { j in x.indices.reduce(0) { $0 + w[$1 * outputs + j] * x[$1] } }
        }

        /// Wᵀx + b
        func affine(_ name: String, _ x: [Double]) -> [Double] { zip(linear(name, x), values("\(name).biases")).map { $0 + $1 } }

        /// |u − formula| ≤ 1e−14·(1 + |u|) at points inside and outside of the unit square.
        func expect(_ formula: (_ x: [Double]) -> [Double]) {
            let points = [[0.3, -0.7, 1.9, 0], [-0.2, 0.45, -2.3, 0]]
            let values = Program(network: model.network, terms: []).outputs(at: points, parameters: θ)
            for i in points[0].indices {
                let expected = affine("output", formula(points.map { $0[i] }))
                #expect(values.count == expected.count)
                for (k, e) in expected.enumerated() {
                    #expect(abs(values[k][i] - e) <= 1e-14 * (1 + abs(e)), "field \(k) at point \(i): \(values[k][i]), not \(e)")
                }
            }
        }
    }

    private func blocks(seed: UInt64, _ features: (inout NetworkBuilder) -> Features) -> Blocks {
        Blocks(LayeredNetwork(inputs: 2, outputs: 2, features), seed: seed)
    }

    /// S. Wang, Y. Teng, P. Perdikaris, SIAM J. Sci. Comput. 43 (2021) A3055, with the first Z from the input as in the authors' code:
    /// U = σ(W_Uᵀx + b_U), V = σ(W_Vᵀx + b_V), Zᵏ = σ(WₖᵀHᵏ + bₖ), Hᵏ⁺¹ = (1 − Zᵏ)∘U + Zᵏ∘V.
    @Test(arguments: 1...3) func gated(depth: Int) {
        let blocks = blocks(seed: 1) { network in
            GatedLayers(width: 5, depth: depth).applied(to: network.coordinates, in: &network, name: "gated")
        }
        blocks.expect { x in
            let (u, v) = (blocks.affine("gated.encoder1", x).map { tanh($0) }, blocks.affine("gated.encoder2", x).map { tanh($0) })
            var h = x
            for layer in 1...depth {
                let z = blocks.affine("gated.layer\(layer)", h).map { tanh($0) }
                h = z.indices.map { (1 - z[$0]) * u[$0] + z[$0] * v[$0] }
            }
            return h
        }
    }

    /// K. He et al., CVPR 2016, doi:10.1109/CVPR.2016.90, in the form of B. Yu and W. E, Commun. Math. Stat. 6 (2018) 1,
    /// doi:10.1007/s40304-018-0127-z: x + σ(W₂ᵀσ(W₁ᵀx + b₁) + b₂).
    @Test func residual() {
        let blocks = blocks(seed: 2) { network in
            let first = network.dense(network.coordinates, outputs: 4, activation: .standard(.sin), name: "first")
            let block = ResidualBlock(activation: .standard(.sin)).applied(to: first, in: &network, name: "block1")
            return ResidualBlock(activation: .standard(.sin)).applied(to: block, in: &network, name: "block2")
        }
        blocks.expect { x in
            var h = blocks.affine("first", x).map { sin($0) }
            for block in ["block1", "block2"] {
                let inner = blocks.affine("\(block).inner", h).map { sin($0) }
                h = zip(h, blocks.affine("\(block).outer", inner)).map { $0 + sin($1) }
            }
            return h
        }
    }

    /// S. Wang, H. Wang, P. Perdikaris, CMAME 384 (2021) 113938: γ(x) = (cos Bx, sin Bx).
    @Test func fourierFeatures() {
        let frequencies = [[1.7, -0.4], [0.3, 2.9], [-3.1, 0.8]]
        let blocks = blocks(seed: 3) { network in
            FourierFeatures(frequencies: frequencies).applied(to: network.coordinates, in: &network, name: "fourier")
        }
        blocks.expect { x in
            let phases = frequencies.map { row in zip(row, x).reduce(0) { $0 + $1.0 * $1.1 } }
            return phases.map { cos($0) } + phases.map { sin($0) }
        }
    }

    /// S. Dong, N. Ni, J. Comput. Phys. 435 (2021) 110242, one harmonic: (cos ωx, sin ωx) with ω = 2π/period for each coordinate that has
    /// one, and then the coordinates that stay.
    @Test func periodic() {
        func check(_ periods: [Double?], _ formula: @escaping ([Double]) -> [Double]) {
            blocks(seed: 4) { network in
                PeriodicEmbedding(periods: periods).applied(to: network.coordinates, in: &network, name: "embedding")
            }.expect(formula)
        }
        func waves(_ x: Double, _ period: Double) -> [Double] {
            let phase = 2 * Double.pi / period * x
            return [cos(phase), sin(phase)]
        }
        check([nil, 2]) { waves($0[1], 2) + [$0[0]] }
        check([3, nil]) { waves($0[0], 3) + [$0[1]] }
        check([3, 0.5]) { waves($0[0], 3) + waves($0[1], 0.5) }
    }

    /// S. Wang, H. Wang, J. H. Seidman, P. Perdikaris, arXiv:2210.01274: w⁽ᵏ⁾ = exp(s⁽ᵏ⁾)·v⁽ᵏ⁾ for each unit k.
    @Test func factorised() {
        let blocks = blocks(seed: 5) { network in
            let first = FactorisedDense(outputs: 6).applied(to: network.coordinates, in: &network, name: "first")
            return FactorisedDense(outputs: 3, activation: nil).applied(to: first, in: &network, name: "second")
        }
        func factorised(_ name: String, _ x: [Double]) -> [Double] {
            let (v, s, b) = (
                blocks.values("\(name).weights"), blocks.values("\(name).factor.scales"), blocks.values("\(name).factor.shifts")
            )
            return s.indices.map { k in
                let w = x.indices.map { exp(s[k]) * v[$0 * s.count + k] }
                return zip(w, x).reduce(b[k]) { $0 + $1.0 * $1.1 }
            }
        }
        blocks.expect { factorised("second", factorised("first", $0).map { tanh($0) }) }
    }

    /// A. D. Jagtap, K. Kawaguchi, G. E. Karniadakis, J. Comput. Phys. 404 (2020) 109136: σ(n·a(Wᵀx + b)), one slope a or one for each unit.
    @Test(arguments: [true, false]) func adaptive(isShared: Bool) {
        let blocks = blocks(seed: 6) { network in
            AdaptiveDense(outputs: 5, isShared: isShared, scale: 3).applied(to: network.coordinates, in: &network, name: "layer")
        }
        let slopes = blocks.values("layer.slope.scales")
        #expect(slopes.count == (isShared ? 1 : 5))
        blocks.expect { x in
            blocks.affine("layer", x).enumerated().map { j, z in tanh(3 * slopes[isShared ? 0 : j] * z) }
        }
    }
}
