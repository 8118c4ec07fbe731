import ArgumentParser
import Curvature
import Foundation
import Logging

/// The formats of pictures.
enum PictureFormat: String, CaseIterable {
    case png, svg, pdf

    /// The lines with which a script for gnuplot opens a picture. Lengths are in pixels of the PNG; an SVG has the same, a PDF a hundred to the inch.
    func opening(_ output: String, width: Double, height: Double, font: Int = 12) -> [String] {
        let terminal =
            switch self {
            case .png: "pngcairo size \(Int(width)),\(Int(height)) font 'Sans,\(font)'"
            case .svg: "svg size \(Int(width)),\(Int(height)) font 'Sans,\(font + 3)' background rgb 'white'"
            case .pdf: "pdfcairo size \(width / 100)in,\(height / 100)in font 'Sans,\(font)'"
            }
        return ["set encoding utf8", "set terminal \(terminal)", "set output \(Gnuplot.quoted(output))"]
    }
}

/// `curvature plot`: the loss, the error and the fields of a run, drawn by gnuplot.
struct PlotCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "plot", abstract: "Draw a run's loss, error and fields (needs gnuplot).",
        discussion: """
            The format follows the output's ending: .png, .svg or .pdf. Above: loss and relative error against iterations and seconds, the \
            stages marked where they begin; a loss that falls below zero, as an energy does, is drawn as its excess over its least value. \
            Below, where the problem has fields: the solution at the best point, the reference and the pointwise error.
            """)

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(name: .shortAndLong, help: "The picture: .png, .svg or .pdf.")
    var output: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        let format: PictureFormat = try format(of: output, option: "--output")
        let file = try RunFile.open("\(folder)/run.h5")
        defer { try? file.close() }
        guard file.rows(in: .trajectory) > 0 else {
            throw ConfigurationError(path: folder, reason: "has no recorded iteration to draw")
        }
        let name = try file.file.text("problemName", at: "/") ?? ""
        let drawing = RunDrawing(
            title: "\(name) (\(folder))", history: try RunHistory(of: file), picture: picture(registry: registry), format: format)
        // Drawn aside and renamed: gnuplot writes to the terminal what it cannot write to a file.
        try writeAside(output) { try Gnuplot.draw(drawing.script(output: $0)) }
        Screen(json: json).show("wrote \(output)")
        if json { JSONReport.object([.init("outcome", "drawn"), .init("file", .text(output))]).show() }
    }

    /// The fields; where they cannot be had, the losses are drawn without them, and a line says why.
    private func picture(registry: Registry) -> (fields: SolutionPicture, which: Which)? {
        do {
            let run = try TrainedRun(bestOf: folder, registry: registry)
            guard let problem = run.problem as? any PicturedProblem else { return nil }
            return try problem.picture(at: run.point.parameters.values).map { ($0, run.point.which) }
        } catch {
            StandardErrorLog.logger().warning("the fields are not drawn: \(error)")
            return nil
        }
    }
}

/// gnuplot, as an external program.
enum Gnuplot {
    static func draw(_ script: String) throws {
        let process = Process()
        let errors = Pipe()
        // In a file: a script with a map's values is larger than a pipe holds.
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("curvature-\(UUID().uuidString).gp")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(script.utf8).write(to: file)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gnuplot", file.path]
        process.standardInput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus == 127 {
            throw ConfigurationError(path: "gnuplot", reason: "was not found; install it (apt-get install gnuplot-nox) to draw pictures")
        }
        guard process.terminationStatus == 0 else {
            throw ConfigurationError(path: "gnuplot", reason: "failed: \(complaints)")
        }
    }

    /// A text in gnuplot's single quotes.
    static func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }
}
