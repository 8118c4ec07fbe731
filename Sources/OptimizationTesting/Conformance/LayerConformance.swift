import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import PhysicsInformed

/// The contract of a layer or an activation of one's own, as a runnable suite.
///
///     @Test func contract() throws {
///         try LayerConformance.check(MyLayer())
///         try LayerConformance.check(activation: MyActivation())
///     }
///
/// The layer is put between dense layers into a small network in two coordinates, and
/// - its jets are right: along lines, each derivative up to order 4 is the one before it differentiated, by the slope of Taylor remainders;
/// - a second-order operator as one channel is the sum of its derivatives;
/// - a physics-informed problem on it conforms: loss, gradient, J·v, Jᵀ·w, J, JᵀJ, JJᵀ and H·v by the ladder of ``DerivativeCheck``, batches,
///   revisions, the same bits for any number of threads (``ProblemConformance``).
///
/// Cost: seconds.
public enum LayerConformance {
    /// Checks a layer; throws a ``ConformanceFailure`` that lists what is broken. `width` is how many features it is given.
    @discardableResult
    public static func check(_ layer: some NetworkLayer, width: Int = 5, seed: UInt64 = 0) throws -> ConformanceReport {
        let report = try report(layer, width: width, seed: seed)
        guard report.passed else { throw ConformanceFailure(report: report) }
        return report
    }

    /// Checks an activation in a layer of its own.
    @discardableResult
    public static func check(activation: some CustomActivation, width: Int = 5, seed: UInt64 = 0) throws -> ConformanceReport {
        try check(ActivationAlone(activation: activation), width: width, seed: seed)
    }

    /// The suite's result as a value.
    public static func report(_ layer: some NetworkLayer, width: Int = 5, seed: UInt64 = 0) throws -> ConformanceReport {
        let model = LayeredNetwork(inputs: 2, outputs: 1) { network in
            let x = network.coordinateDense(outputs: width, activation: .standard(.tanh), name: "first")
            return layer.applied(to: x, in: &network, name: "layer")
        }
        var random = RandomStream(seed: seed, name: "layer conformance")
        var θ = model.initialParameters(from: &random).values
        // Off the zeros of the start.
        for i in 0..<θ.count { θ[i] += 0.2 * random.normal() }
        let program = Program(network: model.network, terms: [])
        var report = ConformanceReport(subject: "\(type(of: layer))")
        report.add("has right coordinate derivatives") { jetFailures(program, at: θ, &random) }
        report.add("carries operators as sums of derivatives") { operatorFailures(program, at: θ, &random) }
        let problem = try PhysicsInformedProblem(
            Probe(), model: model, points: PointPlan(interior: 40, boundary: 8, monitor: 0), seed: seed, identity: .scalar("probe"))
        let whole = ProblemConformance.report(problem, at: θ, revisions: [WeightRevision([("interior", 2)])], seed: seed)
        for check in whole.checks { report.add(check.name) { check.failures } }
        return report
    }

    private struct ActivationAlone<A: CustomActivation>: NetworkLayer {
        var activation: A
        func applied(to x: Features, in network: inout NetworkBuilder, name: String) -> Features {
            network.activation(.custom(activation), of: network.dense(x, outputs: x.count, name: name))
        }
    }

    /// Reads the value, first, mixed and collapsed second derivatives.
    private struct Probe: PDEProblem {
        var name: String { "probe" }
        var domain: Domain { .box(x: -1...1, y: -1...1) }
        var conditions: [Condition] { [.dirichlet(0.3)] }
        func residuals(_ u: Fields, at p: Point) -> [Residual] {
            [Residual("probe", u[0].laplacian + u[0] * u[0].x - 0.5 * u[0].y + p.x), Residual("mixed", u[0].xy * u[0])]
        }
    }

    /// With f_k = (d·∇)ᵏu: f_{k−1}(x + hd) − f_{k−1}(x) − h·f_k(x) along three directions d, for k = 1 … 4.
    private static func jetFailures(_ program: Program, at θ: Vector, _ random: inout RandomStream) -> [String] {
        var failures: [String] = []
        for direction in [[1.0, 0], [0, 1], [0.8, -0.6]] {
            let point = [0.5 * random.normal(), 0.5 * random.normal()]
            func derivative(_ order: Int, _ h: Double) -> Double {
                let channels = (0...order).map { Channel(field: 0, derivative: MultiIndex([UInt8(order - $0), UInt8($0)])) }
                let values = program.outputs(channels, at: zip(point, direction).map { [$0 + h * $1] }, parameters: θ)
                var (sum, binomial) = (0.0, 1.0)
                for k in 0...order {
                    sum += binomial * power(direction[0], order - k) * power(direction[1], k) * values[k][0]
                    binomial *= Double(order - k) / Double(k + 1)
                }
                return sum
            }
            for order in 1...4 {
                let (here, rate) = (derivative(order - 1, 0), derivative(order, 0))
                let remainder = TaylorSlope { h in
                    let there = derivative(order - 1, h)
                    return (abs(there - here - h * rate), abs(there) + abs(here) + abs(h * rate))
                }
                // A wrong derivative leaves a remainder of order 1.
                if let slope = remainder.slope, slope < 1.7 {
                    failures.append("the derivative of order \(order) along \(direction) at \(point): a remainder of order \(slope), not 2")
                }
            }
        }
        return failures
    }

    private static func operatorFailures(_ program: Program, at θ: Vector, _ random: inout RandomStream) -> [String] {
        let contraction = SecondOrderOperator([.init(0, 0, .constant(1.5)), .init(0, 1, .constant(-0.7)), .init(1, 1, .constant(0.4))])
        let points = (0..<2).map { _ in (0..<8).map { _ in random.normal() } }
        let whole = program.outputs([Channel(field: 0, contraction: contraction, dimension: 2)], at: points, parameters: θ)[0]
        let parts = program.outputs(
            [[2, 0], [1, 1], [0, 2]].map { Channel(field: 0, derivative: MultiIndex($0)) }, at: points, parameters: θ)
        return (0..<8).compactMap { i in
            let terms = [1.5 * parts[0][i], -0.7 * parts[1][i], 0.4 * parts[2][i]]
            let (sum, size) = (terms.reduce(0, +), terms.reduce(1) { $0 + abs($1) })
            return abs(whole[i] - sum) <= 1e-11 * size ? nil : "the operator gives \(whole[i]), its derivatives \(sum)"
        }
    }

    private static func power(_ x: Double, _ n: Int) -> Double { (0..<n).reduce(1.0) { product, _ in product * x } }
}
