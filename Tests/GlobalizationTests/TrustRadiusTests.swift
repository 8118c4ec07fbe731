import Globalization
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct TrustRadiusTests {
    /// Thresholds: shrunk to a share of a poor step, kept, or grown after a good step to the boundary.
    @Test func thresholds() {
        let rule = TrustRadius()
        func next(_ ρ: Double, _ length: Double) -> Double { rule.updated(2, gainRatio: ρ, stepNorm: length, slope: -1, change: -0.5) }
        #expect(next(0.05, 2) == 1 && next(0.05, 0.5) == 0.25 && next(-.infinity, 2) == 1)
        #expect(next(0.5, 2) == 2 && next(0.9, 1) == 2 && next(0.9, 2) == 4)
    }

    /// The minimiser of the parabola through L, gᵀp and L⁺, between a tenth and `shrink`: with L(t) = −t + ½ct² of a step to t = 1 it is 1/c.
    @Test func interpolation() {
        var rule = TrustRadius()
        rule.shrinking = .interpolated
        func factor(_ c: Double) -> Double { rule.updated(3, gainRatio: -1, stepNorm: 1, slope: -1, change: -1 + 0.5 * c) }
        #expect(abs(factor(4) - 0.25) < 1e-15 && abs(factor(8) - 0.125) < 1e-15)
        #expect(factor(1) == 0.5 && factor(1e6) == 0.1)
        // Without a value or a slope there is no parabola.
        #expect(rule.updated(3, gainRatio: -.infinity, stepNorm: 1, slope: -1, change: .infinity) == 0.5)
        #expect(rule.updated(3, gainRatio: -1, stepNorm: 1, slope: 1, change: 2) == 0.5)
        #expect(SettingsConformance.failures(of: rule) == [])
    }
}
