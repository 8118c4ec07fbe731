import Globalization
import LinearAlgebra
import OptimizationCore

/// Saddle-free Newton: the step that the Hessian's eigenvalues propose in magnitude, so that saddles repel it.
///
///     p = −|B|⁻¹·∇L,   |B| = V·|Λ|·Vᵀ with |λ| ≥ floor·max|λ|,   θ⁺ = θ + αp
///
/// Newton's step goes to a saddle as to a minimum; with |λ| it goes down where the loss curves down, and as far as the curvature's size
/// says: a trust region of the model's linear part in the metric |B|. Up to `denseLimit` parameters B is formed by P products and
/// decomposed; beyond, it is seen in a Krylov space of `subspace` vectors that begins with ∇L, where p = −V|T|⁻¹Vᵀ∇L: directions outside
/// are left alone.
/// Cost: a gradient and P (or `subspace`) products a step; 4P³ flops and 3P² doubles, or 8Pk² and Pk. On a convex loss it is Newton's
/// method. A floor too low lets noise in flat directions make steps that the line search shortens to nothing. A product that is not finite
/// breaks down; a failed search tries steepest descent. No constant has the loss's scale.
/// Variant: a line search in place of Dauphin's damping, tried over a grid, and a Krylov space from ∇L without the last step in it.
/// Source: Dauphin, Pascanu, Gulcehre, Cho, Ganguli & Bengio, NIPS 2014, arXiv:1406.2572, algorithm 1.
public struct SaddleFreeNewton: Optimizer, Configurable {
    /// The least |λ| relative to the largest.
    public var floor = 1e-10
    /// P up to which B is formed.
    public var denseLimit = 256
    /// k, the Krylov space's dimension beyond that.
    public var subspace = 60
    public var lineSearch: any LineSearch = StrongWolfe()

    public init() {}

    public init(denseLimit: Int, subspace: Int = 60) { (self.denseLimit, self.subspace) = (denseLimit, subspace) }

    public static let identifier = "saddle-free-newton"
    public static let summary = "Newton's method with the absolute values of the Hessian's eigenvalues: it leaves saddles."
    public static var fields: [Field<Self>] {
        [
            .number("floor", \.floor, in: .openUnit, meaning: "the least |λ| relative to the largest"),
            .integer("denseLimit", \.denseLimit, meaning: "P up to which the Hessian is formed and decomposed"),
            .integer("subspace", \.subspace, atLeast: 1, meaning: "the Krylov space's dimension where it is not"),
            .lineSearch("lineSearch", \.lineSearch, lookingBack: true, meaning: "how the step length is found"),
        ]
    }

    public func start(on problem: any TwiceDifferentiableProblem, from parameters: Parameters) throws -> NewtonState {
        NewtonState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout NewtonState, on problem: any TwiceDifferentiableProblem) throws -> StepReport {
        try NewtonSearch(lineSearch: lineSearch, problem: problem).step(&state) { here in
            let B = try problem.hessian(at: here.parameters.values)
            guard here.gradient.count > denseLimit else {
                let matrix = B.matrix()
                guard matrix.isFinite else { return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem)) }
                return spectrum(of: matrix, here, on: problem).map { direction($0, here, here.gradient, products: here.gradient.count) }
            }
            var basis = LanczosBasis(from: here.gradient)
            for _ in 0..<Swift.min(subspace, here.gradient.count) where !basis.isInvariant {
                guard basis.extend(by: { B.product($0) }) else {
                    return .failure(.nonFiniteCurvature(at: here.parameters.values, on: problem))
                }
            }
            var g = Vector.zeros(basis.count)
            g[0] = basis.startNorm
            return spectrum(of: basis.tridiagonal, here, on: problem).map { eigen in
                var found = direction(eigen, here, g, products: basis.count)
                found.p = basis.combining(found.p)
                return found
            }
        }.report
    }

    /// −|B|⁻¹g in the coordinates of the decomposition.
    private func direction(_ eigen: SymmetricEigen, _ here: Standpoint, _ g: Vector, products: Int) -> NewtonDirection {
        let largest = Swift.max(abs(eigen.values[0]), abs(eigen.values[eigen.values.count - 1]))
        // A model without any curvature proposes no length.
        guard largest > 0 else { return NewtonDirection(p: (here.mirrored(-here.gradient, curvature: 0).norm / g.norm) * (-g)) }
        return NewtonDirection(
            p: eigen.weighted(g) { -1 / Swift.max(abs($0), floor * largest) }, iterations: products,
            details: [.init("leastEigenvalue", eigen.values[0]), .init("largestEigenvalue", eigen.values[eigen.values.count - 1])])
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        let (p, k) = (Double(parameters), Double(Swift.min(subspace, parameters)))
        return bytes(ofNumbers: parameters <= denseLimit ? 4 * p * p + 10 * p : (k + 12) * p + 4 * k * k)
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        let (p, k) = (Double(parameters), Double(Swift.min(subspace, parameters)))
        return parameters <= denseLimit
            ? StepCost([.init(.gradient, 1), .init(.hessianProduct, p)], flops: 4 * p * p * p)
            : StepCost([.init(.gradient, 1), .init(.hessianProduct, k)], flops: 4 * p * k * k + 4 * k * k * k)
    }
}
