extension StoppingRule {
    /// The rule that a configuration writes: `{iterations: 5000}`, `{gradientNorm: {below: 1e-8}}`, `{any: […]}`, `{all: […]}`.
    /// Several keys in one map hold as `any`.
    public init(_ setting: Setting, path: String) throws {
        guard case .map(let pairs) = setting.value, !pairs.isEmpty else {
            throw ConfigurationError(
                path: path, line: setting.line, reason: "should be a rule such as {iterations: 5000} or {any: [{iterations: 5000}, …]}")
        }
        let rules = try pairs.map { try StoppingRule.rule($0.key, $0.value, path: "\(path).\($0.key)") }
        self = rules.count == 1 ? rules[0] : .any(rules)
    }

    private static let keys =
        ["any", "all", "iterations", "seconds", "evaluations"] + Work.allCases.map(\.name) + [
            "loss", "gradientNorm", "relativeGradientNorm", "monitorLoss", "referenceError", "stalled", "monitorRising",
        ]

    private static func rule(_ key: String, _ setting: Setting, path: String) throws -> StoppingRule {
        if let work = Work.allCases.first(where: { $0.name == key }) {
            return .evaluations(of: work, try number(setting, path, Bounds.nonNegative))
        }
        switch key {
        case "any", "all":
            guard case .list(let items) = setting.value, !items.isEmpty else {
                throw ConfigurationError(path: path, line: setting.line, reason: "should be a list of rules")
            }
            let rules = try items.enumerated().map { try StoppingRule($1, path: "\(path).\($0)") }
            return key == "any" ? .any(rules) : .all(rules)
        case "iterations": return .iterations(try count(setting, path))
        case "seconds": return .seconds(try number(setting, path, Bounds.nonNegative))
        case "evaluations": return .evaluations(try number(setting, path, Bounds.nonNegative))
        case "loss": return .loss(below: try Options(setting, path, ["below"]).number("below"))
        case "gradientNorm": return .gradientNorm(below: try Options(setting, path, ["below"]).number("below"))
        case "relativeGradientNorm": return .relativeGradientNorm(below: try Options(setting, path, ["below"]).number("below"))
        case "monitorLoss":
            let options = try Options(setting, path, ["below", "every"])
            return .monitorLoss(below: try options.number("below"), every: try options.count("every", default: 100))
        case "referenceError":
            let options = try Options(setting, path, ["below", "every"])
            return .referenceError(below: try options.number("below"), every: try options.count("every", default: 100))
        case "stalled":
            let options = try Options(setting, path, ["window", "relativeDecrease"])
            return .stalled(
                over: try options.count("window", default: 100),
                relativeDecrease: try options.number("relativeDecrease", default: 1e-3))
        case "monitorRising":
            let options = try Options(setting, path, ["patience", "every"])
            return .monitorRising(patience: try options.count("patience", default: 5), every: try options.count("every", default: 100))
        default:
            throw ConfigurationError(
                path: path, line: setting.line,
                reason: "is not a stopping rule; there are: \(nearest(to: key, among: keys).joined(separator: ", "))")
        }
    }
}

extension RecoveryPolicy {
    /// `hand-over`, `stop`, `{restart: 2}`, `{clearMemory: 2}` or `{shrink: 2}`.
    public init(_ setting: Setting, path: String) throws {
        if setting.text == "hand-over" {
            self = .handOver
        } else if setting.text == "stop" {
            self = .stop
        } else if case .map(let pairs) = setting.value, pairs.count == 1, let pair = pairs.first,
            let policy = ["restart": RecoveryPolicy.restart, "clearMemory": RecoveryPolicy.clearMemory, "shrink": RecoveryPolicy.shrink][
                pair.key]
        {
            self = policy(try count(pair.value, "\(path).\(pair.key)"))
        } else {
            throw ConfigurationError(
                path: path, line: setting.line,
                reason: "“\(setting)” must be hand-over, stop, {restart: N}, {clearMemory: N} or {shrink: N}")
        }
    }
}

/// The options of one criterion.
private struct Options {
    let setting: Setting
    let path: String

    init(_ setting: Setting, _ path: String, _ known: [String]) throws {
        (self.setting, self.path) = (setting, path)
        guard case .map(let pairs) = setting.value else {
            throw ConfigurationError(path: path, line: setting.line, reason: "should be a map of: \(known.joined(separator: ", "))")
        }
        for pair in pairs where !known.contains(pair.key) {
            throw ConfigurationError(
                path: "\(path).\(pair.key)", line: pair.value.line, reason: "is unknown; there are: \(known.joined(separator: ", "))")
        }
    }

    func number(_ key: String, default value: Double? = nil) throws -> Double {
        guard let option = setting[key] else {
            guard let value else { throw ConfigurationError(path: path, line: setting.line, reason: "needs “\(key)”") }
            return value
        }
        return try OptimizationCore.number(option, "\(path).\(key)", Bounds.nonNegative)
    }

    func count(_ key: String, default value: Int) throws -> Int {
        guard let option = setting[key] else { return value }
        let result = try OptimizationCore.count(option, "\(path).\(key)")
        guard result > 0 else { throw ConfigurationError(path: "\(path).\(key)", line: option.line, reason: "must be ≥ 1") }
        return result
    }
}

private func number(_ setting: Setting, _ path: String, _ bounds: Bounds) throws -> Double {
    guard let text = setting.text, let value = Double(text) else {
        throw ConfigurationError(path: path, line: setting.line, reason: "“\(setting)” is not a number")
    }
    guard bounds.contains(value) else {
        throw ConfigurationError(path: path, line: setting.line, reason: "\(value) must be \(bounds.text)")
    }
    return value
}

private func count(_ setting: Setting, _ path: String) throws -> Int {
    guard let text = setting.text, let value = Int(text.replacing("_", with: "")), value >= 0 else {
        throw ConfigurationError(path: path, line: setting.line, reason: "“\(setting)” is not a whole number ≥ 0")
    }
    return value
}
