import OperatorLearning
import OperatorStorage
import OptimizationCore

/// The antiderivative benchmark: a DeepONet that learns u ↦ s with s′ = u, s(0) = 0 on [0, 1], u a Gaussian random field.
///
/// The data are made here (``AntiderivativeData``), not downloaded; with a file named in `data` they are written there once and
/// then streamed from it. Functions for training, for the monitor loss and for the reported error are drawn apart at random.
/// DeepXDE's example has 150 + 1000 functions, 100 sensors and points, widths 40 and ReLU; the physics-informed DeepONet paper
/// 10,000 functions with one point each.
public struct Antiderivative: ProblemConfiguration {
    /// Functions trained on.
    public var functions = 1000
    public var validationFunctions = 100
    public var testFunctions = 1000
    public var sensors = 50
    public var points = 50
    public var network = DeepONetSettings()
    /// ℓ.
    public var lengthScale = 0.2
    /// The file that keeps the data; empty for memory only.
    public var data = ""

    public init() {}

    public static let identifier = "antiderivative"
    public static let summary = "DeepONet for the antiderivative of Gaussian random functions: s′ = u, s(0) = 0"
    public static var fields: [Field<Antiderivative>] {
        [
            .integer("functions", \.functions, atLeast: 1, meaning: "functions trained on"),
            .integer("validationFunctions", \.validationFunctions, meaning: "functions for the monitor loss; 0 for none"),
            .integer("testFunctions", \.testFunctions, meaning: "functions for the reported error; 0 for none"),
            .integer("sensors", \.sensors, atLeast: 2, meaning: "equidistant numbers that the branch reads of u"),
            .integer("points", \.points, atLeast: 2, meaning: "equidistant points at which s is given"),
        ] + DeepONetSettings.fields.map { $0.lifted(to: \.network) } + [
            .number("lengthScale", \.lengthScale, in: .within(0.02...10), meaning: "ℓ of the squared-exponential covariance of u"),
            .text("data", \.data, meaning: "HDF5 file that keeps the data, made where it is missing; empty: memory only"),
        ]
    }

    /// The network.
    public var model: DeepONet { network.model(sensors: sensors) }

    /// The data of a seed: training, validation and test functions together.
    public func source(seed: UInt64) throws -> AntiderivativeData {
        // Twelve nodes a length scale resolve the field (see GaussianRandomField).
        let nodes = max(64, Int((12 / lengthScale).rounded(.up)))
        let field = try GaussianRandomField(lengthScale: lengthScale, nodeCount: nodes)
        return AntiderivativeData(
            field: field, functions: functions + validationFunctions + testFunctions, sensors: sensors, points: points, seed: seed)
    }

    public func makeProblem(seed: UInt64) throws -> any Problem { try makeOperatorProblem(seed: seed) }

    /// The problem, with its type.
    public func makeOperatorProblem(seed: UInt64) throws -> DeepONetProblem {
        try requireMemory()
        let source = try data.isEmpty ? source(seed: seed).loaded() as any OperatorDataSource : stored(seed: seed)
        var random = RandomStream(seed: seed, name: "antiderivative/split")
        let parts = source.split([functions, validationFunctions, testFunctions], random: &random)
        return try DeepONetProblem(
            name: Self.identifier, model: model, training: data.isEmpty ? parts[0].loaded() : parts[0],
            validation: validationFunctions > 0 ? parts[1].loaded() : nil, test: testFunctions > 0 ? parts[2].loaded() : nil)
    }

    /// Throws where the functions or the weights would not fit in memory.
    private func requireMemory() throws {
        let count = [functions, validationFunctions, testFunctions].reduce(0.0) { $0 + Double($1) }
        let (s, y) = (Double(sensors), Double(points))
        try OptimizationCore.requireMemory(
            forNumbers: 2 * count * (s + y) + s * s + y, as: "\(Int(count)) functions at \(sensors) sensors and \(points) points",
            path: Self.identifier, advice: "take fewer functions, sensors or points")
        try network.requireMemory(sensors: sensors, path: Self.identifier)
    }

    /// The data of the file, written first where there is none. Throws where the file holds other data than these settings make.
    private func stored(seed: UInt64) throws -> OperatorDataFile {
        let made = try source(seed: seed)
        if !OperatorDataFile.exists(data) { try made.write(to: data) }
        let file = try OperatorDataFile(data)
        var differences = made.provenance.differences(from: file.provenance)
        if file.grid != made.grid { differences.append("the sensors or points differ") }
        guard differences.isEmpty else {
            throw ConfigurationError(
                path: "data",
                reason: "\(data) holds other data than these settings make (here: the settings, there: the file): "
                    + "\(differences.joined(separator: "; ")). Name another file, or remove this one")
        }
        return file
    }
}

/// Operator learning with DeepONets: the problem `antiderivative`.
public enum DeepONetPlugin: Plugin {
    public static let identifier = "deeponet"

    public static func register(in registry: inout Registry) throws {
        try registry.register(model: DeepONetSettings.self)
        try registry.register(problem: Antiderivative.self)
    }
}
