import LinearAlgebra
import OptimizationCore

/// The matrix B of a quadratic model L(θ) + gᵀp + ½pᵀBp.
public enum CurvatureModel: String, CaseIterable, Sendable, Hashable {
    /// ∇²L, which may be indefinite.
    case hessian
    /// JᵀJ of a sum of squares L = ½‖r‖², which is positive semidefinite: ∇²L without the residuals' own curvature. Of an energy with a metric
    /// its AᵀA, of log ½‖r‖² what becomes of JᵀJ there, which may be indefinite.
    case gaussNewton = "gauss-newton"

    /// B at θ as a linear map; nothing is factorised. A product with JᵀJ is one with J and one with Jᵀ.
    ///
    /// Throws a ``ConfigurationError`` where the problem does not offer the model.
    public func `operator`(at θ: Vector, on problem: any DifferentiableProblem) throws -> any HessianOperator {
        switch self {
        case .hessian: try twiceDifferentiable(problem).hessian(at: θ)
        case .gaussNewton:
            switch try gaussNewton(of: problem) {
            case .squares(let problem): NormalOperator(base: try problem.linearization(at: θ))
            case .metric(let problem): NormalOperator(base: try problem.gaussNewtonFactor(at: θ))
            case .products(let problem): try problem.gaussNewtonOperator(at: θ)
            }
        }
    }

    /// B at θ as a dense matrix: P products with ∇²L, made symmetric, or JᵀJ as the problem forms it.
    public func matrix(at θ: Vector, on problem: any DifferentiableProblem) throws -> Matrix {
        switch self {
        case .hessian: try twiceDifferentiable(problem).hessian(at: θ).matrix()
        case .gaussNewton:
            switch try gaussNewton(of: problem) {
            case .squares(let problem): try problem.linearization(at: θ).gramian()
            case .metric(let problem): try problem.gaussNewtonFactor(at: θ).gramian()
            case .products(let problem): try problem.gaussNewtonOperator(at: θ).matrix()
            }
        }
    }

    /// Throws where the problem does not offer the model.
    public func check(_ problem: any DifferentiableProblem) throws {
        switch self {
        case .hessian: _ = try twiceDifferentiable(problem)
        case .gaussNewton: _ = try gaussNewton(of: problem)
        }
    }

    private func twiceDifferentiable(_ problem: any DifferentiableProblem) throws -> any TwiceDifferentiableProblem {
        guard let problem = problem as? any TwiceDifferentiableProblem else {
            throw ConfigurationError(
                path: "model",
                reason: "\(rawValue) needs products with the Hessian (a TwiceDifferentiableProblem), which \(problem.name) does not offer")
        }
        return problem
    }

    private enum GaussNewtonSource {
        case squares(any LeastSquaresProblem)
        case metric(any GeneralizedGaussNewtonProblem)
        case products(any GaussNewtonOperatorProblem)
    }

    private func gaussNewton(of problem: any DifferentiableProblem) throws -> GaussNewtonSource {
        if let problem = problem as? any LeastSquaresProblem { return .squares(problem) }
        if let problem = problem as? any GeneralizedGaussNewtonProblem { return .metric(problem) }
        if let problem = problem as? any GaussNewtonOperatorProblem { return .products(problem) }
        throw ConfigurationError(
            path: "model",
            reason:
                "\(rawValue) needs a loss ½‖r‖² (a LeastSquaresProblem), its logarithm or an energy with a metric, which "
                + "\(problem.name) is not; take hessian")
    }

    /// What a product, or a matrix of P columns, costs.
    public func cost(products: Double) -> [StepCost.Item] {
        switch self {
        case .hessian: [.init(.hessianProduct, products)]
        case .gaussNewton: [.init(.linearization, 1), .init(.jacobianProduct, products), .init(.transposedProduct, products)]
        }
    }
}

/// JᵀJ.
private struct NormalOperator: HessianOperator {
    let base: any GaussNewtonFactor
    var parameterCount: Int { base.parameterCount }
    func product(_ v: Vector) -> Vector { base.transposedProduct(base.product(v)) }
}

extension HessianOperator {
    /// The matrix ∈ ℝᴾˣᴾ by P products, (H + Hᵀ)/2 of what they give.
    public func matrix() -> Matrix {
        let n = parameterCount
        var elements: [Double] = []
        elements.reserveCapacity(n * n)
        var e = Vector.zeros(n)
        for j in 0..<n {
            e[j] = 1
            elements += product(e).elements
            e[j] = 0
        }
        for j in 0..<n {
            for i in 0..<j {
                let mean = 0.5 * (elements[i + j * n] + elements[j + i * n])
                (elements[i + j * n], elements[j + i * n]) = (mean, mean)
            }
        }
        return Matrix(rows: n, columns: n, elements: elements)
    }
}
