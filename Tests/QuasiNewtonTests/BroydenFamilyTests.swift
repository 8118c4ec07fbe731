import LinearAlgebra
import OptimizationCore
import QuasiNewton
import Testing

@Suite struct BroydenFamilyTests {
    /// A random positive definite H, B = H⁻¹, and a pair with sᵀy > 0.
    private struct Sample {
        var H: Matrix
        var B: Matrix
        var s: Vector
        var y: Vector

        init(_ seed: UInt64, order n: Int, stretch: Double) throws {
            var random = RandomStream(seed: seed, name: "broyden")
            let factor = Matrix(rows: n, columns: n, elements: random.normalVector(n * n).elements)
            var gram = factor.gram
            gram.addDiagonal(Vector(repeating: 1, count: n))
            H = gram
            B = try Cholesky.factorize(gram).get().solve(.identity(n))
            s = random.normalVector(n)
            // y = A·s for a positive definite A, so that sᵀy > 0; `stretch` moves b to both sides of one.
            var other = Matrix(rows: n, columns: n, elements: random.normalVector(n * n).elements).gram
            other.addDiagonal(Vector(repeating: 0.1, count: n))
            y = stretch * other.times(s)
        }

        var ρ: Double { 1 / s.dot(y) }
        var b: Double { s.dot(B.times(s)) * ρ }

        func updated(_ variant: BroydenVariant) -> (BroydenUpdate, Matrix) {
            var h = SymmetricMatrix(lowerTriangleOf: H)
            let q = h.times(y)
            let update = BroydenUpdate(variant, b: b, w: y.dot(q), ρ: ρ, order: s.count)
            update.apply(to: &h, s: s, q: q)
            return (update, h.full)
        }
    }

    static let stretches = [1e-3, 0.05, 1, 30]

    @Test(arguments: BroydenVariant.allCases, stretches) func secantEquationHolds(variant: BroydenVariant, stretch: Double) throws {
        for seed in 0..<5 {
            let sample = try Sample(UInt64(seed), order: 6, stretch: stretch)
            let (update, h) = sample.updated(variant)
            #expect(update.isUsable)
            // Each of the n products carries an error of a few ε times the terms of H⁺y, which cancel to s.
            let bound = 100 * Double.ulpOfOne * (h.frobeniusNorm * sample.y.norm + sample.s.norm)
            #expect((h.times(sample.y) - sample.s).norm <= bound)
            #expect((try? Cholesky.factorize(h).get()) != nil, "H⁺ must stay positive definite")
        }
    }

    /// θ = 0, τ = 1 is (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ.
    @Test(arguments: stretches) func bfgsIsTheTextbookUpdate(stretch: Double) throws {
        let sample = try Sample(7, order: 5, stretch: stretch)
        let (update, h) = sample.updated(.bfgs)
        #expect(update.θ == 0 && update.τ == 1)
        let n = 5
        var left = Matrix.identity(n)
        for i in 0..<n { for j in 0..<n { left[i, j] -= sample.ρ * sample.s[i] * sample.y[j] } }
        var expected = Matrix.product(Matrix.product(left, sample.H), left, transposingSecond: true)
        for i in 0..<n { for j in 0..<n { expected[i, j] += sample.ρ * sample.s[i] * sample.s[j] } }
        let scale = left.frobeniusNorm * left.frobeniusNorm * sample.H.frobeniusNorm
        for i in 0..<n { for j in 0..<n { #expect(abs(h[i, j] - expected[i, j]) <= 100 * Double.ulpOfOne * scale) } }
    }

    /// The family's other half, written for B = H⁻¹ with the same θ and τ, is the inverse:
    /// B⁺ = τ[B − BssᵀB/sᵀBs + θ·(sᵀBs)·uuᵀ] + ρyyᵀ, u = ρy − Bs/sᵀBs.
    @Test(arguments: BroydenVariant.allCases, stretches) func directAndInverseFormsAgree(variant: BroydenVariant, stretch: Double) throws {
        let sample = try Sample(9, order: 5, stretch: stretch)
        let (update, h) = sample.updated(variant)
        let (n, ρ) = (5, sample.ρ)
        let Bs = sample.B.times(sample.s)
        let sBs = sample.s.dot(Bs)
        let u = ρ * sample.y - (1 / sBs) * Bs
        var direct = sample.B
        for i in 0..<n {
            for j in 0..<n {
                let curved = sample.B[i, j] - Bs[i] * Bs[j] / sBs + update.θ * sBs * u[i] * u[j]
                direct[i, j] = update.τ * curved + ρ * sample.y[i] * sample.y[j]
            }
        }
        let product = Matrix.product(h, direct)
        let bound = 1_000 * Double.ulpOfOne * h.frobeniusNorm * direct.frobeniusNorm
        for i in 0..<n { for j in 0..<n { #expect(abs(product[i, j] - (i == j ? 1 : 0)) <= bound) } }
    }

    /// SSBroyden2's θ and τ worked out by hand for b = 2, h = 1 (so a = 1, c = √½), P = 3, in exact radicals.
    @Test func ssBroyden2ByHand() {
        let update = BroydenUpdate(.selfScaledBroyden2, b: 2, w: 1, ρ: 1, order: 3)
        // ρ⁻ = 1 − √½ = 0.2929; θ⁻ = −√½; (1 − b)/b = −½; θ = max(−0.7071, min(3.414, −0.5)) = −½.
        #expect(update.θ == -0.5)
        // σ = ½, σn = ½^{−½} = √2, ρk = ½; θ ≤ 0: τ = min(√2/2, ½) = ½.
        #expect(update.τ == 0.5)
        // φ = 1.5/0.5.
        #expect(update.φ == 3)
        let other = BroydenUpdate(.selfScaledBroyden2, b: 0.5, w: 4, ρ: 1, order: 3)
        // h = 4, a = 1, c = √½: ρ⁻ = min(1, 1.17) = 1, θ⁻ = 0, θ⁺ = 1, (1 − b)/b = 1: θ = 1. σ = 2, σn = √½, ρk = 1: τ = √½.
        #expect(other.θ == 1)
        #expect(abs(other.τ - 0.5.squareRoot()) <= Double.ulpOfOne)
        #expect(other.φ == 0)
    }
}
