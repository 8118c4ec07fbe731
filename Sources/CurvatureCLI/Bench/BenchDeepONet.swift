import ArgumentParser
import Curvature

/// `curvature bench deeponet`: loss and gradient of a DeepONet on all functions and points.
struct BenchDeepONet: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "deeponet", abstract: "Time the loss and gradient of a DeepONet for the antiderivative.",
        discussion: """
            Branch and trunk have --depth hidden layers of --width units and as many features. A case is a file of operator data with the
            parameters beside them: /parameters, the branch's layers, the trunk's, the bias. Arithmetic is counted as 6F·P_b + 6Q·P_t +
            6FQK for F functions, Q points, K features and P_b, P_t weights.
            """)

    @Option(name: .customLong("case"), help: "An HDF5 file of operator data and parameters; else data are made.")
    var file: String?

    @Option(help: "Units of each hidden layer, and features.")
    var width = 40

    @Option(help: "Hidden layers of branch and trunk.")
    var depth = 2

    @Option(help: "Functions, where there is no case.")
    var functions = 1000

    @OptionGroup var timing: TimingOptions

    func run(with registry: Registry) throws {
        guard width > 0, depth >= 0 else { throw ConfigurationError(path: "--width", reason: "widths must be ≥ 1, depths ≥ 0") }
        let (problem, θ) = try load()
        let (f, q, k) = (problem.training.functionCount, problem.training.grid.pointCount, problem.model.features)
        let grid = problem.training.grid
        func weights(_ inputs: Int) -> Int { depth == 0 ? inputs * k : inputs * width + (depth - 1) * width * width + width * k }
        let products = f * weights(grid.sensorCount) + q * weights(grid.pointDimension) + f * q * k
        var report = DeepONetReport(
            width: width, depth: depth, functions: f, sensors: grid.sensorCount, points: q, parameters: θ.count,
            flops: 6 * Double(products))
        let repeats = timing.repeats ?? 20
        var peak = 0.0
        func between(_ index: Int) { if index % max(1, repeats / 5) == 0 { peak = max(peak, matrixProductRate()) } }
        let times = try timing.measure(repeats: repeats, between: between, report: { report }) {
            let value = try problem.lossAndGradient(at: θ)
            (report.loss, report.gradientNorm) = (value.loss.total, value.gradient.norm)
        }
        guard let times else { return }
        report.complete(times, peak: peak)
        try print(timing.json ? JSON.text(of: report) : report.text)
    }

    private func load() throws -> (DeepONetProblem, Vector) {
        guard let file else {
            var setup = Antiderivative()
            (setup.functions, setup.validationFunctions, setup.testFunctions) = (functions, 0, 0)
            (setup.sensors, setup.points, setup.network.features) = (100, 100, width)
            (setup.network.branchWidth, setup.network.branchDepth) = (width, depth)
            (setup.network.trunkWidth, setup.network.trunkDepth) = (width, depth)
            let problem = try setup.makeOperatorProblem(seed: 0)
            var random = RandomStream(seed: 0, name: "initialization")
            return (problem, problem.initialParameters(from: &random).values)
        }
        let data = try OperatorDataFile(file).loaded()
        let hidden = Array(repeating: width, count: depth)
        let model = DeepONet(
            sensors: data.grid.sensorCount, branch: hidden, pointDimension: data.grid.pointDimension, trunk: hidden, features: width)
        let stored = try HDF5File.open(file).read(Double.self, at: "/parameters").values
        guard stored.count == model.layout.count else {
            throw ConfigurationError(
                path: "--case", reason: "\(file) has \(stored.count) parameters; \(depth) × \(width) needs \(model.layout.count)")
        }
        return (try DeepONetProblem(model: model, training: data), Vector(stored))
    }
}

struct DeepONetReport: Encodable {
    var width, depth, functions, sensors, points, parameters: Int
    /// The arithmetic of one evaluation by the fixed count.
    var flops: Double
    var loss = Double.nan
    var gradientNorm = Double.nan
    var threads = 0
    var repeats = 0
    var seconds: Seconds?
    var gflops, dgemmPeakGflops, fractionOfPeak: Double?
    var peakResidentMB: Double?
    var load: Double?

    init(width: Int, depth: Int, functions: Int, sensors: Int, points: Int, parameters: Int, flops: Double) {
        (self.width, self.depth, self.functions, self.sensors) = (width, depth, functions, sensors)
        (self.points, self.parameters, self.flops) = (points, parameters, flops)
    }

    mutating func complete(_ times: [Double], peak: Double) {
        let seconds = Seconds(times)
        let rate = flops / seconds.median / 1e9
        (repeats, self.seconds, threads) = (times.count, seconds, ThreadPool.threadCount)
        (gflops, dgemmPeakGflops, fractionOfPeak) = (rate, peak, rate / peak)
        (peakResidentMB, load) = (residentPeak(), loadAverage())
    }

    var text: String {
        """
        DeepONet, \(depth) hidden layers of \(width), \(functions) functions × \(points) points, P = \(parameters), \(threads) threads
        loss + gradient: \(seconds?.text ?? "") over \(repeats)
        \(short(gflops ?? 0)) GFLOP/s of \(short(dgemmPeakGflops ?? 0)) (\(short(100 * (fractionOfPeak ?? 0))) %)
        """
    }
}
