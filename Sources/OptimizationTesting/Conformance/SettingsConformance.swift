import OptimizationCore

/// The contract of something with settings: it refuses, by name, what its own schema says that it does not take.
///
///     #expect(SettingsConformance.failures(of: Lion()) == [])
///
/// Each field is given values beyond both ends of the range that it states, numbers that are not finite, and values of a wrong type, the
/// fields of parts and variants included; and a setting that it does not have. Each must be refused with a ``ConfigurationError`` whose
/// path names the field. What it holds, it must take. A range is read as text, as listings show it: what cannot be read (a plugin's own
/// words) is tried with what is no number and with wrong types only.
///
/// Cost: some ten values a field.
public enum SettingsConformance {
    /// What is wrong with the settings of `value`; empty where it conforms.
    public static func failures(of value: some Configurable) -> [String] { acceptsOwn(value) + acceptsWrong(value) }

    /// How what a value reads back from its own settings differs from it.
    static func acceptsOwn<C: Configurable>(_ value: C) -> [String] {
        do {
            return try C(value.settings, path: C.identifier).settings.differences(from: value.settings)
        } catch { return ["its own settings are refused: \(error)"] }
    }

    /// The wrong values that settings like those of `value` take, or refuse without naming the field.
    static func acceptsWrong<C: Configurable>(_ value: C) -> [String] {
        // Nothing can be tried on what refuses itself.
        guard acceptsOwn(value).isEmpty else { return [] }
        return attempts(on: value).compactMap { attempt in
            // Everything else as it is, so that nothing but the attempt can be refused.
            let settings = value.settings.setting([attempt.path[0]], to: attempt.value)
            do {
                _ = try C(settings, path: C.identifier)
                return "“\(attempt.path.joined(separator: ".")): \(attempt.shown)” is accepted\(attempt.why)"
            } catch let error as ConfigurationError {
                let named = ([C.identifier] + attempt.path).joined(separator: ".")
                return error.path.hasPrefix(named)
                    ? nil : "“\(named): \(attempt.shown)” is refused in the name of “\(error.path)”: \(error)"
            } catch {
                return "“\(attempt.path.joined(separator: ".")): \(attempt.shown)” is refused without a ConfigurationError: \(error)"
            }
        }
    }

    // MARK: What is tried

    private struct Attempt {
        /// The names of the fields, from the outermost on.
        var path: [String]
        /// The outermost field's value.
        var value: Setting
        /// The value that is wrong.
        var shown: Setting
        /// What the schema says.
        var why: String
    }

    /// What is tried on a value that is part of kinds with the names `outer`.
    private static func attempts<C: Configurable>(on value: C, inside outer: [String] = []) -> [Attempt] {
        var attempts = [Attempt(path: ["noSuchSetting"], value: .scalar("1"), shown: .scalar("1"), why: "")]
        for field in C.fields {
            let present = field.value(in: value)
            for wrong in wrongValues(for: field.range, holding: present, hasKinds: !field.kinds.isEmpty) {
                attempts.append(
                    Attempt(path: [field.name], value: wrong, shown: wrong, why: ", where the schema says: \(field.range)"))
            }
            // A kind that may hold its own kind is tried once.
            for kind in field.kinds where !outer.contains(kind.identifier) {
                for inner in self.attempts(onKind: kind, inside: outer + [kind.identifier]) {
                    // A part is written without its name, a variant with it; both take the name.
                    var part = Setting.map([.init("name", .scalar(kind.identifier))])
                    part = part.setting([inner.path[0]], to: inner.value)
                    attempts.append(Attempt(path: [field.name] + inner.path, value: part, shown: inner.shown, why: inner.why))
                }
            }
        }
        return attempts
    }

    private static func attempts(onKind kind: any Configurable.Type, inside outer: [String]) -> [Attempt] {
        func open<C: Configurable>(_ type: C.Type) -> [Attempt] { attempts(on: C(), inside: outer) }
        return open(kind)
    }

    /// Values that no setting of that range may have.
    private static func wrongValues(for range: String, holding present: Setting, hasKinds: Bool) -> [Setting] {
        let (list, map) = (Setting.list([.scalar("1")]), Setting.map([.init("noSuchSetting", .scalar("1"))]))
        if hasKinds { return [.scalar("noSuchKind"), list, map] }
        for (prefix, whole) in [("a list, each ", { Setting.list([$0]) }), ("a map of ", { Setting.map([.init("x", $0)]) })] as [Wrapping]
        where range.hasPrefix(prefix) {
            let isList = prefix.contains("list")
            let inner = wrongValues(
                for: String(range.dropFirst(prefix.count)), holding: .scalar(range.contains("whole") ? "1" : "1.0"), hasKinds: false)
            return inner.map(whole) + [.scalar("noSuchKind"), isList ? map : list]
        }
        if range == "text" { return [list, map] }
        let words: [Setting] = [.scalar("noSuchWord"), .scalar(""), .scalar("nan"), list, map]
        if range == "true or false" || range.contains(" | ") { return words + [.scalar("2")] }
        guard let text = present.text, Double(text) != nil else { return words }
        let ends = Ends(range, whole: Int(text) != nil)
        return words + ends.beyond.map(Setting.scalar) + ["inf", "-inf"].map(Setting.scalar)
    }

    private typealias Wrapping = (String, (Setting) -> Setting)
}

/// The numbers just beyond the ends of a range that is given in words.
private struct Ends {
    var beyond: [String] = []

    /// Reads `> a`, `≥ a`, `< b`, `≤ b`, several of them with commas between, and `in (a, b]`. A whole number without an upper end is at
    /// most 2³¹ − 1, by the core's convention.
    init(_ range: String, whole: Bool) {
        let parts: [String]
        var hasTop = false
        if range.hasPrefix("in "), let open = range.dropFirst(3).first, let close = range.last, "([".contains(open), ")]".contains(close) {
            let ends = range.dropFirst(4).dropLast().split(separator: ",").map { $0.drop { $0 == " " } }
            guard ends.count == 2 else { return }
            parts = ["\(open == "(" ? ">" : "≥") \(ends[0])", "\(close == ")" ? "<" : "≤") \(ends[1])"]
        } else {
            parts = range.replacing("whole numbers ", with: "").split(separator: ",").map { String($0.drop { $0 == " " }) }
        }
        for part in parts {
            guard let sign = part.first, "><≥≤".contains(sign) else { continue }
            let isTop = "<≤".contains(sign)
            hasTop = hasTop || isTop
            let text = String(part.dropFirst().drop { $0 == " " })
            if whole {
                if text == "2⁶³" { beyond.append("9223372036854775808") }
                guard let end = Int(text) else { continue }
                switch sign {
                case ">", "<": beyond.append(String(end))
                case "≥": beyond.append(String(end - 1))
                default: beyond.append(String(end + 1))
                }
            } else if let end = Double(text) {
                let next = isTop ? end.nextUp : end.nextDown
                // The end itself where it does not belong to the range, and a number far beyond.
                beyond += [sign == ">" || sign == "<" ? end : next, isTop ? 2 * abs(end) + 1 : -2 * abs(end) - 1].map { String($0) }
            }
        }
        if whole {
            beyond += ["1.5", "9223372036854775808", "-9223372036854775809"]
            if !hasTop { beyond.append("2147483648") }
        }
    }
}
