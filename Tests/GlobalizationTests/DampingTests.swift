import Globalization
import Testing

@Suite struct DampingTests {
    @Test func nielsenFollowsItsFormula() {
        let rule = NielsenDamping()
        let start = rule.start(scale: 50)
        #expect(start == Damping(value: 0.05, growth: 2))
        // ρ = 1: 1 − 1 = 0, so the floor ⅓; ρ = ½: unchanged; ρ = ¼: 1 + ⅛.
        #expect(rule.updated(start, gainRatio: 1).value == 0.05 / 3)
        #expect(rule.updated(start, gainRatio: 0.5).value == 0.05)
        #expect(rule.updated(start, gainRatio: 0.25).value == 0.05 * 1.125)
        // Refusals multiply by 2, 4, 8; the next success forgets.
        var refused = rule.updated(start, gainRatio: -1)
        #expect(refused == Damping(value: 0.1, growth: 4))
        refused = rule.updated(refused, gainRatio: -.infinity)
        #expect(refused == Damping(value: 0.4, growth: 8))
        #expect(rule.updated(refused, gainRatio: .nan).growth == 16)
        #expect(rule.updated(refused, gainRatio: 0.5).growth == 2)
    }

    @Test func classicalFollowsItsFormula() {
        var rule = ClassicalDamping()
        (rule.decrease, rule.increase) = (10, 4)
        let start = rule.start(scale: 1)
        #expect(rule.updated(start, gainRatio: 0.1).value == 1e-4)
        #expect(rule.updated(start, gainRatio: -0.1).value == 4e-3)
        #expect(rule.updated(start, gainRatio: .nan).value == 4e-3)
    }

    @Test func dampingStaysWithinItsBounds() {
        let rule = NielsenDamping()
        var damping = rule.start(scale: 1)
        for _ in 0..<200 { damping = rule.updated(damping, gainRatio: -1) }
        #expect(damping.value == rule.maximum)
        for _ in 0..<200 { damping = rule.updated(damping, gainRatio: 1) }
        #expect(damping.value == rule.minimum)
    }
}
