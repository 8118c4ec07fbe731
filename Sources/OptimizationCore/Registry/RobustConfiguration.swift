/// A problem's settings with one more, by which large residuals are forgiven: `{name: regression, robustLoss: {name: huber, scale: 0.1}}`.
struct RobustConfiguration<Base: ProblemConfiguration>: ProblemConfiguration {
    var base = Base()
    var choice: any RobustChoice = Huber()

    static var key: String { "robustLoss" }

    static var identifier: String { Base.identifier }
    static var summary: String { Base.summary }
    static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [
            .variant(
                key, among: [Huber.self, Cauchy.self, Arctan.self], meaning: "the loss that each residual's square is replaced by",
                describe: { $0.choice.settings }
            ) { root, chosen in
                guard let choice = chosen as? any RobustChoice else { preconditionFailure("\(type(of: chosen)) is no robust loss") }
                root.choice = choice
            }
        ]
    }

    func validate() throws { try base.validate() }

    func makeProblem(seed: UInt64) throws -> any Problem {
        let problem = try base.makeProblem(seed: seed)
        func refused(_ reason: String) -> ConfigurationError { ConfigurationError(path: "problem.\(Self.key)", reason: reason) }
        guard let squares = problem as? any LeastSquaresProblem else {
            throw refused("forgives residuals, and \(problem.name) has none: it is no sum of squares (LeastSquaresProblem); leave it out")
        }
        func robust<P: LeastSquaresProblem>(_ problem: P) throws -> any Problem {
            guard RobustProblem<P>.isRobustifiable(problem) else {
                throw refused("needs to know which residuals belong to which samples, and \(problem.name) does not say; leave it out")
            }
            return RobustProblem(problem, loss: choice.loss, scale: choice.scale)
        }
        return try robust(squares)
    }
}

/// A robust loss by its name, with the residual at which an outlier begins.
protocol RobustChoice: Configurable {
    var loss: RobustLoss { get }
    var scale: Double { get set }
}

extension RobustChoice {
    static var fields: [Field<Self>] {
        [.number("scale", \.scale, in: .positive, meaning: "the residual of a sample at which an outlier begins")]
    }
}

struct Huber: RobustChoice {
    var scale = 1.0
    var loss: RobustLoss { .huber }
    static let identifier = RobustLoss.huber.rawValue
    static let summary = "Squares of small residuals, large ones as they are; convex."
}

struct Cauchy: RobustChoice {
    var scale = 1.0
    var loss: RobustLoss { .cauchy }
    static let identifier = RobustLoss.cauchy.rawValue
    static let summary = "Squares of small residuals, the logarithm of large ones."
}

struct Arctan: RobustChoice {
    var scale = 1.0
    var loss: RobustLoss { .arctan }
    static let identifier = RobustLoss.arctan.rawValue
    static let summary = "Squares of small residuals, no more than a bound of large ones; the scale is one of squares."
}
