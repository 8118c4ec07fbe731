import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct AccumulatedTests {
    /// Sets of 10 and 4, in two batches each.
    private let problem = Clouds(b: [100, 101, 102, 107])
    private let halves = BatchSettings(size: 5, sizes: [SampleSet(name: "b", count: 2)])

    @Test func theBatchesOfAnEpochGiveTheFullGradient() throws {
        let base = Steepest(rate: 0.2, momentum: 0.5)
        let method = Batched(Accumulated(base, over: 2), halves)
        var (whole, state) = (try base.start(on: problem, from: Parameters([0])), try method.start(on: problem, from: Parameters([0])))
        var largest = 0.0
        for _ in 0..<40 {
            let before = state.parameters
            let first = try method.step(&state, on: problem)
            #expect(first.verdict == .accepted && first.stepLength == 0 && state.parameters == before)
            _ = try method.step(&state, on: problem)
            _ = try base.step(&whole, on: problem)
            #expect(state.parameters != before)
            let distance = abs(state.parameters.values[0] - whole.parameters.values[0])
            // Some roundings a step of numbers below 128, in a contraction.
            #expect(distance <= 64 * (64.0).ulp, "\(distance)")
            largest = max(largest, distance)
        }
        #expect(state.base.memory.updates == 40)
        // Without the accumulation it is another method.
        let plain = Batched(base, halves)
        var other = try plain.start(on: problem, from: Parameters([0]))
        for _ in 0..<40 { _ = try plain.step(&other, on: problem) }
        #expect(abs(other.parameters.values[0] - whole.parameters.values[0]) > 1e6 * largest)
    }

    @Test func clippingInsideIsOfTheMeanAndOutsideOfEachGradient() throws {
        // Gradients 3 and −1 at every θ: their mean is 1; each clipped to the norm ½ they cancel.
        let gradients: [Vector] = [[3], [-1]]
        func update<M: FirstOrderMethod>(_ method: M) -> [Double] {
            var memory = method.start(count: 1)
            return gradients.enumerated().map { step, gradient in
                var g = gradient
                method.update(&g, at: [0], step: step + 1, memory: &memory)
                return g[0]
            }
        }
        #expect(update(Accumulated(Steepest(rate: 1), over: 2)) == [0, 1])
        #expect(update(Accumulated(Clipped(Steepest(rate: 1), norm: 0.5), over: 2)) == [0, 0.5])
        #expect(update(Clipped(Accumulated(Steepest(rate: 1), over: 2), norm: 0.5)) == [0, 0])
    }

    @Test func overOneBatchItIsTheBaseBitForBit() throws {
        let base = Steepest(rate: 0.1, momentum: 0.5)
        let (one, other) = (Batched(base, halves), Batched(Accumulated(base, over: 1), halves))
        var (a, b) = (try one.start(on: problem, from: Parameters([0])), try other.start(on: problem, from: Parameters([0])))
        for _ in 0..<20 {
            #expect(try one.step(&a, on: problem).loss == other.step(&b, on: problem).loss)
            #expect(a.parameters == b.parameters)
        }
    }

    @Test func aStepCostsOneGradientOfABatch() throws {
        let counted = Counted(problem)
        let method = Batched(Accumulated(Steepest(rate: 0.1), over: 3), halves)
        var state = try method.start(on: counted, from: Parameters([0]))
        for _ in 0..<12 { _ = try method.step(&state, on: counted) }
        #expect(counted.counter.counts.calls(.gradient) == 13 && state.base.memory.updates == 4 && state.base.memory.count == 0)
    }

    @Test func aNewVersionDropsWhatWasTakenInBefore() throws {
        let method = Clipped(Accumulated(Steepest(rate: 0.1), over: 4), norm: 1e9)
        let (old, new) = (Moving(), Moving(centre: [5, 5], version: 1))
        var state = try method.start(on: old, from: Parameters([0, 0]))
        for _ in 0..<3 { _ = try method.step(&state, on: old) }
        #expect(state.memory.base.count == 3)
        try method.adapt(&state, to: new)
        #expect(state.memory.base.count == 0 && state.memory.base.sum == [0, 0])
        for _ in 0..<4 { _ = try method.step(&state, on: new) }
        // −η·∇L of the new version alone.
        #expect((state.parameters.values - [0.5, 0.5]).maximumNorm <= 1e-15)
    }

    @Test func aBreakdownBetweenTwoUpdatesLeavesTheState() throws {
        var broken = problem
        broken.a[7] = .nan
        let method = Batched(Accumulated(Steepest(rate: 0.1), over: 3), size: 1, seed: 1)
        var state = try method.start(on: broken, from: Parameters([0]))
        for _ in 0..<10 {
            let before = Archive(of: state)
            guard case .brokeDown = try method.step(&state, on: broken).verdict else { continue }
            #expect(Archive(of: state) == before)
            return
        }
        Issue.record("no step met the sample that is not a number")
    }
}

/// Every wrapper of a first-order method at once, as a configuration writes it.
@Suite struct WrapperStackTests {
    static let written = Setting.map([
        .init("name", .scalar("steepest")), .init("rate", .number(0.2)), .init("momentum", .number(0.3)), .init("clipNorm", .number(20)),
        .init("accumulate", .integer(3)), .init("plateau", .map([.init("every", .integer(4)), .init("patience", .integer(1))])),
        .init("average", .map([.init("after", .integer(9)), .init("kind", .scalar("exponential")), .init("decay", .number(0.9))])),
        .init("blocks", .map([.init("x", .map([.init("rate", .number(0.25))]))])),
        .init("batch", .map([.init("size", .integer(2))])), .init("bounds", .map([.init("x", .list([.number(-5), .number(60)]))])),
    ])
    typealias Stack = Batched<Averaged<Bounded<Plateau<Accumulated<Clipped<PerBlock<Steepest>>>>>>>

