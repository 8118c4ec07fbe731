// Functions of any number of variables: problems 13 and 20–35 of the collection.

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

struct Watson: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let fitted = (1...29).map { i in
            let t = Double(i) / 29
            // Horner's scheme for u = Σ xⱼtʲ⁻¹ and its derivative in t.
            var (u, slope) = (S(0), S(0))
            for coefficient in x.reversed() { (slope, u) = (t * slope + u, t * u + coefficient) }
            return slope - u.squared - 1
        }
        return fitted + [x[0], x[1] - x[0].squared - 1]
    }
}

/// Rosenbrock's function of each pair of variables.
struct ExtendedRosenbrock: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        stride(from: 0, to: x.count, by: 2).flatMap { i in Rosenbrock().residual(Array(x[i..<(i + 2)])) }
    }
}

/// Powell's singular function of each four variables.
struct ExtendedPowellSingular: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        stride(from: 0, to: x.count, by: 4).flatMap { i in PowellSingular().residual(Array(x[i..<(i + 4)])) }
    }
}

struct PenaltyFirst: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        x.map { 1e-5.squareRoot() * ($0 - 1) } + [x.map(\.squared).sum - 0.25]
    }
}

struct PenaltySecond: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let (n, root) = (x.count, 1e-5.squareRoot())
        let pairs = (1..<n).map { i -> S in
            let y = exp(Double(i + 1) / 10) + exp(Double(i) / 10)
            return root * (S.exp(x[i] / 10) + S.exp(x[i - 1] / 10) - y)
        }
        let singles = (1..<n).map { i in root * (S.exp(x[i] / 10) - exp(-0.1)) }
        let weighted = x.enumerated().map { j, x in Double(n - j) * x.squared }
        return [x[0] - 0.2] + pairs + singles + [weighted.sum - 1]
    }
}

struct VariablyDimensioned: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let s = x.enumerated().map { j, x in Double(j + 1) * (x - 1) }.sum
        return x.map { $0 - 1 } + [s, s.squared]
    }
}

struct Trigonometric: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let rest = Double(x.count) - x.map { S.cos($0) }.sum
        return x.enumerated().map { i, x in rest + Double(i + 1) * (1 - S.cos(x)) - S.sin(x) }
    }
}

struct BrownAlmostLinear: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let sum = x.sum - Double(x.count + 1)
        return x.dropLast().map { $0 + sum } + [x.reduce(S(1)) { $0 * $1 } - 1]
    }
}

struct DiscreteBoundaryValue: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let h = 1 / Double(x.count + 1)
        return x.indices.map { i in
            let left = i > 0 ? x[i - 1] : S(0)
            let right = i + 1 < x.count ? x[i + 1] : S(0)
            let cube = (x[i] + (Double(i + 1) * h + 1)).power(3)
            return 2 * x[i] - left - right + (h * h / 2) * cube
        }
    }
}

struct DiscreteIntegral: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let h = 1 / Double(x.count + 1)
        let t = x.indices.map { Double($0 + 1) * h }
        let cubes = zip(x, t).map { ($0 + ($1 + 1)).power(3) }
        return x.indices.map { i in
            let below = (0...i).map { t[$0] * cubes[$0] }.sum
            let above = ((i + 1)..<x.count).map { (1 - t[$0]) * cubes[$0] }.sum
            return x[i] + (h / 2) * ((1 - t[i]) * below + t[i] * above)
        }
    }
}

struct BroydenTridiagonal: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        x.indices.map { i in
            let left = i > 0 ? x[i - 1] : S(0)
            let right = i + 1 < x.count ? x[i + 1] : S(0)
            return (3 - 2 * x[i]) * x[i] - left - 2 * right + 1
        }
    }
}

struct BroydenBanded: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        x.indices.map { i in
            let band = (max(0, i - 5)...min(x.count - 1, i + 1)).filter { $0 != i }
            return x[i] * (2 + 5 * x[i].squared) + 1 - band.map { x[$0] * (1 + x[$0]) }.sum
        }
    }
}

/// Full rank, m = 2n residuals.
struct LinearFullRank: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let m = 2 * x.count
        let common = (-2 / Double(m)) * x.sum - 1
        return (0..<m).map { i in i < x.count ? x[i] + common : common }
    }
}

/// Rank one, m = 2n residuals.
struct LinearRankOne: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let s = x.enumerated().map { j, x in Double(j + 1) * x }.sum
        return (1...(2 * x.count)).map { Double($0) * s - 1 }
    }
}

/// Rank one with zero columns and rows, m = 2n residuals.
struct LinearRankOneWithZeros: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let m = 2 * x.count
        let s = x.enumerated().dropFirst().dropLast().map { j, x in Double(j + 1) * x }.sum
        return (1...m).map { i in i == 1 || i == m ? S(-1) : Double(i - 1) * s - 1 }
    }
}

struct Chebyquad: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        let n = x.count
        var sums = Array(repeating: S(0), count: n)
        for x in x {
            // The Chebyshev polynomials shifted to [0, 1]: T₀ = 1, T₁ = 2x − 1, Tᵢ = 2·T₁·Tᵢ₋₁ − Tᵢ₋₂.
            let argument = 2 * x - 1
            var (previous, current) = (S(1), argument)
            for i in 0..<n {
                sums[i] = sums[i] + current
                (previous, current) = (current, 2 * (argument * current) - previous)
            }
        }
        return sums.enumerated().map { index, sum in
            let i = index + 1
            return sum / Double(n) - (i % 2 == 0 ? -1 / Double(i * i - 1) : 0)
        }
    }
}
