// The problems with their answers. Start values and minima are the collection's f = ‖r‖², of which `ZooProblem` keeps the half; minima
// without a closed form, those at infinity included, were found from the paper's formulas by Newton's method with 60 digits
// (`Tests/Reference/more_garbow_hillstrom.py`), but for Osborne's second one at infinity, which has ten.

// MARK: Problems 1–6, two variables

extension ZooProblem {
    public static let rosenbrock = ZooProblem(
        "rosenbrock", number: 1, start: [-1.2, 1], twiceLossAtStart: 24.2, twiceMinimum: 0, minimizers: [[1, 1]], Rosenbrock())

    public static let freudensteinRoth = ZooProblem(
        "freudenstein-roth", number: 2, start: [0.5, -2], twiceLossAtStart: 400.5, twiceMinimum: 0, otherMinima: [48.984253679240021],
        minimizers: [[5, 4]], FreudensteinRoth())

    public static let powellBadlyScaled = ZooProblem(
        "powell-badly-scaled", number: 3, start: [0, 1], twiceLossAtStart: 1.135261717, twiceMinimum: 0,
        minimizers: [[1.0981593296998175e-5, 9.106146739866524]], traits: [.badlyScaled], PowellBadlyScaled())

    public static let brownBadlyScaled = ZooProblem(
        "brown-badly-scaled", number: 4, start: [1, 1], twiceLossAtStart: 999_999.0 * 999_999.0 + 0.999998 * 0.999998 + 1, twiceMinimum: 0,
        minimizers: [[1e6, 2e-6]], traits: [.badlyScaled], BrownBadlyScaled())

    public static let beale = ZooProblem(
        "beale", number: 5, start: [1, 1], twiceLossAtStart: 14.203125, twiceMinimum: 0, otherMinima: [14.203125 - 192.515625 / 14],
        minimizers: [[3, 0.5]],
        Beale())

    public static let jennrichSampson = ZooProblem(
        "jennrich-sampson", number: 6, start: [0.3, 0.4], twiceLossAtStart: 4171.306162, twiceMinimum: 124.36218235561485,
        traits: [.largeResidual], JennrichSampson())
}

// MARK: Problems 7–19, three to eleven variables

extension ZooProblem {
    public static let helicalValley = ZooProblem(
        "helical-valley", number: 7, start: [-1, 0, 0], twiceLossAtStart: 2500, twiceMinimum: 0, minimizers: [[1, 0, 0]],
        traits: [.restrictedDomain], HelicalValley())

    public static let bard = ZooProblem(
        "bard", number: 8, start: [1, 1, 1], twiceLossAtStart: 41.68169586, twiceMinimum: 8.2148773065789748e-3,
        otherMinima: [17.428693333333333],
        traits: [.restrictedDomain], Bard())

    public static let gaussian = ZooProblem(
        "gaussian", number: 9, start: [0.4, 1, 0], twiceLossAtStart: 3.888106991e-6, twiceMinimum: 1.127932769618648e-8, Gaussian())

    public static let meyer = ZooProblem(
        "meyer", number: 10, start: [0.02, 4000, 250], twiceLossAtStart: 1.693607809e9, twiceMinimum: 87.945855170851121,
        traits: [.badlyScaled, .restrictedDomain], Meyer())

    public static let gulf = ZooProblem(
        "gulf", number: 11, start: [5, 2.5, 0.15], twiceLossAtStart: 12.11070583, twiceMinimum: 0, otherMinima: [32.835],
        minimizers: [[50, 25, 1.5]], traits: [.restrictedDomain], Gulf())

    public static let boxThreeDimensional = ZooProblem(
        "box-3d", number: 12, start: [0, 10, 20], twiceLossAtStart: 1031.153811, twiceMinimum: 0, otherMinima: [0.075588740754997403],
        minimizers: [[1, 10, 1], [10, 1, -1]], BoxThreeDimensional())

    public static let powellSingular = ZooProblem(
        "powell-singular", number: 13, start: [3, -1, 0, 1], twiceLossAtStart: 215, twiceMinimum: 0, minimizers: [[0, 0, 0, 0]],
        traits: [.singular], PowellSingular())

