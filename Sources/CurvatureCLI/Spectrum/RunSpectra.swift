import Curvature

/// The spectra of a run, in the order of the iterations at which they were measured.
package struct RunSpectra {
    package struct Measurement {
        package var iteration: Int
        package var spectra: [MeasuredSpectrum]
    }

    package var problem: String
    package var measurements: [Measurement]

    package static let table = TableName(MeasuredSpectrum.table)

    package init(problem: String, measurements: [Measurement]) { (self.problem, self.measurements) = (problem, measurements) }

    /// What the callback “spectrum” wrote.
    package init(of file: RunFile) throws {
        problem = try file.file.text("problemName", at: "/") ?? ""
        let (iterations, orders) = (try file.integers("iteration", in: Self.table), try file.integers("order", in: Self.table))
        let (operators, terms) = (try file.texts("operator", in: Self.table), try file.texts("term", in: Self.table))
        let eigenvalues = try file.reals("eigenvalue", in: Self.table)
        let (weights, bounds) = (try file.reals("weight", in: Self.table), try file.reals("bound", in: Self.table))
        measurements = []
        var row = 0
        while row < iterations.count {
            // The rows of one spectrum follow one another.
            let last = (row..<iterations.count).prefix {
                iterations[$0] == iterations[row] && operators[$0] == operators[row] && terms[$0] == terms[row]
            }.upperBound
            guard let iteration = iterations[row], let order = orders[row], order > 0,
                let kind = CurvatureOperator(rawValue: operators[row])
            else {
                throw ConfigurationError(
                    path: "\(file.file.path): /\(MeasuredSpectrum.table)", reason: "row \(row) is no node of a spectrum")
            }
            let nodes = (row..<last).map { SpectralDensity.Node(eigenvalue: eigenvalues[$0], weight: weights[$0], bound: bounds[$0]) }
            if measurements.last?.iteration != iteration { measurements.append(Measurement(iteration: iteration, spectra: [])) }
            measurements[measurements.count - 1].spectra.append(
                MeasuredSpectrum(kind, term: terms[row].isEmpty ? nil : terms[row], density: SpectralDensity(order: order, nodes: nodes)))
            row = last
        }
    }

    package var iterations: [Int] { measurements.map(\.iteration) }

    /// The matrices, in the order of their cases.
    var operators: [CurvatureOperator] {
        CurvatureOperator.allCases.filter { kind in measurements.contains { $0.spectra.contains { $0.operator == kind } } }
    }

    /// For people: a line for each spectrum of an iteration.
    func table(of iteration: Int) -> String {
        let spectra = measurements.last { $0.iteration == iteration }?.spectra ?? []
        let rows =
            [["matrix", "term", "order", "smallest", "largest"]]
            + spectra.map { spectrum in
                let density = spectrum.density
                return [
                    spectrum.operator.symbol, spectrum.term ?? "(whole loss)", "\(density.order)", short(density.smallest),
                    short(density.largest),
                ]
            }
        let widths = (0..<5).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, text in
                let padding = String(repeating: " ", count: widths[column] - text.count)
                return column < 2 ? text + padding : padding + text
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// `problem` and `measurements`, each with its `iteration` and `spectra`.
    var report: JSONReport {
        let measured = measurements.map { measurement -> JSONReport in
            let spectra = measurement.spectra.map { spectrum -> JSONReport in
                let (density, nodes) = (spectrum.density, spectrum.density.nodes)
                return [
                    "operator": .text(spectrum.operator.rawValue), "term": .text(spectrum.term), "order": .integer(density.order),
                    "smallest": .number(density.smallest), "largest": .number(density.largest), "traceEstimate": .number(density.trace),
                    "eigenvalues": .list(nodes.map { .number($0.eigenvalue) }), "weights": .list(nodes.map { .number($0.weight) }),
                    "bounds": .list(nodes.map { .number($0.bound) }),
                ]
            }
            return ["iteration": .integer(measurement.iteration), "spectra": .list(spectra)]
        }
        return ["problem": .text(problem), "measurements": .list(measured)]
    }
}
