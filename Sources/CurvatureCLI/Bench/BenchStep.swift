import ArgumentParser
import Curvature

/// `curvature bench step`: whole steps of any optimizer from given parameters.
struct BenchStep: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Time steps of an optimizer on a PDE problem, beside its loss and gradient.",
        discussion: """
            The steps go on from one another: each repetition takes --steps further ones. With --from-start each repetition begins again where \
            the first one did, so that all do the same. Seconds are those of one step; work is what the step asked of the problem. Before \
            each repetition loss and gradient are timed; the ratio is the median of the paired ratios to them.
            """)

    @Argument(help: "The optimizer.")
    var optimizer: String

    @Option(name: .customLong("with"), help: "A setting of the optimizer: path=value, e.g. damping.value=1e-6.")
    var settings: [String] = []

    @Option(help: "Steps of a repetition.")
    var steps = 1

    @Flag(help: "Begin every repetition at the first one's state.")
    var fromStart = false

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    func run(with registry: Registry) throws {
        guard steps > 0 else { throw ConfigurationError(path: "--steps", reason: "\(steps) must be ≥ 1") }
        let bench = try subject.load(from: registry)
        let setting = try settings.reduce(Setting.scalar(optimizer)) { try $0.overridden(by: $1) }
        guard let report = try measured(registry.optimizer(setting), on: bench) else { return }
        try print(timing.json ? JSON.text(of: report) : report.text)
    }

    private func measured<Method: Optimizer>(_ method: Method, on bench: BenchCase) throws -> StepTimes? {
        let counted = Counted(bench.problem)
        let problem: Method.Objective = try narrowed(counted, for: "bench", Method.self)
        try method.check(problem)
        let start = try method.start(on: problem, from: Parameters(layout: bench.problem.layout, values: bench.parameters))
        var state = start
        var report = try StepTimes(optimizer: optimizer, bench: bench)
        var begun = WorkCounts()
        var gradients: [Double] = []
        func between(_ index: Int) throws {
            if index == 0 { (begun, report.steps, report.verdicts) = (counted.counter.counts, 0, [:]) }
            gradients.append(try seconds(of: { _ = try bench.problem.lossAndGradient(at: state.parameters.values) }))
        }
        let times = try timing.measure(repeats: 15, between: between, report: { report }) {
            if fromStart { (state, report.loss) = (start, report.startLoss) }
            for _ in 0..<steps {
                let before = state.parameters.values
                let step = try method.step(&state, on: problem)
                (report.steps, report.lossBefore, report.loss) = (report.steps + 1, report.loss, step.loss.total)
                report.stepNorm = (state.parameters.values - before).norm
                report.verdicts[step.verdict.name, default: 0] += 1
            }
        }
        guard let times else { return nil }
        let done = counted.counter.counts - begun
        report.work = Work.allCases.reduce(into: [:]) { counts, work in
            if done[work] > 0 { counts[work.name] = done[work] / Double(report.steps) }
        }
        report.complete(times.map { $0 / Double(steps) }, gradients: gradients)
        return report
    }
}

struct StepTimes: Encodable {
    var optimizer, problem: String
    var width, depth, points, parameters: Int
    /// The loss where the first step begins.
    var startLoss: Double
    /// The steps that were timed, or in serving all; the losses before and after the last one, and its length.
    var steps = 0
    var lossBefore, loss: Double
    var stepNorm = Double.nan
    /// How many steps ended how.
    var verdicts: [String: Int] = [:]
    /// What a step asked of the problem, in the mean.
    var work: [String: Double] = [:]
    var threads = 0
    var repeats = 0
    /// Of one step.
    var seconds: Seconds?
    /// The median of the paired ratios to loss and gradient.
    var ratio: Double?
    var peakResidentMB: Double?
    var load: Double?

    init(optimizer: String, bench: BenchCase) throws {
        (self.optimizer, problem) = (optimizer, bench.problem.name)
        (width, depth, points, parameters) = (bench.width, bench.depth, bench.points, bench.parameters.count)
        startLoss = try bench.problem.loss(at: bench.parameters).total
        (lossBefore, loss) = (startLoss, startLoss)
    }

    mutating func complete(_ times: [Double], gradients: [Double]) {
        (seconds, repeats, ratio) = (Seconds(times), times.count, Seconds(zip(times, gradients).map(/)).median)
        (threads, peakResidentMB, load) = (ThreadPool.threadCount, residentPeak(), loadAverage())
    }

    var text: String {
        let asked = Work.allCases.compactMap { work in self.work[work.name].map { "\(short($0)) \(work.name)" } }
        return """
            \(problem), \(depth) hidden layers of \(width), \(points) points, P = \(parameters), \(threads) threads
            a step of \(optimizer): \(seconds?.text ?? "") over \(repeats); \(short(ratio ?? .nan)) times loss and gradient
            in the mean \(asked.joined(separator: ", ")); the loss went from \(short(startLoss)) to \(short(loss)) in the end
            """
    }
}
