/// A named test function, of one dimension or of any that fits: what the zoo is listed by.
public struct ZooFamily: Sendable {
    public let name: String
    /// The dimension in which the collection states the function.
    public let standardDimension: Int
    /// The dimensions that fit, in words: "2", "even", "at least 3".
    public let dimensions: String
    private let fits: @Sendable (Int) -> Bool
    private let make: @Sendable (Int) -> ZooProblem

    private init(_ problem: ZooProblem) {
        (name, standardDimension, dimensions) = (problem.name, problem.dimension, String(problem.dimension))
        (fits, make) = ({ $0 == problem.dimension }, { _ in problem })
    }

    private init(
        _ make: @escaping @Sendable (Int) -> ZooProblem, standard: Int, _ dimensions: String, where fits: @escaping @Sendable (Int) -> Bool
    ) {
        (name, standardDimension, self.dimensions) = (make(standard).name, standard, dimensions)
        (self.fits, self.make) = (fits, make)
    }

    /// A family of every dimension from `minimum` on.
    private init(_ make: @escaping @Sendable (Int) -> ZooProblem, standard: Int, from minimum: Int = 1) {
        self.init(make, standard: standard, "at least \(minimum)") { $0 >= minimum }
    }

    /// The function in its standard dimension.
    public var standard: ZooProblem { make(standardDimension) }

    /// The function in n dimensions; `nil` where it is not defined there.
    public func problem(dimension n: Int) -> ZooProblem? { fits(n) ? make(n) : nil }

    /// Every function of the zoo, in the collection's order.
    public static let all: [ZooFamily] = [
        ZooFamily(.rosenbrock), ZooFamily(.freudensteinRoth), ZooFamily(.powellBadlyScaled), ZooFamily(.brownBadlyScaled),
        ZooFamily(.beale), ZooFamily(.jennrichSampson), ZooFamily(.helicalValley), ZooFamily(.bard), ZooFamily(.gaussian),
        ZooFamily(.meyer), ZooFamily(.gulf), ZooFamily(.boxThreeDimensional), ZooFamily(.powellSingular), ZooFamily(.wood),
        ZooFamily(.kowalikOsborne), ZooFamily(.brownDennis), ZooFamily(.osborneFirst), ZooFamily(.biggsExponential),
        ZooFamily(.osborneSecond),
        ZooFamily(ZooProblem.watson, standard: 6, from: 2),
        ZooFamily(ZooProblem.extendedRosenbrock, standard: 10, "even") { $0 > 0 && $0 % 2 == 0 },
        ZooFamily(ZooProblem.extendedPowellSingular, standard: 12, "a multiple of 4") { $0 > 0 && $0 % 4 == 0 },
        ZooFamily(ZooProblem.penaltyFirst, standard: 4), ZooFamily(ZooProblem.penaltySecond, standard: 4, from: 2),
        ZooFamily(ZooProblem.variablyDimensioned, standard: 10), ZooFamily(ZooProblem.trigonometric, standard: 10),
        ZooFamily(ZooProblem.brownAlmostLinear, standard: 10, from: 2), ZooFamily(ZooProblem.discreteBoundaryValue, standard: 10),
        ZooFamily(ZooProblem.discreteIntegral, standard: 10), ZooFamily(ZooProblem.broydenTridiagonal, standard: 10, from: 2),
        ZooFamily(ZooProblem.broydenBanded, standard: 10), ZooFamily(ZooProblem.linearFullRank, standard: 10),
        ZooFamily(ZooProblem.linearRankOne, standard: 10), ZooFamily(ZooProblem.linearRankOneWithZeros, standard: 10, from: 3),
        ZooFamily(ZooProblem.chebyquad, standard: 8),
    ]
}

extension ZooProblem {
    /// Every function in its standard dimension, and the larger instances whose answers are known.
    public static let all: [ZooProblem] =
        ZooFamily.all.map(\.standard) + [watson(9), watson(12), penaltyFirst(10), penaltySecond(10), chebyquad(9), chebyquad(10)]

    /// The functions that are smooth on all of ℝⁿ and not badly scaled.
    public static let smooth = all.filter { !$0.traits.contains(.badlyScaled) && !$0.traits.contains(.restrictedDomain) }

    /// The functions whose least loss is zero.
    public static let zeroResidual = all.filter { $0.minimum == 0 }

    /// A small selection for quick tests: a curved valley, a fit with residual, a singular and a higher-dimensional one.
    public static let sample: [ZooProblem] = [rosenbrock, gaussian, powellSingular, broydenTridiagonal()]

    /// The function of that name, in its standard dimension or in n dimensions; `nil` where there is none.
    public static func named(_ name: String, dimension n: Int? = nil) -> ZooProblem? {
        ZooFamily.all.first { $0.name == name }.flatMap { $0.problem(dimension: n ?? $0.standardDimension) }
    }
}
