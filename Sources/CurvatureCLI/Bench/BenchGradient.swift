import ArgumentParser
import Curvature

/// `curvature bench gradient`: loss and gradient of a PDE problem, beside the machine's matrix product.
struct BenchGradient: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "gradient", abstract: "Time the loss and gradient of a PDE problem.",
        discussion: """
            Arithmetic is counted as Σ_terms 6·C·N·W²·(D−1) + 6·N·d·W + 6·C·N·W·m: N points, C derivative channels that the residual
            needs, D hidden layers of width W, d coordinates, m outputs; no padding, no element-wise work. The peak is the best product
            of two 2000 × 2000 matrices on the same threads in the same run.
            """)

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    func run(with registry: Registry) throws {
        let bench = try subject.load(from: registry)
        let (problem, θ) = (bench.problem, bench.parameters)
        var report = GradientReport(
            problem: problem.name, width: bench.width, depth: bench.depth, points: bench.points, parameters: θ.count,
            flops: bench.gradientFlops)
        let repeats = timing.repeats ?? 20
        var peak = 0.0
        // The matrix product is measured between the evaluations, so that both meet the same machine.
        func between(_ index: Int) { if index % max(1, repeats / 5) == 0 { peak = max(peak, matrixProductRate()) } }
        let times = try timing.measure(repeats: repeats, between: between, report: { report }) {
            let value = try problem.lossAndGradient(at: θ)
            (report.loss, report.gradientNorm) = (value.loss.total, value.gradient.norm)
        }
        guard let times else { return }
        report.complete(times, peak: peak)
        try print(timing.json ? JSON.text(of: report) : report.text)
    }
}

struct GradientReport: Encodable {
    var problem: String
    var width, depth, points, parameters: Int
    var loss = Double.nan
    var gradientNorm = Double.nan
    var threads = ThreadPool.threadCount
    /// The arithmetic of one evaluation by the fixed count.
    var flops: Double
    var repeats = 0
    var seconds: Seconds?
    /// The arithmetic's rate at the median.
    var gflops: Double?
    /// The machine's matrix product in the same run, and the rate as a fraction of it.
    var dgemmPeakGflops, fractionOfPeak: Double?
    var peakResidentMB: Double?
    var load: Double?

    init(problem: String, width: Int, depth: Int, points: Int, parameters: Int, flops: Double) {
        (self.problem, self.width, self.depth, self.points) = (problem, width, depth, points)
        (self.parameters, self.flops) = (parameters, flops)
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
        \(problem), \(depth) hidden layers of \(width), \(points) points, P = \(parameters), \(threads) threads
        loss + gradient: \(seconds?.text ?? "") over \(repeats)
        \(short(gflops ?? 0)) GFLOP/s of \(short(dgemmPeakGflops ?? 0)) (\(short(100 * (fractionOfPeak ?? 0))) %)
        peak resident memory: \(short(peakResidentMB ?? 0)) MB
        """
    }
}
