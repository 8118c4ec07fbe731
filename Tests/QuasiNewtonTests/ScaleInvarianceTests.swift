import Globalization
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import QuasiNewton
import Testing

/// A loss and its gradient times a power of two: the same function but for the exponents of its values.
struct Rescaled<Base: DifferentiableProblem>: DifferentiableProblem {
    var base: Base
    var factor: Double

    var name: String { base.name }
    var identity: Setting { base.identity }
    var layout: ParameterLayout { base.layout }
    func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    func loss(at θ: Vector) throws -> LossValue { LossValue(factor * (try base.loss(at: θ)).total) }
    func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let value = try base.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(factor * value.loss.total), gradient: factor * value.gradient)
    }
}

/// No threshold of a method is absolute: scaled by 2⁻⁴⁰ and by 2⁴⁰, a loss gives the same bits in every iterate.
@Suite struct ScaleInvarianceTests {
    struct Method: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var iterates: @Sendable (ZooProblem, Double) throws -> ([Vector], [String])

        init<O: Optimizer>(_ name: String, _ optimizer: O) {
            testDescription = name
            iterates = { problem, factor in
                guard let objective = Rescaled(base: problem, factor: factor) as? O.Objective else { return ([], []) }
                var state = try optimizer.start(on: objective, from: Parameters(problem.start))
                var (points, verdicts) = ([Vector](), [String]())
                for _ in 0..<120 {
                    let report = try optimizer.step(&state, on: objective)
                    points.append(state.parameters.values)
                    verdicts.append(report.verdict.name)
                    if report.verdict != .accepted, report.verdict != .rejected { break }
                }
                return (points, verdicts)
            }
        }
    }

    static let methods: [Method] =
        [
            Method("l-bfgs", LBFGS()), Method("l-bfgs self-scaled", LBFGS(memory: 7, scaling: .selfScaled)),
            Method("l-bfgs backtracking", LBFGS(memory: 7, lineSearch: BacktrackingArmijo())),
            Method("l-bfgs moré-thuente", LBFGS(memory: 7, lineSearch: MoreThuente())),
            Method("l-bfgs hager-zhang", LBFGS(memory: 7, lineSearch: ApproximateWolfe())),
            Method("l-bfgs goldstein", LBFGS(memory: 7, lineSearch: ArmijoGoldstein())),
            Method("l-bfgs nonmonotone", LBFGS(memory: 7, lineSearch: NonmonotoneArmijo())),
            Method("l-bfgs-b", LBFGSB()), Method("l-bfgs-b bounded", LBFGSB(bounds: ParameterBounds(["all": -2...0.7]), memory: 5)),
            Method("bfgs", BFGS()), Method("bfgs damped", BFGS(lineSearch: BacktrackingArmijo(), damped: true)),
            Method("sr1", TrustRegionQuasiNewton()), Method("psb", TrustRegionQuasiNewton(.powellSymmetricBroyden)),
        ] + BroydenVariant.allCases.map { Method($0.rawValue, SelfScaledBroyden($0)) }

    @Test(arguments: methods, [ZooProblem.rosenbrock, .wood, .biggsExponential, .powellBadlyScaled, .brownDennis])
    func theSameBits(method: Method, problem: ZooProblem) throws {
        let (points, verdicts) = try method.iterates(problem, 1)
        #expect(points.count > 3)
        for factor in [0x1p-40, 0x1p40] {
            let (others, ends) = try method.iterates(problem, factor)
            #expect(ends == verdicts, "scaled by \(factor)")
            for (step, pair) in zip(points, others).enumerated() where pair.0 != pair.1 {
                Issue.record("scaled by \(factor), step \(step + 1) is another: \(pair.0) and \(pair.1)")
                break
            }
        }
    }
}
