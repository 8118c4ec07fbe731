import ArgumentParser
import Curvature

/// `curvature bench gauss-newton`: one damped Gauss–Newton step.
struct BenchGaussNewton: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "gauss-newton", abstract: "Time one damped Gauss–Newton step of a PDE problem.",
        discussion: """
            The step is (JᵀJ + λI)⁻¹Jᵀr, or Jᵀ(JJᵀ + λI)⁻¹r where there are fewer residuals than parameters, by Cholesky. Its floor is
            the arithmetic of the cheapest known form at the rate of the machine's matrix product: JᵀJ from J (N·P²); or JJᵀ, for every layer
            and pair of terms from J (N·N′·in·out) or from the inputs and the back-propagated signals of C and C′ channels
            (N·N′·C·C′·(in + out)), half of each by symmetry being counted once; then n³/3 for the factorisation.
            """)

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    @Option(help: "λ.")
    var damping = 1e-6

    func run(with registry: Registry) throws {
        let bench = try subject.load(from: registry)
        let (problem, θ) = (bench.problem, bench.parameters)
        let (n, p) = (problem.residualCount, θ.count)
        let kernel = n < p
        var parts = (matrix: [Double](), solve: [Double]())
        var report = GaussNewtonReport(
            problem: problem.name, width: bench.width, depth: bench.depth, points: bench.points, parameters: p, residuals: n,
            form: kernel ? "kernel" : "gramian", flops: bench.gaussNewtonFlops(kernel: kernel))
        let repeats = timing.repeats ?? 15
        var peak = 0.0
        func between(_ index: Int) {
            if index == 0 { parts = ([], []) }
            if index % max(1, repeats / 5) == 0 { peak = max(peak, matrixProductRate()) }
        }
        let times = try timing.measure(repeats: repeats, between: between, report: { report }) {
            let start = ContinuousClock.now
            let model = try problem.linearization(at: θ)
            var matrix = kernel ? model.kernel() : model.gramian()
            let formed = ContinuousClock.now
            matrix.addDiagonal(Vector(repeating: damping, count: matrix.rows))
            let factor = try Cholesky.factorize(consume matrix).get()
            let r = model.residual
            let step = kernel ? model.transposedProduct(factor.solve(r)) : factor.solve(model.transposedProduct(r))
            parts.matrix.append(start.duration(to: formed).inSeconds)
            parts.solve.append(formed.duration(to: .now).inSeconds)
            (report.loss, report.stepNorm) = (0.5 * r.dot(r), step.norm)
        }
        guard let times else { return }
        report.complete(times, parts: (Seconds(parts.matrix), Seconds(parts.solve)), peak: peak)
        try print(timing.json ? JSON.text(of: report) : report.text)
    }
}

extension BenchCase {
    /// The least arithmetic of one damped Gauss–Newton step among the known forms: JᵀJ from J; JJᵀ for every layer and pair of terms from J's
    /// columns or from the layer's inputs and cotangents, whichever is less.
    fileprivate func gaussNewtonFlops(kernel: Bool) -> Double {
        let (n, p) = (Double(problem.residualCount), Double(parameters.count))
        guard kernel else { return n * p * p + p * p * p / 3 }
        let layers = weights.enumerated().reduce(0.0) { sum, layer in
            let (inputs, outputs) = (Double(layer.element[0]), Double(layer.element[1]))
            let columns = (inputs + 1) * outputs
            return problem.termSizes.reduce(sum) { sum, s in
                problem.termSizes.reduce(sum) { sum, t in
                    let structured = Double(s.channels * t.channels) * (inputs + outputs)
                    return sum + Double(s.points * t.points) * (layer.offset == 0 ? columns : min(columns, structured))
                }
            }
        }
        return layers + n * n * n / 3
    }
}

struct GaussNewtonReport: Encodable {
    var problem: String
    var width, depth, points, parameters, residuals: Int
    /// Which matrix is factorised: "gramian" JᵀJ or "kernel" JJᵀ.
    var form: String
    /// The least arithmetic of a step.
    var flops: Double
    var loss = Double.nan
    var stepNorm = Double.nan
    var threads = 0
    var repeats = 0
    var seconds: Seconds?
    /// Of these, linearising and forming the matrix; factorising it and solving.
    var matrixSeconds, solveSeconds: Seconds?
    var dgemmPeakGflops: Double?
    /// `flops` at the machine's matrix product, and the median as a multiple of it.
    var floorSeconds, multipleOfFloor: Double?
    var peakResidentMB: Double?
    var load: Double?

    init(
        problem: String, width: Int, depth: Int, points: Int, parameters: Int, residuals: Int, form: String, flops: Double
    ) {
        (self.problem, self.width, self.depth, self.points) = (problem, width, depth, points)
        (self.parameters, self.residuals, self.form, self.flops) = (parameters, residuals, form, flops)
    }

    mutating func complete(_ times: [Double], parts: (matrix: Seconds, solve: Seconds), peak: Double) {
        let (seconds, floor) = (Seconds(times), flops / peak / 1e9)
        (repeats, self.seconds, threads) = (times.count, seconds, ThreadPool.threadCount)
        (matrixSeconds, solveSeconds) = (parts.matrix, parts.solve)
        (dgemmPeakGflops, floorSeconds, multipleOfFloor) = (peak, floor, seconds.median / floor)
        (peakResidentMB, load) = (residentPeak(), loadAverage())
    }

    var text: String {
        """
        \(problem), \(depth) hidden layers of \(width), \(points) points, J is \(residuals) × \(parameters), \(form), \(threads) threads
        step: \(seconds?.text ?? "") over \(repeats)
        matrix \(short(1e3 * (matrixSeconds?.median ?? 0))) ms, solution \(short(1e3 * (solveSeconds?.median ?? 0))) ms
        \(short(multipleOfFloor ?? 0)) times the floor of \(short(1e3 * (floorSeconds ?? 0))) ms at \(short(dgemmPeakGflops ?? 0)) GFLOP/s
        """
    }
}
