import Curvature
import Foundation

/// A comparison as a script for gnuplot: medians of the least error so far, within bands of the quartiles, against seconds and evaluations.
struct ComparisonDrawing {
    var comparison: RunComparison
    var format: PictureFormat

    /// Okabe and Ito's colours, which all eyes tell apart, and five more.
    private static let colors = [
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#882255", "#999933", "#44aa99", "#888888", "#661100",
    ]
    private static let places = 160

    /// Where all runs of a kind have a value: the place, the quartiles and the median, along an axis.
    private static func band(
        of kind: RunComparison.Kind, along axis: KeyPath<RunCourse.Row, Double>, from low: Double, to high: Double
    ) -> [(place: Double, lower: Double, median: Double, upper: Double)] {
        let ends = kind.courses.compactMap { $0.rows.last?[keyPath: axis] }
        guard let end = ends.max() else { return [] }
        return (0...places).compactMap { index in
            // The last place is the end of the axis to the bit: a course may have its one measurement there.
            let place = index == places ? high : low * pow(high / low, Double(index) / Double(places))
            let values = kind.courses.map { $0.error(at: place, along: axis) }
            guard place <= end * pow(high / low, 1 / Double(places)), !values.contains(where: { $0 == nil }) else { return nil }
            let quartiles = Quartiles(values)
            return (place, quartiles.lower, quartiles.median, quartiles.upper)
        }
    }

    func script(output: String) -> String {
        var lines = format.opening(output, width: 1500, height: 640)
        lines += [
            "set multiplot layout 1,2", "set tics nomirror out", "set border lw 0.8", "set logscale xy", "set format '10^{%T}'",
            "set grid back lt 1 lc rgb '#dddddd' lw 0.8", "set key bottom left Left reverse noenhanced",
            "set ylabel \(Gnuplot.quoted("\(comparison.measure), least so far"))",
        ]
        let panels: [(label: String, axis: KeyPath<RunCourse.Row, Double>)] = [
            ("time (s)", \.seconds), ("evaluations, in full-problem equivalents", \.evaluations),
        ]
        for (panel, (label, axis)) in panels.enumerated() {
            let places = comparison.kinds.flatMap(\.courses).flatMap(\.rows).map { $0[keyPath: axis] }.filter { $0 > 0 }
            guard var low = places.min(), var high = places.max() else { continue }
            // An axis has a length, though all runs have their one measurement at the same place.
            if high < 2 * low { (low, high) = (low / 2, high * 2) }
            var plots: [String] = []
            for (index, kind) in comparison.kinds.enumerated() {
                let rows = Self.band(of: kind, along: axis, from: low, to: high)
                guard !rows.isEmpty else { continue }
                let name = "$kind\(panel)_\(index)"
                lines += ["\(name) << EOD"] + rows.map { "\($0.place) \($0.lower) \($0.median) \($0.upper)" } + ["EOD"]
                let color = Self.colors[index % Self.colors.count]
                if kind.courses.count > 1 {
                    plots.append("\(name) using 1:2:4 with filledcurves fs transparent solid 0.15 noborder lc rgb '\(color)' notitle")
                }
                plots.append("\(name) using 1:3 with lines lw 2 lc rgb '\(color)' title \(Gnuplot.quoted(kind.name))")
            }
            lines += [
                "set xrange [\(low):\(high)]", "set xlabel '\(label)'",
                "plot \(plots.isEmpty ? "[][0.1:1] NaN notitle" : plots.joined(separator: ", "))", "set key off",
            ]
        }
        return (lines + ["unset multiplot", "unset output"]).joined(separator: "\n") + "\n"
    }
}
