/// What a conformance suite found: a list of checks that prints.
public struct ConformanceReport: Sendable, CustomStringConvertible {
    public struct Check: Sendable, Hashable {
        public let name: String
        /// What went wrong; empty where the check passed.
        public let failures: [String]

        public var passed: Bool { failures.isEmpty }
    }

    /// What was checked, on what.
    public let subject: String
    public internal(set) var checks: [Check] = []

    public var passed: Bool { checks.allSatisfy(\.passed) }
    public var failures: [Check] { checks.filter { !$0.passed } }

    init(subject: String) { self.subject = subject }

    /// Runs a check; an error it throws is a failure of it.
    mutating func add(_ name: String, _ check: () throws -> [String]) {
        let failures: [String]
        do { failures = try check() } catch { failures = ["threw: \(error)"] }
        checks.append(Check(name: name, failures: failures))
    }

    public var description: String {
        checks.reduce("\(subject): \(passed ? "conforms" : "does NOT conform")") { text, check in
            check.failures.reduce(text + "\n  \(check.passed ? "✓" : "✗") \(check.name)") { $0 + "\n      \($1)" }
        }
    }
}

/// Something breaks its contract; the report says how.
public struct ConformanceFailure: Error, CustomStringConvertible {
    public let report: ConformanceReport
    public var description: String { report.description }
}
