import Curvature

/// A run's picture as a script for gnuplot: loss and error above, a row of panels for each field below.
///
/// Lengths are in pixels of the PNG, from the lower left corner; an SVG has the same, a PDF a hundred to the inch.
package struct RunDrawing {
    package var title: String
    package var history: RunHistory
    var picture: (fields: SolutionPicture, which: Which)?
    var format: PictureFormat

    private static let (width, titleHeight, historyHeight, rowHeight) = (1500.0, 44.0, 480.0, 460.0)
    /// Below a panel: tics and their label.
    private static let footHeight = 78.0
    /// More rows are thinned out: a picture has no more columns of pixels.
    private static let mostPoints = 3000
    /// More fields are left out of a picture of maps.
    private static let mostRows = 4

    private var rows: Int {
        guard let fields = picture?.fields else { return 0 }
        return fields.axes.count == 1 ? 1 : min(fields.fields.count, Self.mostRows)
    }

    private var height: Double { Self.titleHeight + Self.historyHeight + Double(rows) * Self.rowHeight }

    func script(output: String) -> String {
        var lines = format.opening(output, width: Self.width, height: height)
        lines += [
            "set multiplot",
            "set label 99 \(Gnuplot.quoted(title)) at screen 0.5, screen \(share(height - 24)) center noenhanced font ',14'",
            "set tics nomirror out", "set border lw 0.8",
        ]
        lines += historyPanels()
        lines += picture.map { $0.fields.axes.count == 1 ? curvePanels($0.fields, $0.which) : mapPanels($0.fields, $0.which) } ?? []
        return (lines + ["unset multiplot", "unset output"]).joined(separator: "\n") + "\n"
    }

    /// A height as a share of the picture's.
    private func share(_ pixels: Double) -> Double { pixels / height }

    private func place(left: Double, right: Double, bottom: Double, top: Double) -> [String] {
        [
            "set lmargin at screen \(left / Self.width)", "set rmargin at screen \(right / Self.width)",
            "set bmargin at screen \(share(bottom))", "set tmargin at screen \(share(top))",
        ]
    }

    // MARK: Loss and error

    private func historyPanels() -> [String] {
        let step = max(1, history.iteration.count / Self.mostPoints)
        func block(_ name: String, _ values: [Double]) -> (lines: [String], range: ClosedRange<Double>?) {
            let known = values.indices.filter { values[$0] > 0 && values[$0].isFinite }
            let drawn = known.enumerated().filter { $0.offset % step == 0 || $0.offset == known.count - 1 }.map(\.element)
            let rows = drawn.map { "\(history.iteration[$0]) \(history.seconds[$0]) \(values[$0])" }
            let found = drawn.map { values[$0] }
            let range = found.min().flatMap { low in found.max().map { low...$0 } }
            return (["$\(name) << EOD"] + rows + ["EOD"], range)
        }
        let (loss, error) = (block("loss", history.loss.values), block("error", history.error))
        var lines = loss.lines + error.lines
        func curves(_ column: Int) -> String {
            var parts: [String] = []
            if loss.range != nil {
                let title = Gnuplot.quoted(history.loss.title)
                parts.append("$loss using \(column):3 with lines lw 1.6 lc rgb '#4477aa' title \(title) noenhanced")
            }
            if error.range != nil {
                // Single measurements, where they are few, are shown as points too.
                let style = error.lines.count < 8 ? "linespoints pt 7 ps 1" : error.lines.count < 60 ? "linespoints pt 7 ps 0.5" : "lines"
                parts.append("$error using \(column):3 with \(style) lw 1.6 lc rgb '#cc3311' title 'relative L2 error'")
            }
            return parts.isEmpty ? "NaN notitle" : parts.joined(separator: ", ")
        }
        let ranges = [loss.range, error.range].compactMap { $0 }
        let decades = ranges.map { $0.upperBound / $0.lowerBound }.max() ?? 1
        lines += [
            "set logscale y", "set format y '\(decades >= 100 ? "10^{%T}" : "%.2g")'", "set grid back lt 1 lc rgb '#dddddd' lw 0.8",
            "set key bottom left Left reverse samplen 2 box lc rgb '#cccccc' opaque width 1",
            "set ylabel \(Gnuplot.quoted(error.range == nil ? "loss" : "loss, relative error"))",
        ]
        let (bottom, top) = (height - Self.titleHeight - Self.historyHeight + Self.footHeight, height - Self.titleHeight - 46)
        for (panel, label) in ["iteration", "time (s)"].enumerated() {
            let (left, right) = panel == 0 ? (95.0, 725.0) : (840.0, 1470.0)
            let along = panel == 0 ? history.iteration : history.seconds
            let end = max(along.filter(\.isFinite).max() ?? 1, 1e-6)
            lines += place(left: left, right: right, bottom: bottom, top: top)
            lines += ["set xlabel '\(label)'", "set xrange [0:\(end)]"]
            lines += stageMarks(history.stages.map { ($0.name, panel == 0 ? $0.iteration : $0.seconds) }, end: end, pixels: right - left)
            // The title, a label too, is drawn with the first panel.
            lines += ["plot \(curves(panel + 1))", "unset arrow", "unset label"]
        }
        return lines + ["unset logscale y", "set format y '%g'", "unset grid", "set autoscale x"]
    }

    /// A dashed line where each stage but the first begins, its name above the frame: in a row of its own where it would run into another.
    private func stageMarks(_ marks: [(name: String, at: Double)], end: Double, pixels: Double) -> [String] {
        var lines: [String] = []
        var ends = [-1.0, -1.0]
        for (index, mark) in marks.enumerated() where mark.at <= end {
            let (at, width) = (mark.at / end, 8.5 * Double(mark.name.count) / pixels)
            let start = min(at, max(0, 1 - width))
            // Where both rows are full the name is left out; its line stays.
            if index > 0 { lines.append("set arrow from \(mark.at), graph 0 to \(mark.at), graph 1 nohead dt 2 lc rgb '#777777' back") }
            guard let row = ends.firstIndex(where: { $0 < start }) else { continue }
            ends[row] = start + width + 0.01
            let height = 1.035 + 0.05 * Double(row)
            lines.append(
                "set label \(Gnuplot.quoted(mark.name)) at graph \(start), graph \(height) left noenhanced font ',11' textcolor rgb '#555555'"
            )
        }
        return lines
    }

    // MARK: Fields

    private func names(_ fields: SolutionPicture, _ which: Which, _ field: String) -> (solution: String, reference: String, error: String) {
        let fixed = fields.fixedText.map { " at \($0)" } ?? ""
        return ("\(field)\(fixed), \(which.rawValue) point", "reference of \(field)", "|\(field) − reference|")
    }

    private static let colors = ["#4477aa", "#228833", "#aa3377", "#ccbb44"]

    /// All fields in one panel, beside their errors.
    private func curvePanels(_ fields: SolutionPicture, _ which: Which) -> [String] {
        let axis = fields.axes[0]
        let shown = fields.fields.indices.prefix(Self.colors.count)
        var lines: [String] = []
        for index in shown {
            let (values, reference) = (fields.values.column(index), fields.reference?.column(index))
            let rows = axis.coordinates.indices.map { i in
                let known = reference.map { "\($0[i]) \(abs(values[i] - $0[i]))" } ?? "NaN NaN"
                return "\(axis.coordinates[i]) \(values[i]) \(known)"
            }
            lines += ["$field\(index) << EOD"] + rows + ["EOD"]
        }
        let hasReference = fields.reference != nil
        let solution = shown.flatMap { index in
            let style = "lc rgb '\(Self.colors[index])'"
            let line = "$field\(index) using 1:2 with lines lw 1.8 \(style) title \(Gnuplot.quoted(fields.fields[index])) noenhanced"
            // The references in one colour, their name once.
            let title = index == shown.first ? "title 'reference'" : "notitle"
            return hasReference ? [line, "$field\(index) using 1:3 with lines lw 1.2 dt 3 lc rgb 'black' \(title)"] : [line]
        }
        // Room above the curves for their names; and a zero of the error does not make its axis long.
        let all = shown.flatMap { fields.values.column($0).elements + (fields.reference?.column($0).elements ?? []) }
        let (least, most) = (all.min() ?? 0, all.max() ?? 1)
        let span = most > least ? most - least : 1
        let largest = zip(fields.values.elements, fields.reference?.elements ?? []).map { abs($0 - $1) }.max() ?? 0
        let (bottom, top) = (Self.footHeight, Self.rowHeight - 40)
        let fixed = fields.fixedText.map { ", \($0)" } ?? ""
        lines += place(left: 95, right: hasReference ? 725 : 1470, bottom: bottom, top: top)
        lines += [
            "set xlabel \(Gnuplot.quoted(axis.name)) noenhanced", "unset ylabel",
            "set grid back lt 1 lc rgb '#dddddd' lw 0.8",
            "set xrange [\(axis.coordinates[0]):\(axis.coordinates[axis.coordinates.count - 1])]",
            "set key top right Left reverse samplen 2 box lc rgb '#cccccc' opaque width 1",
            "set yrange [\(least - 0.05 * span):\(most + (0.1 + 0.07 * Double(shown.count + 1)) * span)]",
            "set title \(Gnuplot.quoted("solution at the \(which.rawValue) point\(fixed)")) noenhanced offset 0,-0.4",
            "plot \(solution.joined(separator: ", "))",
        ]
        guard hasReference else { return lines }
        let errors = shown.map { index in
            "$field\(index) using 1:($4 > 0 ? $4 : NaN) with lines lw 1.4 lc rgb '\(Self.colors[index])' notitle"
        }
        lines += place(left: 840, right: 1470, bottom: bottom, top: top)
        return lines + [
            "set title 'pointwise error |solution − reference|' noenhanced offset 0,-0.4", "set logscale y", "set format y '10^{%T}'",
            "set key off", "set yrange [\(largest > 0 ? "\(largest * 1e-5)" : "*"):*]",
            "plot \(errors.joined(separator: ", "))", "unset logscale y", "unset title",
        ]
    }

    /// A row for each field: the solution, the reference in the same colours, the error in its own.
    private func mapPanels(_ fields: SolutionPicture, _ which: Which) -> [String] {
        let (across, up) = (fields.axes[0], fields.axes[1])
        let (low, high) = (limits(across), limits(up))
        var lines = ["set key off", "unset grid", "set xrange [\(low.from):\(low.to)]", "set yrange [\(high.from):\(high.to)]"]
        lines += [
            "set xlabel \(Gnuplot.quoted(label(across))) noenhanced", "set ylabel \(Gnuplot.quoted(label(up))) noenhanced offset 1,0",
            "set border front", "set tics front",
        ]
        for row in 0..<rows {
            let values = fields.values.column(row)
            let reference = fields.reference?.column(row)
            let names = names(fields, which, fields.fields[row])
            var panels = [(title: names.solution, values: values.elements, isError: false)]
            if let reference {
                let error = zip(values, reference).map { abs($0 - $1) }
                let size = short(error.max() ?? 0)
                panels.append((names.reference, reference.elements, false))
                panels.append(("\(names.error), at most \(size)", error, true))
            }
            let all = values.elements + (reference?.elements ?? [])
            let range = (all.min() ?? 0, all.max() ?? 1)
            for (column, panel) in panels.enumerated() {
                lines += ["$map << EOD"] + mapRows(panel.values, across.coordinates, up.coordinates) + ["EOD"]
                lines += mapPlace(row: row, column: column, low, high, isTime: across.isTime || up.isTime)
                let (from, to) = panel.isError ? (0, panel.values.max() ?? 1) : range
                lines += [
                    "set title \(Gnuplot.quoted(panel.title)) noenhanced offset 0,-0.5",
                    "set cbrange [\(from):\(to > from ? to : from + 1)]", "set format cb '%g'",
                    "set palette defined (\(panel.isError ? Self.heat : Self.viridis))", "plot $map using 1:2:3 with image notitle",
                ]
            }
        }
        return lines
    }

    private func limits(_ axis: SolutionPicture.Axis) -> (from: Double, to: Double) {
        (axis.coordinates[0], axis.coordinates[axis.coordinates.count - 1])
    }

    private func label(_ axis: SolutionPicture.Axis) -> String { axis.isTime ? "\(axis.name) (time)" : axis.name }

    /// A third of the row each. A map of space keeps the shape of its domain; time has no length to compare with.
    private func mapPlace(
        row: Int, column: Int, _ across: (from: Double, to: Double), _ up: (from: Double, to: Double), isTime: Bool
    ) -> [String] {
        let left = 80 + 480 * Double(column)
        var (width, tall) = (330.0, Self.rowHeight - Self.footHeight - 48)
        if !isTime {
            let shape = (up.to - up.from) / (across.to - across.from)
            if shape * width > tall { width = tall / shape } else { tall = shape * width }
        }
        let bottom = Self.rowHeight * Double(rows - 1 - row) + Self.footHeight
        return place(left: left, right: left + width, bottom: bottom, top: bottom + tall)
    }

    private func mapRows(_ values: [Double], _ across: [Double], _ up: [Double]) -> [String] {
        across.enumerated().flatMap { i, x in up.enumerated().map { j, y in "\(x) \(y) \(values[i * up.count + j])" } + [""] }
    }

    /// Matplotlib's viridis, in nine colours.
    private static let viridis =
        "0 '#440154', 1 '#472d7b', 2 '#3b528b', 3 '#2c728e', 4 '#21918c', 5 '#28ae80', 6 '#5ec962', 7 '#addc30', 8 '#fde725'"
    /// White where there is no error.
    private static let heat = "0 '#ffffff', 1 '#fee8c8', 2 '#fdbb84', 3 '#e34a33', 4 '#7f0000'"
}
