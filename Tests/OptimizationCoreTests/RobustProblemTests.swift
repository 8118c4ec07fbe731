import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct RobustProblemTests {
    /// Values, gradients, J and Hessians at points with residuals on both sides of the scale: by the slopes of their remainders.
    @Test(arguments: RobustLoss.allCases, [ZooProblem.kowalikOsborne, .wood, .biggsExponential, .osborneSecond])
    func derivativesAreRight(loss: RobustLoss, problem: ZooProblem) throws {
        let sizes = problem.residual(at: problem.start).map(abs).sorted()
        let robust = RobustProblem(problem, loss: loss, scale: 0.9 * sizes[sizes.count / 2])
        let check = try DerivativeCheck(of: robust)
        #expect(check.passed, "\(check)")
        #expect(check.rungs.contains { $0.name.hasPrefix("Hessian") })
    }

    /// H·v against the sum over residuals, each with its own φ″: h = ρ′ + 2sρ″ and w = rρ′, in closed form for one residual.
    @Test func theHessianIsTheClosedForm() throws {
        // r = 3x − 1 with Cauchy's loss, φ = ½a²·log(1 + r²/a²): φ″ = (1 − r²/a²)/(1 + r²/a²)².
        let problem = RobustProblem(ThreeX(), loss: .cauchy, scale: 0.5)
        for x in [0.2, 0.5, 2.0] {
            let q = (3 * x - 1) * (3 * x - 1) / 0.25
            let expected = 9 * (1 - q) / ((1 + q) * (1 + q))
            #expect(abs(try problem.hessian(at: [x]).product([1])[0] - expected) <= 1e-14 * 9)
        }
    }

    /// With n samples of weight 1/n, the scale is one of a sample: the mean over all batches is the whole.
    @Test(arguments: RobustLoss.allCases) func batchesAverageToTheWhole(loss: RobustLoss) throws {
        let robust = RobustProblem(Samples(), loss: loss, scale: 0.7)
        let (whole, θ) = (try robust.loss(at: [0.3]).total, Vector([0.3]))
        let pairs = (0..<6).flatMap { i in (0..<i).map { [i, $0] } }
        let mean = try pairs.map { try robust.restricted(to: Batch([$0])).loss(at: θ).total }.reduce(0, +) / Double(pairs.count)
        #expect(abs(mean - whole) <= 1e-15 * whole)
        // Beyond the scale ρ differs from the square.
        #expect(abs(Samples().loss(at: θ).total - whole) > 0.1 * whole)
    }

    /// A bounded ρ does not make a loss of residuals that are not finite.
    @Test(arguments: RobustLoss.allCases) func whatIsNotFiniteStaysSo(loss: RobustLoss) throws {
        let robust = RobustProblem(Samples(), loss: loss)
        #expect(try !robust.loss(at: [.infinity]).isFinite && !robust.lossAndGradient(at: [.nan]).isFinite)
    }

    @Test func itIsAProblemLikeAnyOther() throws { try ProblemConformance.check(RobustProblem(Samples(), loss: .cauchy, scale: 0.7)) }
}

/// r = 3x − 1.
private struct ThreeX: ResidualCurvatureProblem {
    var name: String { "three x" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    var residualCount: Int { 1 }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0]) }
    func residual(at θ: Vector) -> Vector { [3 * θ[0] - 1] }
    func loss(at θ: Vector) -> LossValue { LossValue(0.5 * residual(at: θ)[0] * residual(at: θ)[0]) }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: loss(at: θ), gradient: [3 * residual(at: θ)[0]]) }
    func linearization(at θ: Vector) -> any Linearization { Column(residual: residual(at: θ), entries: [3]) }
    func hessian(at θ: Vector) -> any HessianOperator { Square(factor: 9) }
    func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) -> any HessianOperator { Square(factor: 9 * h[0]) }
}

/// (exp(θ) − aᵢ)/√n at six samples.
private struct Samples: ResidualCurvatureProblem, SampledProblem {
    var values = [0.1, 0.5, 1.4, 2.0, 5.0, -3.0]

    var name: String { "samples" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 1) }
    var residualCount: Int { values.count }
    private var weight: Double { 1 / Double(values.count).squareRoot() }
    private func exponential(_ x: Double) -> Double { x.isFinite ? (1...40).reversed().reduce(1) { 1 + x / Double($1) * $0 } : x }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([0.4]) }
    func residual(at θ: Vector) -> Vector { Vector(values.map { weight * (exponential(θ[0]) - $0) }) }
    func loss(at θ: Vector) -> LossValue { LossValue(0.5 * residual(at: θ).dot(residual(at: θ))) }
    func lossAndGradient(at θ: Vector) -> Evaluation {
        Evaluation(loss: loss(at: θ), gradient: linearization(at: θ).transposedProduct(residual(at: θ)))
    }
    func linearization(at θ: Vector) -> any Linearization {
        Column(residual: residual(at: θ), entries: Vector(values.map { _ in weight * exponential(θ[0]) }))
    }
    func hessian(at θ: Vector) -> any HessianOperator { curvature(at: θ, slopes: residual(at: θ), bends: Vector(values.map { _ in 1 })) }
    func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) -> any HessianOperator {
        let slope = weight * exponential(θ[0])
        return Square(factor: slope * slope * h.reduce(0, +) + slope * w.reduce(0, +))
    }
    var sampleSets: [SampleSet] { [SampleSet(name: "values", count: values.count)] }
    func restricted(to batch: Batch) throws -> Samples {
        guard batch.indices.count == 1, !batch.indices[0].isEmpty, batch.indices[0].allSatisfy(values.indices.contains) else {
            throw ArchiveError(entry: "batch", reason: "does not fit")
        }
        return Samples(values: batch.indices[0].map { values[$0] })
    }
}

private struct Column: Linearization {
    let residual: Vector
    let entries: Vector
    var residualCount: Int { entries.count }
    var parameterCount: Int { 1 }
    func product(_ v: Vector) -> Vector { v[0] * entries }
    func transposedProduct(_ w: Vector) -> Vector { [entries.dot(w)] }
    func jacobian(rows: Range<Int>) -> Matrix { Matrix(rows: rows.map { [entries[$0]] }) }
}

private struct Square: HessianOperator {
    let factor: Double
    var parameterCount: Int { 1 }
    func product(_ v: Vector) -> Vector { factor * v }
}
