import OptimizationCore
import OptimizationTesting

/// The analytic test functions of the zoo and NIST's regressions, by name: `{name: test-function, function: rosenbrock}`,
/// `{name: nist-regression, dataSet: thurber, start: 1}`.
public enum TestFunctionsPlugin: Plugin {
    public static let identifier = "test-functions"

    public static func register(in registry: inout Registry) throws {
        try registry.register(problem: TestFunction.self)
        try registry.register(problem: NISTRegression.self)
    }
}

/// The choice of a test function and its dimension; which functions there are, ``ZooFamily/all`` lists.
public struct TestFunction: ProblemConfiguration, Hashable {
    public var function = "rosenbrock"
    /// n; 0 stands for the dimension in which the collection states the function.
    public var dimension = 0

    public init() {}

    public init(_ function: String, dimension: Int = 0) { (self.function, self.dimension) = (function, dimension) }

    public static let identifier = "test-function"
    public static let summary = "A function of Moré, Garbow & Hillstrom's collection (1981), L = ½‖r‖², with known answers."
    public static var fields: [Field<Self>] {
        [
            functionField,
            .integer("dimension", \.dimension, meaning: "n, where the function has it to choose; 0 for the standard one"),
        ]
    }

    private static var functionField: Field<Self> {
        let known = ZooFamily.all.map(\.name)
        return Field(
            "function", range: known.joined(separator: " | "), meaning: "which function", read: { .scalar($0.function) }
        ) { root, setting, place in
            guard let name = setting.text, known.contains(name) else {
                let names = nearest(to: setting.text ?? "", among: known).joined(separator: ", ")
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” must be one of: \(names)")
            }
            root.function = name
        }
    }

    public func validate() throws { _ = try problem() }

    public func makeProblem(seed: UInt64) throws -> any Problem { try problem() }

    /// The problem with its type.
    public func problem() throws -> ZooProblem {
        guard let family = ZooFamily.all.first(where: { $0.name == function }) else {
            let names = nearest(to: function, among: ZooFamily.all.map(\.name)).joined(separator: ", ")
            throw ConfigurationError(path: "function", reason: "“\(function)” must be one of: \(names)")
        }
        try requireMemory(
            forNumbers: 16 * Double(dimension), as: "\(function) in \(dimension) dimensions", path: "dimension",
            advice: "take a smaller dimension")
        guard let problem = family.problem(dimension: dimension == 0 ? family.standardDimension : dimension) else {
            throw ConfigurationError(
                path: "dimension", reason: "\(function) has no dimension \(dimension); it must be \(family.dimensions)")
        }
        return problem
    }
}
