import ArgumentParser
import Curvature
import OptimizationTesting
import Logging

/// `curvature profile`: which fraction of a set of problems each optimizer solves, and at what cost.
struct ProfileCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile", abstract: "Compare optimizers on a set of problems by performance profiles.",
        discussion: """
            Every optimizer runs from every start by its default settings, without wall-clock limits, until it ends of its own accord or the
            steps are spent. A profile is the fraction of the problems that it solves within τ times the evaluations of the best optimizer
            for each (Dolan & Moré, doi:10.1007/s101070100263). Evaluations are losses, gradients, residuals and linearisations.

            nist: the 27 nonlinear regressions of NIST from both certified starts; solved with four digits of every parameter.
            mgh: the functions of Moré, Garbow & Hillstrom; solved at a known minimum to 1e-8, or a gradient of 1e-10 where it is zero.
            pinn: small physics-informed networks of ten problems; solved with a relative L2 error of 1e-3. The mean log relative error is of this error.
            """)

    @Option(help: "nist, mgh or pinn.")
    var set: ProfileSet

    @Option(name: .customLong("optimizer"), help: "An optimizer; repeat for several. By default all that fit.")
    var optimizers: [String] = []

    @Option(help: "The most steps of a run; by default those of the set.")
    var steps: Int?

    @Option(name: .shortAndLong, help: "A picture of the profiles: .png, .svg or .pdf (needs gnuplot).")
    var output: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps \(steps) must be ≥ 1") }
    }

    func run(with registry: Registry) throws {
        let pictureFormat: PictureFormat? = try output.map { try format(of: $0, option: "--output") }
        let problems = try set.problems(from: registry)
        let chosen = optimizers.isEmpty ? registry.optimizers.map(\.name) : optimizers
        let screen = Screen(json: json)
        var rows: [ProfiledOptimizer] = []
        for name in chosen {
            guard let row = try ProfiledOptimizer(name, on: problems, steps: steps ?? set.steps, registry: registry) else {
                if optimizers.contains(name) {
                    throw ConfigurationError(path: "--optimizer", reason: "\(name) does not fit the problems of \(set.rawValue)")
                }
                continue
            }
            screen.show(row.text)
            rows.append(row)
        }
        let profile = PerformanceProfile(rows, problems: problems.map(\.name))
        if let output, let pictureFormat {
            try writeAside(output) { try Gnuplot.draw(profile.script(title: set.title, format: pictureFormat, output: $0)) }
            screen.show("wrote \(output)")
        }
        if json {
            JSONReport.object([
                .init("outcome", "profiled"), .init("set", .text(set.rawValue)),
                .init("optimizers", .list(zip(rows, profile.curves).map { $0.report(curve: $1) })),
            ]).show()
        }
    }
}

/// The sets of problems to profile on.
enum ProfileSet: String, CaseIterable, ExpressibleByArgument {
    case nist, mgh, pinn

    var title: String {
        switch self {
        case .nist: "NIST nonlinear regression"
        case .mgh: "Moré, Garbow & Hillstrom"
        case .pinn: "physics-informed networks"
        }
    }

    /// The most steps of a run.
    var steps: Int { self == .pinn ? 300 : 3000 }

    func problems(from registry: Registry) throws -> [ProfileProblem] {
        switch self {
        case .nist: return NISTProblem.all.map { ProfileProblem($0) }
        case .mgh: return ZooProblem.all.map { ProfileProblem($0) }
        case .pinn:
            return try Self.networks.map { text in
                try ProfileProblem(registry.problem(try YAML.setting(from: text, file: "the set pinn")).makeProblem(seed: 1))
            }
        }
    }

    /// Networks of some hundred parameters, so that every method takes seconds: elliptic, parabolic and hyperbolic equations, with and without
    /// nonlinear terms.
    private static let networks = [
        "{name: poisson-1d, frequency: 2}", "{name: poisson-1d, frequency: 4}",
        "{name: poisson-2d, network: {width: 14}, points: {interior: 300, boundary: 60}}",
        "{name: helmholtz-2d, network: {width: 14, depth: 2}, points: {interior: 400, boundary: 80}}", "{name: heat}",
        "{name: burgers, network: {width: 14, depth: 2}, points: {interior: 600, initial: 60, boundary: 60}}",
        "{name: allen-cahn, diffusivity: 0.01, network: {width: 14, depth: 2}, "
            + "points: {interior: 600, initial: 80, boundary: 40, initialWeight: 100}}",
        "{name: convection, speed: 10, network: {width: 14, depth: 2, scalesInputs: true, firstLayerSlope: 2}, "
            + "points: {interior: 600, initial: 80, boundary: 80, initialWeight: 100, boundaryWeight: 100}}",
        "{name: reaction, network: {width: 14, depth: 2, scalesInputs: true, firstLayerSlope: 2}, "
            + "points: {interior: 600, initial: 80, boundary: 40, initialWeight: 100, boundaryWeight: 10}}",
        "{name: wave, harmonic: 2, network: {width: 14, depth: 2, scalesInputs: true, firstLayerSlope: 2}, "
            + "points: {interior: 600, initial: 80, boundary: 80, initialWeight: 100, boundaryWeight: 100}}",
    ]
}
