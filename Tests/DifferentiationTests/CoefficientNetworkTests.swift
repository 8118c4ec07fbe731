import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// An inverse problem with a network for the coefficient: −∇·(k∇u) = f with u(x, y) and k(y) from two networks side by side.
    @Suite struct CoefficientNetworkTests {
        /// ∂ₓ(k uₓ) + ∂ᵧ(k uᵧ) + f, and u − d where it was measured.
        static func traced() throws -> [CompiledResidual] {
            let axes = Axes(["x", "y"])
            return [
                try Trace.run(axes: axes, fields: 2, data: ["f"]) { u, p in
                    [Residual("diffusion", (u[1] * u[0].x).x + (u[1] * u[0].y).y + p.data("f"))]
                }.compiled,
                try Trace.run(axes: axes, fields: 2, data: ["d"]) { u, p in [Residual("data", u[0] - p.data("d"))] }.compiled,
            ]
        }

        /// The same monomial by monomial: k uₓₓ + k uᵧᵧ + kₓ uₓ + kᵧ uᵧ + f.
        static func written(_ activation: Activation, seed: Int, points: Int, width: Int) -> (WrittenProgram, Vector) {
            var rng = Seeded(seed)
            let network = WrittenNetwork(.coefficient, dimension: 2, width: width, depth: 2, fields: 2, activation: activation, using: &rng)
            func channel(_ field: Int, _ orders: [UInt8]) -> Channel { Channel(field: field, derivative: MultiIndex(orders)) }
            let diffusion = PolynomialResidual(
                channels: [[1, 0], [0, 1], [2, 0], [0, 2]].map { channel(0, $0) } + [[0, 0], [1, 0], [0, 1]].map { channel(1, $0) },
                dimension: 2, residualCount: 1, dataCount: 1,
                monomials: [[4, 2], [4, 3], [5, 0], [6, 1]].map { .init(residual: 0, coefficient: 1, factors: $0) }
                    + [.init(residual: 0, coefficient: 1, coordinate: nil, data: 0, factors: [])])
            let measured = PolynomialResidual(
                channels: [channel(0, [0, 0])], dimension: 2, residualCount: 1, dataCount: 1,
                monomials: [
                    .init(residual: 0, coefficient: 1, factors: [0]),
                    .init(residual: 0, coefficient: -1, coordinate: nil, data: 0, factors: []),
                ])
            let terms = [diffusion, measured].map {
                WrittenProgram.Term(residual: $0, points: rng.columns(2, of: points), data: rng.columns(1, of: points), scale: 0.5)
            }
            return (WrittenProgram(network: network, terms: terms), network.parameters(using: &rng))
        }

        /// Every product by dual numbers, to the rounding of its terms.
        @Test(arguments: Activation.allCases)
        func productsByDualNumbers(_ activation: Activation) throws {
            let (written, θ) = Self.written(activation, seed: 80_000, points: 4, width: 3)
            let functions = try Self.traced()
            var rng = Seeded(80_001)
            let expected = Expectation(written, at: θ)
            for options in [ProgramOptions(), ProgramOptions(usesGenericRule: true)] {
                let program = written.program(options, functions: functions)
                let (v, w) = (rng.vector(program.parameterCount), rng.vector(program.residualCount))
                let rows = Array(stride(from: 0, to: program.parameterCount, by: 3))
                let (jacobian, hv) = (program.jacobian(at: θ), program.hessian(at: θ).times(v))
                expectRounded(program.residuals(at: θ), expected.r, "r")
                expectRounded(program.lossAndGradient(at: θ).gradient, expected.gradient, "∇L")
                expectRounded(jacobian.times(v), expected.times(v), "J·v")
                expectRounded(jacobian.transposedTimes(w), expected.transposedTimes(w), "Jᵀ·w")
                expectRounded(jacobian.normalTimes(v), expected.normalTimes(v), "JᵀJ·v")
                expectRounded(jacobian.normalMatrix().elements, expected.normalMatrix, "JᵀJ")
                for form in GramForm.allCases {
                    expectRounded(jacobian.outerMatrix(form: form).elements, expected.outerMatrix, "JJᵀ, \(form)")
                }
                expectRounded(rows.map { hv[$0] }, expected.hessianTimes(v, rows: rows), "H·v")
            }
        }

        /// Remainders vanish with slope 2 along directions in either network and in both; H couples the two.
        @Test(arguments: Activation.allCases)
        func slopes(_ activation: Activation) throws {
            let (written, θ) = Self.written(activation, seed: 81_000, points: 60, width: 6)
            let program = written.program(functions: try Self.traced())
            guard let split = written.network.network.blocks.first(where: { $0.name == "k0.weights" })?.offset else {
                Issue.record("no coefficient network")
                return
            }
            var rng = Seeded(81_001)
            let here = program.lossAndGradient(at: θ)
            let hessian = program.hessian(at: θ)
            for part in [0..<split, split..<θ.count, 0..<θ.count] {
                let v = DerivativeTests.normalised(Vector(θ.indices.map { part.contains($0) ? rng.uniform() : 0 }))
                let hv = hessian.times(v)
                let gradient = DerivativeTests.slope(noise: 0x1p-50 * here.loss) { h in
                    abs(program.loss(at: θ.adding(v, scaledBy: h)) - here.loss - h * here.gradient.dot(v))
                }
                #expect(gradient.steps >= 3 && gradient.slope > 1.75 && gradient.slope < 3.25, "gradient in \(part): \(gradient)")
                let curvature = DerivativeTests.slope(noise: 0x1p-50 * here.gradient.norm) { h in
                    (program.lossAndGradient(at: θ.adding(v, scaledBy: h)).gradient - here.gradient - h * hv).norm
                }
                #expect(curvature.steps >= 3 && abs(curvature.slope - 2) < 0.25, "H·v in \(part): \(curvature)")
                #expect(Vector(hv.elements[..<split]).norm > 1e-3 * hv.norm && Vector(hv.elements[split...]).norm > 1e-3 * hv.norm)
            }
        }
    }
}
