import LinearAlgebra
import OptimizationCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Random functions u on [0, 1] with the squared-exponential covariance k(x, y) = exp(−(x − y)²/2ℓ²), each known everywhere.
///
/// Most codes sample such a field at grid points and leave open what it is between them. Here a grid of M nodes z carries the
/// randomness and the function is the conditional mean of the field given its values there:
///
///     K = k(z, z) + εI = LLᵀ,   ξ ~ N(0, I_M),   u(x) = k(x, z) K⁻¹ (Lξ) = e(x)ᵀξ   with   e(x) = L⁻¹ k(z, x).
///
/// u is a sum of M Gaussians: smooth, and with an antiderivative in closed form. Its covariance is e(x)ᵀe(y) = k(x, y) up to a
/// few ε once the nodes lie much closer than ℓ, which `init` demands. ε (the jitter) keeps the numerically singular K positive
/// definite; e carries rounding errors of about 1e-16/√ε.
///
/// The physics-informed DeepONet code samples 512 nodes with ε = 1e-10 and interpolates linearly between them; its functions have kinks.
/// Cost: M³/3 flops once, M² a point, 2M a point and function.
/// Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning*, 2006, §2.2 and A.2; Lu et al.,
/// doi:10.1038/s42256-021-00302-5, for the benchmark.
public struct GaussianRandomField: Sendable {
    /// ℓ.
    public let lengthScale: Double
    /// ε, added to the diagonal of the covariance.
    public let jitter: Double
    /// The nodes z: equidistant, ends included.
    public let nodes: [Double]
    /// L.
    private let factor: Matrix

    /// Throws where the length scale needs more nodes, or the covariance is not positive definite with this jitter.
    public init(lengthScale: Double = 0.2, nodeCount: Int = 128, jitter: Double = 1e-10) throws {
        precondition(lengthScale > 0 && jitter >= 0 && nodeCount > 1, "a field with ℓ = \(lengthScale), \(nodeCount) nodes, ε = \(jitter)")
        guard lengthScale * Double(nodeCount - 1) >= 4 else {
            let needed = (4 / lengthScale).rounded(.up) + 1
            throw RandomFieldError(reason: "\(nodeCount) nodes are too few for the length scale \(lengthScale); take at least \(needed)")
        }
        let nodes = equidistant(nodeCount)
        var covariance = Matrix.zeros(nodeCount, nodeCount)
        for j in 0..<nodeCount {
            for i in 0..<nodeCount {
                let distance = (nodes[i] - nodes[j]) / lengthScale
                covariance.elements[i + j * nodeCount] = exp(-0.5 * distance * distance) + (i == j ? jitter : 0)
            }
        }
        switch Cholesky.factorize(covariance) {
        case .success(let cholesky): factor = cholesky.lower
        case .failure(let failure):
            throw RandomFieldError(
                reason: "the covariance with the jitter \(jitter) is not positive definite (\(failure)); take a larger jitter")
        }
        (self.lengthScale, self.jitter, self.nodes) = (lengthScale, jitter, nodes)
    }

    /// e(x) for every x, a column each: E ∈ ℝᴹˣⁿ, so that functions with coefficients Ξ take the values EᵀΞ.
    public func basis(at points: [Double]) -> Matrix {
        let ℓ = lengthScale
        return whitened(points) { x, z in
            let distance = (x - z) / ℓ
            return exp(-0.5 * distance * distance)
        }
    }

    /// ∫₀ˣ e(t) dt for every x, a column each: in closed form, ∫₀ˣ k(t, z) dt = ℓ√(π/2)·(erf((x − z)/√2ℓ) + erf(z/√2ℓ)).
    public func integratedBasis(at points: [Double]) -> Matrix {
        let scale = lengthScale * (Double.pi / 2).squareRoot()
        let inverse = 1 / (2.0.squareRoot() * lengthScale)
        return whitened(points) { x, z in scale * (erf((x - z) * inverse) + erf(z * inverse)) }
    }

    /// The coefficients ξ ∈ ℝᴹ of a function.
    public func sample(from random: inout RandomStream) -> Vector { random.normalVector(nodes.count) }

    /// L⁻¹ c(x) for every x, with c(x) the vector of entry(x, zᵢ): a forward substitution each.
    private func whitened(_ points: [Double], _ entry: (_ x: Double, _ z: Double) -> Double) -> Matrix {
        let m = nodes.count
        var columns: [Double] = []
        columns.reserveCapacity(m * points.count)
        for x in points {
            // L has a positive diagonal and the kernel is finite for a finite x, so that this fails for no x.
            switch factor.solvingTriangle(.lower, Vector(nodes.map { entry(x, $0) })) {
            case .success(let column): columns += column.elements
            case .failure(let failure): preconditionFailure("a point of \(x): \(failure)")
            }
        }
        return Matrix(rows: m, columns: points.count, elements: columns)
    }
}

/// A random field cannot be made with these settings.
public struct RandomFieldError: Error, CustomStringConvertible, Equatable {
    public var reason: String
    public var description: String { reason }
}
