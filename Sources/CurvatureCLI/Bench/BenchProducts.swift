import ArgumentParser
import Curvature

/// `curvature bench products`: the products of second-order methods against loss and gradient.
struct BenchProducts: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "products", abstract: "Time H·v, J·v, Jᵀ·w and JᵀJ·v of a PDE problem against loss and gradient.",
        discussion: """
            All are measured in turn, a round at a time; a ratio is the median over the rounds of the product's time to that of loss and
            gradient in the same round. “hessian” is H·v with the operator made beforehand, “hessianStreaming” makes it each time.
            """)

    @OptionGroup var subject: CaseOptions
    @OptionGroup var timing: TimingOptions

    func run(with registry: Registry) throws {
        try setThreads(timing.threads)
        guard !timing.serve else { throw ConfigurationError(path: "--serve", reason: "is not offered here: there are many works") }
        let bench = try subject.load(from: registry)
        let (problem, θ) = (bench.problem, bench.parameters)
        var random = RandomStream(seed: 0, name: "products")
        let v = Vector((0..<θ.count).map { _ in random.normal() })
        let w = Vector((0..<problem.residualCount).map { _ in random.normal() })
        let (model, hessian) = (try problem.linearization(at: θ), try problem.hessian(at: θ))
        let works: [(name: String, work: () throws -> Vector)] = [
            ("lossAndGradient", { try problem.lossAndGradient(at: θ).gradient }),
            ("loss", { Vector([try problem.loss(at: θ).total]) }),
            ("hessian", { hessian.product(v) }),
            ("hessianStreaming", { try problem.hessian(at: θ).product(v) }),
            ("jacobian", { model.product(v) }),
            ("transposedJacobian", { model.transposedProduct(w) }),
            ("gaussNewton", { model.transposedProduct(model.product(v)) }),
        ]
        let repeats = timing.repeats ?? 20
        guard repeats > 0 else { throw ConfigurationError(path: "--repeats", reason: "\(repeats) must be ≥ 1") }
        var times = works.map { _ in [Double]() }
        for round in -2..<repeats {
            for (index, entry) in works.enumerated() {
                var product = Vector.zeros(0)
                let elapsed = try seconds { product = try entry.work() }
                guard product.isFinite else { throw ConfigurationError(path: entry.name, reason: "is not finite at these parameters") }
                if round >= 0 { times[index].append(elapsed) }
            }
        }
        let products = zip(works, times).map { entry, samples in
            ProductsReport.Product(
                name: entry.name, seconds: Seconds(samples), ratio: Seconds(zip(samples, times[0]).map { $0 / $1 }).median)
        }
        let report = ProductsReport(
            problem: problem.name, width: bench.width, depth: bench.depth, points: bench.points, parameters: θ.count,
            residuals: problem.residualCount, threads: ThreadPool.threadCount, repeats: repeats, products: products,
            peakResidentMB: residentPeak(), load: loadAverage())
        try print(timing.json ? JSON.text(of: report) : report.text)
    }
}

struct ProductsReport: Encodable {
    struct Product: Encodable {
        var name: String
        var seconds: Seconds
        /// To loss and gradient.
        var ratio: Double
    }

    var problem: String
    var width, depth, points, parameters, residuals, threads, repeats: Int
    var products: [Product]
    var peakResidentMB: Double
    var load: Double

    var text: String {
        let head = "\(problem), \(depth) hidden layers of \(width), \(points) points, J is \(residuals) × \(parameters), \(threads) threads"
        let size = products.map(\.name.count).max() ?? 0
        return ([head] + products.map { "\($0.name.padded(to: size))  \(short($0.ratio)) ×  \($0.seconds.text)" }).joined(separator: "\n")
    }
}
