import ArgumentParser
import Curvature

/// What is measured: a registered problem at its own points, or one at the points, weights and parameters of a file.
struct CaseOptions: ParsableArguments {
    @Option(name: .customLong("case"), help: "An HDF5 file of problem, points, weights and parameters; else those below are taken.")
    var file: String?

    @Option(help: "The problem.")
    var problem = "burgers"

    @Option(help: "Units of each hidden layer.")
    var width = 20

    @Option(help: "Hidden layers.")
    var depth = 8

    @Option(help: "Points of the interior.")
    var points = 10_000

    @Option(name: .customLong("set"), help: "Another setting of the problem: path=value, e.g. network.precision=single. Not with --case.")
    var overrides: [String] = []

    func validate() throws {
        guard file == nil || overrides.isEmpty else { throw ValidationError("--set: a case has the settings of its file; leave one out") }
    }

    func load(from registry: Registry) throws -> BenchCase {
        if let file { return try BenchCase(file: file, registry: registry) }
        let plain = Setting.map([
            .init("name", .scalar(problem)),
            .init("network", .map([.init("width", .integer(width)), .init("depth", .integer(depth))])),
            .init("points", .map([.init("interior", .integer(points))])),
        ])
        let setting = try overrides.reduce(plain) { try $0.overridden(by: $1) }
        let problem = try BenchCase.problem(of: setting, path: "--problem", registry: registry)
        var random = RandomStream(seed: 0, name: "initialization")
        return BenchCase(problem: problem, parameters: problem.initialParameters(from: &random).values)
    }
}

/// A problem of a PDE and a network, with the parameters at which it is measured.
///
/// As a file, which any program can write; with d coordinates and P parameters:
///
///     /                  attributes format = "curvature-case", problem = its name
///     /settings          attributes: settings of the problem by dotted path, a text each (network.width = "20")
///     /terms/<name>      N × d   the points of a term; attribute weight (the term's loss is ½ weight/N Σ r²)
///     /parameters        P       layer by layer, W [in, out] with the outputs running fastest, then b
struct BenchCase {
    static let format = "curvature-case"

    let problem: PhysicsInformedProblem
    let parameters: Vector

    init(problem: PhysicsInformedProblem, parameters: Vector) { (self.problem, self.parameters) = (problem, parameters) }

    init(file path: String, registry: Registry) throws {
        let file = try HDF5File.open(path)
        defer { try? file.close() }
        func refused(_ what: String, at object: String = "/") -> StorageError {
            StorageError(.mismatch, what, file: path, object: object, advice: "Write the file as BenchCase describes it.")
        }
        guard try file.text("format", at: "/") == Self.format, let name = try file.text("problem", at: "/") else {
            throw refused("this is no case: its format is not “\(Self.format)”, or it names no problem")
        }
        var setting = Setting.map([.init("name", .scalar(name)), .init("points", .map([.init("monitor", .integer(0))]))])
        if file.exists("/settings") {
            for key in try file.attributes(of: "/settings") {
                let text = try file.text(key, at: "/settings") ?? ""
                setting = setting.setting(key.split(separator: ".").map(String.init), to: .scalar(text))
            }
        }
        var problem = try Self.problem(of: setting, path: "problem", registry: registry)
        var weights: [(term: String, weight: Double)] = []
        for term in problem.terms {
            let object = "/terms/\(term)"
            guard file.exists(object), let weight = try file.double("weight", at: object) else {
                throw refused("the case has no points with a weight for the term “\(term)” of \(name)", at: object)
            }
            let (values, shape) = try file.read(Double.self, at: object)
            guard shape.count == 2 else { throw refused("points are a table, not of shape \(shape)", at: object) }
            let rows = (0..<shape[0]).map { i in Array(values[(i * shape[1])..<((i + 1) * shape[1])]) }
            problem = try problem.revised(by: PointRevision(term: term, points: Matrix(rows: rows), reason: "the case"))
            weights.append((term, weight))
        }
        self.problem = try problem.revised(by: WeightRevision(weights, reason: "the case"))
        let stored = try file.read(Double.self, at: "/parameters").values
        guard stored.count == problem.layout.count else {
            throw refused("there are \(stored.count) parameters for a network of \(problem.layout.count)", at: "/parameters")
        }
        parameters = Vector(stored)
    }

    static func problem(of setting: Setting, path: String, registry: Registry) throws -> PhysicsInformedProblem {
        let made = try registry.problem(setting).makeProblem(seed: 0)
        guard let problem = made as? PhysicsInformedProblem else {
            throw ConfigurationError(path: path, reason: "\(made.name) is no PDE problem with a network")
        }
        return problem
    }

    // MARK: What reports say of it

    /// The shapes of the network's weights, layer by layer.
    var weights: [[Int]] { problem.model.network.blocks.map(\.shape).filter { $0.count == 2 } }
    var width: Int { weights.dropLast().map { $0[1] }.max() ?? 0 }
    var depth: Int { weights.count - 1 }
    /// Points of the interior.
    var points: Int { problem.termSizes.first?.points ?? 0 }

    /// The arithmetic of one loss and gradient: Σ_terms 6·C·N·W²·(D−1) + 6·N·d·W + 6·C·N·W·m for N points, C derivative channels, D hidden
    /// layers of width W, d coordinates, m outputs; no padding, no element-wise work.
    var gradientFlops: Double {
        let layers = weights.map { Double($0[0] * $0[1]) }
        return problem.termSizes.reduce(0) { sum, term in
            let (N, C) = (Double(term.points), Double(term.channels))
            let (first, others) = (layers.first ?? 0, layers.dropFirst().reduce(0, +))
            return sum + 6 * N * (first + C * others)
        }
    }
}
