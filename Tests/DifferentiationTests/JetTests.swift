import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Coordinate derivatives through networks against truncated power series.
    @Suite struct JetTests {
        struct Case: CustomTestStringConvertible {
            var dimension: Int
            var hidden: [Int]
            var order: Int
            var activation: Activation
            var testDescription: String { "\(activation) \(dimension) → \(hidden), order \(order)" }
        }
        static let cases = Activation.allCases.flatMap { activation in
            [
                (1, [5], 4), (2, [7, 6, 3], 4), (3, [4, 9], 3), (4, [3], 4), (2, [20, 20], 2), (4, [6, 5], 2), (3, [8, 2], 1),
                (2, [3, 3], 0),
            ]
            .map { Case(dimension: $0.0, hidden: $0.1, order: $0.2, activation: activation) }
        }

        /// Every derivative up to the order, by the fast kernels (order ≤ 2) and by the generic rule, at every instruction set.
        /// The tolerance is relative to the largest derivative of that order in the case.
        @Test(arguments: cases)
        func derivatives(of c: Case) {
            var rng = Seeded(c.dimension + 10 * c.order)
            let network = DenseNetwork(
                inputs: c.dimension, hidden: c.hidden, outputs: 2, activation: c.activation,
                inputFactors: (0..<c.dimension).map { _ in rng.uniform(0.5...2) })
            let θ = parameters(of: network, using: &rng)
            let points = rng.columns(c.dimension, of: 13)
            let indices = TruncatedSeries.indices(dimension: c.dimension, order: c.order)
            let channels = (0..<2).flatMap { field in indices.map { Channel(field: field, derivative: $0) } }
            let exact = (0..<13).map { i in network.series(θ, at: points.map { $0[i] }, order: c.order) }
            for generic in [false, true] {
                let program = Program(network: network, terms: [], options: ProgramOptions(usesGenericRule: generic))
                KernelTests.atEveryLevel { level in
                    let values = program.outputs(channels, at: points, parameters: θ)
                    for order in 0...c.order {
                        let ofOrder = channels.indices.filter { channels[$0].derivative.order == order }
                        let (scale, error) = ofOrder.reduce((1.0, 0.0)) { result, k in
                            exact.indices.reduce(result) { result, i in
                                let value = exact[i][channels[k].field].derivative(channels[k].derivative)
                                return (max(result.0, abs(value)), max(result.1, abs(value - values[k][i])))
                            }
                        }
                        #expect(error <= 2000 * KernelTests.unit * scale, "order \(order), generic \(generic), \(level)")
                    }
                }
            }
        }

        /// One hidden layer in closed form: u = Σ vⱼ σ(wⱼ·x + bⱼ), ∂^α u = Σ vⱼ wⱼ^α σ⁽|α|⁾.
        @Test(arguments: Activation.allCases)
        func oneHiddenLayer(activation: Activation) {
            var rng = Seeded(8)
            let network = DenseNetwork(inputs: 2, hidden: [11], outputs: 1, activation: activation)
            let θ = parameters(of: network, using: &rng)
            let points = rng.columns(2, of: 9)
            let program = Program(network: network, terms: [])
            for orders: [UInt8] in [[0, 0], [1, 0], [0, 2], [1, 1], [2, 1], [2, 2], [0, 4]] {
                let index = MultiIndex(orders)
                let values = program.outputs([Channel(field: 0, derivative: index)], at: points, parameters: θ)[0]
                for i in 0..<9 {
                    var (sum, size) = (θ[44 - 0], 0.0)
                    sum = index.order == 0 ? θ[44] : 0
                    for j in 0..<11 {
                        let (w0, w1) = (θ[j], θ[11 + j])
                        let c = taylorCoefficients(activation, at: w0 * points[0][i] + w1 * points[1][i] + θ[22 + j], order: index.order)
                        var slope = c[index.order]
                        for k in 1...max(index.order, 1) { slope *= Double(k) }
                        for _ in 0..<orders[0] { slope *= w0 }
                        for _ in 0..<orders[1] { slope *= w1 }
                        sum += θ[33 + j] * slope
                        size += abs(θ[33 + j] * slope)
                    }
                    #expect(abs(values[i] - sum) <= 1000 * KernelTests.unit * max(size, 0.01), "∂\(orders)")
                }
            }
        }

        @Test func multiIndices() {
            #expect(MultiIndex([0, 0]) < MultiIndex([1, 0]) && MultiIndex([1, 0]) < MultiIndex([0, 1]))
            #expect(MultiIndex([0, 1]) < MultiIndex([2, 0]) && MultiIndex([2, 0]) < MultiIndex([1, 1]))
            #expect(MultiIndex([1, 1]).order == 2 && MultiIndex([1, 1]).lowered(along: 0) == MultiIndex([0, 1]))
            #expect(MultiIndex([0, 1]).lowered(along: 0) == nil)
        }
    }
}
