import OperatorLearning
import OptimizationCore
import Testing

@Suite struct OperatorDataTests {
    static let data = OperatorData(
        grid: .unitInterval(sensors: 2, points: 3), inputs: (0..<20).map(Double.init), outputs: (0..<30).map { Double($0) / 8 })

    @Test func picksFunctionsInTheOrderAskedFor() throws {
        let picked = try Self.data.functions(at: [7, 2, 3, 4, 2])
        #expect(picked.inputs == [14, 15, 4, 5, 6, 7, 8, 9, 4, 5])
        let expected = [7, 2, 3, 4, 2].flatMap { f -> [Double] in (0..<3).map { Double(3 * f + $0) / 8 } }
        #expect(picked.outputs == expected)
    }

    @Test func splitsByFunctionWithoutOverlap() throws {
        var random = RandomStream(seed: 1, name: "split")
        let parts = Self.data.split([5, 2, 3], random: &random)
        #expect(parts.map(\.functionCount) == [5, 2, 3])
        #expect(parts.flatMap(\.indices).sorted() == Array(0..<10))
        #expect(parts[0].indices != Array(0..<5))
        let first = try parts[1].loaded()
        let expected = parts[1].indices.flatMap { [Double(2 * $0), Double(2 * $0 + 1)] }
        #expect(first.inputs == expected)
        #expect(try parts[0].functions(at: [4, 0]).inputs.first == Double(2 * parts[0].indices[4]))
    }

    @Test func relativeErrors() {
        let errors = OperatorErrors(predictions: [1, 1, 3, 4, 0, 0, 0, 1], targets: [1, 2, 3, 4, 0, 0, 1, 1], pointCount: 2)
        #expect(errors.values.count == 4)
        for (value, square) in zip(errors.values, [0.2, 0, 0, 0.5]) { #expect(abs(value * value - square) < 4e-16) }
        #expect(errors.median == errors.values[0] / 2)
        #expect(errors.worst == errors.values[3])
        #expect(errors.mean == (errors.values[0] + errors.values[3]) / 4)
        #expect(OperatorErrors([.nan, 1]).median.isNaN)
        #expect(OperatorErrors([3, 1, 2]).median == 2)
    }
}
