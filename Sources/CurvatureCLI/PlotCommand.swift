import ArgumentParser
import Curvature
import Foundation

/// `curvature plot`: the loss and the error of a run against its iterations and seconds, drawn by gnuplot.
struct PlotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plot", abstract: "Draw a run's loss and error (needs gnuplot).")

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(name: .shortAndLong, help: "The picture, a PNG file.")
    var output: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        guard file.rows(in: .trajectory) > 0 else {
            throw ConfigurationError(path: folder, reason: "has no recorded iteration to draw")
        }
        // Drawn aside and renamed: gnuplot writes to the terminal what it cannot write to a file.
        let aside = output + ".part"
        guard FileManager.default.createFile(atPath: aside, contents: nil) else {
            throw ConfigurationError(path: output, reason: "cannot be written; choose a folder that exists and can be written")
        }
        defer { try? FileManager.default.removeItem(atPath: aside) }
        try Gnuplot.draw(try Gnuplot.script(for: Series(file), title: folder, output: aside))
        guard rename(aside, output) == 0 else {
            throw ConfigurationError(path: output, reason: "cannot be written: \(String(cString: strerror(errno)))")
        }
        Screen(json: json).show("wrote \(output)")
        if json { JSONReport.object([.init("outcome", "drawn"), .init("file", .text(output))]).show() }
    }
}

/// The columns that a picture shows.
struct Series {
    var iteration: [Double]
    var seconds: [Double]
    var loss: [Double]
    var error: [Double]

    init(_ file: RunFile) throws {
        let names = file.columns(in: .trajectory).map(\.name)
        func column(_ name: String) throws -> [Double] {
            guard names.contains(name) else { return Array(repeating: .nan, count: file.rows(in: .trajectory)) }
            return try file.reals(name, in: .trajectory)
        }
        iteration = try file.integers("iteration", in: .trajectory).map { $0.map(Double.init) ?? .nan }
        (seconds, loss, error) = (try column("seconds"), try column("loss"), try column("referenceError"))
    }
}

/// gnuplot, as an external program.
enum Gnuplot {
    static func script(for series: Series, title: String, output: String) throws -> String {
        func block(_ name: String, _ values: [Double]) -> String {
            let lines = series.iteration.indices.filter { values[$0] > 0 && values[$0].isFinite }
                .map { "\(series.iteration[$0]) \(series.seconds[$0]) \(values[$0])" }
            return "$\(name) << EOD\n\(lines.joined(separator: "\n"))\nEOD\n"
        }
        let hasError = series.error.contains { $0 > 0 }
        func curves(_ column: Int) -> String {
            var parts = ["$loss using \(column):3 with lines lw 1.5 lc rgb '#4477aa' title 'loss L = ½‖r‖²'"]
            if hasError { parts.append("$error using \(column):3 with linespoints pt 7 ps 0.4 lc rgb '#cc3311' title 'relative L2 error'") }
            return parts.joined(separator: ", ")
        }
        return block("loss", series.loss) + (hasError ? block("error", series.error) : "") + """
            set terminal pngcairo size 1400,560 font 'sans,11'
            set output '\(output.replacing("'", with: "''"))'
            set logscale y
            set format y '10^{%T}'
            set grid lc rgb '#dddddd'
            set multiplot layout 1,2 title '\(title.replacing("'", with: "''"))' noenhanced
            set xlabel 'iteration'
            plot \(curves(1))
            set xlabel 'seconds'
            plot \(curves(2))
            unset multiplot

            """
    }

    static func draw(_ script: String) throws {
        let process = Process()
        let (input, errors) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gnuplot"]
        process.standardInput = input
        process.standardError = errors
        try process.run()
        try? input.fileHandleForWriting.write(contentsOf: Data(script.utf8))
        try? input.fileHandleForWriting.close()
        let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus == 127 {
            throw ConfigurationError(path: "gnuplot", reason: "was not found; install it (apt-get install gnuplot-nox) to draw pictures")
        }
        guard process.terminationStatus == 0 else {
            throw ConfigurationError(path: "gnuplot", reason: "failed: \(complaints)")
        }
    }
}
