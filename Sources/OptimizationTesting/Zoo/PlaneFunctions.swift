// The functions of two variables: problems 1–6 of the collection.

struct Rosenbrock: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] { [10 * (x[1] - x[0].squared), 1 - x[0]] }
}

struct FreudensteinRoth: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        [x[0] - 13 + ((5 - x[1]) * x[1] - 2) * x[1], x[0] - 29 + ((x[1] + 1) * x[1] - 14) * x[1]]
    }
}

struct PowellBadlyScaled: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] { [10_000 * (x[0] * x[1]) - 1, S.exp(-x[0]) + S.exp(-x[1]) - 1.0001] }
}

struct BrownBadlyScaled: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] { [x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2] }
}

struct Beale: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        zip(1...3, [1.5, 2.25, 2.625]).map { i, y in y - x[0] * (1 - x[1].power(i)) }
    }
}

struct JennrichSampson: ResidualFunction {
    func residual<S: SmoothNumber>(_ x: [S]) -> [S] {
        (1...10).map { index in
            let i = Double(index)
            return 2 + 2 * i - (S.exp(i * x[0]) + S.exp(i * x[1]))
        }
    }
}
