import Globalization
import LinearAlgebra
import OptimizationCore
import Testing

/// A loss of two parameters given by a function, with the gradient that it claims to have.
private struct Claimed: DifferentiableProblem {
    var value: @Sendable (Double, Double) -> Double
    var claimed: Vector

    var name: String { "claimed" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([1, 1]) }
    func loss(at θ: Vector) -> LossValue { LossValue(value(θ[0], θ[1])) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: claimed) }

    var standpoint: Standpoint { Standpoint(at: Parameters([1, 1]), lossAndGradient(at: [1, 1])) }
}

@Suite struct DeadEndTests {
    /// A difference of large numbers: L = (10⁵x − 10⁵y + 10⁻⁹)² changes by 4 % when x moves by a rounding error, and the claimed gradient,
    /// right to 15 digits, makes (1, 1) a direction of descent, which it is not.
    @Test func roundingIsStationary() throws {
        let noisy = Claimed(
            value: { x, y in
                let q = 1e5 * x - 1e5 * y + 1e-9
                return q * q
            }, claimed: [2e-4 - 1e-19, -2e-4])
        guard case .stationary(let finding) = try noisy.standpoint.deadEnd(along: [1, 1], on: noisy) else {
            Issue.record("promised decreases below the noise were not seen to be so")
            return
        }
        #expect(finding.measured > 0 && finding.measured <= finding.threshold && finding.relation == "≤", "\(finding)")
    }

    /// L = 1 + ½κ(x − 1 − δ)²: the whole decrease, ½κδ², is below L's last bits, though the slope is far from zero.
    @Test func aMinimumBeforeTheFirstVisibleStepIsStationary() throws {
        struct Steep: DifferentiableProblem {
            let κ = 1e12
            let δ = 1e-14
            var name: String { "steep" }
            var identity: Setting { .scalar(name) }
            var layout: ParameterLayout { ParameterLayout(count: 1) }
            func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([1]) }
            func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
            func lossAndGradient(at θ: Vector) -> Evaluation {
                let x = θ[0] - 1 - δ
                return Evaluation(loss: LossValue(1 + 0.5 * κ * x * x), gradient: [κ * x])
            }
        }
        let here = Standpoint(at: Parameters([1]), Steep().lossAndGradient(at: [1]))
        #expect(here.gradient.norm > 1e-3)
        guard case .stationary(let finding) = try here.deadEnd(along: [1], on: Steep(), seeingCurvature: true) else {
            Issue.record("a hidden minimum was not seen")
            return
        }
        // A Newton-like method is not told so: its step may be a wrong one.
        guard case .unexplained = try here.deadEnd(along: [1], on: Steep()) else {
            Issue.record("the curvature along a step was taken for all there is")
            return
        }
        #expect(finding.measured <= finding.threshold)
    }

    @Test func aWrongGradientIsUnexplained() throws {
        let lying = Claimed(value: { x, y in x + y }, claimed: [-1, -1])
        guard case .unexplained = try lying.standpoint.deadEnd(along: [1, 1], on: lying) else {
            Issue.record("a wrong gradient was explained")
            return
        }
    }

    /// A valley so narrow that a search may miss it: the shortest visible step still descends.
    @Test func aShortStepIsFound() throws {
        let narrow = Claimed(
            value: { x, y in 1 + 1e16 * (x - 1 - 1e-12) * (x - 1 - 1e-12) + 0 * y }, claimed: [-2e4, 0])
        guard case .step(let sample) = try narrow.standpoint.deadEnd(along: [1, 0], on: narrow) else {
            Issue.record("a decrease that can be seen was not found")
            return
        }
        #expect(sample.value < narrow.standpoint.loss.total)
    }
}
