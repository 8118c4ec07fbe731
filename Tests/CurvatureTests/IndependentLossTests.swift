import Curvature
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Losses of small networks at given points and parameters, as another program finds them: nested automatic differentiation in JAX
/// 0.10 in double precision (for the equations; value and slope for the conditions). Its losses are means of squares, twice ours.
@Suite struct IndependentLossTests {
    private static let roots = [2.0, 3, 5, 7, 11].map { $0.squareRoot() }

    /// Points of the unit cube: the fractions of (i + 1)√p.
    private func cloud(_ count: Int, _ dimension: Int, on ranges: [ClosedRange<Double>]) -> [[Double]] {
        (0..<count).map { i in
            (0..<dimension).map { j in
                let x = Double(i + 1) * Self.roots[j]
                return ranges[j].lowerBound + (ranges[j].upperBound - ranges[j].lowerBound) * (x - x.rounded(.down))
            }
        }
    }

    /// Twice the losses of the terms for hidden layers of 5 and 4 units and θₖ = sin 0.7(k + 1), each term at its points.
    private func losses(of pde: any PDEProblem, at points: [(term: String, points: [[Double]])]) throws -> [Double] {
        let model = try MultilayerPerceptron(inputs: pde.domain.dimension, hidden: [5, 4], outputs: 1)
        let plan = PointPlan(interior: 4, initial: 4, boundary: 20, monitor: 0, sampling: .uniform)
        var problem = try PhysicsInformedProblem(pde, model: model, points: plan, seed: 1, identity: .map([]))
        for (term, points) in points { problem = try problem.revised(by: PointRevision(term: term, points: Matrix(rows: points))) }
        problem = try problem.revised(by: WeightRevision(problem.terms.map { ($0, 2) }))
        let θ = Vector((0..<problem.layout.count).map { sin(0.7 * Double($0 + 1)) })
        return try problem.loss(at: θ).terms
    }

