import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

/// A correct problem with one lie in it: what a derivative check must find.
struct Lying: LeastSquaresProblem, TwiceDifferentiableProblem {
    enum Lie: String, CaseIterable, CustomTestStringConvertible {
        case none, gradientEntry, smallGradientError, lossDisagrees, lossNotHalfSquare, termsDoNotAdd, jacobianEntry, transpose, row
        case gramian, kernel, linearizationResidual, hessianAsymmetric, hessianWithoutResiduals, residualCount, gradientLength

        var testDescription: String { rawValue }
    }

    let base: ZooProblem
    let lie: Lie

    var name: String { base.name }
    var identity: Setting { base.identity }
    var layout: ParameterLayout { base.layout }
    var residualCount: Int { base.residualCount + (lie == .residualCount ? 1 : 0) }
    var terms: [String] { lie == .termsDoNotAdd ? ["one", "two"] : ["loss"] }
    func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }

    func residual(at θ: Vector) -> Vector { base.residual(at: θ) }

    func loss(at θ: Vector) -> LossValue {
        var loss = base.loss(at: θ)
        switch lie {
        case .lossDisagrees: loss = LossValue(loss.total * (1 + 1e-9))
        case .lossNotHalfSquare: loss = LossValue(loss.total * 2)
        case .termsDoNotAdd: loss.terms = [loss.total / 2, loss.total / 3]
        default: break
        }
        return loss
    }

    func lossAndGradient(at θ: Vector) -> Evaluation {
        var value = base.lossAndGradient(at: θ)
        switch lie {
        case .gradientEntry: value.gradient[0] *= 1.5
        case .smallGradientError: value.gradient[0] *= 1 + 1e-5
        case .lossNotHalfSquare: value = Evaluation(loss: loss(at: θ), gradient: 2 * value.gradient)
        case .termsDoNotAdd: value.loss = loss(at: θ)
        case .gradientLength: value.gradient = Vector(value.gradient.dropLast())
        default: break
        }
        return value
    }

    func linearization(at θ: Vector) -> any Linearization { LyingLinearization(base: base.linearization(at: θ), lie: lie) }
    func hessian(at θ: Vector) -> any HessianOperator { LyingHessian(problem: base, point: θ, lie: lie) }
}

struct LyingLinearization: Linearization {
    let base: any Linearization
    let lie: Lying.Lie

    var residualCount: Int { base.residualCount }
    var parameterCount: Int { base.parameterCount }
    var residual: Vector { lie == .linearizationResidual ? 1.001 * base.residual : base.residual }

    func product(_ v: Vector) -> Vector {
        var product = base.product(v)
        if lie == .jacobianEntry { product[0] += 0.1 * v[0] }
        return product
    }
    func transposedProduct(_ w: Vector) -> Vector {
        var product = base.transposedProduct(w)
        if lie == .transpose { product[0] += 0.1 * w[0] }
        return product
    }
    func jacobian(rows: Range<Int>) -> Matrix {
        var block = base.jacobian(rows: rows)
        // An error that shows only where the rows are not asked for from the first on.
        if lie == .row, rows.lowerBound > 0 { block[0, 0] += 0.1 }
        return block
    }
    func gramian() -> Matrix {
        var gramian = base.gramian()
        if lie == .gramian { gramian[1, 0] = 0 }
        return gramian
    }
    func kernel() -> Matrix {
        var kernel = base.kernel()
        if lie == .kernel { kernel[0, 1] = 0 }
        return kernel
    }
}

struct LyingHessian: HessianOperator {
    let problem: ZooProblem
    let point: Vector
    let lie: Lying.Lie

    var parameterCount: Int { point.count }
    func product(_ v: Vector) -> Vector {
        var product = problem.hessian(at: point).product(v)
        switch lie {
        case .hessianAsymmetric: product[0] += 0.1 * v[1]
        case .hessianWithoutResiduals:
            let linearization = problem.linearization(at: point)
            product = linearization.transposedProduct(linearization.product(v))
        default: break
        }
        return product
    }
}

@Suite struct DerivativeCheckTests {
    /// Which rungs must fall for which lie; those of other rungs may fall with them.
    static let expected: [(Lying.Lie, String)] = [
        (.gradientEntry, "gradient's Taylor remainder"), (.gradientEntry, "gradient = Jᵀr"),
        (.smallGradientError, "gradient's Taylor remainder"), (.smallGradientError, "gradient = Jᵀr"),
        (.lossDisagrees, "loss agrees with the gradient's"), (.lossNotHalfSquare, "loss = ½‖r‖²"),
        (.termsDoNotAdd, "terms add up to the loss"), (.jacobianEntry, "J·v's Taylor remainder"),
        (.jacobianEntry, "⟨Jv, w⟩ = ⟨v, Jᵀw⟩"), (.jacobianEntry, "dense rows agree with J·v"), (.transpose, "⟨Jv, w⟩ = ⟨v, Jᵀw⟩"),
        (.transpose, "gradient = Jᵀr"), (.row, "dense rows agree with J·v"), (.gramian, "JᵀJ agrees with the rows"),
        (.kernel, "JJᵀ agrees with the rows"), (.linearizationResidual, "the linearisation's residual is r"),
        (.hessianAsymmetric, "⟨u, Hv⟩ = ⟨Hu, v⟩"), (.hessianAsymmetric, "H·v's Taylor remainder"),
        (.hessianWithoutResiduals, "Hessian's Taylor remainder"), (.hessianWithoutResiduals, "H·v's Taylor remainder"),
        (.residualCount, "counts of residuals and parameters agree"), (.gradientLength, "one entry of the gradient a parameter"),
    ]

    @Test(arguments: expected) func aLieIsFound(lie: Lying.Lie, rung: String) throws {
        let check = try DerivativeCheck(of: Lying(base: .wood, lie: lie))
        #expect(check.failures.contains { $0.name.hasPrefix(rung) }, "\(check)")
    }

    @Test func everyLieIsTried() { #expect(Set(Self.expected.map(\.0)).union([.none]) == Set(Lying.Lie.allCases)) }

    @Test func theTruthPasses() throws {
        let check = try DerivativeCheck(of: Lying(base: .wood, lie: .none))
        #expect(check.passed, "\(check)")
        #expect(check.rungs.count == 10 + 2 * 7)
    }

    /// A problem without second derivatives is checked for what it offers and no more.
    @Test func onlyOfferedCapabilitiesAreChecked() throws {
        struct GradientOnly: DifferentiableProblem {
            let base = ZooProblem.rosenbrock
            var name: String { "gradient only" }
            var identity: Setting { base.identity }
            var layout: ParameterLayout { base.layout }
            func initialParameters(from random: inout RandomStream) -> Parameters { base.initialParameters(from: &random) }
            func loss(at θ: Vector) -> LossValue { base.loss(at: θ) }
            func lossAndGradient(at θ: Vector) -> Evaluation { base.lossAndGradient(at: θ) }
        }
        let check = try DerivativeCheck(of: GradientOnly(), directions: 1)
        #expect(check.passed)
        #expect(check.rungs.map(\.name).filter { $0.contains("J") || $0.contains("H") }.isEmpty)
        #expect(check.rungs.contains { $0.name == "gradient's Taylor remainder" })
    }
}
