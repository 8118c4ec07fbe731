import ArgumentParser
import Curvature
import Foundation

/// `curvature spectrum`: the spectra of a run's curvature matrices, as they were recorded or at one of its points.
struct SpectrumCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "spectrum", abstract: "Show and draw the spectra of H, JᵀJ and JJᵀ of a run.",
        discussion: """
            Shows what the callback “spectrum” recorded in the run, or, with --at, measures the spectra at the run's best or last point, on its \
            points and weights as they are now. Densities are by stochastic Lanczos quadrature; the extreme eigenvalues are bounds: of the \
            largest from below, of the smallest from above.

            The picture (needs gnuplot; its format follows the ending, .png, .svg or .pdf): a column for each matrix; the densities over the \
            run, those of the loss terms, the extreme eigenvalues. Eigenvalues below zero are drawn dashed, by their magnitude.
            """)

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(name: .shortAndLong, help: "The picture: .png, .svg or .pdf.")
    var output: String?

    @Option(help: "Measure at this point, best or last, in place of what was recorded.")
    var at: Which?

    @Option(help: "With --at: random vectors that each spectrum is seen from.")
    var probes: Int?

    @Option(help: "With --at: Lanczos steps, and products, of a probe.")
    var steps: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        for (name, value) in [("--probes", probes), ("--steps", steps)] {
            guard let value else { continue }
            if at == nil { throw ValidationError("\(name) is for measuring: give --at best or --at last with it") }
            if value < 1 { throw ValidationError("\(name) \(value) must be ≥ 1") }
        }
    }

    func run(with registry: Registry) throws {
        let pictureFormat: PictureFormat? = try output.map { try format(of: $0, option: "--output") }
        let spectra = try at.map { try measured(at: $0, registry: registry) } ?? recorded()
        let screen = Screen(json: json)
        if let last = spectra.iterations.last {
            screen.show("iteration \(last)\(at.map { ", \($0.rawValue) point" } ?? "")\n\(spectra.table(of: last))")
        }
        if let output, let pictureFormat {
            let drawing = SpectrumDrawing(title: "\(spectra.problem) (\(folder))", spectra: spectra, format: pictureFormat)
            try writeAside(output) { try Gnuplot.draw(drawing.script(output: $0)) }
            screen.show("wrote \(output)")
        }
        if json {
            let report: JSONReport = [
                "outcome": .text(at == nil ? "recorded" : "measured"), "directory": .text(folder), "file": .text(output),
                "which": .text(at?.rawValue),
            ]
            report.adding(spectra.report).show()
        }
    }

    private func recorded() throws -> RunSpectra {
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        guard file.rows(in: RunSpectra.table) > 0 else {
            throw ConfigurationError(
                path: folder,
                reason: "has no recorded spectrum; measure one with --at best or --at last, or give the run the callback “spectrum”")
        }
        return try RunSpectra(of: file)
    }

    private func measured(at which: Which, registry: Registry) throws -> RunSpectra {
        let stored = try StoredRun(folder)
        defer { stored.close() }
        guard stored.kind == .folder, let checkpoint = stored.checkpoint else {
            throw ConfigurationError(path: folder, reason: "holds no checkpoint; give the folder of a run, with its configuration")
        }
        let configuration = try RunConfiguration(try storedConfiguration(in: folder), registry: registry)
        let problem = try configuration.currentProblem(of: checkpoint.archive)
        let point = try stored.point(which)
        try point.require(layoutOf: problem, path: folder)
        let settings = CurvatureSpectra(probes: probes ?? RecordSpectrum().probes, steps: steps ?? RecordSpectrum().steps)
        guard !settings.operators(offeredBy: problem).isEmpty else {
            throw ConfigurationError(path: folder, reason: "\(problem.name) has no products with H, JᵀJ or JJᵀ")
        }
        var random = RandomStream(seed: configuration.seed, name: RecordSpectrum.identifier)
        let found = try settings.spectra(of: problem, at: point.parameters.values, random: &random)
        guard !found.isEmpty else {
            throw ConfigurationError(path: folder, reason: "the curvature at its \(which.rawValue) point is not finite; take another point")
        }
        return RunSpectra(problem: problem.name, measurements: [.init(iteration: point.iteration, spectra: found)])
    }
}
