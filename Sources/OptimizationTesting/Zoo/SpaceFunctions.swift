// Functions of three, four and six variables without data: problems 7, 11–14, 16 and 18 of the collection.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

struct HelicalValley: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        // θ = arctan(x₂/x₁)/2π, half a turn further for x₁ < 0: it jumps where x₁ = 0.
        let turn = S.atan(x[1] / x[0]) / (2 * .pi) + (x[0].real < 0 ? 0.5 : 0)
        return [10 * (x[2] - 10 * turn), 10 * (S.sqrt(x[0].squared + x[1].squared) - 1), x[2]]
    }
}

/// The paper prints |yᵢ·m·i·x₂| for |yᵢ − x₂|, which has not the minimiser it states; the original of Cox and this code have.
struct Gulf: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        (1...99).map { i in
            let t = Double(i) / 100
            let y = 25 + pow(-50 * log(t), 2.0 / 3)
            let power = S.exp(x[2] * S.log((y - x[1]).magnitude))
            return S.exp(-power / x[0]) - t
        }
    }
}

struct BoxThreeDimensional: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        (1...10).map { i in
            let t = 0.1 * Double(i)
            return S.exp(-t * x[0]) - S.exp(-t * x[1]) - (exp(-t) - exp(-10 * t)) * x[2]
        }
    }
}

struct PowellSingular: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let (five, ten) = (5.0.squareRoot(), 10.0.squareRoot())
        let (second, third) = (x[2] - x[3], x[1] - 2 * x[2])
        return [x[0] + 10 * x[1], five * second, third.squared, ten * (x[0] - x[3]).squared]
    }
}

struct Wood: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let (ninety, ten) = (90.0.squareRoot(), 10.0.squareRoot())
        return [
            10 * (x[1] - x[0].squared), 1 - x[0], ninety * (x[3] - x[2].squared), 1 - x[2], ten * (x[1] + x[3] - 2),
            (x[1] - x[3]) / ten,
        ]
    }
}

struct BrownDennis: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        (1...20).map { i in
            let t = Double(i) / 5
            let first = x[0] + t * x[1] - exp(t)
            let second = x[2] + sin(t) * x[3] - cos(t)
            return first.squared + second.squared
        }
    }
}

struct BiggsExponential: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        (1...13).map { i in
            let t = 0.1 * Double(i)
            let y = exp(-t) - 5 * exp(-10 * t) + 3 * exp(-4 * t)
            return x[2] * S.exp(-t * x[0]) - x[3] * S.exp(-t * x[1]) + x[5] * S.exp(-t * x[4]) - y
        }
    }
}