    private func registry() throws -> Registry {
        var registry = Registry()
        try registry.register(optimizer: Steepest.self)
        return registry
    }

    @Test func theyNestInTheDocumentedOrder() throws {
        let stack = try #require(try registry().optimizer(Self.written) as? Stack)
        let method = stack.base.base.base.base
        #expect(method.batches == 3 && method.base.norm == 20 && method.base.base.base.momentum == 0.3)
        #expect(stack.base.averaging == .exponential(decay: 0.9, after: 9) && stack.base.base.base.plateau.patience == 1)
        let again = try #require(try registry().optimizer(stack.settings) as? Stack)
        #expect(again.settings == stack.settings)
        let fields = try #require(try registry().optimizers.first).schema.map(\.name)
        #expect(fields == ["rate", "momentum", "blocks", "clipNorm", "accumulate", "plateau", "bounds", "average", "batch"])
    }

    @Test func eachIsRefusedInItsOwnName() throws {
        func error(_ path: [String], _ value: Setting) -> ConfigurationError? {
            #expect(throws: ConfigurationError.self) { try registry().optimizer(Self.written.setting(path, to: value)) }
        }
        #expect(error(["accumulate"], .integer(0))?.path == "optimizer.accumulate")
        #expect(error(["plateau", "factor"], .number(1))?.path == "optimizer.plateau.factor")
        #expect(error(["plateau", "metric"], .scalar("error"))?.reason.contains("loss, monitor-loss") == true)
        #expect(error(["average", "decay"], .number(1))?.path == "optimizer.average.decay")
        #expect(error(["average", "knid"], .scalar("mean"))?.reason.contains("kind") == true)
        #expect(error(["blocks", "x"], .number(1))?.path == "optimizer.blocks.x")
        let lonely = #expect(throws: ConfigurationError.self) { try registry().optimizer(Self.written.removing("batch")) }
        #expect(lonely?.path == "optimizer.accumulate" && lonely?.reason.contains("give `batch`") == true)
    }

    /// Cut after every step: in the middle of epochs, of accumulations and of readings.
    @Test func resumedAnywhereEqualsUninterrupted() throws {
        let optimizer = try #require(try registry().optimizer(Self.written) as? Stack)
        let pipeline = Pipeline(minimizing: Clouds(), stages: [Stage(dynamic: "stir", optimizer, until: .iterations(40))])
        let expected = try pipeline.begin(seed: 2)
        _ = try expected.finish()
        let memory = try expected.snapshot().group("optimizer").group("base")
        #expect(try memory.integer("count") == 31)
        let plateau = try memory.group("base").group("base").group("plateau")
        #expect(try plateau.double("factor") < 1)
        for cut in 1..<40 {
            let first = try pipeline.begin(seed: 2)
            for _ in 0..<cut { try first.advance() }
            let resumed = try pipeline.restore(from: first.snapshot())
            let result = try resumed.finish()
            #expect(resumed.snapshot().withoutClock.differences(from: expected.snapshot().withoutClock) == [], "cut after \(cut)")
            #expect(result.best == expected.result.best)
        }
    }

    /// What a method makes of the layout reaches it through every wrapper, and so do its own checks.
    @Test func wrappersPassTheLayoutOn() throws {
        let parameters = Parameters(layout: ParameterLayout([("w", [2, 3]), ("b", [2])]), values: .zeros(8))
        func blocks<M: FirstOrderMethod>(_ method: M, _ memory: (M.Memory) -> Layered.Memory) -> [String] {
            memory(method.start(layout: parameters.layout)).names
        }
        let base = Layered()
        #expect(blocks(base) { $0 } == ["w", "b"])
        #expect(blocks(Clipped(base, norm: 1)) { $0.base } == ["w", "b"])
        #expect(blocks(Accumulated(base, over: 2)) { $0.base } == ["w", "b"])
        #expect(blocks(PerBlock(base, [])) { $0.parts[0].memory } == ["w", "b"])
        #expect(blocks(PerBlock(base, [.init("w", rate: 0.5)])) { $0.parts[1].memory } == ["w"])
        for optimizer: any Optimizer in [
            Clipped(base, norm: 1), Accumulated(base, over: 2), PerBlock(base, []), Plateau(base), Averaged(base), Batched(base, size: 2),
        ] {
            func check<O: Optimizer>(_ optimizer: O) {
                let pipeline = Pipeline(minimizing: Clouds(), stages: [Stage(dynamic: "s", optimizer, until: .iterations(1))])
                let error = #expect(throws: ConfigurationError.self, "\(O.self)") { try pipeline.preflight() }
                #expect(error?.reason == "is asked" as String?)
            }
            check(optimizer)
        }
    }
}

/// Remembers the names of the blocks, and fits no problem.
private struct Layered: FirstOrderMethod, Configurable {
    static let identifier = "layered"
    static let summary = "Stands still."
    static var fields: [Field<Self>] { [] }

    struct Memory: Checkpointable {
        var names: [String]
        init(names: [String]) { self.names = names }
        func encode(into archive: inout Archive) { archive.set("names", names) }
        init(from archive: Archive) throws { names = try archive.strings("names") }
    }

    func check(_ problem: any DifferentiableProblem) throws { throw ConfigurationError(path: "layered", reason: "is asked") }
    func start(count n: Int) -> Memory { Memory(names: []) }
    func start(layout: ParameterLayout) -> Memory { Memory(names: layout.blocks.map(\.name)) }
    func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) { g = .zeros(g.count) }
}
