import Foundation
import OptimizationCore
import Testing

@Suite struct ScheduleTests {
    @Test func schedulesHaveTheirShapes() {
        #expect(Constant().factor(at: 7) == 1)
        let smooth = ExponentialDecay(rate: 0.25, every: 10)
        #expect(smooth.factor(at: 1) == 1)
        #expect(abs(smooth.factor(at: 6) - 0.5) <= Double.ulpOfOne)
        #expect(smooth.factor(at: 11) == 0.25)
        let stairs = ExponentialDecay(rate: 0.25, every: 10, staircase: true)
        #expect(stairs.factor(at: 10) == 1)
        #expect(stairs.factor(at: 11) == 0.25)
        let cosine = CosineDecay(steps: 8, floor: 0.2)
        #expect(cosine.factor(at: 1) == 1)
        #expect(abs(cosine.factor(at: 5) - 0.6) <= Double.ulpOfOne)
        #expect(cosine.factor(at: 9) == 0.2)
        #expect(cosine.factor(at: 1_000) == 0.2)
        let warm = WarmUp(steps: 4, then: ExponentialDecay(rate: 0.5, every: 1))
        #expect((1...7).map(warm.factor) == [0.25, 0.5, 0.75, 1, 1, 0.5, 0.25])
        let pieces = Piecewise(boundaries: [2, 4], factors: [0.5, 0.1])
        #expect((1...6).map(pieces.factor) == [1, 1, 0.5, 0.5, 0.1, 0.1])
    }

    @Test func brokenPiecesAreRefused() {
        var pieces = Piecewise()
        pieces.boundaries = [5, 3]
        pieces.factors = [1, 1]
        #expect(throws: ConfigurationError.self) { try pieces.validate() }
        pieces.factors = [1]
        #expect(throws: ConfigurationError.self) { try pieces.validate() }
    }

    /// `Tests/Reference/schedules.py`.
    struct Reference: Decodable {
        var polynomial, exponential, staircase, cosine, join: [Double]
        var oneCycle: [Double]

        enum CodingKeys: String, CodingKey {
            case polynomial, exponential, staircase, cosine, join
            case oneCycle = "one-cycle"
        }
    }

    @Test func factorsArePyTorchs() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Reference/schedules.json")
        let reference = try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
        let pairs: [(any Schedule, [Double])] = [
            (PolynomialDecay(steps: 17, power: 1.5), reference.polynomial),
            (ExponentialDecay(rate: 0.9, every: 1), reference.exponential),
            (ExponentialDecay(rate: 0.5, every: 5, staircase: true), reference.staircase),
            (CosineDecay(steps: 24, floor: 0.1), reference.cosine),
            (OneCycle(steps: 24, rise: 0.25, startDivisor: 20, endDivisor: 50), reference.oneCycle),
            (Joined(Constant(), steps: 6, then: ExponentialDecay(rate: 0.8, every: 1)), reference.join),
        ]
        for (schedule, factors) in pairs {
            #expect(factors.count == 24)
            for (k, factor) in factors.enumerated() {
                #expect(abs(schedule.factor(at: k + 1) - factor) <= 1e-14, "\(type(of: schedule).identifier), step \(k + 1)")
            }
        }
    }

    @Test func schedulesCompose() {
        let halves = ExponentialDecay(rate: 0.5, every: 1)
        let product = ScheduleProduct(WarmUp(steps: 2), halves)
        #expect((1...4).map(product.factor) == [0.5, 0.5, 0.25, 0.125])
        let joined = Joined(halves, steps: 2, then: Joined(WarmUp(steps: 2), steps: 3, then: halves))
        #expect((1...7).map(joined.factor) == [1, 0.5, 0.5, 1, 1, 1, 0.5])
        // Beyond its steps a schedule stays where it ended.
        #expect(PolynomialDecay(steps: 4, floor: 0.25).factor(at: 400) == 0.25)
        let cycle = OneCycle(steps: 10, rise: 0, startDivisor: 4, endDivisor: 8)
        #expect(cycle.factor(at: 1) == 1 && abs(cycle.factor(at: 99) - 1.0 / 32) < 1e-15)
        let rising = OneCycle(steps: 10, rise: 1, startDivisor: 4, endDivisor: 8)
        #expect(rising.factor(at: 1) == 0.25 && rising.factor(at: 10) == 1)
    }
}
