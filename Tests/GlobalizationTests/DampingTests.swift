import Globalization
import OptimizationCore
import Testing

@Suite struct DampingTests {
    @Test func nielsenFollowsItsFormula() {
        var rule = NielsenDamping()
        rule.exactness = 0
        let start = rule.start(scale: 50)
        #expect(start == Damping(value: 0.05, growth: 2, scale: 50))
        // ρ = 1: 1 − 1 = 0, so the floor ⅓; ρ = ½: unchanged; ρ = ¼: 1 + ⅛.
        #expect(rule.updated(start, gainRatio: 1).value == 0.05 / 3)
        #expect(rule.updated(start, gainRatio: 0.5).value == 0.05)
        #expect(rule.updated(start, gainRatio: 0.25).value == 0.05 * 1.125)
        // Refusals multiply by 2, 4, 8; the next success forgets.
        var refused = rule.updated(start, gainRatio: -1)
        #expect(refused == Damping(value: 0.1, growth: 4, scale: 50))
        refused = rule.updated(refused, gainRatio: -.infinity)
        #expect(refused == Damping(value: 0.4, growth: 8, scale: 50))
        #expect(rule.updated(refused, gainRatio: .nan).growth == 16)
        #expect(rule.updated(refused, gainRatio: 0.5).growth == 2)
    }

    /// Within 0.02 of one a ratio says that the model is exact: λ falls by 27. Beyond, the rule is Nielsen's.
    @Test func exactModelsAreHardlyDamped() {
        let (rule, start) = (NielsenDamping(), Damping(value: 1, growth: 8))
        var his = NielsenDamping()
        his.exactness = 0
        for ρ in [0.981, 1, 1.019] { #expect(rule.updated(start, gainRatio: ρ) == Damping(value: 1.0 / 27, growth: 2), "ρ = \(ρ)") }
        for ρ in [-1, 0.5, 0.979, 1.021, 3] { #expect(rule.updated(start, gainRatio: ρ) == his.updated(start, gainRatio: ρ), "ρ = \(ρ)") }
    }

    @Test func classicalFollowsItsFormula() {
        var rule = ClassicalDamping()
        (rule.decrease, rule.increase) = (10, 4)
        let start = rule.start(scale: 1)
        #expect(rule.updated(start, gainRatio: 0.1).value == 1e-4)
        #expect(rule.updated(start, gainRatio: -0.1).value == 4e-3)
        #expect(rule.updated(start, gainRatio: .nan).value == 4e-3)
    }

    /// Bounds count in the scale of the matrix that is damped, as far as that has ranged.
    @Test(arguments: [1, 0x1p-60, 0x1p80]) func dampingStaysWithinItsBounds(scale: Double) throws {
        for rule in [NielsenDamping(), ClassicalDamping()] as [any DampingRule] {
            var damping = rule.start(scale: scale)
            for _ in 0..<200 { damping = rule.updated(damping, gainRatio: -1) }
            #expect(damping.value == rule.maximum * scale && rule.isGreatest(damping))
            for _ in 0..<200 { damping = rule.updated(damping, gainRatio: 1) }
            #expect(damping.value == rule.minimum * scale)
            damping = damping.damping(scale: 4 * scale).damping(scale: scale / 8)
            #expect(try Damping(stored: damping.stored) == damping && damping.scales == (scale / 8)...(4 * scale))
            for _ in 0..<200 { damping = rule.updated(damping, gainRatio: -1) }
            #expect(damping.value == 4 * rule.maximum * scale)
            for _ in 0..<200 { damping = rule.updated(damping, gainRatio: 1) }
            #expect(damping.value == rule.minimum * scale / 8)
        }
    }

    @Test func aStoredDampingIsChecked() throws {
        // As it was stored before bounds had a scale.
        #expect(try Damping(stored: [0.5, 2]) == Damping(value: 0.5, growth: 2))
        for bad in [[0.5], [0.5, 2, 1], [0.5, 2, 3, 1], [0.5, 2, .nan, 1]] {
            #expect(throws: ArchiveError.self) { try Damping(stored: bad) }
        }
    }
}
