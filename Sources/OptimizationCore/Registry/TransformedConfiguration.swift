/// A problem's settings with one more, by which its loss is transformed: `{name: burgers, lossTransform: square-root}`.
struct TransformedConfiguration<Base: ProblemConfiguration>: ProblemConfiguration {
    enum Kind: String, CaseIterable, Sendable {
        case squareRoot = "square-root"
        case logarithm
    }

    var base = Base()
    var kind = Kind.squareRoot

    static var key: String { "lossTransform" }

    static var identifier: String { Base.identifier }
    static var summary: String { Base.summary }
    static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [
            .choice(key, \.kind, meaning: "the rising function of the loss that is minimised in its place")
        ]
    }

    func validate() throws { try base.validate() }

    func makeProblem(seed: UInt64) throws -> any Problem {
        func transformed<P: Problem>(_ problem: P) -> any Problem {
            switch kind {
            case .squareRoot: Transformed(problem, by: SquareRoot.self)
            case .logarithm: Transformed(problem, by: Logarithm.self)
            }
        }
        return transformed(try base.makeProblem(seed: seed))
    }
}
