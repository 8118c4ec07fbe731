import Globalization
import LinearAlgebra
import NaturalGradient
import OptimizationCore
import Testing

@Suite struct MetricChoiceTests {
    /// A residual whose JJᵀ takes so many operations to form, JᵀJ as many as from a dense J.
    private struct Structured: LeastSquaresProblem {
        var base: LinearResiduals
        var kernelFlops: Double

        var name: String { "structured" }
        var identity: Setting { .scalar(name) }
        var layout: ParameterLayout { base.layout }
        var residualCount: Int { base.residualCount }
        func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
        func residual(at θ: Vector) -> Vector { base.residual(at: θ) }
        func loss(at θ: Vector) -> LossValue { base.loss(at: θ) }
        func lossAndGradient(at θ: Vector) -> Evaluation { base.lossAndGradient(at: θ) }
        func linearization(at θ: Vector) -> any Linearization { base.linearization(at: θ) }
        func plan(of square: JacobianSquare) -> SquarePlan {
            square == .kernel
                ? SquarePlan(.kernel, form: "layer by layer", flops: kernelFlops)
                : .fromJacobian(.gramian, residuals: residualCount, parameters: layout.count)
        }
    }

    private func preflight(_ method: NaturalGradient, _ problem: some LeastSquaresProblem) throws -> Preflight {
        try Pipeline(minimizing: problem) { Stage("solve", method, until: .iterations(1)) }.preflight()
    }

    /// 30 × 20: JᵀJ and its factorisation take 20²·30 + 20³/3 = 14 667 operations, JJᵀ's factorisation 30³/3 = 9 000 beside what forms JJᵀ.
    @Test func theFewestOperationsDecide() throws {
        let base = try LinearResiduals.random(30, 20, singularValues: (1...20).map { 1 / Double($0) })
        for (flops, taken) in [(5_000.0, JacobianSquare.kernel), (6_000, .gramian)] {
            let problem = Structured(base: base, kernelFlops: flops)
            let method = NaturalGradient(damping: ConstantDamping(1e-9), solver: .exact)
            let line = try #require(try preflight(method, problem).stages.first)
            let (choice, cost) = (try #require(line.square), try #require(line.cost))
            let (gramian, kernel) = (12_000 + 8_000.0 / 3, flops + 9_000)
            #expect(choice.taken.plan.square == taken && choice.other?.plan.square != taken)
            #expect(choice.taken.flops == Swift.min(gramian, kernel) && choice.other?.flops == Swift.max(gramian, kernel))
            #expect(abs(cost.flops - 10 * (20 + 30) - choice.taken.flops) < 1e-6)
            #expect(choice.precision.lostShare == .ulpOfOne / 1e-9 && choice.precision.damping == 1e-9)
            let order = taken == .kernel ? 30 : 20
            #expect(line.bytes == 8 * (order * order + 12 * 50))
            // The step is taken in that space: the same bits as where the space is given.
            let space = taken == .kernel ? MetricSpace.samples : .parameters
            func end(_ space: MetricSpace) throws -> Vector {
                let method = NaturalGradient(space: space, damping: ConstantDamping(1e-9), solver: .exact)
                return try drive(method, on: problem, from: Parameters(.zeros(20)), steps: 1).state.parameters.values
            }
            #expect(try end(.automatic) == end(space))
            #expect(try end(.automatic) != end(space == .samples ? .parameters : .samples))
        }
        // Eigenvalues take 4n³: with them JJᵀ would have to be cheaper by 4·(30³ − 20³) than JᵀJ's 12 000.
        let line = try #require(try preflight(NaturalGradient(), Structured(base: base, kernelFlops: 0)).stages.first)
        #expect(line.square?.taken.flops == 12_000 + 32_000 && line.square?.other?.flops == 108_000)
    }

    /// A damping that is known beforehand tells what either square can reach: 2⁻⁵²·σ₁²/λ. The error of a step is of that size.
    @Test func theToldPrecisionIsTheSteps() throws {
        let problem = try LinearResiduals.random(30, 20, singularValues: (0..<20).map { 10 / Double(1 << $0) })
        for λ in [1e-4, 1e-7, 1e-10] {
            let method = NaturalGradient(
                damping: ConstantDamping(λ), solver: .exact, stepLength: .fixed(CappedRate(learningRate: 1, normBound: 1e300)))
            let share = try #require(try preflight(method, problem).stages.first?.square?.precision.lostShare)
            #expect(share == 0x1p-52 / λ)
            let exact = try SVD.factorize(problem.a).get().solveDamped(problem.b, damping: λ)
            let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(20)), steps: 1)
            let lost = (state.parameters.values - exact).norm / exact.norm
            #expect(lost <= 10 * share * 100, "\(lost), told \(share * 100)")
            #expect(lost >= 1e-4 * share * 100, "\(lost), told \(share * 100)")
        }
        for method in [NaturalGradient(damping: LossProportionalDamping()), NaturalGradient(damping: NielsenDamping())] {
            #expect(try preflight(method, problem).stages.first?.square?.precision.lostShare == nil)
        }
    }

    /// With a cut-off c no more than 2⁻⁵²/c is lost, however small λ is: told, and the size of the error. Between σ₁²/2²⁶, the last that is kept,
    /// and σ₁²/2²⁸ there is nothing that rounding could move over the cut.
    @Test func theCutoffsPrecisionIsTold() throws {
        let singularValues = (0..<20).map { 1000 / Double(1 << $0) }
        let problem = try LinearResiduals.random(30, 20, singularValues: singularValues)
        let cutoff = 7.5e-9
        let method = NaturalGradient(
            damping: ConstantDamping(1e-14), solver: .truncated(TruncatedMetric(relativeCutoff: cutoff)),
            stepLength: .fixed(CappedRate(learningRate: 1, normBound: 1e300)))
        let choice = try #require(try preflight(method, problem).stages.first?.square)
        let told = try #require(choice.precision.greatestLoss)
        #expect(told == 0x1p-52 / cutoff)
        #expect(choice.description.contains("the lesser of 0.0222·σ₁² (λ = 1.00e-14) and 2.96e-8 (cut-off 7.50e-9)"), "\(choice)")
        let exact = try SVD.factorize(problem.a).get().solveTruncated(problem.b, relativeTolerance: cutoff.squareRoot())
        let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(20)), steps: 1)
        let lost = (state.parameters.values - exact).norm / exact.norm
        #expect(lost <= 10 * told && lost >= 1e-4 * told, "\(lost), told \(told)")
        // By default λ = 1e-12 and a cut-off of 1e-14; scaled, σ₁² is another matrix's. A λ that follows the loss or the gain ratio is not known.
        let defaults = "\(try preflight(NaturalGradient(), problem))"
        #expect(defaults.contains("the lesser of 2.22e-4·σ₁² (λ = 1.00e-12) and 0.0222 (cut-off 1.00e-14)"), "\(defaults)")
        let scaled = NaturalGradient(scaling: .jacobi, solver: .exact)
        #expect("\(try preflight(scaled, problem))".contains("is good to 2.22e-4·σ₁² of the scaled matrix (λ = 1.00e-12)"))
        let following = NaturalGradient(damping: LossProportionalDamping())
        #expect("\(try preflight(following, problem))".contains("is good to 0.0222 (cut-off 1.00e-14)"))
    }
}
