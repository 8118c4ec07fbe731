import Globalization
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A function of one variable with its derivative.
struct Curve: Sendable, CustomTestStringConvertible {
    let name: String
    let f: @Sendable (Double) -> (Double, Double)
    var testDescription: String { name }

    var ray: Ray<Double> {
        let (value, slope) = f(0)
        return Ray(value: value, slope: slope) { α, needsSlope in
            let (value, slope) = f(α)
            return RaySample(stepLength: α, value: value, slope: needsSlope ? slope : nil, point: α)
        }
    }
}

/// The six test functions of Moré and Thuente, ACM TOMS 20 (1994) 286–307, equations (5.1)–(5.4) (doi:10.1145/192115.192132).
enum MoréThuente {
    static let first = Curve(name: "MT1") { α in
        let β = 2.0
        let d = α * α + β
        return (-α / d, (α * α - β) / (d * d))
    }
    static let second = Curve(name: "MT2") { α in
        let t = α + 0.004
        return (pow(t, 5) - 2 * pow(t, 4), 5 * pow(t, 4) - 8 * pow(t, 3))
    }
    static let third = Curve(name: "MT3") { α in
        let (β, l) = (0.01, 39.0)
        let φ0: Double
        let d0: Double
        if α <= 1 - β {
            (φ0, d0) = (1 - α, -1)
        } else if α >= 1 + β {
            (φ0, d0) = (α - 1, 1)
        } else {
            (φ0, d0) = ((α - 1) * (α - 1) / (2 * β) + β / 2, (α - 1) / β)
        }
        let angle = l * Double.pi / 2
        return (φ0 + 2 * (1 - β) / (l * .pi) * sin(angle * α), d0 + (1 - β) * cos(angle * α))
    }
    static func yanai(_ name: String, _ β1: Double, _ β2: Double) -> Curve {
        func γ(_ β: Double) -> Double { (1 + β * β).squareRoot() - β }
        let (γ1, γ2) = (γ(β1), γ(β2))
        return Curve(name: name) { α in
            let (a, b) = (((1 - α) * (1 - α) + β2 * β2).squareRoot(), (α * α + β1 * β1).squareRoot())
            return (γ1 * a + γ2 * b, γ1 * (α - 1) / a + γ2 * α / b)
        }
    }
    static let all = [
        first, second, third, yanai("MT4", 0.001, 0.001), yanai("MT5", 0.01, 0.001), yanai("MT6", 0.001, 0.01),
    ]
}

@Suite struct StrongWolfeTests {
    /// The paper's starts, from far too short to far too long.
    @Test(arguments: MoréThuente.all, [1e-3, 1e-1, 1e1, 1e3]) func conditionsHold(curve: Curve, initial: Double) throws {
        var rule = StrongWolfe()
        for (c1, c2) in [(1e-4, 0.9), (1e-3, 1e-2), (0.1, 0.1001)] where !(curve.name == "MT3" && c1 == 0.1 && c2 < 0.1) {
            (rule.sufficientDecrease, rule.curvature) = (c1, c2)
            let result = try rule.search(along: curve.ray, from: initial)
            let sample = try #require(result.found, "c₁ \(c1), c₂ \(c2): \(String(describing: result.failure))")
            let (φ0, d0) = curve.f(0)
            let (φ, d) = curve.f(sample.stepLength)
            #expect(φ <= φ0 + c1 * sample.stepLength * d0 + rule.roundingAllowance * abs(φ0))
            #expect(abs(d) <= c2 * abs(d0))
            #expect(result.trials <= 30)
            #expect(sample.value == φ && sample.point == sample.stepLength)
        }
    }

    @Test(arguments: MoréThuente.all) func aGoodFirstTrialCostsOneEvaluation(curve: Curve) throws {
        let first = try #require(try StrongWolfe().search(along: curve.ray, from: 0.5).found)
        let again = try StrongWolfe().search(along: curve.ray, from: first.stepLength)
        #expect(again.trials == 1)
        #expect(again.found?.stepLength == first.stepLength)
    }

    @Test(arguments: [0.5, 1.5, 100, 1e8]) func nonFiniteRegionsAreLeft(initial: Double) throws {
        // −log(1 − α) − 2α: a minimum at ½, not a number from 1 on.
        let barrier = Curve(name: "barrier") { α in α < 1 ? (-log(1 - α) - 2 * α, 1 / (1 - α) - 2) : (.nan, .nan) }
        let sample = try #require(try StrongWolfe().search(along: barrier.ray, from: initial).found)
        #expect(sample.stepLength > 0 && sample.stepLength < 1)
        #expect(abs(barrier.f(sample.stepLength).1) <= 0.9)
    }

