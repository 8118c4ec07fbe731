import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The order at which a Taylor remainder vanishes: log₂ of its quotient for steps h and h/2.
private func order(_ remainder: (_ h: Double) throws -> Double, at h: Double) rethrows -> Double {
    log2(try remainder(h) / remainder(h / 2))
}

@Suite struct DerivativeTests {
    static let names = ["coupled-waves", "hard-line", "drift-on-a-ring"]

    private func setUp(_ name: String) throws -> (PhysicsInformedProblem, Vector, Vector, RandomStream) {
        let p =
            switch name {
            case "hard-line": try problem(HardLine())
            case "drift-on-a-ring": try problem(DriftOnARing())
            default: try coupledWaves()
            }
        var random = RandomStream(seed: 2, name: "direction")
        return (p, start(p).values, random.normalVector(p.layout.count), random)
    }

    /// With h = 2⁻¹⁰ and entries of v near 1 the next term of the expansion is h times smaller, so the measured order is off by a
    /// few h at most; the remainders lie far above rounding, the smallest, of third order, near 1e-9 against 1e-15.
    @Test(arguments: names) func remaindersVanishAtTheirOrder(name: String) throws {
        let (p, θ, v, _) = try setUp(name)
        let (value, h) = (try p.lossAndGradient(at: θ), 0x1p-10)
        let (hv, linear) = (try p.hessian(at: θ).product(v), try p.linearization(at: θ))
        let (slope, curvature, jv) = (value.gradient.dot(v), v.dot(hv), linear.product(v))
        let gradient = try order(
            { h in
                abs(try p.loss(at: θ.adding(v, scaledBy: h)).total - value.loss.total - h * slope)
            }, at: h)
        let second = try order(
            { h in
                abs(try p.loss(at: θ.adding(v, scaledBy: h)).total - value.loss.total - h * slope - h * h * curvature / 2)
            }, at: h)
        let residual = try order(
            { h in
                (try p.residual(at: θ.adding(v, scaledBy: h)) - linear.residual).adding(jv, scaledBy: -h).norm
            }, at: h)
        let hessian = try order(
            { h in
                (try p.lossAndGradient(at: θ.adding(v, scaledBy: h)).gradient - value.gradient).adding(hv, scaledBy: -h).norm
            }, at: h)
        #expect(abs(gradient - 2) < 0.1)
        #expect(abs(residual - 2) < 0.1)
        #expect(abs(hessian - 2) < 0.1)
        #expect(abs(second - 3) < 0.1)
    }

    /// The curvature of any separable function of the residuals: that of ½‖r‖² is the Hessian, and those of robust losses have the slopes of
    /// their remainders, with residuals on both sides of the scale.
    @Test(arguments: names) func separableFunctionsHaveTheirCurvature(name: String) throws {
        let (p, θ, v, _) = try setUp(name)
        let r = try p.residual(at: θ)
        let (whole, same) = (
            try p.hessian(at: θ).product(v), try p.curvature(at: θ, slopes: r, bends: Vector(repeating: 1, count: r.count)).product(v)
        )
        #expect((whole - same).norm <= 1e-12 * whole.norm)
        // One function a residual: Σ cᵢrᵢ has no JᵀJ, and is linear in c.
        let c = Vector(r.indices.map { 1 / Double($0 + 1) })
        let flat = try p.curvature(at: θ, slopes: c, bends: .zeros(r.count)).product(v)
        let h = 0x1p-20
        let (ahead, behind) = (try p.linearization(at: θ.adding(v, scaledBy: h)), try p.linearization(at: θ.adding(v, scaledBy: -h)))
        let difference = (0.5 / h) * (ahead.transposedProduct(c) - behind.transposedProduct(c))
        #expect((difference - flat).norm <= 1e-6 * flat.norm)
        let counts = try #require(p.residualCounts)
        #expect(counts.reduce(0, +) == r.count && counts.count == p.terms.count)
        for loss in RobustLoss.allCases {
            let sizes = zip(p.sampleSets, counts).map { Double($0.count).squareRoot() * abs(r[$1 - 1]) }
            let robust = RobustProblem(p, loss: loss, scale: Swift.max(0.9 * sizes[0], 1e-3))
            let check = try DerivativeCheck(of: robust, at: θ)
            #expect(check.passed, "\(check)")
            let value = try robust.loss(at: θ)
            #expect(robust.terms == p.terms && abs(value.terms.reduce(0, +) - value.total) <= 1e-14 * value.total)
            #expect(value.total < (try p.loss(at: θ).total))
        }
    }

    /// Sums of some hundreds of products in another order: 1e-13 of the product of the norms.
    @Test(arguments: names) func productsAgreeWithEachOther(name: String) throws {
        var (p, θ, v, random) = try setUp(name)
        let (linear, hessian) = (try p.linearization(at: θ), try p.hessian(at: θ))
        let w = random.normalVector(p.residualCount)
        let (jv, jw) = (linear.product(v), linear.transposedProduct(w))
        #expect(abs(jv.dot(w) - v.dot(jw)) <= 1e-13 * jv.norm * w.norm)
        let u = random.normalVector(θ.count)
        let (hu, hv) = (hessian.product(u), hessian.product(v))
        #expect(abs(hu.dot(v) - u.dot(hv)) <= 1e-13 * (hu.norm * v.norm + hv.norm * u.norm))
        let gradient = try p.lossAndGradient(at: θ).gradient
        #expect((gradient - linear.transposedProduct(linear.residual)).norm <= 1e-13 * gradient.norm * Double(p.residualCount).squareRoot())
        let dense = linear.jacobian()
        #expect((dense.times(v) - jv).norm <= 1e-13 * jv.norm)
        let rows = linear.jacobian(rows: 3..<9)
        for i in 0..<6 { for j in 0..<θ.count { #expect(rows[i, j] == dense[i + 3, j]) } }
        #expect((linear.gramian().times(v) - dense.transposedTimes(dense.times(v))).norm <= 1e-12 * linear.transposedProduct(jv).norm)
        #expect((linear.kernel().times(w) - dense.times(dense.transposedTimes(w))).norm <= 1e-12 * linear.product(jw).norm)
    }
}
