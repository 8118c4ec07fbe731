import Curvature

/// The seeds that `--seeds` names: `1,2,3`, `1...5`, or both, `1...3,7`.
enum SeedList {
    /// More than anyone means: a range with a digit too many.
    static let most = 10_000

    static func seeds(_ text: String) throws -> [UInt64] {
        func refusal(_ reason: String) -> ConfigurationError { ConfigurationError(path: "--seeds", reason: reason) }
        let parts = text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
        guard !parts.isEmpty else { throw refusal("names no seed; give whole numbers, as in --seeds 1,2,3 or --seeds 1...5") }
        func number(_ text: some StringProtocol) throws -> UInt64 {
            guard let value = UInt64(text) else { throw refusal("“\(text)” is not a whole number ≥ 0") }
            return value
        }
        var seeds: [UInt64] = []
        for part in parts {
            var (first, last) = (part[...], part[...])
            if let dots = part.firstRange(of: "...") { (first, last) = (part[..<dots.lowerBound], part[dots.upperBound...]) }
            let (low, high) = (try number(first), try number(last))
            guard low <= high else { throw refusal("“\(part)” runs backwards; write the smaller seed first") }
            guard high - low < UInt64(most), seeds.count + Int(high - low) < most else { throw refusal("names more than \(most) seeds") }
            seeds += low...high
        }
        if let twice = seeds.indices.first(where: { seeds[..<$0].contains(seeds[$0]) }) {
            throw refusal("names \(seeds[twice]) twice; each seed has one folder")
        }
        return seeds
    }
}

/// The quartiles of some numbers.
struct Quartiles: Equatable {
    var lower: Double
    var median: Double
    var upper: Double

    /// By linear interpolation between the sorted numbers, as NumPy's default and R's type 7. A number that is missing or not finite
    /// counts as infinite, so that runs that failed are not left out. NaN where there are no numbers.
    init(_ values: [Double?]) {
        let sorted = values.map { $0.map { $0.isFinite ? $0 : .infinity } ?? .infinity }.sorted()
        func quantile(_ q: Double) -> Double {
            guard let last = sorted.indices.last else { return .nan }
            let place = q * Double(last)
            let below = Int(place)
            let (a, b) = (sorted[below], sorted[min(below + 1, last)])
            return a == b ? a : a + (place - Double(below)) * (b - a)
        }
        (lower, median, upper) = (quantile(0.25), quantile(0.5), quantile(0.75))
    }

    var report: JSONReport { ["lowerQuartile": .number(lower), "median": .number(median), "upperQuartile": .number(upper)] }
}

/// The runs of `--seeds`, one after another.
struct SeedSeries {
    private(set) var runs: [(seed: UInt64, result: RunResult, directory: String?)] = []

    mutating func append(_ seed: UInt64, _ result: RunResult, directory: String?) { runs.append((seed, result, directory)) }

    /// The greatest status of any run.
    var exitStatus: Int32 { runs.map { $0.result.outcome.exitStatus }.max() ?? 0 }

    var errors: Quartiles { Quartiles(runs.map { $0.result.stages.last?.referenceError }) }
    var losses: Quartiles { Quartiles(runs.map { $0.result.stages.last?.loss }) }
    var seconds: Quartiles { Quartiles(runs.map { $0.result.seconds }) }
    var evaluations: Quartiles { Quartiles(runs.map { $0.result.work.evaluations }) }

    /// A line for each seed, then the quartiles.
    var table: String {
        func number(_ value: Double?) -> String { value.map { $0.isFinite ? short($0) : "–" } ?? "–" }
        var rows = [["seed", "rel. error", "loss", "seconds", "outcome"]]
        for (seed, result, _) in runs {
            let last = result.stages.last
            rows.append([
                String(seed), number(last?.referenceError), number(last?.loss), number(result.seconds), result.outcome.name,
            ])
        }
        for (name, quartile) in [("lower quartile", \Quartiles.lower), ("median", \.median), ("upper quartile", \.upper)] {
            rows.append([
                name, number(errors[keyPath: quartile]), number(losses[keyPath: quartile]), number(seconds[keyPath: quartile]), "",
            ])
        }
        return TextTable.text(rows)
    }

    /// The worst run's outcome, medians in place of a single run's numbers, their quartiles, and every run.
    func report(directory: String?) -> JSONReport {
        let worst = runs.max { $0.result.outcome.exitStatus < $1.result.outcome.exitStatus }
        return [
            "outcome": .text(worst.map { "seed \($0.seed): \($0.result.explainedOutcome)" }), "status": .text(worst?.result.outcome.status),
            "loss": .number(losses.median), "relativeL2": .number(errors.median), "seconds": .number(seconds.median),
            "evaluations": .number(evaluations.median), "directory": .text(directory),
            "quartiles": [
                "relativeL2": errors.report, "loss": losses.report, "seconds": seconds.report, "evaluations": evaluations.report,
            ],
            "runs": .list(runs.map { JSONReport($0.result, seed: $0.seed, directory: $0.directory) }),
        ]
    }
}
