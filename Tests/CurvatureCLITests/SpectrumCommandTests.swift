import Curvature
import CurvatureCLI
import Foundation
import Testing

/// `curvature spectrum`: what a run recorded, or what is measured at one of its points, as a table, a picture and JSON.
@Suite(.serialized) struct SpectrumCommandTests {
    let tool: CommandLineTool
    let scratch: ScratchFolder

    private static let wave = "{name: wave, network: {width: 5, depth: 1}, points: {interior: 30, initial: 8, boundary: 6, monitor: 0}}"

    init() throws { (tool, scratch) = (try CommandLineTool(), try ScratchFolder()) }

    private func train(_ problem: String = wave, callbacks: String = "[{name: spectrum, every: 6, probes: 2, steps: 7}]") throws -> String {
        let file = try scratch.write(
            """
            problem: \(problem)
            stages: [{stage: descend, optimizer: adam, until: {iterations: 12}}]
            callbacks: \(callbacks)
            """, to: "run.yaml")
        let folder = "\(scratch.path)/run"
        let output = try tool.run(["run", file, "-o", folder, "--overwrite", "--quiet"])
        try #require(output.status == 0, "\(output.errors)")
        return folder
    }

    private struct Report: Decodable {
        struct Spectrum: Decodable {
            var `operator`: String
            var term: String?
            var order: Int
            var smallest, largest, traceEstimate: Double
            var eigenvalues, weights, bounds: [Double]
        }
        struct Measurement: Decodable {
            var iteration: Int
            var spectra: [Spectrum]
        }
        var outcome, problem, directory: String
        var file, which: String?
        var measurements: [Measurement]
    }

    private func report(_ arguments: [String]) throws -> Report {
        let output = try tool.run(["spectrum", "--json"] + arguments)
        try #require(output.status == 0, "\(output.errors)")
        _ = try output.object()
        return try JSONDecoder().decode(Report.self, from: Data(output.text.utf8))
    }

