#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A factor of the learning rate as a pure function of the step, which counts from 1.
///
/// Nothing is remembered between steps, so a resumed run is at the right rate by its step counter alone.
public protocol Schedule: Configurable {
    /// The factor by which the learning rate is multiplied at a step.
    func factor(at step: Int) -> Double
}

extension Field {
    /// A schedule chosen by its name among the built-in ones.
    public static func schedule(_ name: String, _ path: Path<any Schedule>, meaning: String) -> Field {
        .variant(
            name,
            among: [
                Constant.self, ExponentialDecay.self, PolynomialDecay.self, CosineDecay.self, OneCycle.self, WarmUp.self, Piecewise.self,
                Joined.self, ScheduleProduct.self,
            ], meaning: meaning,
            describe: { $0[keyPath: path].settings }
        ) { root, chosen in
            guard let schedule = chosen as? any Schedule else { preconditionFailure("\(type(of: chosen)) is no schedule") }
            root[keyPath: path] = schedule
        }
    }
}

/// The factor 1 at every step.
public struct Constant: Schedule, Hashable {
    public init() {}

    public static let identifier = "constant"
    public static let summary = "The learning rate as it is."
    public static var fields: [Field<Self>] { [] }

    public func factor(at step: Int) -> Double { 1 }
}

/// The factor rate^{(k − 1)/every} at step k; with `staircase`, the exponent is rounded down.
public struct ExponentialDecay: Schedule, Hashable {
    /// The factor gained by every `every` steps.
    public var rate: Double = 0.9
    public var every: Int = 1_000
    public var staircase = false

    public init() {}
    public init(rate: Double, every: Int, staircase: Bool = false) { (self.rate, self.every, self.staircase) = (rate, every, staircase) }

    public static let identifier = "exponential"
    public static let summary = "Decays the learning rate by a fixed factor every so many steps."
    public static var fields: [Field<Self>] {
        [
            .number("rate", \.rate, in: .positive, meaning: "the factor gained by every `every` steps"),
            .integer("every", \.every, atLeast: 1, meaning: "steps for one factor"),
            .flag("staircase", \.staircase, meaning: "whether the factor changes only every `every` steps"),
        ]
    }

    public func factor(at step: Int) -> Double {
        let periods = staircase ? Double((step - 1) / every) : Double(step - 1) / Double(every)
        return pow(rate, periods)
    }
}

/// Half a cosine from 1 down to `floor` over `steps` steps, then `floor`: floor + (1 − floor)·½(1 + cos(π·(k − 1)/steps)).
///
/// One period, without the warm restarts of Loshchilov and Hutter (arXiv:1608.03983).
public struct CosineDecay: Schedule, Hashable {
    public var steps: Int = 10_000
    public var floor = 0.0

    public init() {}
    public init(steps: Int, floor: Double = 0) { (self.steps, self.floor) = (steps, floor) }

    public static let identifier = "cosine"
    public static let summary = "Lowers the learning rate along half a cosine."
    public static var fields: [Field<Self>] {
        [
            .integer("steps", \.steps, atLeast: 1, meaning: "steps until the floor"),
            .number("floor", \.floor, in: .within(0...1), meaning: "the last factor"),
        ]
    }

    public func factor(at step: Int) -> Double {
        let progress = min(Double(step - 1) / Double(steps), 1)
        return floor + (1 - floor) * 0.5 * (1 + cos(.pi * progress))
    }
}

/// floor + (1 − floor)·(1 − (k − 1)/steps)^power over `steps` steps, then `floor`. A power of 1 is a straight line.
public struct PolynomialDecay: Schedule, Hashable {
    public var steps: Int = 10_000
    public var power = 1.0
    public var floor = 0.0

    public init() {}
    public init(steps: Int, power: Double = 1, floor: Double = 0) { (self.steps, self.power, self.floor) = (steps, power, floor) }

    public static let identifier = "polynomial"
    public static let summary = "Lowers the learning rate by a power of the steps that are left."
    public static var fields: [Field<Self>] {
        [
            .integer("steps", \.steps, atLeast: 1, meaning: "steps until the floor"),
            .number("power", \.power, in: .positive, meaning: "the exponent; 1 for a straight line"),
            .number("floor", \.floor, in: .within(0...1), meaning: "the last factor"),
        ]
    }

    public func factor(at step: Int) -> Double {
        let left = max(0, 1 - Double(step - 1) / Double(steps))
        return floor + (1 - floor) * pow(left, power)
    }
}

/// One cycle: half a cosine from 1/startDivisor up to 1 over the share `rise` of `steps` steps, and half a cosine down to
/// 1/(startDivisor·endDivisor) over the rest, where it stays.
///
/// L. N. Smith, N. Topin, arXiv:1708.07120; with cosines in place of their straight lines, as in PyTorch's `OneCycleLR`, and without the
/// momentum's opposite cycle. The learning rate is the cycle's largest.
public struct OneCycle: Schedule, Hashable {
    public var steps: Int = 10_000
    public var rise = 0.3
    public var startDivisor = 25.0
    public var endDivisor = 1e4

