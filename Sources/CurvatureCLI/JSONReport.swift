import Curvature

/// What `--json` prints: one JSON object on one line of standard output. All commands make theirs of this.
///
/// Members keep their order. Numbers are written with all their digits; one that is not finite is `null`, and the object's `outcome` says
/// why. Text is UTF-8 as it is.
package indirect enum JSONReport: Sendable, Equatable {
    case null
    case truth(Bool)
    case integer(Int)
    case unsigned(UInt64)
    case number(Double)
    case text(String)
    case list([JSONReport])
    case object([Member])

    package struct Member: Sendable, Equatable {
        package var name: String
        package var value: JSONReport

        package init(_ name: String, _ value: JSONReport) { (self.name, self.value) = (name, value) }
    }

    /// The text, without a line break.
    package var encoded: String {
        switch self {
        case .null: "null"
        case .truth(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .unsigned(let value): String(value)
        case .number(let value): value.isFinite ? value.description : "null"
        case .text(let text): JSONReport.quoted(text)
        case .list(let items): "[\(items.map(\.encoded).joined(separator: ","))]"
        case .object(let members): "{\(members.map { "\(JSONReport.quoted($0.name)):\($0.value.encoded)" }.joined(separator: ","))}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\u{0}"..."\u{1f}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension JSONReport: ExpressibleByDictionaryLiteral, ExpressibleByStringLiteral {
    package init(dictionaryLiteral elements: (String, JSONReport)...) { self = .object(elements.map { Member($0, $1) }) }
    package init(stringLiteral value: String) { self = .text(value) }
}

extension JSONReport {
    static func number(_ value: Double?) -> JSONReport { value.map(JSONReport.number) ?? .null }
    static func text(_ value: String?) -> JSONReport { value.map(JSONReport.text) ?? .null }

    /// The object with further members at its end.
    func adding(_ more: JSONReport) -> JSONReport {
        guard case .object(let members) = self, case .object(let further) = more else { return self }
        return .object(members + further)
    }

    /// The object on standard output, at once.
    func show() { print(encoded) }
}

// MARK: Parts that several commands report

extension JSONReport {
    /// How a stage went.
    init(_ stage: StageSummary) {
        self = [
            "name": .text(stage.name), "optimizer": .text(stage.optimizer), "outcome": .text(stage.outcome.description),
            "status": .text(stage.outcome.status), "iterations": .integer(stage.iterations), "seconds": .number(stage.seconds),
            "evaluations": .number(stage.work.evaluations), "loss": .number(stage.loss), "relativeL2": .number(stage.referenceError),
        ]
    }

    /// How a run went; `directory` is where it was written, if it was.
    init(_ result: RunResult, seed: UInt64, directory: String?) {
        let last = result.stages.last
        self = [
            "outcome": .text(result.explainedOutcome), "status": .text(result.outcome.status), "loss": .number(last?.loss),
            "relativeL2": .number(last?.referenceError), "seconds": .number(result.seconds),
            "evaluations": .number(result.work.evaluations), "iterations": .integer(result.iterations), "directory": .text(directory),
            "seed": .unsigned(seed), "parametersHash": .text(SHA256.hexadecimal(ofLittleEndian: result.parameters.values.elements)),
            "stages": .list(result.stages.map { JSONReport($0) }),
        ]
    }
}

extension RunResult {
    /// The outcome in words, with what is not finite where the outcome itself does not say so.
    var explainedOutcome: String {
        var text = outcome.description
        if case .brokeDown = outcome { return text }
        let values = [("loss", stages.last?.loss), ("relativeL2", stages.last?.referenceError)]
        let bad = values.filter { $0.1.map { !$0.isFinite } ?? false }.map(\.0)
        if !bad.isEmpty { text += "; not finite: \(bad.joined(separator: ", "))" }
        return text
    }
}
