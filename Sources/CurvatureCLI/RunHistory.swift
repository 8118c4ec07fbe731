import Curvature

/// What a run's trajectory says of its course, for pictures.
package struct RunHistory {
    /// Where a stage begins.
    package struct StageMark: Equatable {
        package var name: String
        package var iteration: Double
        package var seconds: Double
    }

    /// One of the curves: a value for each row, NaN where there is none.
    package struct Curve {
        package var title: String
        package var values: [Double]
    }

    package var iteration: [Double]
    package var seconds: [Double]
    /// Of the objective so far, in full-problem equivalents.
    package var evaluations: [Double]
    package var loss: Curve
    package var error: [Double]
    package var stages: [StageMark]

    package init(of file: RunFile) throws {
        let names = file.columns(in: .trajectory).map(\.name)
        func column(_ name: String) throws -> [Double] {
            guard names.contains(name) else { return Array(repeating: .nan, count: file.rows(in: .trajectory)) }
            return try file.reals(name, in: .trajectory)
        }
        iteration = try column("iteration")
        (seconds, evaluations, error) = (try column("seconds"), try column("evaluations"), try column("referenceError"))
        loss = RunHistory.curve(ofLoss: try column("loss"))
        stages = []
        if !error.contains(where: \.isFinite) { try addErrorsOfStages(in: file) }
        guard file.rows(in: .events) > 0 else { return }
        let (events, details) = (try file.texts("event", in: .events), try file.texts("detail", in: .events))
        for (row, at) in try file.reals("iteration", in: .events).enumerated() where events[row] == "stage began" {
            // The time is that of the last row before: what is recorded has times, what happens between has none.
            let before = iteration.lastIndex { $0 <= at }.map { seconds[$0] } ?? 0
            stages.append(StageMark(name: String(details[row].prefix { $0 != ":" }), iteration: at, seconds: before))
        }
    }

    /// The error at the end of each stage, which is measured where no callback measures it in between.
    private mutating func addErrorsOfStages(in file: RunFile) throws {
        guard file.file.exists("/stages") else { return }
        var taken = 0.0
        for index in 0..<(try file.file.members(of: "/stages").count) where file.file.exists("/stages/\(index)") {
            let place = "/stages/\(index)"
            taken += Double(try file.file.integer("iterations", at: place) ?? 0)
            guard let measured = try file.file.double("referenceError", at: place), measured.isFinite else { continue }
            if let row = iteration.lastIndex(where: { $0 <= taken }) { error[row] = measured }
        }
    }

    /// The loss as it is drawn on an axis of powers of ten: as it is, or, where it falls to zero or below, its excess over its least value.
    package static func curve(ofLoss loss: [Double]) -> Curve {
        let finite = loss.filter(\.isFinite)
        guard let least = finite.min(), least <= 0 else { return Curve(title: "loss L", values: loss) }
        return Curve(title: "L − min L, min L = \(least.rounded(digits: 7))", values: loss.map { $0 - least })
    }
}

extension Double {
    /// In so many significant digits, without an exponent where there need not be one.
    fileprivate func rounded(digits: Int) -> String {
        guard self != 0, isFinite else { return "\(self)" }
        var scale = 1.0
        while abs(self) * scale < 1e6, scale < 1e12 { scale *= 10 }
        return "\((self * scale).rounded() / scale)"
    }
}
