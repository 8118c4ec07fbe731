import Globalization
import LinearAlgebra
import OptimizationCore
import Testing

/// Minimisers by the conditions that are necessary and sufficient for global ones, and beside points drawn at random.
@Suite struct SpectralModelTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var λ: Vector
        var c: Vector
    }

    static let cases = [
        Case(testDescription: "definite", λ: [1, 2, 5, 40], c: [3, -1, 0.5, 20]),
        Case(testDescription: "indefinite", λ: [-4, -1, 2, 8], c: [0.3, -1, 0.5, 2]),
        Case(testDescription: "negative", λ: [-9, -5, -3], c: [1, 2, -3]),
        Case(testDescription: "singular", λ: [0, 0, 1, 3], c: [0, 0, 2, -1]),
        Case(testDescription: "singular, sloping", λ: [0, 1, 3], c: [1, 2, -1]),
        Case(testDescription: "hard", λ: [-2, -2, 1, 3], c: [0, 0, 1, 1]),
        Case(testDescription: "nearly hard", λ: [-2, 1, 3], c: [1e-14, 1, 1]),
        Case(testDescription: "hardly at all", λ: [-2, 1, 3], c: [-1e-200, 1, 1]),
        Case(testDescription: "of many scales", λ: [-1e-6, 1e-3, 1, 1e8], c: [1e-9, 1, 1e-4, 1e6]),
        Case(testDescription: "one unknown", λ: [-3], c: [2]),
        Case(testDescription: "one unknown, flat", λ: [-3], c: [0]),
    ]

    private func value(_ h: Vector, _ example: Case) -> Double {
        zip(h, zip(example.λ, example.c)).reduce(0) { $0 + $1.1.1 * $1.0 + 0.5 * $1.1.0 * $1.0 * $1.0 }
    }

    /// The largest part of (Λ + μ)h + c, each beside the sizes it is the difference of.
    private func defect(_ end: SpectralModel.Minimizer, _ example: Case) -> Double {
        zip(end.coefficients, zip(example.λ, example.c)).reduce(0) { worst, entry in
            let (h, (λ, c)) = entry
            let size = abs(λ * h) + abs(end.multiplier * h) + abs(c)
            return max(worst, size == 0 ? 0 : abs(λ * h + end.multiplier * h + c) / size)
        }
    }

    @Test(arguments: cases, [1e-6, 1e-3, 0.1, 0.7, 1, 10, 1e4]) func withinARadius(example: Case, Δ: Double) {
        let end = SpectralModel(eigenvalues: example.λ, slopes: example.c).minimizer(within: Δ)
        let (length, μ) = (end.coefficients.norm, end.multiplier)
        #expect(length <= Δ * (1 + 1e-12))
        #expect(μ >= 0 && μ + example.λ[0] >= -1e-14 * abs(example.λ[0]))
        #expect(defect(end, example) <= 1e-13)
        // Complementarity.
        if μ > 0 { #expect(abs(length - Δ) <= 1e-10 * Δ, "length \(length), μ \(μ)") }
        #expect(end.isOnBoundary || μ == 0)
        let direct = -value(end.coefficients, example)
        #expect(abs(end.decrease - direct) <= 1e-11 * direct + 1e-300)
        var random = RandomStream(seed: 1, name: "points of a ball")
        for _ in 0..<300 {
            let v = random.normalVector(example.λ.count)
            let point = (Δ * random.uniform() / v.norm) * v
            #expect(value(point, example) >= -direct - 1e-12 * abs(direct))
        }
    }

    @Test(arguments: cases, [1e-6, 1e-2, 1, 30, 1e6]) func withACubicTerm(example: Case, σ: Double) {
        let end = SpectralModel(eigenvalues: example.λ, slopes: example.c).minimizer(cubic: σ)
        let (length, μ) = (end.coefficients.norm, end.multiplier)
        #expect(abs(μ - σ * length) <= 1e-10 * μ, "μ = \(μ), σ‖h‖ = \(σ * length)")
        #expect(μ + example.λ[0] >= -1e-14 * abs(example.λ[0]))
        #expect(defect(end, example) <= 1e-13)
        func cubic(_ h: Vector) -> Double { value(h, example) + σ * h.norm * h.norm * h.norm / 3 }
        let direct = -cubic(end.coefficients)
        #expect(abs(end.decrease - direct) <= 1e-9 * direct, "\(end.decrease) and \(direct)")
        var random = RandomStream(seed: 2, name: "points around")
        for _ in 0..<300 {
            let v = random.normalVector(example.λ.count)
            let point = (3 * length * random.uniform() / v.norm) * v
            #expect(cubic(point) >= -direct - 1e-12 * abs(direct))
        }
    }

    @Test func theHardCaseIsSaid() {
        let hard = SpectralModel(eigenvalues: [-2, -2, 1, 3], slopes: [0, 0, 1, 1])
        let end = hard.minimizer(within: 5)
        #expect(end.isHardCase && end.multiplier == 2)
        #expect(abs(end.coefficients.norm - 5) <= 1e-14)
        // Too small a region for the part that is missing: an ordinary boundary.
        #expect(!hard.minimizer(within: 0.1).isHardCase)
        let cubic = hard.minimizer(cubic: 0.5)
        #expect(cubic.isHardCase && abs(cubic.coefficients.norm - 4) <= 1e-14)
        #expect(!hard.minimizer(cubic: 1e3).isHardCase)
    }

    @Test func scaleDoesNotMatter() {
        for example in Self.cases {
            let (one, other) = (
                SpectralModel(eigenvalues: example.λ, slopes: example.c),
                SpectralModel(eigenvalues: 0x1p40 * example.λ, slopes: 0x1p40 * example.c)
            )
            for Δ in [1e-3, 1, 100] {
                #expect(one.minimizer(within: Δ).coefficients == other.minimizer(within: Δ).coefficients, "\(example.testDescription)")
                #expect(
                    one.minimizer(cubic: Δ).coefficients == other.minimizer(cubic: 0x1p40 * Δ).coefficients, "\(example.testDescription)")
            }
        }
    }
}
