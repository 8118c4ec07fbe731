import ArgumentParser
import Curvature

/// `curvature bench lbfgs`: iterations of L-BFGS from given parameters.
struct BenchLBFGS: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "lbfgs", abstract: "Time a run of L-BFGS on a PDE problem.",
        discussion: "A run ends after --iterations steps, or as soon as the loss L = ½‖r‖² is at most --target.")

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    @Option(help: "Steps of a run.")
    var iterations = 100

    @Option(help: "Steps that are remembered.")
    var memory = 10

    @Option(help: "A loss at which a run ends.")
    var target: Double?

    func run(with registry: Registry) throws {
        guard iterations > 0, memory > 0 else { throw ConfigurationError(path: "--iterations", reason: "runs and memory must be ≥ 1") }
        let bench = try subject.load(from: registry)
        let start = Parameters(layout: bench.problem.layout, values: bench.parameters)
        let method = LBFGS(memory: memory)
        var report = LBFGSReport(
            problem: bench.problem.name, width: bench.width, depth: bench.depth, points: bench.points, parameters: start.count,
            memory: memory, target: target)
        let times = try timing.measure(repeats: 3, report: { report }) {
            let counter = WorkCounter()
            let objective = Counted(bench.problem, counter: counter)
            var state = try method.start(on: objective, from: start)
            var taken = 0
            while taken < iterations, state.standpoint.loss.total > target ?? -.infinity {
                let step = try method.step(&state, on: objective)
                guard step.verdict == .accepted else { break }
                taken += 1
            }
            (report.iterations, report.loss) = (taken, state.standpoint.loss.total)
            report.evaluations = counter.counts.calls(.gradient)
            report.reachedTarget = target.map { state.standpoint.loss.total <= $0 }
        }
        guard let times else { return }
        (report.seconds, report.repeats, report.threads) = (Seconds(times), times.count, ThreadPool.threadCount)
        (report.peakResidentMB, report.load) = (residentPeak(), loadAverage())
        try print(timing.json ? JSON.text(of: report) : report.text)
    }
}

struct LBFGSReport: Encodable {
    var problem: String
    var width, depth, points, parameters, memory: Int
    var target: Double?
    var reachedTarget: Bool?
    var iterations = 0
    /// Losses with gradients.
    var evaluations = 0
    /// The loss at the end of a run.
    var loss = Double.nan
    var threads = 0
    var repeats = 0
    /// Of a run.
    var seconds: Seconds?
    var peakResidentMB: Double?
    var load: Double?

    init(problem: String, width: Int, depth: Int, points: Int, parameters: Int, memory: Int, target: Double?) {
        (self.problem, self.width, self.depth, self.points) = (problem, width, depth, points)
        (self.parameters, self.memory, self.target) = (parameters, memory, target)
    }

    var text: String {
        """
        \(problem), \(depth) hidden layers of \(width), \(points) points, P = \(parameters), memory \(memory), \(threads) threads
        \(iterations) iterations, \(evaluations) evaluations to the loss \(loss): \(seconds?.text ?? "") over \(repeats)
        """
    }
}
