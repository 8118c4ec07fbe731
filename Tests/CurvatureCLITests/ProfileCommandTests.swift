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

    @Test func badChoicesAreRefused() throws {
        let tool = try CommandLineTool()
        #expect(try tool.run(["profile", "--set", "cutest"]).status == 2)
        #expect(try tool.run(["profile", "--set", "mgh", "--optimizer", "levenberg"]).status == 2)
        #expect(try tool.run(["profile", "--set", "mgh", "--steps", "0"]).status == 2)
        #expect(try tool.run(["profile", "--set", "mgh", "-o", "picture.gif"]).status == 2)
    }
}
