import Differentiation
import NeuralModels
import OptimizationTesting
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The layers that come with the library keep the contract; layers that are wrong in one place are found there.
@Suite struct LayerConformanceTests {
    @Test func layersOfTheLibrary() throws {
        try LayerConformance.check(ResidualBlock(activation: .standard(.sin)))
        try LayerConformance.check(AdaptiveDense(outputs: 4, scale: 3))
        try LayerConformance.check(AdaptiveDense(outputs: 4, activation: .standard(.gelu), isShared: true))
        try LayerConformance.check(FactorisedDense(outputs: 6))
        try LayerConformance.check(FactorisedDense(outputs: 3, activation: nil))
        try LayerConformance.check(GatedLayers(width: 5, depth: 2))
        try LayerConformance.check(FourierFeatures(frequencies: [[0.3, 1, -0.5, 0.2, 0.1], [1, 0, 0.4, -1, 0.6]]))
        try LayerConformance.check(PeriodicEmbedding(periods: [nil, 2, nil, 3, 1.5]))
    }

    @Test func activationsOfOnesOwn() throws { try LayerConformance.check(activation: Gaussian()) }

    /// A wrong σ⁽ᵏ⁾ is found by the jets where k ≤ 4, and beyond by the curvature products.
    @Test(arguments: 1...4) func wrongDerivativesAreFound(order: Int) throws {
        let report = try LayerConformance.report(Alone(activation: Gaussian(wrong: order)))
        #expect(report.failures.contains { $0.name == "has right coordinate derivatives" }, "\(report)")
    }

    @Test func aWrongDerivativeInCurvatureIsFound() throws {
        // Order 3 is used by gradients of second derivatives: the ladder finds it as well.
        let report = try LayerConformance.report(Alone(activation: Gaussian(wrong: 3)))
        #expect(report.failures.contains { $0.name == "has right derivatives" }, "\(report)")
    }

    private struct Alone: NetworkLayer {
        var activation: Gaussian
        func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
            network.activation(.custom(activation), of: network.dense(x, outputs: x.count, name: name))
        }
    }

    /// e^(−x²/2), one derivative of which may be wrong.
    private struct Gaussian: CustomActivation {
        var wrong: Int?
        var name: String { "gaussian" }

        func derivatives(upTo order: Int, count: Int, at x: UnsafePointer<Double>, into derivatives: UnsafeMutablePointer<Double>) {
            for i in 0..<count {
                let value = exp(-x[i] * x[i] / 2)
                var (he, before, sign) = (1.0, 0.0, 1.0)
                for k in 0...order {
                    derivatives[k * count + i] = sign * he * value * (k == wrong ? 1.05 : 1)
                    (he, before) = (x[i] * he - Double(k) * before, he)
                    sign = -sign
                }
            }
        }
    }
}