    public init() {}
    public init(steps: Int, rise: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4) {
        (self.steps, self.rise, self.startDivisor, self.endDivisor) = (steps, rise, startDivisor, endDivisor)
    }

    public static let identifier = "one-cycle"
    public static let summary = "Raises the learning rate along half a cosine and lowers it far along another."
    public static var fields: [Field<Self>] {
        [
            .integer("steps", \.steps, atLeast: 2, meaning: "steps of the cycle"),
            .number("rise", \.rise, in: .within(0...1), meaning: "the share of the steps until the largest rate"),
            .number("startDivisor", \.startDivisor, in: .positive, meaning: "the largest rate over the first one"),
            .number("endDivisor", \.endDivisor, in: .positive, meaning: "the first rate over the last one"),
        ]
    }

    public func factor(at step: Int) -> Double {
        let (first, last) = (1 / startDivisor, 1 / (startDivisor * endDivisor))
        let (peak, end) = (rise * Double(steps) - 1, Double(steps) - 1)
        let k = min(Double(step - 1), end)
        func between(_ a: Double, _ b: Double, _ progress: Double) -> Double { b + (a - b) * 0.5 * (1 + cos(.pi * progress)) }
        if k <= peak, peak > 0 { return between(first, 1, k / peak) }
        return end > peak ? between(1, last, (k - max(peak, 0)) / (end - max(peak, 0))) : 1
    }
}

/// A linear rise k/steps over the first `steps` steps, then another schedule, whose own count begins there.
public struct WarmUp: Schedule {
    public var steps: Int = 500
    public var then: any Schedule = Constant()

    public init() {}
    public init(steps: Int, then: any Schedule = Constant()) { (self.steps, self.then) = (steps, then) }

    public static let identifier = "warm-up"
    public static let summary = "Raises the learning rate linearly, then follows another schedule."
    public static var fields: [Field<Self>] {
        [
            .integer("steps", \.steps, atLeast: 1, meaning: "steps of the rise"),
            .schedule("then", \.then, meaning: "the schedule after the rise"),
        ]
    }

    public func factor(at step: Int) -> Double {
        step <= steps ? Double(step) / Double(steps) : then.factor(at: step - steps)
    }
}

/// Constant factors between boundaries: `factors[i]` after `boundaries[i]` steps, 1 before the first.
public struct Piecewise: Schedule, Hashable {
    public var boundaries: [Double] = [5_000]
    public var factors: [Double] = [0.1]

    public init() {}
    public init(boundaries: [Int], factors: [Double]) {
        precondition(boundaries.count == factors.count, "\(factors.count) factors for \(boundaries.count) boundaries")
        (self.boundaries, self.factors) = (boundaries.map(Double.init), factors)
    }

    public static let identifier = "piecewise"
    public static let summary = "Constant learning rates between given steps."
    public static var fields: [Field<Self>] {
        [
            .numbers("boundaries", \.boundaries, in: .positive, meaning: "the last step of each piece, rising"),
            .numbers("factors", \.factors, in: .positive, meaning: "the factor after each boundary"),
        ]
    }

    public func validate() throws {
        guard boundaries.count == factors.count else {
            throw ConfigurationError(path: "factors", reason: "\(factors.count) factors for \(boundaries.count) boundaries")
        }
        guard zip(boundaries, boundaries.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw ConfigurationError(path: "boundaries", reason: "\(boundaries) must rise")
        }
    }

    public func factor(at step: Int) -> Double {
        boundaries.lastIndex { Double(step) > $0 }.map { factors[$0] } ?? 1
    }
}

/// A schedule for `steps` steps, then another, whose own count begins there.
public struct Joined: Schedule {
    public var first: any Schedule = Constant()
    public var steps: Int = 1_000
    public var then: any Schedule = Constant()

    public init() {}
    public init(_ first: any Schedule, steps: Int, then: any Schedule) { (self.first, self.steps, self.then) = (first, steps, then) }

    public static let identifier = "join"
    public static let summary = "Follows a schedule for some steps, then another."
    public static var fields: [Field<Self>] {
        [
            .schedule("first", \.first, meaning: "the schedule of the first steps"),
            .integer("steps", \.steps, atLeast: 1, meaning: "how many these are"),
            .schedule("then", \.then, meaning: "the schedule after them"),
        ]
    }

    public func factor(at step: Int) -> Double { step <= steps ? first.factor(at: step) : then.factor(at: step - steps) }
}

/// The product of two schedules' factors.
public struct ScheduleProduct: Schedule {
    public var first: any Schedule = Constant()
    public var second: any Schedule = Constant()

    public init() {}
    public init(_ first: any Schedule, _ second: any Schedule) { (self.first, self.second) = (first, second) }

    public static let identifier = "product"
    public static let summary = "Multiplies the factors of two schedules."
    public static var fields: [Field<Self>] {
        [
            .schedule("first", \.first, meaning: "a schedule"),
            .schedule("second", \.second, meaning: "another"),
        ]
    }

    public func factor(at step: Int) -> Double { first.factor(at: step) * second.factor(at: step) }
}