    @Test func failuresAreTyped() throws {
        let linear = Curve(name: "linear") { α in (-α, -1) }
        let unbounded = try StrongWolfe().search(along: linear.ray, from: 1)
        guard case .unbounded = unbounded.failure else {
            Issue.record("an unbounded descent ended as \(unbounded.end)")
            return
        }
        #expect(unbounded.usable != nil)
        let uphill = Curve(name: "uphill") { α in (α, 1) }
        #expect(try StrongWolfe().search(along: uphill.ray, from: 1).failure == .notDescending(slope: 1))
        let broken = Curve(name: "broken") { α in α == 0 ? (1, -1) : (.nan, .nan) }
        let nothing = try StrongWolfe().search(along: broken.ray, from: 1)
        #expect(nothing.failure == .noFiniteTrial)
        #expect(nothing.usable == nil)
        let lying = Curve(name: "wrong slope") { α in (1 + α, -1) }
        #expect(try StrongWolfe().search(along: lying.ray, from: 1).usable == nil)
    }

    /// φ(α) = 1 + 1e-15·(α − 1)² under a ripple of rounding size: values cannot be told apart, slopes can.
    @Test(arguments: [0.02, 0.3, 40.0]) func roundingErrorDoesNotEndTheSearch(initial: Double) throws {
        let noisy = Curve(name: "noisy") { α in
            let ripple = sin(1e6 * α) * 4e-16
            return (1 + 1e-15 * (α - 1) * (α - 1) + ripple, 2e-15 * (α - 1))
        }
        var rule = StrongWolfe()
        rule.curvature = 0.1
        let sample = try #require(try rule.search(along: noisy.ray, from: initial).found)
        #expect(abs(sample.stepLength - 1) <= 0.1 + 1e-12)
    }

    /// A true minimum at 1 under values that are one rounding error above φ(0) everywhere: only the slopes can tell.
    @Test func theAllowanceIsWhatHelps() throws {
        let flat = Curve(name: "flat") { α in (α == 0 ? 1 : 1 + 4e-16, 2e-15 * (α - 1)) }
        var rule = StrongWolfe()
        #expect(try rule.search(along: flat.ray, from: 0.4).found?.stepLength == 0.4)
        rule.roundingAllowance = 0
        #expect(try rule.search(along: flat.ray, from: 0.4).found == nil)
    }
}

@Suite struct ValueSearchTests {
    @Test(arguments: MoréThuente.all, [1e-3, 1e-1, 1e1, 1e3]) func armijoFindsSufficientDecrease(curve: Curve, initial: Double) throws {
        let sample = try #require(try BacktrackingArmijo().search(along: curve.ray, from: initial).found)
        let (φ0, d0) = curve.f(0)
        #expect(curve.f(sample.stepLength).0 <= φ0 + 1e-4 * sample.stepLength * d0)
        #expect(sample.slope == nil)
    }

    @Test func armijoInterpolates() throws {
        // On a parabola the first backtrack lands on the minimiser: from 3, where φ = 3 > φ(0) = 0, to 1.
        let parabola = Curve(name: "parabola") { α in (α * α - 2 * α, 2 * α - 2) }
        let result = try BacktrackingArmijo().search(along: parabola.ray, from: 3)
        #expect(result.trials == 2)
        #expect(abs((result.found?.stepLength ?? 0) - 1) <= 4 * Double.ulpOfOne)
        // On a cubic the second does: φ = α³ − α, minimiser 1/√3, from 40.
        let cubic = Curve(name: "cubic") { α in (α * α * α - α, 3 * α * α - 1) }
        var rule = BacktrackingArmijo()
        rule.smallestShrink = 1e-3
        let second = try rule.search(along: cubic.ray, from: 40)
        #expect(second.trials <= 3)
    }

    @Test func armijoLeavesNonFiniteRegionsAndGivesUp() throws {
        let barrier = Curve(name: "barrier") { α in α < 1e-6 ? (-α, -1) : (.infinity, .nan) }
        #expect(try BacktrackingArmijo().search(along: barrier.ray, from: 1).found != nil)
        let lying = Curve(name: "wrong slope") { α in (1 + α, -1) }
        #expect(try BacktrackingArmijo().search(along: lying.ray, from: 1).found == nil)
        let broken = Curve(name: "broken") { α in α == 0 ? (1, -1) : (.nan, .nan) }
        #expect(try BacktrackingArmijo().search(along: broken.ray, from: 1).failure == .noFiniteTrial)
    }

