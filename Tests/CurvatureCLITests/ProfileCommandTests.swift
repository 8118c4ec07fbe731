import Foundation
import Testing

/// `curvature profile`: what it reports of an optimizer on a set.
@Suite struct ProfileCommandTests {
    private struct Report: Decodable {
        struct Failure: Decodable { var problem, reason: String }
        struct Profile: Decodable { var ratios, fractions: [Double] }
        struct Row: Decodable {
            var name: String
            var solved, total: Int
            var meanLogRelativeError: Double?
            var evaluations, seconds: Double
            var failures: [Failure]
            var profile: Profile
        }
        var set: String
        var optimizers: [Row]
    }

    private func report(_ arguments: String...) throws -> Report {
        let output = try CommandLineTool().run(["profile", "--json"] + arguments)
        try #require(output.status == 0, "\(output.errors)")
        return try JSONDecoder().decode(Report.self, from: Data(output.text.utf8))
    }

    @Test func theDefaultOfLevenbergMarquardtSolvesNIST() throws {
        let row = try #require(report("--set", "nist", "--optimizer", "levenberg-marquardt").optimizers.first)
        #expect(row.solved == 54 && row.total == 54 && row.failures.isEmpty)
        #expect((row.meanLogRelativeError ?? 0) > 9.4)
        // Alone, it is its own best everywhere.
        #expect(row.profile.ratios == [1] && row.profile.fractions == [1])
    }

    @Test func profilesRiseToTheFractionSolved() throws {
        let report = try report("--set", "mgh", "--optimizer", "levenberg-marquardt", "--optimizer", "gauss-newton", "--steps", "300")
        #expect(report.set == "mgh" && report.optimizers.map(\.name) == ["levenberg-marquardt", "gauss-newton"])
        for row in report.optimizers {
            #expect(row.meanLogRelativeError == nil && row.evaluations > 0)
            #expect(row.failures.count == row.total - row.solved)
            #expect(row.failures.allSatisfy { !$0.problem.isEmpty && $0.reason.contains("after") })
            #expect(row.profile.ratios == row.profile.ratios.sorted() && (row.profile.ratios.first ?? 0) >= 1)
            #expect(abs((row.profile.fractions.last ?? 0) - Double(row.solved) / Double(row.total)) <= 1e-12)
        }
        // On every problem that is solved at all one of them is the best.
        #expect(report.optimizers.reduce(0) { $0 + ($1.profile.ratios.first == 1 ? $1.profile.fractions[0] : 0) } >= 0.9)
    }

    /// The set of networks: every equation once, digits of the error, and a picture that names the optimizers.
    @Test func networksAreProfiledAndDrawn() throws {
        let scratch = try ScratchFolder()
        let picture = "\(scratch.path)/pinn.svg"
        let report = try report(
            "--set", "pinn", "--optimizer", "levenberg-marquardt", "--optimizer", "l-bfgs", "--steps", "12", "-o", picture)
        #expect(report.set == "pinn" && report.optimizers.map(\.name) == ["levenberg-marquardt", "l-bfgs"])
        for row in report.optimizers {
            #expect(row.total == 10 && row.failures.count == row.total - row.solved)
            // Twelve steps and a start: at least as many evaluations, on every problem.
            #expect(row.evaluations >= 130 && row.seconds > 0 && (row.meanLogRelativeError ?? -1) >= 0)
            #expect(row.failures.allSatisfy { $0.reason.contains("after 12 steps") })
        }
        let equations = ["poisson", "helmholtz", "heat", "burgers", "allen-cahn", "convection", "reaction", "wave"]
        let unsolved = Set(report.optimizers.flatMap { $0.failures.map(\.problem) })
        for name in equations { #expect(unsolved.contains { $0.hasPrefix(name) }, "\(unsolved)") }
        let svg = try String(contentsOfFile: picture, encoding: .utf8)
        let missing = ["levenberg-marquardt", "l-bfgs", "fraction solved", "physics-informed networks"].filter { !svg.contains($0) }
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test func badChoicesAreRefused() throws {
        let tool = try CommandLineTool()
        #expect(try tool.run(["profile", "--set", "cutest"]).status == 2)
        #expect(try tool.run(["profile", "--set", "mgh", "--optimizer", "levenberg"]).status == 2)
        #expect(try tool.run(["profile", "--set", "mgh", "--steps", "0"]).status == 2)
        #expect(try tool.run(["profile", "--set", "mgh", "-o", "picture.gif"]).status == 2)
    }
}
