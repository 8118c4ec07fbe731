import Foundation
import Testing

@Suite struct PlotTests {
    /// Where gnuplot is missing, a message says so; the process is not ended by writing to it, and nothing is left behind. The series is
    /// longer than a pipe's buffer, so that the write meets the closed end.
    @Test func withoutGnuplot() throws {
        let (tool, scratch) = (try CommandLineTool(), try ScratchFolder())
        let file = try scratch.write(
            "problem: {name: test-function}\nstages: [{optimizer: {name: adam, learningRate: 1e-9}, until: {iterations: 20000}}]",
            to: "run.yaml")
        let run = "\(scratch.path)/run"
        try #require(try tool.run(["run", file, "-o", run, "--quiet"]).status == 0)
        for _ in 0..<5 {
            let output = try tool.run(["plot", run, "-o", "\(scratch.path)/picture.png"], environment: ["PATH": ""])
            #expect(!output.crashed && output.status == 2, "\(output)")
            #expect(output.errors.contains("gnuplot") && output.errors.contains("install it"), "\(output.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["run", "run.yaml"])
        }
    }
}