    @Test func gridTakesTheLowestFiniteStep() throws {
        // Minimum at 0.26: of 1, ½, ¼, … the best is ¼. Not finite above 0.6.
        let curve = Curve(name: "grid") { α in α > 0.6 ? (.nan, .nan) : ((α - 0.26) * (α - 0.26), 2 * (α - 0.26)) }
        let result = try GridLineSearch().search(along: curve.ray, from: 1)
        #expect(result.found?.stepLength == 0.25)
        #expect(result.trials == 31)
        let uphill = Curve(name: "uphill") { α in (α, 1) }
        #expect(try GridLineSearch().search(along: uphill.ray, from: 1).failure == .noDecrease)
    }

    /// Coarse to fine: the same step as all of the grid where φ falls and then rises over it, with few of its trials.
    @Test(arguments: [0.9, 0.26, 3e-3, 1e-5, 2e-8, 1e-9]) func coarseToFineFindsTheSameStep(minimum: Double) throws {
        let curve = Curve(name: "grid") { α in
            α > 0.6 ? (.nan, .nan) : ((α - minimum) * (α - minimum), 2 * (α - minimum))
        }
        var rule = GridLineSearch()
        let whole = try rule.search(along: curve.ray, from: 1)
        for stride in [2, 4, 8] {
            rule.stride = stride
            let coarse = try rule.search(along: curve.ray, from: 1)
            #expect(coarse.found?.stepLength == whole.found?.stepLength)
            #expect(coarse.trials <= 31 / stride + 1 + 2 * Int(log2(Double(stride))))
        }
        #expect(whole.trials == 31)
    }

    @Test(arguments: MoréThuente.all, [1e-3, 1e-1, 1e1, 1e3]) func goldsteinHolds(curve: Curve, initial: Double) throws {
        let rule = ArmijoGoldstein()
        let result = try rule.search(along: curve.ray, from: initial)
        let sample = try #require(result.found, "\(String(describing: result.failure))")
        let (φ0, d0) = curve.f(0)
        let φ = curve.f(sample.stepLength).0
        #expect(φ <= φ0 + 0.25 * sample.stepLength * d0 && φ >= φ0 + 0.75 * sample.stepLength * d0)
        #expect(result.trials <= rule.maximumTrials && sample.slope == nil)
    }

    @Test func goldsteinFailsWithAReason() throws {
        let barrier = Curve(name: "barrier") { α in α < 1e-6 ? ((α - 1) * (α - 1), 2 * (α - 1)) : (.infinity, .nan) }
        #expect(try ArmijoGoldstein().search(along: barrier.ray, from: 1).found == nil)
        #expect(try ArmijoGoldstein().search(along: barrier.ray, from: 1).usable != nil)
        let linear = Curve(name: "linear") { α in (-α, -1) }
        guard case .unbounded = try ArmijoGoldstein().search(along: linear.ray, from: 1).failure else {
            Issue.record("an unbounded descent was bounded")
            return
        }
        let broken = Curve(name: "broken") { α in α == 0 ? (1, -1) : (.nan, .nan) }
        #expect(try ArmijoGoldstein().search(along: broken.ray, from: 1).failure == .noFiniteTrial)
        let lying = Curve(name: "wrong slope") { α in (1 + α, -1) }
        #expect(try ArmijoGoldstein().search(along: lying.ray, from: 1).usable == nil)
    }

    /// The reference of the last losses lets a step rise above the present one, and no farther than that.
    @Test func nonmonotoneSearchesLookBack() throws {
        let hill = Curve(name: "hill") { α in (1 + α * α - 0.1 * α, 2 * α - 0.1) }
        func search(_ rule: NonmonotoneArmijo, after values: [Double]) throws -> RaySample<Double>? {
            var history = SearchHistory()
            for value in values { _ = rule.reference(for: value, in: &history) }
            let reference = rule.reference(for: 1, in: &history)
            let (value, slope) = hill.f(0)
            let ray = Ray(value: value, slope: slope, reference: reference) { α, _ in
                RaySample(stepLength: α, value: hill.f(α).0, slope: nil, point: α)
            }
            return try rule.search(along: ray, from: 1).found
        }
        let monotone = try #require(try search(NonmonotoneArmijo(.recentMaximum), after: []))
        #expect(monotone.value < 1)
        #expect(try search(NonmonotoneArmijo(.recentMaximum), after: [5])?.stepLength == 1)
        #expect(try search(NonmonotoneArmijo(.weightedMean), after: [5])?.stepLength == 1)
        // Forgotten: ten losses ago, and with η = 0.
        let long = [5] + [Double](repeating: 1, count: 9)
        #expect(try search(NonmonotoneArmijo(.recentMaximum), after: long)?.stepLength == monotone.stepLength)
        var forgetful = NonmonotoneArmijo(.weightedMean)
        forgetful.forgetting = 0
        #expect(try search(forgetful, after: [5])?.stepLength == monotone.stepLength)
    }

