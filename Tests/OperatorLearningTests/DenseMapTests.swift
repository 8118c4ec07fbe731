import Differentiation
import LinearAlgebra
import OperatorLearning
import OptimizationCore
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct DenseMapTests {
    /// The formula, sample by sample, against the batched pass.
    @Test(arguments: [false, true]) func evaluatesItsFormula(activatesOutput: Bool) {
        let map = DenseMap(inputs: 3, hidden: [5, 4], outputs: 2, activation: .tanh, activatesOutput: activatesOutput)
        var random = RandomStream(seed: 2, name: "map")
        let θ = map.initialParameters(from: &random).map { $0 + 0.1 * random.normal() }
        let samples = random.normalVector(3 * 7).elements
        var packed = [Double](repeating: .nan, count: map.packedCount)
        map.pack(θ, into: &packed)
        let state = AlignedMemory(count: map.stateCount(samples: 7))
        state.base.update(repeating: .nan, count: state.count)
        let block = map.forward(packed, samples: samples, count: 7, state: state.base)
        #expect(block.rows == 2 && block.columns == 7)
        for i in 0..<7 {
            var h = Array(samples[(3 * i)..<(3 * i + 3)])
            for layer in map.layers {
                h = (0..<layer.outputs).map { j in
                    var z = θ[layer.biasOffset + j]
                    for m in 0..<layer.inputs { z += h[m] * θ[layer.offset + m * layer.outputs + j] }
                    return layer.isActivated ? tanh(z) : z
                }
            }
            // Twelve products and a tanh of four units in the last place, thrice.
            for j in 0..<2 { #expect(abs(block.base[j + block.leading * i] - h[j]) < 64 * Double.ulpOfOne) }
        }
    }

    @Test func namesItsBlocks() {
        let map = DenseMap(inputs: 3, hidden: [5], outputs: 2)
        let layout = ParameterLayout(map.blocks(named: "branch"))
        #expect(layout.blocks.map(\.name) == ["branch/1/weights", "branch/1/biases", "branch/2/weights", "branch/2/biases"])
        #expect(layout.count == map.parameterCount)
        #expect(layout["branch/2/biases"]?.offset == map.layers[1].biasOffset)
    }
}
