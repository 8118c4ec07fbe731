import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Jets of random networks against nested dual numbers, to order 4.
    @Suite struct DualNumberTests {
        static func written(_ c: WrittenCase, dimension: Int) -> (WrittenProgram, Vector) {
            var rng = Seeded(c.seed)
            let network = WrittenNetwork(
                c.structure, dimension: dimension, width: Int.random(in: 3...6, using: &rng), depth: Int.random(in: 1...3, using: &rng),
                fields: Int.random(in: 1...2, using: &rng), activation: c.activation, using: &rng)
            return (WrittenProgram(network: network, terms: []), network.parameters(using: &rng))
        }

        /// Every ∂^α u with |α| ≤ 4, mixed ones included, in up to three coordinates: by the generic rule, and up to order 2 by the kernels
        /// written out, at every instruction set.
        @Test(arguments: WrittenCase.all(seed: 50_000))
        func everyDerivative(_ c: WrittenCase) {
            let dimension = 1 + c.seed % 3
            let (written, θ) = Self.written(c, dimension: dimension)
            var rng = Seeded(c.seed + 1)
            let points = rng.columns(dimension, of: 3)
            let term = WrittenProgram.Term(residual: .burgers(), points: points, scale: 1)
            let constants = θ.map { Rounded($0) }
            for highest in [4, 2] {
                let channels = TruncatedSeries.indices(dimension: dimension, order: highest).flatMap { α in
                    (0..<written.network.fields).map { Channel(field: $0, derivative: α) }
                }
                let expected = channels.map { channel in
                    (0..<3).map { written.value(of: channel, .field(channel.field), in: term, at: $0, constants) }
                }
                for options in [ProgramOptions(), ProgramOptions(usesGenericRule: true)] {
                    let program = written.program(options)
                    KernelTests.atEveryLevel { level in
                        let values = program.outputs(channels, at: points, parameters: θ)
                        for (k, channel) in channels.enumerated() {
                            expectRounded(values[k], expected[k], "∂\(channel.derivative.orders) up to order \(highest), \(level)")
                        }
                    }
                }
            }
        }

        /// D_a D_b D_c D_d u in four directions that are no axes: one nest of dual numbers against Σ aᵢbⱼcₖdₗ ∂ᵢⱼₖₗu of the engine's jets.
        @Test(arguments: WrittenCase.all(seed: 51_000))
        func mixedDirections(_ c: WrittenCase) {
            let dimension = 2
            let (written, θ) = Self.written(c, dimension: dimension)
            var rng = Seeded(c.seed + 1)
            let (point, directions) = (rng.columns(1, of: dimension)[0], rng.columns(4, of: dimension))
            let program = written.program()
            let channels = TruncatedSeries.indices(dimension: dimension, order: 4).map { Channel(field: 0, derivative: $0) }
            let values = program.outputs(channels, at: point.map { [$0] }, parameters: θ).map { $0[0] }
            let term = WrittenProgram.Term(residual: .burgers(), points: point.map { [$0] }, scale: 1)
            let constants = θ.map { Rounded($0) }
            let exact = channels.map { written.value(of: $0, .field(0), in: term, at: 0, constants) }
            for order in 1...4 {
                var (sum, bound) = (0.0, Rounded(0))
                for axes in 0..<(1 << order) {
                    // The binary digits choose an axis for each direction.
                    let digits = (0..<order).map { (axes >> $0) & 1 }
                    let weight = zip(directions, digits).reduce(1.0) { $0 * $1.0[$1.1] }
                    let index = MultiIndex([UInt8(digits.filter { $0 == 0 }.count), UInt8(digits.filter { $0 == 1 }.count)])
                    guard let k = channels.firstIndex(where: { $0.derivative == index }) else {
                        Issue.record("\(index) is missing")
                        continue
                    }
                    sum += weight * values[k]
                    // Three products make the weight.
                    bound = bound + Rounded(weight) * Rounded(1) * Rounded(1) * Rounded(1) * exact[k]
                }
                let nested: Rounded = written.derivative(of: .field(0), along: Array(directions[..<order]), at: point, constants)
                #expect(abs(sum - nested.value) <= KernelTests.unit * (bound.error + nested.error), "order \(order): \(sum), \(nested)")
            }
        }
    }
}