    /// Rₖ of Zhang and Hager by hand: C₁ = f₁; Q₂ = 1.85, C₂ = (0.85·f₁ + f₂)/1.85.
    @Test func theWeightedMeanIsThePapers() {
        var history = SearchHistory()
        let rule = NonmonotoneArmijo()
        #expect(rule.reference(for: 4, in: &history) == 4)
        #expect(abs(rule.reference(for: 1, in: &history) - (0.85 * 4 + 1) / 1.85) < 1e-15)
        #expect(abs(history.weight - 1.85) < 1e-15)
    }
}

@Suite struct MoreThuenteTests {
    /// The paper's starts, with its pairs of constants for each function.
    @Test(arguments: MoréThuente.all, [1e-3, 1e-1, 1e1, 1e3]) func conditionsHold(curve: Curve, initial: Double) throws {
        var rule = MoreThuente()
        for (c1, c2) in [(1e-4, 0.9), (1e-3, 1e-2), (0.1, 0.1001)] {
            (rule.sufficientDecrease, rule.curvature) = (c1, c2)
            let result = try rule.search(along: curve.ray, from: initial)
            let sample = try #require(result.found, "c₁ \(c1), c₂ \(c2): \(String(describing: result.failure))")
            let (φ0, d0) = curve.f(0)
            let (φ, d) = curve.f(sample.stepLength)
            #expect(φ <= φ0 + c1 * sample.stepLength * d0 + rule.roundingAllowance * abs(φ0))
            #expect(abs(d) <= c2 * abs(d0))
            #expect(result.trials <= 30)
        }
    }

    /// Tables I–VI of the paper: evaluations and steps, as printed, from four starts, with each table's constants.
    @Test func thePapersTables() throws {
        let starts = [1e-3, 0.1, 10, 1e3]
        let tables: [(curve: Curve, c1: Double, c2: Double, trials: [Int], steps: [Double], halves: [Double])] = [
            (MoréThuente.all[0], 1e-3, 0.1, [6, 3, 1, 4], [1.4, 1.4, 10, 37], [0.05, 0.05, 0.5, 0.5]),
            (MoréThuente.all[1], 0.1, 0.1, [12, 8, 8, 11], [1.6, 1.6, 1.6, 1.6], [0.05, 0.05, 0.05, 0.05]),
            (MoréThuente.all[2], 0.1, 0.1, [12, 12, 10, 13], [1.0, 1.0, 1.0, 1.0], [0.05, 0.05, 0.05, 0.05]),
            (MoréThuente.all[3], 1e-3, 1e-3, [4, 1, 3, 4], [0.08, 0.10, 0.35, 0.83], [0.005, 0.005, 0.005, 0.005]),
            (MoréThuente.all[4], 1e-3, 1e-3, [6, 3, 7, 8], [0.075, 0.078, 0.073, 0.076], [5e-4, 5e-4, 5e-4, 5e-4]),
            (MoréThuente.all[5], 1e-3, 1e-3, [13, 11, 8, 11], [0.93, 0.93, 0.92, 0.92], [0.005, 0.005, 0.005, 0.005]),
        ]
        for table in tables {
            var rule = MoreThuente()
            (rule.sufficientDecrease, rule.curvature, rule.roundingAllowance) = (table.c1, table.c2.nextUp, 0)
            for (k, start) in starts.enumerated() {
                let result = try rule.search(along: table.curve.ray, from: start)
                #expect(result.trials == table.trials[k], "\(table.curve.name) from \(start)")
                let step = result.found?.stepLength ?? .nan
                #expect(abs(step - table.steps[k]) <= table.halves[k] * (1 + 1e-9), "\(table.curve.name) from \(start)")
            }
        }
    }

