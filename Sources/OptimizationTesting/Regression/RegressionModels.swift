/// A curve f(b; x) ∈ ℝ that is fitted to data: written once, over any ``SmoothNumber``, for exact derivatives in b.
protocol RegressionModel: Sendable {
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S
    /// The parameters that enter linearly while the others are held.
    var linear: [Int] { get }
}

/// The residuals f(b; xᵢ) − yᵢ.
struct RegressionResidual<Model: RegressionModel>: ResidualFunction {
    let model: Model
    let response: [Double]
    /// xᵢ, one for each observation.
    let predictors: [[Double]]

    func residual<S: SmoothNumber>(_ b: [S]) -> [S] { zip(predictors, response).map { x, y in model.value(b, at: x) - y } }
}

// MARK: The models of NIST's collection

/// b₁(1 − e^(−b₂x)).
struct SaturatingExponential: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { b[0] * (1 - S.exp(-x[0] * b[1])) }
}

/// b₁(1 − (1 + b₂x/2)⁻²).
struct SaturatingInverseSquare: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let t: S = 1 + (0.5 * x[0]) * b[1]
        return b[0] * (1 - 1 / t.squared)
    }
}

/// b₁(1 − (1 + 2b₂x)^(−½)).
struct SaturatingInverseRoot: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let t: S = 1 + (2 * x[0]) * b[1]
        return b[0] * (1 - 1 / S.sqrt(t))
    }
}

/// b₁b₂x/(1 + b₂x).
struct SaturatingFraction: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let t = x[0] * b[1]
        return b[0] * (t / (1 + t))
    }
}

/// e^(−b₁x)/(b₂ + b₃x).
struct ExponentialOverLine: RegressionModel {
    var linear: [Int] { [] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { S.exp(-x[0] * b[0]) / (b[1] + x[0] * b[2]) }
}

/// b₁e^(−b₂x) + b₃e^(−b₄x) + b₅e^(−b₆x).
struct ThreeExponentials: RegressionModel {
    var linear: [Int] { [0, 2, 4] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        func decay(_ k: Int) -> S { b[k] * S.exp(-x[0] * b[k + 1]) }
        return decay(0) + decay(2) + decay(4)
    }
}

/// b₁ + b₂e^(−b₄x) + b₃e^(−b₅x).
struct ConstantAndTwoExponentials: RegressionModel {
    var linear: [Int] { [0, 1, 2] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        func decay(_ k: Int) -> S { b[k] * S.exp(-x[0] * b[k + 2]) }
        return b[0] + (decay(1) + decay(2))
    }
}

/// b₁e^(−b₂x) + b₃e^(−(x − b₄)²/b₅²) + b₆e^(−(x − b₇)²/b₈²).
struct DecayAndTwoPeaks: RegressionModel {
    var linear: [Int] { [0, 2, 5] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        func peak(_ k: Int) -> S {
            let distance: S = (x[0] - b[k + 1]) / b[k + 2]
            return b[k] * S.exp(-distance.squared)
        }
        let decay: S = b[0] * S.exp(-x[0] * b[1])
        return decay + (peak(2) + peak(5))
    }
}

/// b₁x^b₂.
struct PowerLaw: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { b[0] * S.exp(Double.log(x[0]) * b[1]) }
}

/// (b₁ + b₂x + … + bₙ₊₁xⁿ)/(1 + bₙ₊₂x + … + b₂ₙ₊₁xⁿ).
struct RationalFunction: RegressionModel {
    /// n.
    let degree: Int
    var linear: [Int] { Array(0...degree) }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        func horner(_ coefficients: ArraySlice<S>) -> S { coefficients.reversed().reduce(S(0)) { x[0] * $0 + $1 } }
        let below: S = 1 + x[0] * horner(b[(degree + 1)...])
        return horner(b[...degree]) / below
    }
}

/// b₁ − b₂x₁e^(−b₃x₂), which is fitted to log y.
struct LogarithmOfBreakdown: RegressionModel {
    var linear: [Int] { [0, 1] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { b[0] - x[0] * b[1] * S.exp(-x[1] * b[2]) }
}

/// b₁ − b₂x − arctan(b₃/(x − b₄))/π.
struct LineAndArctangent: RegressionModel {
    var linear: [Int] { [0, 1] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let angle: S = S.atan(b[2] / (x[0] - b[3])) / .pi
        return b[0] - x[0] * b[1] - angle
    }
}

/// A mean and cycles of a year and of periods b₄ and b₇.
struct ThreeCycles: RegressionModel {
    var linear: [Int] { [0, 1, 2, 4, 5, 7, 8] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let turn: Double = 2 * .pi * x[0]
        let year: S = Double.cos(turn / 12) * b[1] + Double.sin(turn / 12) * b[2]
        func cycle(_ k: Int) -> S {
            let phase: S = turn / b[k]
            return b[k + 1] * S.cos(phase) + b[k + 2] * S.sin(phase)
        }
        return b[0] + year + (cycle(3) + cycle(6))
    }
}

/// b₁(x² + b₂x)/(x² + b₃x + b₄).
struct KowalikOsborneFraction: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let x = x[0]
        let (above, below): (S, S) = (x * x + x * b[1], x * x + x * b[2] + b[3])
        return b[0] * (above / below)
    }
}

/// b₁/(1 + e^(b₂ − b₃x)).
struct Logistic: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { b[0] / (1 + S.exp(b[1] - x[0] * b[2])) }
}

/// b₁/(1 + e^(b₂ − b₃x))^(1/b₄).
struct RichardsCurve: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        b[0] * S.exp(-S.log(1 + S.exp(b[1] - x[0] * b[2])) / b[3])
    }
}

/// b₁e^(b₂/(x + b₃)).
struct ShiftedArrhenius: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { b[0] * S.exp(b[1] / (x[0] + b[2])) }
}

/// (b₁/b₂)e^(−½((x − b₃)/b₂)²).
struct Peak: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S {
        let distance: S = (x[0] - b[2]) / b[1]
        return b[0] / b[1] * S.exp(-0.5 * distance.squared)
    }
}

/// b₁(b₂ + x)^(−1/b₃).
struct ShiftedPower: RegressionModel {
    var linear: [Int] { [0] }
    func value<S: SmoothNumber>(_ b: [S], at x: [Double]) -> S { b[0] * S.exp(-S.log(b[1] + x[0]) / b[2]) }
}
