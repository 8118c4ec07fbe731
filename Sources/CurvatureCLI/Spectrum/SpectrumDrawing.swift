import Curvature

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The spectra of a run as a script for gnuplot: a column of panels for each matrix. Above: the density of the whole loss's matrix, at up to five
/// iterations; then those of the loss's terms, at the last one; below: the extreme eigenvalues against the iterations.
///
/// A density is drawn in shares of the spectrum per decade of |λ|: its nodes smoothed by a normal curve of deviation 0.15 decades. What is
/// smaller than 1e-18 of the largest magnitude is rounding and drawn at that.
package struct SpectrumDrawing {
    package var title: String
    package var spectra: RunSpectra
    var format: PictureFormat

    private static let (panelWidth, panelHeight, titleHeight) = (520.0, 360.0, 44.0)
    private static let (curves, deviation, points) = (5, 0.15, 400)
    /// Shares per decade below this are not drawn.
    private static let least = 1e-6
    private static let colors = ["#4477aa", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#66ccee"]

    /// A curve of a panel: a density under its name.
    private struct Entry {
        var name: String
        var density: SpectralDensity
    }

    private enum Row { case run, terms, extremes }

    private var rows: [Row] {
        let hasTerms = spectra.measurements.last?.spectra.contains { $0.term != nil } ?? false
        return [.run] + (hasTerms ? [.terms] : []) + (spectra.measurements.count > 1 ? [.extremes] : [])
    }

    package func script(output: String) -> String {
        let columns = spectra.operators
        let width = Self.panelWidth * Double(max(1, columns.count))
        let height = Self.titleHeight + Self.panelHeight * Double(rows.count)
        var lines = format.opening(output, width: width, height: height, font: 11)
        lines += [
            "set multiplot",
            "set label 99 \(Gnuplot.quoted(title)) at screen 0.5, screen \((height - 24) / height) center noenhanced font ',14'",
            "set tics nomirror out", "set border lw 0.8", "set grid back lt 1 lc rgb '#dddddd' lw 0.8",
        ]
        for (rowIndex, row) in rows.enumerated() {
            for (column, kind) in columns.enumerated() {
                let left = Double(column) * Self.panelWidth
                let top = height - Self.titleHeight - Double(rowIndex) * Self.panelHeight
                lines += [
                    "set lmargin at screen \((left + 78) / width)", "set rmargin at screen \((left + Self.panelWidth - 18) / width)",
                    "set bmargin at screen \((top - Self.panelHeight + 62) / height)", "set tmargin at screen \((top - 30) / height)",
                ]
                switch row {
                case .run: lines += densityPanel(overTheRun(kind), title: "\(kind.symbol) of the whole loss", name: "r\(column)")
                case .terms:
                    lines += densityPanel(ofTerms(kind), title: "\(kind.symbol) of each term, \(lastIteration)", name: "t\(column)")
                case .extremes: lines += extremesPanel(kind, name: "e\(column)")
                }
                if rowIndex == 0, column == 0 { lines.append("unset label 99") }
            }
        }
        return (lines + ["unset multiplot", "unset output"]).joined(separator: "\n") + "\n"
    }

    private var lastIteration: String { spectra.iterations.last.map { "iteration \($0)" } ?? "" }

    /// The first measurement, the last, and some between.
    private func overTheRun(_ kind: CurvatureOperator) -> [Entry] {
        let all = spectra.measurements.compactMap { measurement in
            measurement.spectra.first { $0.operator == kind && $0.term == nil }.map {
                Entry(name: "iteration \(measurement.iteration)", density: $0.density)
            }
        }
        guard all.count > Self.curves else { return all }
        return (0..<Self.curves).map { all[$0 * (all.count - 1) / (Self.curves - 1)] }
    }

    private func ofTerms(_ kind: CurvatureOperator) -> [Entry] {
        let last = spectra.measurements.last?.spectra ?? []
        return last.filter { $0.operator == kind && $0.term != nil }.prefix(Self.colors.count).map {
            Entry(name: $0.term ?? "", density: $0.density)
        }
    }

    // MARK: Densities

    private func densityPanel(_ entries: [Entry], title: String, name: String) -> [String] {
        let largest = entries.flatMap { $0.density.nodes.map { abs($0.eigenvalue) } }.filter(\.isFinite).max() ?? 1
        let high = largest > 0 ? (log10(largest) + 1).rounded(.up) : 1
        let low = high - 20
        var (lines, plots): ([String], [String]) = ([], [])
        for (index, entry) in entries.enumerated() {
            let color = Self.colors[index % Self.colors.count]
            for (sign, style) in [(1.0, "lw 1.8"), (-1.0, "lw 1.4 dt 2")] {
                let nodes = entry.density.nodes.filter { sign > 0 ? $0.eigenvalue >= 0 : $0.eigenvalue < 0 }
                guard !nodes.isEmpty else { continue }
                let block = "$\(name)_\(index)_\(sign > 0 ? "p" : "n")"
                lines += ["\(block) << EOD"] + Self.curve(of: nodes, from: low, to: high) + ["EOD"]
                let label = sign > 0 ? "title \(Gnuplot.quoted(entry.name)) noenhanced" : "notitle"
                plots.append("\(block) using 1:2 with lines \(style) lc rgb '\(color)' \(label)")
            }
        }
        return lines + [
            "set title \(Gnuplot.quoted(title)) noenhanced offset 0,-0.5", "unset logscale", "set logscale y", "set format y '10^{%T}'",
            "set format x '10^{%g}'", "set xlabel '|λ|, dashed where λ < 0'", "set ylabel 'share per decade' offset 1",
            "set xrange [\(low):\(high)]", "set yrange [\(Self.least):1e5]",
            "set key top left Left reverse samplen 2 box lc rgb '#cccccc' opaque width 1",
            "plot \(plots.isEmpty ? "NaN notitle" : plots.joined(separator: ", "))",
        ]
    }

    /// Points of Σ ω·N(log₁₀|τ|, deviation²) where it is large enough to be drawn; an empty line where it is not, which breaks the curve.
    private static func curve(of nodes: [SpectralDensity.Node], from low: Double, to high: Double) -> [String] {
        let floor = low + 1
        let places = nodes.map { node -> (at: Double, weight: Double) in
            let size = abs(node.eigenvalue)
            return (size > 0 ? max(floor, log10(size)) : floor, node.weight)
        }
        return (0...points).map { i in
            let x = low + (high - low) * Double(i) / Double(points)
            let value = places.reduce(0) { sum, place in
                let z = (x - place.at) / deviation
                return sum + place.weight * exp(-0.5 * z * z) / (deviation * (2 * .pi).squareRoot())
            }
            return value >= least ? "\(x) \(value)" : ""
        }
    }

    // MARK: Extremes

    /// The largest eigenvalue and, where it is below zero by more than rounding, the magnitude of the smallest: whole loss and terms.
    private func extremesPanel(_ kind: CurvatureOperator, name: String) -> [String] {
        let terms = spectra.measurements.last?.spectra.filter { $0.operator == kind }.map(\.term) ?? []
        var (lines, plots): ([String], [String]) = ([], [])
        var drawn: [Double] = []
        for (index, term) in terms.prefix(Self.colors.count).enumerated() {
            let rows = spectra.measurements.compactMap { measurement in
                measurement.spectra.first { $0.operator == kind && $0.term == term }.map { spectrum -> String in
                    let density = spectrum.density
                    let largest = density.largest > 0 ? density.largest : .nan
                    let negative = kind == .hessian && density.smallest < -1e-12 * density.largest ? -density.smallest : .nan
                    drawn += [largest, negative].filter(\.isFinite)
                    return "\(measurement.iteration) \(gnuplot(largest)) \(gnuplot(negative))"
                }
            }
            let block = "$\(name)_\(index)"
            lines += ["\(block) << EOD"] + rows + ["EOD"]
            // A term has the colour that it has among the densities.
            let color = term == nil ? "black" : Self.colors[(index + Self.colors.count - 1) % Self.colors.count]
            let style = "lc rgb '\(color)' pt 7 ps 0.4"
            let label = Gnuplot.quoted(term ?? "whole loss")
            plots.append("\(block) using 1:2 with linespoints lw 1.6 \(style) title \(label) noenhanced")
            if kind == .hessian { plots.append("\(block) using 1:3 with linespoints lw 1.2 dt 2 \(style) notitle") }
        }
        let what = kind == .hessian ? "largest eigenvalue, and −smallest (dashed)" : "largest eigenvalue"
        let end = max(1, spectra.iterations.last ?? 1)
        // Room for the names below the curves.
        let (low, high) = (log10(drawn.min() ?? 1).rounded(.down), log10(drawn.max() ?? 1).rounded(.up))
        let range = "[1e\(Int(low - 0.7 * max(1, high - low)) - 1):1e\(Int(high))]"
        return lines + [
            "set title \(Gnuplot.quoted("\(kind.symbol): \(what)")) noenhanced offset 0,-0.5", "unset logscale", "set logscale y",
            "set format y '10^{%T}'", "set format x '%g'", "set xlabel 'iteration'", "unset ylabel", "set xrange [0:\(end)]",
            "set yrange \(range)", "set key bottom left Left reverse samplen 2 box lc rgb '#cccccc' opaque width 1",
            "plot \(plots.isEmpty ? "NaN notitle" : plots.joined(separator: ", "))",
        ]
    }
}

/// A number as gnuplot reads it.
private func gnuplot(_ value: Double) -> String { value.isFinite ? "\(value)" : "NaN" }
