import Curvature

/// Performance profiles: for each optimizer the fraction of the problems that it solves within τ times the evaluations of the best.
///
/// Source: Dolan & Moré, *Benchmarking optimization software with performance profiles*, doi:10.1007/s101070100263.
struct PerformanceProfile {
    /// A staircase: at `ratios[i]` the fraction rises to `fractions[i]`.
    struct Curve {
        var name: String
        var ratios: [Double]
        var fractions: [Double]
    }

    let curves: [Curve]

    init(_ optimizers: [ProfiledOptimizer], problems: [String]) {
        let costs = optimizers.map { $0.runs.map { $0.evaluationsToSolve ?? .infinity } }
        let best = problems.indices.map { p in costs.map { $0[p] }.min() ?? .infinity }
        curves = zip(optimizers, costs).map { optimizer, cost in
            let ratios = problems.indices.filter { cost[$0].isFinite }.map { cost[$0] / best[$0] }.sorted()
            var curve = Curve(name: optimizer.name, ratios: [], fractions: [])
            for (index, ratio) in ratios.enumerated() {
                let fraction = Double(index + 1) / Double(problems.count)
                if curve.ratios.last == ratio {
                    curve.fractions[curve.fractions.count - 1] = fraction
                } else {
                    curve.ratios.append(ratio)
                    curve.fractions.append(fraction)
                }
            }
            return curve
        }
    }

    /// The picture as a script for gnuplot.
    func script(title: String, format: PictureFormat, output: String) -> String {
        let end = 2 * max(2, curves.compactMap(\.ratios.last).max() ?? 2)
        var lines = format.opening(output, width: 1100, height: 700)
        lines += [
            "set title \(Gnuplot.quoted(title)) noenhanced", "set tics nomirror out", "set border lw 0.8", "set logscale x 2",
            "set xlabel 'evaluations, as a multiple of the best'", "set ylabel 'fraction solved'", "set xrange [1:\(end)]",
            "set yrange [0:1.02]", "set grid back lt 1 lc rgb '#dddddd' lw 0.8", "set key bottom right noenhanced",
        ]
        for (index, curve) in curves.enumerated() {
            let steps = zip(curve.ratios, curve.fractions).map { "\($0) \($1)" }
            let last = "\(end) \(curve.fractions.last ?? 0)"
            lines += ["$curve\(index) << EOD", "1 0"] + steps + [last, "EOD"]
        }
        let plots = curves.enumerated().map { "$curve\($0) using 1:2 with steps lw 2 title \(Gnuplot.quoted($1.name))" }
        return (lines + ["plot \(plots.isEmpty ? "NaN notitle" : plots.joined(separator: ", "))", "unset output"]).joined(separator: "\n")
            + "\n"
    }
}
