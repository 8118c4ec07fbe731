import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Equations with third and fourth derivatives, as a user writes them, on random networks.
    @Suite struct HighOrderEquationTests {
        enum Equation: String, CaseIterable, Sendable {
            /// uₜ + 6uuₓ + uₓₓₓ
            case kortewegDeVries
            /// uₜ + uuₓ + uₓₓ + uₓₓₓₓ
            case kuramotoSivashinsky
            /// uₓₓₓₓ + 2uₓₓᵧᵧ + uᵧᵧᵧᵧ
            case biharmonic

            func traced() throws -> CompiledResidual {
                switch self {
                case .kortewegDeVries:
                    try Trace.run(axes: Axes(["t", "x"], time: "t"), fields: 1) { u, _ in
                        [Residual("KdV", u[0].t + 6 * u[0] * u[0].x + u[0].xxx)]
                    }.compiled
                case .kuramotoSivashinsky:
                    try Trace.run(axes: Axes(["t", "x"], time: "t"), fields: 1) { u, _ in
                        [Residual("KS", u[0].t + u[0] * u[0].x + u[0].xx + u[0].xxxx)]
                    }.compiled
                case .biharmonic:
                    try Trace.run(axes: Axes(["x", "y"]), fields: 1) { u, _ in [Residual("biharmonic", u[0].laplacian.laplacian)] }.compiled
                }
            }

            /// The same monomial by monomial, in channels from the lowest.
            var written: PolynomialResidual {
                let (orders, monomials): ([[UInt8]], [(Double, [Int])]) =
                    switch self {
                    case .kortewegDeVries: ([[0, 0], [1, 0], [0, 1], [0, 3]], [(1, [1]), (6, [0, 2]), (1, [3])])
                    case .kuramotoSivashinsky:
                        ([[0, 0], [1, 0], [0, 1], [0, 2], [0, 4]], [(1, [1]), (1, [0, 2]), (1, [3]), (1, [4])])
                    case .biharmonic: ([[4, 0], [2, 2], [0, 4]], [(1, [0]), (2, [1]), (1, [2])])
                    }
                return PolynomialResidual(
                    channels: orders.map { Channel(field: 0, derivative: MultiIndex($0)) }, dimension: 2, residualCount: 1, dataCount: 0,
                    monomials: monomials.map { .init(residual: 0, coefficient: $0.0, factors: $0.1) })
            }
        }

        static func make(_ equation: Equation, _ c: WrittenCase, points: Int) throws -> (WrittenProgram, Program, Vector) {
            var rng = Seeded(c.seed)
            let network = WrittenNetwork(
                c.structure, dimension: 2, width: 3, depth: 2, fields: 1, activation: c.activation, using: &rng)
            let term = WrittenProgram.Term(residual: equation.written, points: rng.columns(2, of: points), scale: 0.4)
            let written = WrittenProgram(network: network, terms: [term])
            return (written, written.program(functions: [try equation.traced()]), network.parameters(using: &rng))
        }

        static let cases = WrittenCase.all(seed: 60_000).filter { $0.seed % 2 == 0 }

        /// Residuals, J·v, Jᵀ·w, gradient and H·v by nested dual numbers, to the rounding of their terms.
        @Test(arguments: Equation.allCases, cases)
        func productsByDualNumbers(_ equation: Equation, _ c: WrittenCase) throws {
            let (written, program, θ) = try Self.make(equation, c, points: 3)
            #expect(program.terms[0].function.channels == equation.written.channels)
            var rng = Seeded(c.seed + 1)
            let (v, w) = (rng.vector(program.parameterCount), rng.vector(program.residualCount))
            let rows = (0..<5).map { _ in Int.random(in: 0..<program.parameterCount, using: &rng) }
            let expected = Expectation(written, at: θ)
            let (jacobian, hv) = (program.jacobian(at: θ), program.hessian(at: θ).times(v))
            expectRounded(program.residuals(at: θ), expected.r, "r")
            expectRounded(program.lossAndGradient(at: θ).gradient, expected.gradient, "∇L")
            expectRounded(jacobian.jacobian().elements, expected.j.joined(), "J")
            expectRounded(jacobian.times(v), expected.times(v), "J·v")
            expectRounded(jacobian.transposedTimes(w), expected.transposedTimes(w), "Jᵀ·w")
            expectRounded(rows.map { hv[$0] }, expected.hessianTimes(v, rows: rows), "H·v")
        }

        /// Remainders vanish with slope 2 for the gradient, J·v and H·v.
        @Test(arguments: Equation.allCases, Activation.allCases)
        func slopes(_ equation: Equation, _ activation: Activation) throws {
            let c = WrittenCase(seed: 61_000, structure: .dense, activation: activation)
            let (_, program, θ) = try Self.make(equation, c, points: 40)
            var rng = Seeded(61_001)
            let v = DerivativeTests.normalised(rng.vector(program.parameterCount))
            let (here, r) = (program.lossAndGradient(at: θ), program.residuals(at: θ))
            let gradient = DerivativeTests.slope(noise: 0x1p-50 * here.loss) { h in
                abs(program.loss(at: θ.adding(v, scaledBy: h)) - here.loss - h * here.gradient.dot(v))
            }
            #expect(gradient.steps >= 3 && gradient.slope > 1.75 && gradient.slope < 3.25, "gradient: \(gradient)")
            let jv = program.jacobian(at: θ).times(v)
            let tangent = DerivativeTests.slope(noise: 0x1p-50 * r.norm) { h in
                (program.residuals(at: θ.adding(v, scaledBy: h)) - r - h * jv).norm
            }
            #expect(tangent.steps >= 3 && abs(tangent.slope - 2) < 0.25, "J·v: \(tangent)")
            let hv = program.hessian(at: θ).times(v)
            let curvature = DerivativeTests.slope(noise: 0x1p-50 * here.gradient.norm) { h in
                (program.lossAndGradient(at: θ.adding(v, scaledBy: h)).gradient - here.gradient - h * hv).norm
            }
            #expect(curvature.steps >= 3 && abs(curvature.slope - 2) < 0.25, "H·v: \(curvature)")
        }
    }
}