    public static let wood = ZooProblem(
        "wood", number: 14, start: [-3, -1, -3, -1], twiceLossAtStart: 19192, twiceMinimum: 0, minimizers: [[1, 1, 1, 1]], Wood())

    public static let kowalikOsborne = ZooProblem(
        "kowalik-osborne", number: 15, start: [0.25, 0.39, 0.415, 0.39], twiceLossAtStart: 5.313172272e-3,
        twiceMinimum: 3.0750560384923743e-4, otherMinima: [1.0273430486954578e-3], traits: [.restrictedDomain], KowalikOsborne())

    public static let brownDennis = ZooProblem(
        "brown-dennis", number: 16, start: [25, 5, -5, -1], twiceLossAtStart: 7926693.337, twiceMinimum: 85822.201626356345,
        traits: [.largeResidual], BrownDennis())

    public static let osborneFirst = ZooProblem(
        "osborne-1", number: 17, start: [0.5, 1.5, -1, 0.01, 0.02], twiceLossAtStart: 0.8790262935, twiceMinimum: 5.4648946974829064e-5,
        OsborneFirst())

    public static let biggsExponential = ZooProblem(
        "biggs-exp6", number: 18, start: [1, 2, 1, 1, 1, 1], twiceLossAtStart: 0.7790700757, twiceMinimum: 0,
        otherMinima: [5.655649925499931e-3],
        minimizers: [[1, 10, 1, 5, 4, 3]], BiggsExponential())

    public static let osborneSecond = ZooProblem(
        "osborne-2", number: 19, start: [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], twiceLossAtStart: 2.093419514,
        twiceMinimum: 0.040137736293547738, otherMinima: [1.789813587], OsborneSecond())
}

// MARK: Problems 20–35, any number of variables

extension ZooProblem {
    private static func repeated(_ values: Double..., toCount n: Int) -> [Double] { (0..<n).map { values[$0 % values.count] } }

    /// n ≥ 2; the least losses are known for n = 6, 9 and 12.
    public static func watson(_ n: Int = 6) -> ZooProblem {
        let minima = [6: 2.2876700535524362e-3, 9: 1.3997601380990199e-6, 12: 4.7223811058917574e-10]
        return ZooProblem(
            "watson", number: 20, start: repeated(0, toCount: n), twiceLossAtStart: 30, twiceMinimum: minima[n], Watson())
    }

