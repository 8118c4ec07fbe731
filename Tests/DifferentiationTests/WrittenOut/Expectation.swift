import Differentiation
import LinearAlgebra
import Testing

/// r and J of a written program at θ with the bounds of their rounding, and every product that is made of them.
struct Expectation {
    let r: [Rounded]
    /// J by columns.
    let j: [[Rounded]]
    private let written: WrittenProgram
    private let θ: [Rounded]

    init(_ written: WrittenProgram, at θ: Vector) {
        (self.written, self.θ) = (written, θ.map { Rounded($0) })
        r = written.residuals(self.θ)
        j = written.jacobian(self.θ)
    }

    private func dot(_ a: some Sequence<Rounded>, _ b: some Sequence<Rounded>) -> Rounded {
        zip(a, b).reduce(Rounded(0)) { $0 + $1.0 * $1.1 }
    }
    private func constants(_ v: Vector) -> [Rounded] { v.map { Rounded($0) } }

    /// ∇L = Jᵀr
    var gradient: [Rounded] { j.map { dot($0, r) } }
    func times(_ v: Vector) -> [Rounded] { times(constants(v)) }
    private func times(_ v: [Rounded]) -> [Rounded] { r.indices.map { i in dot(j.map { $0[i] }, v) } }
    func transposedTimes(_ w: Vector) -> [Rounded] { j.map { dot($0, constants(w)) } }
    func normalTimes(_ v: Vector) -> [Rounded] {
        let jv = times(v)
        return j.map { dot($0, jv) }
    }
    /// JᵀJ by columns.
    var normalMatrix: [Rounded] { j.flatMap { a in j.map { dot($0, a) } } }
    /// JJᵀ by columns.
    var outerMatrix: [Rounded] {
        let rows = r.indices.map { i in j.map { $0[i] } }
        return rows.flatMap { a in rows.map { dot($0, a) } }
    }
    /// Some rows of H·v.
    func hessianTimes(_ v: Vector, rows: [Int]) -> [Rounded] { rows.map { written.hessianTimes(v, row: $0, θ) } }
    /// A and B of every dense map, term after term: entries one after another.
    var kroneckerFactors: [WrittenProgram.Factors<Rounded>] { written.terms.indices.flatMap { written.factors(ofTerm: $0, θ) } }
}

/// A small random loss, its program in any options, and its parameters.
struct WrittenCase: CustomTestStringConvertible, Sendable {
    var seed: Int
    var structure: WrittenNetwork.Structure
    var activation: Activation
    /// Of the derivatives that residuals read.
    var order = 2
    /// Whether they read operators, several points and trained numbers too.
    var isRich = false

    var testDescription: String { "\(structure) of \(activation), order \(order), seed \(seed)\(isRich ? ", rich" : "")" }

    func make() -> (WrittenProgram, Vector) {
        var rng = Seeded(seed)
        let dimension = Int.random(in: 1...2, using: &rng)
        let network = WrittenNetwork(
            structure, dimension: dimension, width: Int.random(in: 2...4, using: &rng), depth: Int.random(in: 1...2, using: &rng),
            fields: Int.random(in: 1...2, using: &rng), activation: activation, using: &rng)
        let scalars = isRich ? 2 : 0
        let terms = (0..<2).map { _ in
            let residual = PolynomialResidual.random(
                dimension: dimension, fields: network.fields, order: order, isRich: isRich, scalars: scalars, using: &rng)
            let count = Int.random(in: 3...5, using: &rng)
            return WrittenProgram.Term(
                residual: residual, points: rng.columns(residual.arity * dimension, of: count),
                data: rng.columns(residual.dataCount, of: count),
                scale: rng.uniform(0.3...1))
        }
        let θ = Vector(network.parameters(using: &rng).elements + rng.vector(scalars).elements)
        return (WrittenProgram(network: network, scalars: scalars, terms: terms), θ)
    }

    /// Every structure with every activation, plain and rich in turn.
    static func all(seed: Int, order: Int = 2, isRich: (Int) -> Bool = { $0 % 2 == 1 }) -> [WrittenCase] {
        WrittenNetwork.Structure.allCases.enumerated().flatMap { s, structure in
            Activation.allCases.enumerated().map { a, activation in
                WrittenCase(
                    seed: seed + 10 * s + a, structure: structure, activation: activation, order: order, isRich: isRich(s + a))
            }
        }
    }
}

/// |computed − expected| ≤ 2uE, entry by entry: either is within uE of what is exact.
func expectRounded(_ computed: some Sequence<Double>, _ expected: some Sequence<Rounded>, _ what: @autoclosure () -> String) {
    let (computed, expected) = (Array(computed), Array(expected))
    guard computed.count == expected.count else {
        Issue.record("\(what()): \(computed.count) numbers, not \(expected.count)")
        return
    }
    for i in computed.indices {
        let difference = abs(computed[i] - expected[i].value)
        let bound = 2 * Engine.KernelTests.unit * expected[i].error
        guard !(difference <= bound) else { continue }
        Issue.record("\(what()): entry \(i) is \(computed[i]), not \(expected[i].value): \(difference) beyond \(bound)")
        return
    }
}
