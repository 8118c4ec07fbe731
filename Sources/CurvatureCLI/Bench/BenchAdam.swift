import ArgumentParser
import Curvature

/// `curvature bench adam`: steps of Adam from given parameters.
struct BenchAdam: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "adam", abstract: "Time steps of Adam on a PDE problem.",
        discussion: "The steps go on from one another: each repetition takes --steps further ones. Seconds are those of one step.")

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    @Option(help: "Steps of a repetition.")
    var steps = 100

    @Option(help: "The learning rate.")
    var rate = 1e-3

    func run(with registry: Registry) throws {
        guard steps > 0 else { throw ConfigurationError(path: "--steps", reason: "\(steps) must be ≥ 1") }
        let bench = try subject.load(from: registry)
        let method = Adam(learningRate: rate)
        var state = try method.start(on: bench.problem, from: Parameters(layout: bench.problem.layout, values: bench.parameters))
        var report = AdamReport(
            problem: bench.problem.name, width: bench.width, depth: bench.depth, points: bench.points,
            parameters: bench.parameters.count)
        let times = try timing.measure(repeats: 15, report: { report }) {
            for _ in 0..<steps {
                let step = try method.step(&state, on: bench.problem)
                (report.steps, report.lossBefore, report.loss) = (report.steps + 1, report.loss, step.loss.total)
            }
        }
        guard let times else { return }
        (report.seconds, report.repeats) = (Seconds(times.map { $0 / Double(steps) }), times.count)
        (report.threads, report.peakResidentMB, report.load) = (ThreadPool.threadCount, residentPeak(), loadAverage())
        try print(timing.json ? JSON.text(of: report) : report.text)
    }
}

struct AdamReport: Encodable {
    var problem: String
    var width, depth, points, parameters: Int
    /// All steps that were taken, those to warm up included, and the losses before and after the last one.
    var steps = 0
    var lossBefore = Double.nan
    var loss = Double.nan
    var threads = 0
    var repeats = 0
    /// Of one step.
    var seconds: Seconds?
    var peakResidentMB: Double?
    var load: Double?

    init(problem: String, width: Int, depth: Int, points: Int, parameters: Int) {
        (self.problem, self.width, self.depth, self.points, self.parameters) = (problem, width, depth, points, parameters)
    }

    var text: String {
        """
        \(problem), \(depth) hidden layers of \(width), \(points) points, P = \(parameters), \(threads) threads
        a step of Adam: \(seconds?.text ?? "") over \(repeats); after \(steps) steps the loss is \(loss)
        """
    }
}
