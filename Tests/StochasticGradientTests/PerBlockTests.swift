import LinearAlgebra
import OptimizationCore
import StochasticGradient
import Testing

/// Σ ½(t + 1/t)² with t = 1 + (aᵢxᵢ − ½)² over the entries of named blocks: no entry's slope depends on another's.
private struct Separate: DifferentiableProblem {
    var blocks: [(name: String, shape: [Int])]
    /// The number of the first entry among all entries that there are.
    var first = 0

    static let whole = Separate(blocks: [("u.weights", [2, 3]), ("u.biases", [3]), ("branch", [2]), ("v.biases", [1])])

    var name: String { "separate" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(blocks) }
    func initialParameters(from random: inout RandomStream) -> Parameters { start }
    var start: Parameters {
        Parameters(layout: layout, values: Vector((0..<layout.count).map { 0.1 * Double(($0 + first) % 7) - 0.3 }))
    }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        var (loss, gradient) = (0.0, Vector.zeros(θ.count))
        for i in θ.indices {
            let a = 1 + 0.25 * Double(i + first)
            let s = a * θ[i] - 0.5
            let t = 1 + s * s
            loss += 0.5 * (t + 1 / t) * (t + 1 / t)
            gradient[i] = (t + 1 / t) * (1 - 1 / (t * t)) * 2 * s * a
        }
        return Evaluation(loss: LossValue(loss), gradient: gradient)
    }
}

@Suite struct PerBlockTests {
    private func run<M: FirstOrderMethod>(_ method: M, on problem: Separate, steps: Int = 30) throws -> Parameters {
        var state = try method.start(on: problem, from: problem.start)
        for _ in 0..<steps { #expect(try method.step(&state, on: problem).verdict == .accepted) }
        return state.parameters
    }

    @Test func aBlockWithRateZeroStaysAndTheOthersStepAsWithoutIt() throws {
        func check<M: FirstOrderMethod & Configurable>(_ base: M) throws {
            let frozen = try run(PerBlock(base, [.init("branch", rate: 0)]), on: .whole)
            let free = try run(base, on: .whole)
            #expect(frozen.block("branch") == Separate.whole.start.block("branch"), "\(M.identifier)")
            for name in ["u.weights", "u.biases", "v.biases"] {
                #expect(frozen.block(name) == free.block(name), "\(M.identifier), \(name)")
                #expect(frozen.block(name) != Separate.whole.start.block(name), "\(M.identifier), \(name)")
            }
        }
        try check(Adam(learningRate: 1e-2))
        try check(StochasticGradientDescent(learningRate: 1e-3, momentum: 0.5))
        try check(ScheduleFreeSGD(learningRate: 1e-3))
        try check(ScheduleFreeAdamW())
        try check(Lion())
    }

    /// Each rule's blocks go as in a run of theirs alone with that rule's method, bit for bit.
    @Test func blocksStepAsInARunOfTheirsAlone() throws {
        var decayed = AdamW()
        (decayed.learningRate, decayed.weightDecay) = (1e-2, 0.25)
        var plain = decayed
        (plain.weightDecay, plain.schedule) = (0, ExponentialDecay(rate: 0.5, every: 10))
        let method = PerBlock(decayed, [.init("*.biases", plain), .init("branch", rate: 0.5)])
        let together = try run(method, on: .whole)
        func alone(_ method: AdamW, _ name: String, scale: Double = 1) throws {
            let block = try #require(Separate.whole.layout[name])
            let problem = Separate(blocks: [(name, block.shape)], first: block.offset)
            let start = problem.start.with(Vector(Separate.whole.start.block(name) ?? []))
            var state = try method.start(on: problem, from: start)
            state.stepScale = scale
            for _ in 0..<30 { _ = try method.step(&state, on: problem) }
            #expect(together.block(name) == state.parameters.values.elements, "\(name)")
        }
        try alone(decayed, "u.weights")
        try alone(plain, "u.biases")
        try alone(plain, "v.biases")
        try alone(decayed, "branch", scale: 0.5)
        // And not as without the rules.
        #expect(together.block("u.biases") != (try run(decayed, on: .whole)).block("u.biases"))
    }

    /// A rate that is left to the method acts on its own rate, not on the averages that it hands on.
    @Test func aFactorOfAScheduleFreeMethodIsOfItsRate() throws {
        let halved = try run(PerBlock(ScheduleFreeSGD(learningRate: 2e-3), [.init("*", rate: 0.5)]), on: .whole)
        #expect(halved == (try run(ScheduleFreeSGD(learningRate: 1e-3), on: .whole)))
        let both = try run(PerBlock(ScheduleFreeAdamW(), [.init("u.*", rate: 0.5)]), on: .whole)
        var slow = ScheduleFreeAdamW()
        slow.learningRate *= 0.5
        #expect(both.block("u.weights") == (try run(slow, on: .whole)).block("u.weights"))
        #expect(both.block("branch") == (try run(ScheduleFreeAdamW(), on: .whole)).block("branch"))
    }

    @Test func aRuleThatNamesNothingIsRefusedBeforeTheFirstStep() throws {
        func error(_ rules: [PerBlock<Adam>.Rule]) -> ConfigurationError? {
            let method = Averaged(Bounded(Plateau(Clipped(PerBlock(Adam(), rules), norm: 1)), ParameterBounds()))
            let pipeline = Pipeline(minimizing: Separate.whole, stages: [Stage(dynamic: "s", method, until: .iterations(1))])
            return #expect(throws: ConfigurationError.self) { try pipeline.preflight() }
        }
        let unknown = error([.init("brunch", rate: 0)])
        #expect(unknown?.path == "stage “s”: blocks.brunch")
        #expect(unknown?.reason == "names no block of the problem's parameters; there are: branch, u.biases, v.biases, u.weights")
        #expect(error([.init("w.*", rate: 0)])?.path.hasSuffix("blocks.w.*") == true)
        let taken = error([.init("u.*", rate: 0), .init("u.biases", rate: 1)])
        #expect(taken?.path.hasSuffix("blocks.u.biases") == true && taken?.reason.contains("put it first") == true)
        let wrong = error([.init("branch", Adam(learningRate: -1))])
        #expect(wrong?.path.hasSuffix("blocks.branch.learningRate") == true)
        #expect(throws: ConfigurationError.self) {
            try PerBlock(Adam(), [.init("brunch", rate: 0)]).start(on: Separate.whole, from: Separate.whole.start)
        }
    }

