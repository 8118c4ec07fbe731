import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// A and B of every dense layer, the hidden ones included, against their definition: x and g = s·∂r/∂z of each channel of each point,
    /// one by one, by dual numbers.
    @Suite struct KroneckerFactorTests {
        /// Three terms: two residuals of derivatives up to `order`, an operator with constant or pointwise factors, and pairs of points.
        static func written(_ c: WrittenCase) -> (WrittenProgram, Vector) {
            var rng = Seeded(c.seed)
            let d = 2
            let network = WrittenNetwork(
                c.structure, dimension: d, width: 3, depth: 2, fields: 1 + c.seed % 2, activation: c.activation, using: &rng)
            func derivative(_ orders: [UInt8], _ point: Int = 0) -> Channel {
                Channel(field: 0, derivative: MultiIndex(orders), point: point)
            }
            func monomials(_ residuals: Int, _ inputs: Int, data: Int? = nil) -> [PolynomialResidual.Monomial] {
                (0..<residuals).flatMap { k in
                    (0..<5).map { m in
                        PolynomialResidual.Monomial(
                            residual: k, coefficient: rng.uniform(), coordinate: m % 2 == 0 ? m % d : nil, data: m == 1 ? data : nil,
                            factors: (0...(m % 3)).map { (m + k + $0) % inputs })
                    }
                }
            }
            let plain = [[0, 0], [1, 0], c.order > 2 ? [1, 2] : [0, 2]].map { derivative($0) }
            let laplacian = SecondOrderOperator.laplacian(over: [0, 1])
            let pointwise = SecondOrderOperator([
                .init(0, 0, .pointwise(0)), .init(0, 1, .constant(-0.4)), .init(1, 1, .pointwise(1)),
            ])
            let contraction = c.isRich ? pointwise : laplacian
            let operated = [derivative([0, 0]), derivative([0, 1]), Channel(field: 0, contraction: contraction, dimension: d)]
            let pairs = [derivative([0, 0]), derivative([1, 0]), derivative([0, 0], 1), derivative([1, 0], 1)].sorted()
            let residuals = [
                PolynomialResidual(channels: plain, dimension: d, residualCount: 2, dataCount: 0, monomials: monomials(2, 3)),
                PolynomialResidual(
                    channels: operated, dimension: d, residualCount: 1, dataCount: 1, coefficientCount: c.isRich ? 2 : 0,
                    monomials: monomials(1, 3, data: 0)),
                PolynomialResidual(channels: pairs, dimension: d, arity: 2, residualCount: 2, dataCount: 0, monomials: monomials(2, 4)),
            ]
            let terms = residuals.map { residual in
                WrittenProgram.Term(
                    residual: residual, points: rng.columns(residual.arity * d, of: 4), data: rng.columns(residual.dataCount, of: 4),
                    scale: rng.uniform(0.3...1))
            }
            return (WrittenProgram(network: network, terms: terms), network.parameters(using: &rng))
        }

        @Test(arguments: WrittenCase.all(seed: 30_000) + WrittenCase.all(seed: 30_500, order: 3).filter { $0.seed % 3 == 0 })
        func factorsByDefinition(_ c: WrittenCase) {
            let (written, θ) = Self.written(c)
            let expected = Expectation(written, at: θ).kroneckerFactors
            for options in [ProgramOptions(), ProgramOptions(usesGenericRule: true), ProgramOptions(blockSize: 8)] {
                let factors = written.program(options).jacobian(at: θ).kroneckerFactors()
                #expect(factors.count == expected.count)
                let maps = expected.count / written.terms.count
                for (i, (f, e)) in zip(factors, expected).enumerated() {
                    #expect(f.term == i / maps && f.parameterOffset == e.offset)
                    #expect(f.points == written.terms[f.term].count && f.channels == e.channels)
                    expectRounded(f.input.elements, e.input.joined(), "A of \(e.offset), term \(f.term)")
                    expectRounded(f.output.elements, e.output.joined(), "B of \(e.offset), term \(f.term)")
                }
            }
        }
    }
}