    @Test(arguments: [0.5, 1.5, 100, 1e8]) func nonFiniteRegionsAreLeft(initial: Double) throws {
        let barrier = Curve(name: "barrier") { α in α < 1 ? (-log(1 - α) - 2 * α, 1 / (1 - α) - 2) : (.nan, .nan) }
        let sample = try #require(try MoreThuente().search(along: barrier.ray, from: initial).found)
        #expect(sample.stepLength > 0 && sample.stepLength < 1)
        #expect(abs(barrier.f(sample.stepLength).1) <= 0.9)
    }

    @Test func failuresAreTyped() throws {
        let linear = Curve(name: "linear") { α in (-α, -1) }
        let unbounded = try MoreThuente().search(along: linear.ray, from: 1)
        guard case .unbounded = unbounded.failure else {
            Issue.record("an unbounded descent ended as \(unbounded.end)")
            return
        }
        #expect(unbounded.usable != nil)
        let uphill = Curve(name: "uphill") { α in (α, 1) }
        #expect(try MoreThuente().search(along: uphill.ray, from: 1).failure == .notDescending(slope: 1))
        let broken = Curve(name: "broken") { α in α == 0 ? (1, -1) : (.nan, .nan) }
        #expect(try MoreThuente().search(along: broken.ray, from: 1).failure == .noFiniteTrial)
        let lying = Curve(name: "wrong slope") { α in (1 + α, -1) }
        #expect(try MoreThuente().search(along: lying.ray, from: 1).usable == nil)
    }
}

@Suite struct ApproximateWolfeTests {
    @Test(arguments: MoréThuente.all, [1e-3, 1e-1, 1e1, 1e3]) func conditionsHold(curve: Curve, initial: Double) throws {
        var rule = ApproximateWolfe()
        for σ in [0.9, 0.1] {
            rule.curvature = σ
            let result = try rule.search(along: curve.ray, from: initial)
            let sample = try #require(result.found, "σ \(σ): \(String(describing: result.failure))")
            let (φ0, d0) = curve.f(0)
            let (φ, d) = curve.f(sample.stepLength)
            #expect(d >= σ * d0)
            let isWolfe = φ <= φ0 + 0.1 * sample.stepLength * d0
            #expect(isWolfe || (d <= -0.8 * d0 && φ <= φ0 + 1e-6 * abs(φ0)))
            #expect(result.trials <= 50)
        }
    }

    /// Where values are rounding error and slopes are not, the search by slopes ends and the one without allowance does not.
    @Test func slopesAreWhatEndsItNearAMinimiser() throws {
        let flat = Curve(name: "flat") { α in (α == 0 ? 1 : 1 + 4e-16, 2e-15 * (α - 1)) }
        var rule = ApproximateWolfe()
        let sample = try #require(try rule.search(along: flat.ray, from: 40).found)
        #expect(flat.f(sample.stepLength).1 >= -0.9 * 2e-15 && flat.f(sample.stepLength).1 <= 0.8 * 2e-15)
        rule.roundingAllowance = 0
        #expect(try rule.search(along: flat.ray, from: 40).found == nil)
    }

    @Test(arguments: [0.5, 1.5, 100, 1e8]) func nonFiniteRegionsAreLeft(initial: Double) throws {
        let barrier = Curve(name: "barrier") { α in α < 1 ? (-log(1 - α) - 2 * α, 1 / (1 - α) - 2) : (.nan, .nan) }
        let sample = try #require(try ApproximateWolfe().search(along: barrier.ray, from: initial).found)
        #expect(sample.stepLength > 0 && sample.stepLength < 1)
    }

    @Test func failuresAreTyped() throws {
        let linear = Curve(name: "linear") { α in (-α, -1) }
        // σφ′(0) ≤ φ′(α) never holds: it expands until its trials end.
        #expect(try ApproximateWolfe().search(along: linear.ray, from: 1).failure == .trialsExhausted)
        #expect(try ApproximateWolfe().search(along: linear.ray, from: 1).usable != nil)
        let broken = Curve(name: "broken") { α in α == 0 ? (1, -1) : (.nan, .nan) }
        let nothing = try ApproximateWolfe().search(along: broken.ray, from: 1)
        #expect(nothing.failure == .noFiniteTrial && nothing.usable == nil && nothing.trials <= 50)
        let lying = Curve(name: "wrong slope") { α in (1 + α, -1) }
        #expect(try ApproximateWolfe().search(along: lying.ray, from: 1).usable == nil)
        let uphill = Curve(name: "uphill") { α in (α, 1) }
        #expect(try ApproximateWolfe().search(along: uphill.ray, from: 1).failure == .notDescending(slope: 1))
    }
}
