import LinearAlgebra
import OptimizationCore

/// The antiderivative operator on random functions: s′ = u, s(0) = 0 on [0, 1], with u from a ``GaussianRandomField``.
///
/// u and s are evaluated from the same coefficients, s by the closed form of its integral; both carry errors of about 1e-10 for
/// the jitter 1e-10. Function i is a pure function of (seed, i), so any part of any size can be made in any order, and the first
/// F functions of a larger set are the set of F. 2M·(S + Q) flops a function.
public struct AntiderivativeData: OperatorDataSource {
    public let field: GaussianRandomField
    public let grid: OperatorGrid
    public let functionCount: Int
    public let seed: UInt64
    /// [e(sensors) | ∫e(points)] ∈ ℝᴹˣ⁽ˢ⁺ᑫ⁾.
    private let basis: Matrix

    /// Rises whenever the numbers made for given settings change.
    public static let version = 1

    public init(field: GaussianRandomField, functions: Int, sensors: Int, points: Int, seed: UInt64) {
        self.init(field: field, functions: functions, grid: .unitInterval(sensors: sensors, points: points), seed: seed)
    }

    /// Sensors and points anywhere in [0, 1].
    public init(field: GaussianRandomField, functions: Int, grid: OperatorGrid, seed: UInt64) {
        precondition(functions >= 0, "\(functions) functions")
        precondition(
            grid.sensorDimension == 1 && grid.pointDimension == 1
                && (grid.sensors + grid.points).allSatisfy { (0...1).contains($0) }, "sensors and points must lie in [0, 1]")
        (self.field, self.grid, functionCount, self.seed) = (field, grid, functions, seed)
        basis = Matrix(
            rows: field.nodes.count, columns: grid.sensorCount + grid.pointCount,
            elements: field.basis(at: grid.sensors).elements + field.integratedBasis(at: grid.points).elements)
    }

    public var provenance: Setting {
        .map([
            .init("generator", .scalar("antiderivative")), .init("version", .integer(AntiderivativeData.version)),
            .init("kernel", .scalar("squared-exponential")), .init("lengthScale", .number(field.lengthScale)),
            .init("nodes", .integer(field.nodes.count)), .init("jitter", .number(field.jitter)),
            .init("functions", .integer(functionCount)), .init("seed", .scalar(String(seed))),
        ])
    }

    public func functions(_ range: Range<Int>) -> OperatorData {
        precondition(range.lowerBound >= 0 && range.upperBound <= functionCount, "functions \(range) of \(functionCount)")
        let (s, q) = (grid.sensorCount, grid.pointCount)
        var (inputs, outputs) = ([Double](), [Double]())
        inputs.reserveCapacity(s * range.count)
        outputs.reserveCapacity(q * range.count)
        // One matrix–vector product a function: a function's bits do not depend on which others are made with it.
        for function in range {
            let values = basis.transposedTimes(coefficients(of: function)).elements
            inputs += values[..<s]
            outputs += values[s...]
        }
        return OperatorData(grid: grid, inputs: inputs, outputs: outputs, provenance: provenance)
    }

    /// The coefficients ξ of a function, for evaluating it elsewhere.
    public func coefficients(of function: Int) -> Vector {
        var random = RandomStream(seed: seed, name: "antiderivative/function \(function)")
        return field.sample(from: &random)
    }
}
