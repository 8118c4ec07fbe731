import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Every product by the kernels for order ≤ 2 and by the generic rule, at every instruction set: within 2u·E of each other and of the
    /// formula, where E sums the magnitudes of all terms on the way to the entry (``Rounded``).
    @Suite struct RoundingTests {
        @Test(arguments: WrittenCase.all(seed: 40_000))
        func productsAgreeWithinTheSumOfTheirTerms(_ c: WrittenCase) {
            let (written, θ) = c.make()
            let (fast, generic) = (written.program(), written.program(ProgramOptions(usesGenericRule: true)))
            var rng = Seeded(c.seed + 1)
            let (v, w) = (rng.vector(fast.parameterCount), rng.vector(fast.residualCount))
            let rows = (0..<10).map { _ in Int.random(in: 0..<fast.parameterCount, using: &rng) }
            let expected = Expectation(written, at: θ)
            let (normal, outer) = (expected.normalMatrix, expected.outerMatrix)
            let (gradient, curvature) = (expected.gradient, expected.hessianTimes(v, rows: rows))
            KernelTests.atEveryLevel { level in
                func compare(_ what: String, _ bounds: [Rounded], _ value: (Program) -> [Double]) {
                    let (a, b) = (value(fast), value(generic))
                    expectRounded(a, bounds, "\(what), fast, \(level)")
                    expectRounded(b, bounds, "\(what), generic, \(level)")
                    let differs = zip(zip(a, b), bounds).contains { abs($0.0 - $0.1) > 2 * KernelTests.unit * $1.error }
                    #expect(!differs, "\(what), fast against generic, \(level)")
                }
                compare("r", expected.r) { $0.residuals(at: θ).elements }
                compare("∇L", gradient) { $0.lossAndGradient(at: θ).gradient.elements }
                compare("J", expected.j.flatMap { $0 }) { $0.jacobian(at: θ).jacobian().elements }
                compare("J·v", expected.times(v)) { $0.jacobian(at: θ).times(v).elements }
                compare("Jᵀ·w", expected.transposedTimes(w)) { $0.jacobian(at: θ).transposedTimes(w).elements }
                compare("JᵀJ·v", expected.normalTimes(v)) { $0.jacobian(at: θ).normalTimes(v).elements }
                compare("JᵀJ", normal) { $0.jacobian(at: θ).normalMatrix().elements }
                for form in GramForm.allCases { compare("JJᵀ, \(form)", outer) { $0.jacobian(at: θ).outerMatrix(form: form).elements } }
                compare("H·v", curvature) { program in
                    let product = program.hessian(at: θ).times(v)
                    return rows.map { product[$0] }
                }
            }
        }

        /// The bounds mean something: of a typical entry they are a few hundred roundings.
        @Test func boundsAreTight() {
            let (written, θ) = WrittenCase(seed: 40_001, structure: .dense, activation: .tanh).make()
            let expected = Expectation(written, at: θ)
            for entries in [expected.r, expected.gradient, expected.normalMatrix, expected.outerMatrix] {
                let largest = entries.reduce(0) { max($0, abs($1.value)) }
                let roundings = entries.map { $0.error / largest }.sorted()
                #expect(roundings[roundings.count / 2] < 1_000 && roundings[roundings.count - 1] < 10_000)
            }
        }

        @Test(arguments: WrittenCase.all(seed: 41_000))
        func kroneckerFactorsAgreeWithinTheSumOfTheirTerms(_ c: WrittenCase) {
            let (written, θ) = KroneckerFactorTests.written(c)
            let expected = Expectation(written, at: θ).kroneckerFactors
            KernelTests.atEveryLevel { level in
                let (fast, generic) = (
                    written.program().jacobian(at: θ).kroneckerFactors(),
                    written.program(ProgramOptions(usesGenericRule: true)).jacobian(at: θ).kroneckerFactors()
                )
                for ((a, b), e) in zip(zip(fast, generic), expected) {
                    let bounds = (e.input + e.output).joined().map(\.error)
                    let differences = zip(a.input.elements + a.output.elements, b.input.elements + b.output.elements).map { abs($0 - $1) }
                    #expect(zip(differences, bounds).allSatisfy { $0 <= 2 * KernelTests.unit * $1 }, "\(e.offset), \(level)")
                }
            }
        }
    }
}
