import ArgumentParser
import Curvature

/// `curvature predict`: the values of a run's model at points of a file.
struct PredictCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict", abstract: "Evaluate a run's model at the points of a file.",
        discussion: """
            The points' file has a column for each coordinate of the problem, by its name, in any order: a CSV file with a header line \
            (t,x), or an HDF5 file with a dataset of float64 for each at its root. What is written has the same columns, then the values. \
            Formats follow the endings: .csv, .h5.

            Example: curvature predict runs/burgers --points points.csv -o values.csv --derivatives
            """)

    @Argument(help: "The run's folder.")
    var folder: String

    @Option(help: "The points: a CSV or HDF5 file.")
    var points: String

    @Option(name: .shortAndLong, help: "The file to write: CSV or HDF5, by its ending.")
    var output: String

    @Option(help: "The point of the run: best or last.")
    var which = Which.best

    @Flag(help: "Also the first derivatives along every coordinate.")
    var derivatives = false

    @Flag(help: "Also the residuals of the equations.")
    var residuals = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        let from: PointsFormat = try format(of: points, option: "--points")
        let to: PointsFormat = try format(of: output, option: "--output")
        let run = try TrainedRun(folder: folder, which: which, registry: registry)
        guard let problem = run.problem as? any PredictingProblem else {
            throw ConfigurationError(path: folder, reason: Self.refusal(of: run.problem))
        }
        let names = problem.coordinateNames
        let places = try PointsTable(reading: points, as: from, columns: names)
        var extras: PredictionExtras = []
        if derivatives { extras.insert(.derivatives) }
        if residuals { extras.insert(.residuals) }
        let prediction = try problem.prediction(at: places.points, parameters: run.point.parameters.values, including: extras)
        for (extra, isWanted) in [("derivatives", derivatives), ("residuals", residuals)]
        where isWanted && !prediction.has(extra, of: names) {
            throw ConfigurationError(path: "--\(extra)", reason: "\(problem.name) has no \(extra) to predict; leave the option out")
        }
        let columns =
            zip(names, places.columns).map { PredictedTable.Column($0, meaning: "coordinate", values: $1) }
            + prediction.columns.enumerated().map { index, column in
                PredictedTable.Column(column.name, meaning: column.meaning, values: prediction.values.column(index).elements)
            }
        let table = PredictedTable(
            columns: columns, problem: problem.name, which: run.point.which, iteration: run.point.iteration)
        try writeAside(output) { try table.write(to: $0, as: to) }
        let values = prediction.columns.map(\.name)
        Screen(json: json).show("wrote \(output): \(values.joined(separator: ", ")) at \(places.points.rows) points")
        guard json else { return }
        JSONReport.object([
            .init("outcome", "predicted"), .init("file", .text(output)), .init("points", .integer(places.points.rows)),
            .init("values", .list(values.map { .text($0) })), .init("which", .text(which.rawValue)),
            .init("iteration", .integer(run.point.iteration)),
        ]).show()
    }

    private static func refusal(of problem: any Problem) -> String {
        if problem is DeepONetProblem {
            return "\(problem.name) maps functions to functions: its values need an input function beside each point, which a file of "
                + "points does not give; `curvature plot` draws its outputs for test functions"
        }
        return "\(problem.name) has no model with values at points: nothing can be predicted"
    }
}

extension Prediction {
    /// Whether there are derivatives, by their names `u_x`, or residuals.
    fileprivate func has(_ extra: String, of coordinates: [String]) -> Bool {
        columns.contains { column in
            extra == "residuals" ? column.name.hasPrefix("residual_") : coordinates.contains { column.name.hasSuffix("_\($0)") }
        }
    }
}
