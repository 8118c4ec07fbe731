import Globalization
import LeastSquares
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// r times a power of two: L times its square, and the same function but for the exponents of its values.
private struct Rescaled: LeastSquaresProblem {
    var base: ZooProblem
    var factor: Double

    var name: String { base.name }
    var identity: Setting { base.identity }
    var layout: ParameterLayout { base.layout }
    var residualCount: Int { base.residualCount }
    func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
    func residual(at θ: Vector) -> Vector { factor * base.residual(at: θ) }
    func loss(at θ: Vector) -> LossValue {
        let r = residual(at: θ)
        return LossValue(0.5 * r.dot(r))
    }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        let model = linearization(at: θ)
        return Evaluation(loss: loss(at: θ), gradient: model.transposedProduct(model.residual))
    }
    func linearization(at θ: Vector) -> any Linearization {
        let base = base.linearization(at: θ)
        return Residuals.Dense(
            residual: factor * base.residual, matrix: base.jacobian().scalingColumns(by: Vector(repeating: factor, count: θ.count)))
    }
}

/// No threshold of a method is absolute: L scaled by 2⁻⁴⁰ and by 2⁴⁰ gives the same bits in every iterate.
@Suite struct ScaleInvarianceTests {
    struct Method: Sendable, CustomTestStringConvertible {
        var testDescription: String
        fileprivate var iterates: @Sendable (Rescaled) throws -> ([Vector], [String])

        init<O: Optimizer<any LeastSquaresProblem>>(_ name: String, _ optimizer: O) {
            testDescription = name
            iterates = { problem in
                var state = try optimizer.start(on: problem, from: Parameters(problem.base.start))
                var (points, verdicts) = ([Vector](), [String]())
                for _ in 0..<120 {
                    let report = try optimizer.step(&state, on: problem)
                    points.append(state.parameters.values)
                    verdicts.append(report.verdict.name)
                    if report.verdict != .accepted, report.verdict != .rejected { break }
                }
                return (points, verdicts)
            }
        }
    }

    private static func levenbergMarquardt(
        _ scaling: LevenbergMarquardt.Scaling, _ solver: DampedSolver, _ damping: any DampingRule = NielsenDamping()
    ) -> Method {
        Method(
            "levenberg-marquardt \(scaling) \(solver) \(damping.settings["name"]?.text ?? "")",
            LevenbergMarquardt(damping: damping, scaling: scaling, solver: solver))
    }

    private static func dogleg(_ scaling: LevenbergMarquardt.Scaling) -> Method {
        var method = Dogleg()
        method.scaling = scaling
        return Method("dogleg \(scaling)", method)
    }

    static let methods: [Method] = {
        var methods: [Method] = []
        for scaling in LevenbergMarquardt.Scaling.allCases {
            methods += DampedSolver.allCases.map { levenbergMarquardt(scaling, $0) }
            methods += [levenbergMarquardt(scaling, .automatic, ClassicalDamping())]
            methods += [levenbergMarquardt(scaling, .automatic, DelayedGratification()), dogleg(scaling)]
        }
        methods += JacobianFactorization.allCases.map {
            Method("gauss-newton \($0)", GaussNewton(relativeCutoff: 1e-10, factorization: $0))
        }
        var sketched = SingularValueTrustRegion()
        sketched.sketch = 2
        return methods + [
            Method("gauss-newton with cut-offs", GaussNewton(relativeCutoff: 1e-10, cutoffs: 6)),
            Method("singular-value-trust-region", SingularValueTrustRegion()),
            Method("singular-value-trust-region, sketched", sketched), Method("variable-projection", VariableProjection()),
            Method("variable-projection of the first parameter", VariableProjection(linearParameters: [0])),
        ]
    }()

    @Test(arguments: methods, [ZooProblem.rosenbrock, .wood, .biggsExponential, .powellBadlyScaled, .brownDennis])
    func theSameBits(method: Method, problem: ZooProblem) throws {
        let (points, verdicts) = try method.iterates(Rescaled(base: problem, factor: 1))
        #expect(points.count > 1)
        for factor in [0x1p-20, 0x1p20] {
            let (others, ends) = try method.iterates(Rescaled(base: problem, factor: factor))
            #expect(ends == verdicts, "L scaled by \(factor * factor)")
            for (step, pair) in zip(points, others).enumerated() where pair.0 != pair.1 {
                Issue.record("L scaled by \(factor * factor), step \(step + 1) is another: \(pair.0) and \(pair.1)")
                break
            }
        }
    }
}
