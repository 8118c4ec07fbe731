import Differentiation
import OptimizationCore

/// The settings of a ``DeepONet`` whose branch and trunk have hidden layers of one width each. A problem has them among its own.
public struct DeepONetSettings: ModelConfiguration, Hashable {
    public var branchWidth = 40
    public var branchDepth = 2
    public var trunkWidth = 40
    public var trunkDepth = 2
    /// K.
    public var features = 40
    public var activation = Activation.tanh

    public init() {}

    public static let identifier = "deeponet"
    public static let summary = "unstacked DeepONet: a branch network of the input function times a trunk network of the point"
    public static var fields: [Field<Self>] {
        [
            .integer("branchWidth", \.branchWidth, atLeast: 1, meaning: "width of the branch's hidden layers"),
            .integer("branchDepth", \.branchDepth, meaning: "hidden layers of the branch; 0 makes it linear"),
            .integer("trunkWidth", \.trunkWidth, atLeast: 1, meaning: "width of the trunk's hidden layers"),
            .integer("trunkDepth", \.trunkDepth, meaning: "hidden layers of the trunk"),
            .integer("features", \.features, atLeast: 1, meaning: "K, the products that are summed"),
            .choice("activation", \.activation, meaning: "σ of both networks"),
        ]
    }

    /// The network for input functions that are read at `sensors` places.
    public func model(sensors: Int) -> DeepONet {
        DeepONet(
            sensors: sensors, branch: Array(repeating: branchWidth, count: branchDepth),
            trunk: Array(repeating: trunkWidth, count: trunkDepth), features: features, activation: activation)
    }

    /// Throws where the weights would not fit in memory.
    func requireMemory(sensors: Int, path: String) throws {
        let k = Double(features)
        func weights(_ inputs: Double, _ width: Int, _ depth: Int) -> Double {
            let (w, d) = (Double(width), Double(depth))
            return depth == 0 ? (inputs + 1) * k : (inputs + 1) * w + (d - 1) * (w + 1) * w + (w + 1) * k
        }
        try OptimizationCore.requireMemory(
            forNumbers: weights(Double(sensors), branchWidth, branchDepth) + weights(1, trunkWidth, trunkDepth), as: "branch and trunk",
            path: path, advice: "take smaller widths, depths or features")
    }
}