    @Test func patternsMatchAsWildcards() throws {
        func unmoved(_ pattern: String) throws -> [String] {
            var sgd = StochasticGradientDescent(learningRate: 1e-3)
            sgd.momentum = 0
            let all = try run(PerBlock(sgd, [.init(pattern, rate: 0)]), on: .whole, steps: 1)
            return Separate.whole.layout.blocks.map(\.name).filter { all.block($0) == Separate.whole.start.block($0) }
        }
        #expect(try unmoved("*") == ["u.weights", "u.biases", "branch", "v.biases"])
        #expect(try unmoved("u.*") == ["u.weights", "u.biases"])
        #expect(try unmoved("*.biases") == ["u.biases", "v.biases"])
        #expect(try unmoved("*b*a*s*") == ["u.biases", "v.biases"])
        #expect(try unmoved("*anc*") == ["branch"])
        #expect(try unmoved("u.weights") == ["u.weights"])
        #expect(throws: ConfigurationError.self) { try unmoved("u.b*b*iases") }
        #expect(throws: ConfigurationError.self) { try unmoved("biases") }
    }

    @Test func settingsByBlocks() throws {
        var registry = Registry()
        try registry.install(StochasticGradientPlugin.self)
        let blocks = Setting.map([
            .init("*.biases", .map([.init("weightDecay", .number(0)), .init("rate", .number(0.5))])),
            .init("branch", .map([.init("schedule", .map([.init("name", .scalar("cosine")), .init("steps", .integer(9))]))])),
        ])
        // Before the settings that they change, and after.
        let rate = Setting.Pair("learningRate", .number(0.25))
        for pairs in [[.init("blocks", blocks), rate], [rate, .init("blocks", blocks)]] as [[Setting.Pair]] {
            let method = try #require(
                try registry.optimizer(.map([.init("name", .scalar("adamw"))] + pairs)) as? PerBlock<AdamW>)
            #expect(method.base.learningRate == 0.25 && method.rules.map(\.rate) == [0.5, 1])
            var reference = AdamW()
            reference.learningRate = 0.25
            var (biases, branch) = (reference, reference)
            (biases.weightDecay, branch.schedule) = (0, CosineDecay(steps: 9))
            let expected = PerBlock(reference, [.init("*.biases", biases, rate: 0.5), .init("branch", branch)])
            #expect(try run(method, on: .whole) == run(expected, on: .whole))
            let again = try #require(try registry.optimizer(method.settings) as? PerBlock<AdamW>)
            #expect(again.settings == method.settings && method.settings["blocks"] == blocks.reordered)
        }
        func error(_ key: String, _ value: Setting) -> ConfigurationError? {
            let setting = Setting.map([.init("name", .scalar("adamw"))])
                .setting(["blocks"], to: .map([.init("branch", .map([.init(key, value)]))]))
            return #expect(throws: ConfigurationError.self) { try registry.optimizer(setting) }
        }
        #expect(error("learningRate", .number(-1))?.path == "optimizer.blocks.branch.learningRate")
        #expect(error("rate", .number(-1))?.path == "optimizer.blocks.branch.rate")
        #expect(error("rate", .scalar("inf"))?.reason.contains("≥ 0") == true)
        let unknown = error("weightDekay", .number(1))
        #expect(unknown?.path == "optimizer.blocks.branch.weightDekay" && unknown?.reason.contains("there are: weightDecay") == true)
    }

    @Test func aRunOfBlocksGoesOnFromWhereItWasStored() throws {
        let method = Clipped(
            PerBlock(Adam(learningRate: 1e-2), [.init("u.*", rate: 0.5), .init("branch", Adam(learningRate: 1e-3))]), norm: 3)
        var whole = try method.start(on: Separate.whole, from: Separate.whole.start)
        for _ in 0..<20 {
            var resumed: FirstOrderState<ClippedMemory<PerBlockMemory<AdamMemory>>> = try Archive(of: whole).decoded()
            _ = try method.step(&whole, on: Separate.whole)
            _ = try method.step(&resumed, on: Separate.whole)
            #expect(Archive(of: resumed) == Archive(of: whole))
        }
    }
}

extension Setting {
    /// As a rule writes itself: the factor first.
    fileprivate var reordered: Setting {
        guard case .map(let pairs) = value else { return self }
        return .map(
            pairs.map { pair in
                guard case .map(let inner) = pair.value.value else { return pair }
                return Setting.Pair(pair.key, .map(inner.filter { $0.key == "rate" } + inner.filter { $0.key != "rate" }))
            })
    }
}
