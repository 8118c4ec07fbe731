import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Terms that are integrals Σ wᵢ·e(zᵢ; xᵢ), beside sums of squares and alone.
    @Suite struct EnergyTests {
        static let network = DenseNetwork(inputs: 2, hidden: [11, 7], outputs: 1, activation: .tanh)

        /// Burgers' residual r, or ½r² as the density of an energy.
        static func burgers(squared: Bool) throws -> CompiledResidual {
            try Trace.run(axes: Axes(["t", "x"], time: "t"), fields: 1) { u, p in
                let u = u[0]
                let r = u.t + u * u.x - 0.1 * u.xx
                return [Residual("burgers", squared ? 0.5 * r * r : r)]
            }.compiled
        }

        /// ½|∇u|² + u³/3 + x·u: of no definite sign, and of two values a point with the second linear in the network.
        static func reaction() throws -> CompiledResidual {
            try Trace.run(axes: Axes(["t", "x"]), fields: 1) { u, p in
                let u = u[0]
                return [
                    Residual("gradient", 0.5 * (u.t * u.t + u.x * u.x) + u * u * u / 3),
                    Residual("load", p.x * u),
                ]
            }.compiled
        }

        /// 150 points with positive and negative weights, and a sum of squares at others.
        static func mixed() throws -> (Program, Vector) {
            var rng = Seeded(31)
            let terms = [
                ProgramTerm(
                    name: "energy", integrand: try reaction(), points: rng.columns(2, of: 150), weights: rng.columns(1, of: 150)[0],
                    scale: 0.7),
                ProgramTerm(name: "squares", function: try burgers(squared: false), points: rng.columns(2, of: 90), scale: 0.2),
            ]
            return (Program(network: network, terms: terms), parameters(of: network, using: &rng))
        }

        /// ½‖s·r‖² as an integral of ½r² with weights s², against the sum of squares itself: value, gradient and H·v.
        @Test func halfSquaresAsAnIntegral() throws {
            var rng = Seeded(30)
            let points = rng.columns(2, of: 203)
            let s = 0.31
            let squares = Program(
                network: Self.network,
                terms: [ProgramTerm(name: "r", function: try Self.burgers(squared: false), points: points, scale: s)])
            let integral = Program(
                network: Self.network,
                terms: [
                    ProgramTerm(
                        name: "e", integrand: try Self.burgers(squared: true), points: points,
                        weights: Array(repeating: s * s, count: 203))
                ])
            #expect(squares.isLeastSquares && !integral.isLeastSquares)
            #expect(integral.residualCount == 0)
            let θ = parameters(of: Self.network, using: &rng)
            let v = rng.vector(θ.count)
            let (a, b) = (squares.lossAndGradient(at: θ), integral.lossAndGradient(at: θ))
            // Both add up 203 terms of one sign, or J's rows: rounding is a few hundred units at most.
            let ε = 512 * Double.ulpOfOne
            #expect(abs(a.loss - b.loss) <= ε * a.loss)
            #expect(abs(integral.loss(at: θ) - b.loss) <= ε * a.loss)
            #expect((a.gradient - b.gradient).norm <= ε * squares.jacobian(at: θ).jacobian().frobenius * (2 * a.loss).squareRoot())
            let (hv, gv) = (squares.hessian(at: θ).times(v), integral.hessian(at: θ).times(v))
            #expect((hv - gv).norm <= 1e-12 * hv.norm)
        }

        /// An integral is what its density's values say, weighted and added one by one.
        @Test func anIntegralAddsUpItsDensity() throws {
            let (program, θ) = try Self.mixed()
            let term = program.terms[0]
            let densities = program.residuals(ofTerm: 0, at: term.points, parameters: θ)
            let weights = try #require(term.weights)
            let products = densities.flatMap { density in zip(weights, density).map { $0 * $1 * 0.49 } }
            let (sum, size) = (products.reduce(0, +), products.reduce(0) { $0 + abs($1) })
            #expect(abs(program.losses(at: θ)[0] - sum) <= 400 * .ulpOfOne * size)
        }

        /// Remainders vanish with slope 2 for the gradient and for H·v, 3 for the quadratic form; H is symmetric.
        @Test func taylorSlopes() throws {
            let (program, θ) = try Self.mixed()
            var rng = Seeded(32)
            let v = DerivativeTests.normalised(rng.vector(program.parameterCount))
            let u = DerivativeTests.normalised(rng.vector(program.parameterCount))
            let here = program.lossAndGradient(at: θ)
            let noise = 0x1p-50 * here.terms.reduce(0) { $0 + abs($1) }
            let first = DerivativeTests.slope(noise: noise) { h in
                abs(program.loss(at: θ.adding(v, scaledBy: h)) - here.loss - h * here.gradient.dot(v))
            }
            #expect(first.steps >= 3 && abs(first.slope - 2) < 0.25, "gradient: \(first)")
            let hessian = program.hessian(at: θ)
            let (hv, hu) = (hessian.times(v), hessian.times(u))
            let second = DerivativeTests.slope(noise: noise) { h in
                let quadratic = h * here.gradient.dot(v) + 0.5 * h * h * hv.dot(v)
                return abs(program.loss(at: θ.adding(v, scaledBy: h)) - here.loss - quadratic)
            }
            #expect(second.steps >= 3 && second.slope > 2.6 && second.slope < 4.4, "quadratic form: \(second)")
            let third = DerivativeTests.slope(noise: 0x1p-50 * here.gradient.norm) { h in
                (program.lossAndGradient(at: θ.adding(v, scaledBy: h)).gradient - here.gradient - h * hv).norm
            }
            #expect(third.steps >= 3 && abs(third.slope - 2) < 0.25, "H·v: \(third)")
            #expect(abs(hv.dot(u) - v.dot(hu)) <= 1e-12 * (hv.norm + hu.norm))
        }

        @Test func threadsDoNotChangeBits() throws {
            let before = ThreadPool.threadCount
            defer { ThreadPool.threadCount = before }
            let (program, θ) = try Self.mixed()
            var rng = Seeded(33)
            let v = rng.vector(program.parameterCount)
            func everything(_ threads: Int) -> [[Double]] {
                ThreadPool.threadCount = threads
                let value = program.lossAndGradient(at: θ)
                return [value.terms, value.gradient.elements, program.losses(at: θ), program.hessian(at: θ).times(v).elements]
            }
            let one = everything(1)
            for threads in [2, 5] { #expect(everything(threads) == one, "\(threads) threads") }
        }

        @Test func weightsAreReplacedWithThePoints() throws {
            let (program, θ) = try Self.mixed()
            let term = program.terms[0]
            let first = term.points.map { Array($0[..<40]) }
            let weights = try #require(term.weights).prefix(40).map { 2 * $0 }
            let replaced = program.replacing(term: 0, points: first, weights: weights)
            let expected = Program(
                network: Self.network,
                terms: [
                    ProgramTerm(name: "energy", integrand: term.function, points: first, weights: weights, scale: 0.7), program.terms[1],
                ])
            #expect(replaced.losses(at: θ) == expected.losses(at: θ))
            #expect(replaced.losses(at: θ)[0] != program.losses(at: θ)[0])
        }

        @Test func aNonFiniteDensityIsLocated() throws {
            let (program, θ) = try Self.mixed()
            var points = program.terms[0].points
            points[1][77] = .nan
            let faulty = program.replacing(term: 0, points: points, weights: program.terms[0].weights)
            let found = try #require(faulty.locateNonFinite(θ))
            #expect(found.name == "energy" && found.point == 77)
        }

        /// An integral has no residuals: asking for them, or for J, ends the process with a reason.
        @Test func residualsOfAnIntegralAreRefused() async {
            await #expect(processExitsWith: .failure) {
                let (program, θ) = try EnergyTests.mixed()
                _ = program.jacobian(at: θ)
            }
            await #expect(processExitsWith: .failure) {
                let (program, θ) = try EnergyTests.mixed()
                _ = program.residuals(at: θ)
            }
            await #expect(processExitsWith: .success) {
                let (program, θ) = try EnergyTests.mixed()
                _ = program.hessian(at: θ).times(θ)
            }
        }
    }
}

extension Matrix {
    /// √Σ aᵢⱼ².
    fileprivate var frobenius: Double { Vector(elements).norm }
}