    private func expect(_ losses: [Double], _ expected: [Double]) {
        #expect(losses.count == expected.count)
        for (a, b) in zip(losses, expected) { #expect(abs(a - b) <= 1e-13 * b, "\(a), \(b)") }
    }

    /// Points of a cloud moved to the faces in turn, the lower one of each axis first.
    private func shell(_ dimension: Int, on range: ClosedRange<Double>) -> [[Double]] {
        cloud(20, dimension, on: Array(repeating: range, count: dimension)).enumerated().map { i, point in
            var point = point
            point[i % (2 * dimension) / 2] = i % 2 == 0 ? range.lowerBound : range.upperBound
            return point
        }
    }

    @Test func burgers() throws {
        let times = cloud(10, 1, on: [0...1]).map { $0[0] }
        let walls = times.enumerated().map { i, t in [t, i % 2 == 0 ? -1 : 1] }
        let terms = try losses(
            of: Burgers(),
            at: [
                ("burgers", cloud(30, 2, on: [0...1, -1...1])),
                ("initial", cloud(12, 2, on: [0...1, -1...1]).map { [0, $0[1]] }),
                ("left", walls.filter { $0[1] < 0 }), ("right", walls.filter { $0[1] > 0 }),
            ])
        expect([terms[0], terms[1], (terms[2] + terms[3]) / 2], [0.2994352488400809, 6.7138226268210595, 6.458378303686982])
        let hard = try losses(of: Burgers(enforcement: .hard), at: [("burgers", cloud(30, 2, on: [0...1, -1...1]))])
        expect(hard, [14.564170843486446])
    }

    @Test func poissonWithHardConditions() throws {
        func loss(of pde: any PDEProblem) throws -> [Double] {
            let d = pde.domain.dimension
            return try losses(of: pde, at: [("poisson", cloud(30, d, on: Array(repeating: 0...1, count: d)))])
        }
        expect(try loss(of: PoissonOnInterval(enforcement: .hard)), [12360.147911624179])
        expect(try loss(of: PoissonOnSquare(enforcement: .hard)), [1432.3719088178218])
        expect(try loss(of: PoissonOnCube(solution: .sines, enforcement: .hard)), [540.4890660581829])
    }

    @Test func poissonInTwoAndFiveDimensions() throws {
        let square = try losses(
            of: PoissonOnSquare(),
            at: [("poisson", cloud(30, 2, on: [0...1, 0...1])), ("boundary", shell(2, on: 0...1))])
        expect(square, [103.56093824336004, 6.4602619410690565])
        let cube = try losses(
            of: PoissonOnCube(),
            at: [("poisson", cloud(30, 5, on: Array(repeating: 0...1, count: 5))), ("boundary", shell(5, on: 0...1))])
        expect(cube, [242.25492517714298, 6.374500119698916])
        let sines = try losses(
            of: PoissonOnCube(solution: .sines), at: [("poisson", cloud(30, 5, on: Array(repeating: 0...1, count: 5)))])
        expect([sines[0]], [54.13934599882121])
    }

    @Test func helmholtz() throws {
        let terms = try losses(
            of: Helmholtz(),
            at: [("helmholtz", cloud(30, 2, on: [-1...1, -1...1])), ("boundary", shell(2, on: -1...1))])
        expect(terms, [6089.280544034182, 6.239591810682282])
        let hard = try losses(of: Helmholtz(enforcement: .hard), at: [("helmholtz", cloud(30, 2, on: [-1...1, -1...1]))])
        expect(hard, [6122.225983449547])
    }

    @Test func allenCahn() throws {
        let times = cloud(10, 1, on: [0...1]).map { $0[0] }
        let terms = try losses(
            of: AllenCahn(),
            at: [
                ("allen-cahn", cloud(30, 2, on: [0...1, -1...1])),
                ("initial", cloud(12, 2, on: [0...1, -1...1]).map { [0, $0[1]] }),
                ("periodic(x)", times.map { [$0, -1] }),
            ])
        expect(terms, [5601.499173833773, 5.6490786876347885, 0.21305323023937128])
        let hard = try losses(
            of: AllenCahn(enforcement: .hard),
            at: [("allen-cahn", cloud(30, 2, on: [0...1, -1...1])), ("periodic(x)", times.map { [$0, -1] })])
        expect(hard, [1808.6052733375327, 14.794159826347387])
    }

    /// The cloud of the start and that of the times, on x of `range`.
    private func start(on range: ClosedRange<Double>) -> [[Double]] { cloud(12, 2, on: [0...1, range]).map { [0, $0[1]] } }
    private var times: [Double] { cloud(10, 1, on: [0...1]).map { $0[0] } }

    @Test func convection() throws {
        let range = 0...(2 * Double.pi)
        let interior = (term: "convection", points: cloud(30, 2, on: [0...1, range]))
        let terms = try losses(
            of: Convection(), at: [interior, ("initial", start(on: range)), ("periodic(x)", times.map { [$0, 0] })])
        expect(terms, [292.3133361665106, 3.0814689858815463, 3.7187834875927686])
        expect(try losses(of: Convection(enforcement: .hard), at: [interior]), [657.4473518091927])
    }

    @Test func reaction() throws {
        let range = 0...(2 * Double.pi)
        let interior = (term: "reaction", points: cloud(30, 2, on: [0...1, range]))
        let pairs = (term: "periodic(x)", points: times.map { [$0, 0] })
        let soft = try losses(of: Reaction(), at: [interior, ("initial", start(on: range)), pairs])
        expect(soft, [528.6528714365937, 2.5262348731658784, 3.7187834875927686])
        expect(try losses(of: Reaction(enforcement: .hard), at: [interior, pairs]), [93.67146866576032, 1.0498819091410592])
    }

    @Test func wave() throws {
        let interior = (term: "wave", points: cloud(30, 2, on: [0...1, 0...1]))
        let walls = times.enumerated().map { i, t in [t, Double(i % 2)] }
        let soft = try losses(
            of: Wave(),
            at: [interior, ("initial", start(on: 0...1)), ("initial-rate", start(on: 0...1)), ("boundary", walls)])
        expect(soft, [1.4446538508286275, 10.113855602714766, 0.04741565895279376, 6.351065214667958])
        expect(try losses(of: Wave(enforcement: .hard), at: [interior]), [120972.73342074473])
    }
}
