import OptimizationCore
import OptimizationTesting

/// The choice of a NIST data set and of one of its two starts; which data sets there are, ``NISTDataSet/all`` lists.
public struct NISTRegression: ProblemConfiguration, Hashable {
    public var dataSet = "misra1a"
    /// 1, far from the answer, or 2.
    public var start = 1

    public init() {}

    public init(_ dataSet: String, start: Int = 1) { (self.dataSet, self.start) = (dataSet, start) }

    public static let identifier = "nist-regression"
    public static let summary = "A nonlinear regression of NIST's Statistical Reference Datasets, with certified parameters."
    public static var fields: [Field<Self>] {
        [dataSetField, .integer("start", \.start, atLeast: 1, atMost: 2, meaning: "the certified start: 1 far from the answer, 2 nearer")]
    }

    private static var dataSetField: Field<Self> {
        let known = NISTDataSet.all.map(\.name)
        return Field(
            "dataSet", range: known.joined(separator: " | "), meaning: "which data", read: { .scalar($0.dataSet) }
        ) { root, setting, place in
            guard let name = setting.text, known.contains(name) else {
                let names = nearest(to: setting.text ?? "", among: known).joined(separator: ", ")
                throw ConfigurationError(path: place, line: setting.line, reason: "“\(setting)” must be one of: \(names)")
            }
            root.dataSet = name
        }
    }

    public func validate() throws { _ = try problem() }

    public func makeProblem(seed: UInt64) throws -> any Problem { try problem() }

    /// The problem with its type.
    public func problem() throws -> NISTProblem {
        guard let found = NISTDataSet.named(dataSet) else {
            let names = nearest(to: dataSet, among: NISTDataSet.all.map(\.name)).joined(separator: ", ")
            throw ConfigurationError(path: "dataSet", reason: "“\(dataSet)” must be one of: \(names)")
        }
        guard found.starts.indices.contains(start - 1) else {
            throw ConfigurationError(path: "start", reason: "\(start) must be 1 or 2")
        }
        return NISTProblem(found, start: start)
    }
}