    @Test func whatWasRecordedIsReported() throws {
        let folder = try train()
        let report = try report([folder])
        #expect(report.outcome == "recorded" && report.problem == "wave" && report.which == nil && report.file == nil)
        #expect(report.measurements.map(\.iteration) == [1, 6, 12])
        let last = try #require(report.measurements.last)
        // The whole loss and four terms, three matrices each.
        #expect(last.spectra.map(\.term) == [nil, "wave", "initial", "initial-rate", "boundary"].flatMap { [$0, $0, $0] })
        #expect(last.spectra.map(\.operator) == (0..<5).flatMap { _ in ["hessian", "gramian", "kernel"] })
        #expect(last.spectra.prefix(3).map(\.order) == [21, 21, 44])
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        for spectrum in last.spectra {
            #expect(abs(spectrum.weights.reduce(0, +) - 1) < 1e-12 && spectrum.eigenvalues == spectrum.eigenvalues.sorted())
            #expect(spectrum.bounds.count == spectrum.eigenvalues.count)
            #expect(spectrum.largest == spectrum.eigenvalues.last && spectrum.smallest == spectrum.eigenvalues.first)
            let name = spectrum.term.map { "\(spectrum.operator) of \($0)" } ?? spectrum.operator
            #expect(try file.reals("\(name): largest eigenvalue", in: .trajectory).last == spectrum.largest)
            #expect(
                try file.reals("\(name): smallest eigenvalue", in: .trajectory)[5]
                    == report.measurements[1].spectra.first {
                        $0.operator == spectrum.operator && $0.term == spectrum.term
                    }?.smallest)
        }
    }

    /// At a point more steps see more: the largest eigenvalue of JᵀJ and JJᵀ is the same, that of the dense matrix.
    @Test(arguments: ["best", "last"]) func whatIsMeasuredAtAPoint(which: String) throws {
        let folder = try train(callbacks: "[]")
        let report = try report([folder, "--at", which, "--steps", "44", "--probes", "1"])
        #expect(report.outcome == "measured" && report.which == which)
        #expect(report.measurements.count == 1)
        let spectra = report.measurements[0].spectra
        let (gramian, kernel) = (spectra[1].largest, spectra[2].largest)
        #expect(abs(gramian - kernel) < 1e-12 * kernel)
        var setup = WaveSetup()
        setup.network = PerceptronSettings(width: 5, depth: 1)
        setup.points = PointPlan(interior: 30, initial: 8, boundary: 6, monitor: 0)
        let problem = try #require(try setup.makeProblem(seed: 0) as? PhysicsInformedProblem)
        guard which == "last" else { return }
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        let seed = try #require(try file.file.unsigned("seed", at: "/"))
        try #require(seed == 0)
        let θ = Vector(try file.file.read(Double.self, at: "/result/parameters").values)
        let eigenvalues = try SymmetricEigen.factorize(problem.linearization(at: θ).gramian()).get().values
        #expect(abs(eigenvalues[20] - gramian) < 1e-12 * gramian)
    }

    @Test func pictures() throws {
        let folder = try train()
        for (ending, magic) in [("svg", Data("<?xml".utf8)), ("png", Data([0x89, 0x50, 0x4e, 0x47])), ("pdf", Data("%PDF".utf8))] {
            let path = "\(scratch.path)/spectrum.\(ending)"
            let output = try tool.run(["spectrum", folder, "-o", path])
            #expect(output.status == 0 && output.errors.isEmpty && output.text.contains("wrote \(path)"), "\(output)")
            #expect(FileManager.default.contents(atPath: path)?.prefix(magic.count) == magic, "\(ending)")
        }
        let svg = try String(contentsOfFile: "\(scratch.path)/spectrum.svg", encoding: .utf8)
        let words = [
            "wave (", "H of the whole loss", "JJᵀ of each term, iteration 12", "H: largest eigenvalue", ">iteration 6<", ">initial-rate<",
        ]
        let missing = words.filter { !svg.contains($0) }
        #expect(missing.isEmpty)
        // Measured at a point, there is nothing to draw against iterations.
        let path = "\(scratch.path)/point.svg"
        #expect(try tool.run(["spectrum", folder, "-o", path, "--at", "last", "--steps", "5"]).status == 0)
        let point = try String(contentsOfFile: path, encoding: .utf8)
        #expect(point.contains("JᵀJ of the whole loss") && !point.contains("H: largest eigenvalue"))
    }

    @Test func theTableIsForPeople() throws {
        let text = try tool.run(["spectrum", try train()]).text
        #expect(text.contains("iteration 12\n") && text.contains("(whole loss)") && text.contains("JᵀJ") && text.contains("largest"))
    }

    /// A function of residuals has no terms to tell apart; an energy has H alone.
    @Test func problemsOfOneTermAndOfOneMatrix() throws {
        let rosenbrock = try report([try train("{name: test-function, function: rosenbrock}")])
        #expect(rosenbrock.measurements.last?.spectra.allSatisfy { $0.term == nil } == true)
        let energy = try report([try train("{name: deep-ritz-1d, network: {width: 4}, elements: 6}")])
        #expect(energy.measurements.last?.spectra.map(\.operator) == ["hessian"])
    }

    @Test func whatCannotBeShownIsRefused() throws {
        let folder = try train(callbacks: "[]")
        let bare = try tool.run(["spectrum", folder])
        #expect(bare.status == 2 && bare.errors.contains("has no recorded spectrum") && bare.errors.contains("--at best"), "\(bare)")
        #expect(bare.text.isEmpty)
        let missing = try tool.run(["spectrum", "\(scratch.path)/none", "--json"])
        #expect(missing.status == 2 && missing.text.isEmpty)
        for (arguments, says) in [
            (["--at", "middle"], "middle"), (["--steps", "5"], "give --at"), (["--at", "last", "--steps", "0"], "must be ≥ 1"),
            (["-o", "picture.gif"], ".png, .svg, .pdf"),
        ] {
            let refused = try tool.run(["spectrum", folder] + arguments)
            #expect(refused.status == 2 && refused.errors.contains(says), "\(refused)")
        }
        let file = try scratch.write(
            """
            problem: {name: logistic-regression, samples: 30}
            stages: [{stage: descend, optimizer: adam, until: {iterations: 2}}]
            callbacks: [{name: spectrum, hessian: false}]
            """, to: "refused.yaml")
        let run = try tool.run(["run", file, "--quiet", "-o", "\(scratch.path)/refused"])
        #expect(run.status == 2 && run.errors.contains("has no products with JᵀJ, JJᵀ"), "\(run)")
    }
}
