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
            #expect(choice.lostShare == .ulpOfOne / 1e-9 && choice.damping == 1e-9)
            let order = taken == .kernel ? 30 : 20
            #expect(line.bytes == 8 * (2 * order * order + 12 * 50))
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
            let share = try #require(try preflight(method, problem).stages.first?.square?.lostShare)
            #expect(share == 0x1p-52 / λ)
            let exact = try SVD.factorize(problem.a).get().solveDamped(problem.b, damping: λ)
            let (state, _) = try drive(method, on: problem, from: Parameters(.zeros(20)), steps: 1)
            let lost = (state.parameters.values - exact).norm / exact.norm
            #expect(lost <= 10 * share * 100, "\(lost), told \(share * 100)")
            #expect(lost >= 1e-4 * share * 100, "\(lost), told \(share * 100)")
        }
        let line = try #require(try preflight(NaturalGradient(), problem).stages.first)
        #expect(line.square?.lostShare == .ulpOfOne / 1e-12)
        #expect("\(try preflight(NaturalGradient(), problem))".contains("with λ = 1.00e-12 a step is good to 2.22e-4·σ₁²"))
        for method in [NaturalGradient(damping: LossProportionalDamping()), NaturalGradient(damping: NielsenDamping())] {
            #expect(try preflight(method, problem).stages.first?.square?.lostShare == nil)
        }
    }
}
