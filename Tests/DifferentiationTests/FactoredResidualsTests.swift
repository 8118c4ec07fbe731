import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// A term whose points have factors, against the same equation with the factor written into it.
    @Suite struct FactoredResidualsTests {
        private static let axes = Axes(["t", "x"], time: "t")

        /// Two equations in a field, a trained number and a column of data; and the same times `data("factor")`.
        private func terms(_ rng: inout Seeded) throws -> (factored: [ProgramTerm], written: [ProgramTerm]) {
            func equations(_ names: [String], _ factor: @escaping (Point) -> Expression) throws -> CompiledResidual {
                try Trace.run(axes: Self.axes, fields: 1, data: names, trainables: ["c"]) { u, p in
                    let u = u[0]
                    return [
                        Residual("first", factor(p) * (u.t + p.trainable("c") * u * u.x - 0.1 * u.xx - p.data("source"))),
                        Residual("second", factor(p) * (sin(u) * u.x - p.x)),
                    ]
                }.compiled
            }
            let (points, source) = (rng.columns(2, of: 77), rng.columns(1, of: 77)[0])
            // Some points count nothing.
            let factors = (0..<77).map { $0 % 7 == 3 ? 0 : 1.5 + rng.uniform() }
            let plain = try equations(["source"]) { _ in Expression(1) }
            let written = try equations(["source", "factor"]) { $0.data("factor") }
            let other = ProgramTerm(
                name: "other", function: plain, points: rng.columns(2, of: 20), data: rng.columns(1, of: 20), scale: 0.3)
            return (
                [
                    ProgramTerm(
                        name: "weighted", function: FactoredResiduals(plain), points: points, data: [source, factors], scale: 0.7), other,
                ],
                [ProgramTerm(name: "weighted", function: written, points: points, data: [source, factors], scale: 0.7), other]
            )
        }

        @Test(arguments: [JetPrecision.double, .single]) func everyProductIsThatOfTheWeightedEquation(precision: JetPrecision) throws {
            var rng = Seeded(41)
            let (factored, written) = try terms(&rng)
            let network = Network(DenseNetwork(inputs: 2, hidden: [9, 8], outputs: 1, activation: .tanh)).adding(scalars: ["c"])
            let options = ProgramOptions(precision: precision)
            let (a, b) = (
                Program(network: network, terms: factored, options: options), Program(network: network, terms: written, options: options)
            )
            let θ = rng.vector(a.parameterCount)
            let (v, w) = (rng.vector(θ.count), rng.vector(a.residualCount))
            // The same numbers multiplied in another order, and sums of some hundreds of them.
            let ε = precision == .double ? 1e-12 : 1e-4
            func agree(_ x: Vector, _ y: Vector, _ product: String) { #expect((x - y).norm <= ε * y.norm && y.norm > 0, "\(product)") }
            agree(a.residuals(at: θ), b.residuals(at: θ), "r")
            let (x, y) = (a.lossAndGradient(at: θ), b.lossAndGradient(at: θ))
            #expect(abs(x.loss - y.loss) <= ε * y.loss)
            agree(x.gradient, y.gradient, "gradient")
            let (j, k) = (a.jacobian(at: θ), b.jacobian(at: θ))
            agree(j.times(v), k.times(v), "J·v")
            agree(j.transposedTimes(w), k.transposedTimes(w), "Jᵀ·w")
            agree(Vector(j.jacobian().elements), Vector(k.jacobian().elements), "J")
            agree(Vector(j.normalMatrix().elements), Vector(k.normalMatrix().elements), "JᵀJ")
            for form in GramForm.allCases {
                agree(Vector(j.outerMatrix(form: form).elements), Vector(k.outerMatrix(form: form).elements), "JJᵀ, \(form)")
            }
            agree(a.hessian(at: θ).times(v), b.hessian(at: θ).times(v), "H·v")
        }

        /// Factors of 1 change no bit.
        @Test func factorsOfOneChangeNothing() throws {
            var rng = Seeded(42)
            let (factored, _) = try terms(&rng)
            var (ones, plain) = (factored[0], factored[0])
            ones.data[1] = Array(repeating: 1, count: 77)
            plain.data.removeLast()
            plain.function = try #require(ones.function as? FactoredResiduals).base
            let network = Network(DenseNetwork(inputs: 2, hidden: [9, 8], outputs: 1, activation: .tanh)).adding(scalars: ["c"])
            let (a, b) = (Program(network: network, terms: [ones]), Program(network: network, terms: [plain]))
            let θ = rng.vector(a.parameterCount)
            #expect(a.residuals(at: θ) == b.residuals(at: θ))
            #expect(a.lossAndGradient(at: θ).gradient == b.lossAndGradient(at: θ).gradient)
            #expect(a.hessian(at: θ).times(θ) == b.hessian(at: θ).times(θ))
        }
    }
}