    /// n even.
    public static func extendedRosenbrock(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "extended-rosenbrock", number: 21, start: repeated(-1.2, 1, toCount: n), twiceLossAtStart: 12.1 * Double(n), twiceMinimum: 0,
            minimizers: [repeated(1, toCount: n)], ExtendedRosenbrock())
    }

    /// n a multiple of four.
    public static func extendedPowellSingular(_ n: Int = 12) -> ZooProblem {
        ZooProblem(
            "extended-powell-singular", number: 22, start: repeated(3, -1, 0, 1, toCount: n), twiceLossAtStart: 53.75 * Double(n),
            twiceMinimum: 0, minimizers: [repeated(0, toCount: n)], traits: [.singular], ExtendedPowellSingular())
    }

    /// The least losses are known for n = 4 and 10.
    public static func penaltyFirst(_ n: Int = 4) -> ZooProblem {
        let (known, minima) = ([4: 885.06264, 10: 148032.5653], [4: 2.249977500899937e-5, 10: 7.0876514670903694e-5])
        return ZooProblem(
            "penalty-1", number: 23, start: (1...n).map(Double.init), twiceLossAtStart: known[n], twiceMinimum: minima[n], PenaltyFirst())
    }

    /// The least losses are known for n = 4 and 10.
    public static func penaltySecond(_ n: Int = 4) -> ZooProblem {
        let (known, minima) = ([4: 2.340008805, 10: 162.6527766], [4: 9.3762930073554415e-6, 10: 2.9366053745674594e-4])
        return ZooProblem(
            "penalty-2", number: 24, start: repeated(0.5, toCount: n), twiceLossAtStart: known[n], twiceMinimum: minima[n], PenaltySecond())
    }

    public static func variablyDimensioned(_ n: Int = 10) -> ZooProblem {
        let (squares, count) = (Double(n * (n + 1) * (2 * n + 1)) / 6, Double(n))
        let s = squares / count
        return ZooProblem(
            "variably-dimensioned", number: 25, start: (1...n).map { 1 - Double($0) / Double(n) },
            twiceLossAtStart: squares / (count * count) + s * s + s * s * s * s, twiceMinimum: 0, minimizers: [repeated(1, toCount: n)],
            VariablyDimensioned())
    }

    /// Descent from the start usually ends in one of the local minima, known for n = 10.
    public static func trigonometric(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "trigonometric", number: 26, start: repeated(1 / Double(n), toCount: n), twiceLossAtStart: n == 10 ? 7.075759466e-3 : nil,
            twiceMinimum: 0, otherMinima: n == 10 ? [2.7950561218794563e-5, 4.2186338879237259e-5] : [],
            minimizers: [repeated(0, toCount: n)],
            Trigonometric())
    }

    public static func brownAlmostLinear(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "brown-almost-linear", number: 27, start: repeated(0.5, toCount: n), twiceLossAtStart: n == 10 ? 273.2480478 : nil,
            twiceMinimum: 0, otherMinima: [1], minimizers: [repeated(1, toCount: n)], BrownAlmostLinear())
    }

    public static func discreteBoundaryValue(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "discrete-boundary-value", number: 28, start: startOnGrid(n), twiceLossAtStart: n == 10 ? 7.885191013e-4 : nil, twiceMinimum: 0,
            DiscreteBoundaryValue())
    }

    public static func discreteIntegral(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "discrete-integral", number: 29, start: startOnGrid(n), twiceLossAtStart: n == 10 ? 6.341684158e-2 : nil, twiceMinimum: 0,
            DiscreteIntegral())
    }

    /// tᵢ(tᵢ − 1) at the n inner points of a uniform grid on [0, 1].
    private static func startOnGrid(_ n: Int) -> [Double] {
        (1...n).map { i in
            let t = Double(i) / Double(n + 1)
            return t * (t - 1)
        }
    }

    public static func broydenTridiagonal(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "broyden-tridiagonal", number: 30, start: repeated(-1, toCount: n), twiceLossAtStart: Double(n) + 11, twiceMinimum: 0,
            BroydenTridiagonal())
    }

    public static func broydenBanded(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "broyden-banded", number: 31, start: repeated(-1, toCount: n), twiceLossAtStart: 36 * Double(n), twiceMinimum: 0,
            BroydenBanded())
    }

    /// m = 2n.
    public static func linearFullRank(_ n: Int = 10) -> ZooProblem {
        ZooProblem(
            "linear-full-rank", number: 32, start: repeated(1, toCount: n), twiceLossAtStart: 5 * Double(n), twiceMinimum: Double(n),
            minimizers: [repeated(-1, toCount: n)], traits: [.linear], LinearFullRank())
    }

    /// m = 2n.
    public static func linearRankOne(_ n: Int = 10) -> ZooProblem {
        let m = Double(2 * n)
        return ZooProblem(
            "linear-rank-one", number: 33, start: repeated(1, toCount: n), twiceLossAtStart: n == 10 ? 8_658_670 : nil,
            twiceMinimum: m * (m - 1) / (2 * (2 * m + 1)), traits: [.linear, .singular], LinearRankOne())
    }

    /// m = 2n, n ≥ 3.
    public static func linearRankOneWithZeros(_ n: Int = 10) -> ZooProblem {
        let m = Double(2 * n)
        return ZooProblem(
            "linear-rank-one-with-zeros", number: 34, start: repeated(1, toCount: n), twiceLossAtStart: n == 10 ? 4_067_996 : nil,
            twiceMinimum: (m * m + 3 * m - 6) / (2 * (2 * m - 3)), traits: [.linear, .singular], LinearRankOneWithZeros())
    }

    /// The least loss is zero for n ≤ 7 and n = 9.
    public static func chebyquad(_ n: Int = 8) -> ZooProblem {
        let minima = n <= 7 || n == 9 ? 0 : [8: 3.5168737256779317e-3, 10: 4.772713696375349e-3][n]
        return ZooProblem(
            "chebyquad", number: 35, start: (1...n).map { Double($0) / Double(n + 1) }, twiceLossAtStart: nil, twiceMinimum: minima,
            otherMinima: n == 10 ? [6.5039548008823061e-3] : [], Chebyquad())
    }
}
