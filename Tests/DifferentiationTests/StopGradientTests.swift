import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Factors whose gradient is stopped, against the same factors given as data.
    @Suite struct StopGradientTests {
        static let axes = Axes(["t", "x"], time: "t")

        /// A weight of fields, their derivatives, a trained number and the point; and a quantity whose derivative is stopped.
        static func factors(_ u: Expression, _ p: Point) -> (weight: Expression, flux: Expression) {
            (exp(-1 * u * u.x) + p.trainable("k") * u.t + p.x, u * u * u.x)
        }

        /// w·(uₜ + uuₓ − k uₓₓ) and u·uₓ − (u²uₓ)ₓ with w and (u²uₓ)ₓ as `stopped` makes them.
        static func residuals(
            _ u: Expression, _ p: Point, stopped: (weight: Expression, slope: Expression)
        ) -> [Residual] {
            [
                Residual("weighted", stopped.weight * (u.t + u * u.x - p.trainable("k") * u.xx)),
                Residual("balance", u * u.x - stopped.slope),
            ]
        }

        struct Programs {
            /// With stopped factors, with the factors at θ as data, and with their gradients.
            var stopped: Program
            var frozen: Program
            var free: Program
            var θ: Vector
            var v: Vector
        }

        static func programs(_ structure: WrittenNetwork.Structure, _ activation: Activation, seed: Int) throws -> Programs {
            var rng = Seeded(seed)
            let written = WrittenNetwork(structure, dimension: 2, width: 5, depth: 2, fields: 1, activation: activation, using: &rng)
            let network = written.network.adding(scalars: ["k"])
            let θ = Vector(written.parameters(using: &rng).elements + [0.3])
            func compiled(data: [String] = [], _ body: (Expression, Point) -> [Residual]) throws -> CompiledResidual {
                try Trace.run(axes: axes, fields: 1, data: data, trainables: ["k"]) { u, p in body(u[0], p) }.compiled
            }
            let stopped = try compiled { u, p in
                let (weight, flux) = factors(u, p)
                return residuals(u, p, stopped: (stopGradient(weight), stopGradient(flux).x))
            }
            let frozen = try compiled(data: ["w", "s"]) { u, p in residuals(u, p, stopped: (p.data("w"), p.data("s"))) }
            let free = try compiled { u, p in
                let (weight, flux) = factors(u, p)
                return residuals(u, p, stopped: (weight, flux.x))
            }
            let values = try compiled { u, p in
                let (weight, flux) = factors(u, p)
                return [Residual("w", weight), Residual("s", flux.x)]
            }
            let points = rng.columns(2, of: 70)
            let data = Program(network: network, terms: []).values(of: values, at: points, parameters: θ)
            func program(_ function: CompiledResidual, _ data: [[Double]] = []) -> Program {
                Program(
                    network: network, terms: [ProgramTerm(name: "r", function: function, points: points, data: data, scale: 0.2)])
            }
            return Programs(
                stopped: program(stopped), frozen: program(frozen, data), free: program(free), θ: θ,
                v: DerivativeTests.normalised(rng.vector(θ.count)))
        }

        /// All products of both are the same, and others than with the factors' gradients.
        @Test(arguments: Activation.allCases, [WrittenNetwork.Structure.dense, .gated])
        func productsAreThoseOfFrozenFactors(_ activation: Activation, _ structure: WrittenNetwork.Structure) throws {
            let p = try Self.programs(structure, activation, seed: 70_000)
            var rng = Seeded(70_001)
            let w = rng.vector(p.stopped.residualCount)
            func near(_ a: Vector, _ b: Vector) -> Bool { (a - b).norm <= 1e-13 * b.norm }
            #expect(near(p.stopped.residuals(at: p.θ), p.frozen.residuals(at: p.θ)))
            #expect(near(p.stopped.residuals(at: p.θ), p.free.residuals(at: p.θ)))
            for (what, product): (String, (Program) -> Vector) in [
                ("∇L", { $0.lossAndGradient(at: p.θ).gradient }),
                ("J·v", { $0.jacobian(at: p.θ).times(p.v) }),
                ("Jᵀ·w", { $0.jacobian(at: p.θ).transposedTimes(w) }),
                ("JᵀJ·v", { $0.jacobian(at: p.θ).normalTimes(p.v) }),
                ("H·v", { $0.hessian(at: p.θ).times(p.v) }),
                ("JᵀJ", { Vector($0.jacobian(at: p.θ).normalMatrix().elements) }),
                ("JJᵀ", { Vector($0.jacobian(at: p.θ).outerMatrix().elements) }),
                ("factors", { Vector($0.jacobian(at: p.θ).kroneckerFactors().flatMap { $0.output.elements }) }),
            ] {
                let (stopped, frozen, free) = (product(p.stopped), product(p.frozen), product(p.free))
                #expect(near(stopped, frozen), "\(what)")
                #expect((stopped - free).norm > 1e-2 * frozen.norm, "\(what) is that of factors with gradients")
            }
        }

        /// Remainders against the loss and residuals with frozen factors vanish with slope 2 for the gradient, J·v and H·v; against those with
        /// factors that follow θ only with slope 1.
        @Test(arguments: Activation.allCases)
        func slopes(_ activation: Activation) throws {
            let p = try Self.programs(.dense, activation, seed: 71_000)
            let (here, r) = (p.stopped.lossAndGradient(at: p.θ), p.stopped.residuals(at: p.θ))
            let (jv, hv) = (p.stopped.jacobian(at: p.θ).times(p.v), p.stopped.hessian(at: p.θ).times(p.v))
            for (other, order) in [(p.frozen, 2.0), (p.free, 1.0)] {
                let gradient = DerivativeTests.slope(noise: 0x1p-50 * here.loss) { h in
                    abs(other.loss(at: p.θ.adding(p.v, scaledBy: h)) - here.loss - h * here.gradient.dot(p.v))
                }
                #expect(gradient.steps >= 3 && abs(gradient.slope - order) < 0.3, "gradient, slope \(order): \(gradient)")
                let tangent = DerivativeTests.slope(noise: 0x1p-50 * r.norm) { h in
                    (other.residuals(at: p.θ.adding(p.v, scaledBy: h)) - r - h * jv).norm
                }
                #expect(tangent.steps >= 3 && abs(tangent.slope - order) < 0.25, "J·v, slope \(order): \(tangent)")
            }
            let curvature = DerivativeTests.slope(noise: 0x1p-50 * here.gradient.norm) { h in
                (p.frozen.lossAndGradient(at: p.θ.adding(p.v, scaledBy: h)).gradient - here.gradient - h * hv).norm
            }
            #expect(curvature.steps >= 3 && abs(curvature.slope - 2) < 0.25, "H·v: \(curvature)")
        }

        /// The same of an integral whose density has a stopped factor.
        @Test func integralsWithStoppedFactors() throws {
            var rng = Seeded(72_000)
            let written = WrittenNetwork(.residual, dimension: 2, width: 4, depth: 1, fields: 1, activation: .tanh, using: &rng)
            let (points, weights) = (rng.columns(2, of: 60), rng.columns(1, of: 60)[0])
            let θ = written.parameters(using: &rng)
            let v = DerivativeTests.normalised(rng.vector(θ.count))
            func density(_ w: (Expression, Point) -> Expression, data: [String] = []) throws -> CompiledResidual {
                try Trace.run(axes: Self.axes, fields: 1, data: data) { u, p in
                    [Residual("e", w(u[0], p) * (u[0] * u[0].x + u[0].t))]
                }.compiled
            }
            let values = try Trace.run(axes: Self.axes, fields: 1) { u, _ in [Residual("w", u[0] * u[0].t)] }.compiled
            let data = Program(network: written.network, terms: []).values(of: values, at: points, parameters: θ)
            func program(_ function: CompiledResidual, _ data: [[Double]] = []) -> Program {
                Program(
                    network: written.network,
                    terms: [ProgramTerm(name: "e", integrand: function, points: points, data: data, weights: weights)])
            }
            let stopped = program(try density { u, _ in stopGradient(u * u.t) })
            let frozen = program(try density({ _, p in p.data("w") }, data: ["w"]), data)
            let (a, b) = (stopped.lossAndGradient(at: θ), frozen.lossAndGradient(at: θ))
            #expect(abs(a.loss - b.loss) <= 1e-13 * abs(b.loss))
            #expect((a.gradient - b.gradient).norm <= 1e-13 * b.gradient.norm)
            let (ha, hb) = (stopped.hessian(at: θ).times(v), frozen.hessian(at: θ).times(v))
            #expect((ha - hb).norm <= 1e-13 * hb.norm)
            let slope = DerivativeTests.slope(noise: 0x1p-50 * b.gradient.norm) { h in
                (frozen.lossAndGradient(at: θ.adding(v, scaledBy: h)).gradient - a.gradient - h * ha).norm
            }
            #expect(slope.steps >= 3 && abs(slope.slope - 2) < 0.25, "H·v: \(slope)")
        }
    }
}
