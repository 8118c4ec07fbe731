import ArgumentParser
import Curvature
import Foundation

/// `curvature compare`: runs beside each other, by the error they reached and what it took.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compare runs by the error they reach and what it takes.",
        discussion: """
            Each folder is a run's, or holds the folders of several runs of one kind, as `curvature run --seeds` leaves them: medians and \
            quartiles of these, by the best relative error so far. Where no run has measured errors (callback reference-error), by the loss. \
            A level counts as reached by a median where half of the runs reach it.
            """)

    @Argument(help: "Folders of runs, or of several runs of one kind.")
    var folders: [String]

    @Option(name: .shortAndLong, help: "A picture, error against seconds and against evaluations: .png, .svg or .pdf (needs gnuplot).")
    var output: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let pictureFormat: PictureFormat? = try output.map { try format(of: $0, option: "--output") }
        let comparison = try RunComparison(of: folders)
        let screen = Screen(json: json)
        screen.show(comparison.table)
        if let output, let pictureFormat {
            let drawing = ComparisonDrawing(comparison: comparison, format: pictureFormat)
            try writeAside(output) { try Gnuplot.draw(drawing.script(output: $0)) }
            screen.show("wrote \(output)")
        }
        if json { comparison.report.show() }
    }
}
