import Differentiation
import LinearAlgebra
import Testing

/// Sums of second derivatives that become one channel, tuples of points, trained numbers and stopped gradients.
@Suite struct CollapseTests {
    private let plane = Axes(["x", "y"])

    /// The same residual with and without operators, on one network: loss, gradient and H·v agree to rounding.
    private func agrees(
        _ axes: Axes, fields: Int = 1, trainables: [String] = [], channels: Int,
        _ body: (Fields, Point) throws -> [Residual]
    ) throws -> Bool {
        let trace = try Trace.run(axes: axes, fields: fields, data: ["k"], trainables: trainables, body)
        let (collapsed, plain) = (CompiledResidual(trace), CompiledResidual(trace, collapsingOperators: false))
        var rng = Seeded(17)
        let dense = DenseNetwork(inputs: axes.count, hidden: [9, 7], outputs: fields, activation: .tanh)
        let network = Network(dense).adding(scalars: trainables)
        let θ = Vector(parameters(of: dense, using: &rng).elements + rng.vector(trainables.count).elements)
        let (points, data) = (rng.columns(axes.count, of: 30), rng.columns(1, of: 30))
        let programs = [collapsed, plain].map {
            Program(network: network, terms: [ProgramTerm(name: "r", function: $0, points: points, data: data, scale: 0.2)])
        }
        let values = programs.map { $0.lossAndGradient(at: θ) }
        let v = rng.vector(network.parameterCount)
        let curvatures = programs.map { $0.hessian(at: θ).times(v) }
        let close = { (a: Vector, b: Vector) in (a - b).norm <= 1e-11 * b.norm }
        return programs[0].channelCounts == [channels] && programs[1].channelCounts[0] > channels
            && abs(values[0].loss - values[1].loss) <= 1e-12 * values[1].loss && close(values[0].gradient, values[1].gradient)
            && close(curvatures[0], curvatures[1])
    }

    @Test func constantFactors() throws {
        #expect(try agrees(plane, channels: 4) { u, p in [Residual("poisson", u[0].laplacian + sin(p.x))] })
        #expect(try agrees(plane, channels: 4) { u, _ in [Residual("mixed", 2 * u[0].xx - 0.5 * u[0].xy + u[0] * u[0].x)] })
        // Not linear in the sum, and read by two residuals.
        #expect(
            try agrees(plane, channels: 4) { u, _ in
                let Δ = u[0].xx + u[0].yy
                return [Residual("square", exp(0.1 * Δ) - u[0]), Residual("sine", sin(Δ) * u[0].x)]
            })
        let axes = Axes(["t", "x", "y"], time: "t")
        #expect(
            try agrees(axes, fields: 2, channels: 5) { u, _ in
                [
                    Residual("u", u[0].t + u[0] * u[0].x - 0.01 * u[0].laplacian),
                    Residual("v", u[1].t + u[0] * u[1].y - 0.03 * u[1].laplacian),
                ]
            })
    }

    @Test func pointwiseFactors() throws {
        #expect(
            try agrees(plane, channels: 4) { u, p in
                [Residual("div", (1 + p.x * p.x) * u[0].xx + p.data("k") * u[0].xy + u[0].yy + 2 * p.x * u[0].x)]
            })
        #expect(try agrees(plane, channels: 4) { u, p in [Residual("a", u[0] * (p.x * u[0].xx - 3 * p.x * u[0].yy))] })
        // A hard condition makes the factor of every derivative the same function of the point.
        #expect(
            try agrees(plane, channels: 4) { u, p in
                let hard = Fields(of: u, at: p) { u, p in [p.x * (1 - p.x) * u[0]] }
                return [Residual("hard", hard[0].laplacian + 1)]
            })
    }

    /// Where derivatives are needed one by one, they stay.
    @Test func whatStays() throws {
        func channels(_ body: (Fields, Point) throws -> [Residual]) throws -> [Channel] {
            try Trace.run(axes: plane, fields: 1, body).compiled.channels
        }
        let separate = try channels { u, _ in [Residual("product", u[0].xx * u[0].yy)] }
        #expect(separate.allSatisfy { $0.contraction == nil } && separate.count == 2)
        let twice = try channels { u, _ in [Residual("a", u[0].laplacian), Residual("b", u[0].xx)] }
        #expect(twice.allSatisfy { $0.contraction == nil })
        let fourth = try channels { u, _ in [Residual("biharmonic", u[0].laplacian.laplacian + u[0].laplacian)] }
        #expect(fourth.allSatisfy { $0.contraction == nil })
        let pointwise = try channels { u, p in [Residual("nonlinear", sin(p.x * u[0].xx + p.y * u[0].yy))] }
        #expect(pointwise.allSatisfy { $0.contraction == nil })
    }

    @Test func trainedNumbers() throws {
        let body: (Fields, Point) throws -> [Residual] = { u, p in
            [Residual("r", u[0].x * p.trainable("a") - p.trainable("b") * p.trainable("b") * u[0].laplacian)]
        }
        let residual = try Trace.run(axes: plane, fields: 1, trainables: ["a", "b"], body).compiled
        #expect(residual.scalars == [0, 1])
        #expect(residual.partials.contains { $0.input == residual.channels.count })
        #expect(try agrees(plane, trainables: ["a", "b"], channels: 4, body))
        let unknown = #expect(throws: TraceError.self) {
            try Trace.run(axes: plane, fields: 1, trainables: ["a"]) { _, p in [Residual("r", p.trainable("c"))] }
        }
        #expect(unknown?.description.contains("'c'") == true)
    }

    /// ∂/∂θ of stopGradient(a)·b is a·∂b: the partials by a's channels are gone, the value and coordinate derivatives are not.
    @Test func stoppedGradients() throws {
        let residual = try Trace.run(axes: plane, fields: 1) { u, _ in
            [Residual("r", stopGradient(u[0] * u[0]) * u[0].x), Residual("s", stopGradient(u[0] * u[0]).x)]
        }.compiled
        let result = Evaluated(residual, order: 2, inputs: [[3], [2]], coordinates: [[0], [0]])
        #expect(result.residuals == [[18], [12]])
        #expect(residual.partials.map(\.input) == [1] && result.partials == [[9]])
        #expect(residual.secondPartials.isEmpty)
    }

    /// u(x₀) − u(x₁) and its derivative, over pairs of points.
    @Test func pairedPoints() throws {
        let residual = try Trace.run(axes: plane, fields: 1, points: 2) { u, p in
            [
                Residual("periodic", u[0] - u.at(1)[0]), Residual("slope", u[0].x - u.at(1)[0].x + 0 * p.y),
                Residual("jump", p.x * u.at(1)[0] - p.at(1).x * u[0]),
            ]
        }.compiled
        #expect(residual.arity == 2 && residual.channels.count == 4)
        var rng = Seeded(4)
        let dense = DenseNetwork(inputs: 2, hidden: [8, 8], outputs: 1, activation: .sin)
        let θ = parameters(of: dense, using: &rng)
        let points = rng.columns(4, of: 21)
        let program = Program(
            network: dense, terms: [ProgramTerm(name: "pairs", function: residual, points: points, scale: 1)])
        let r = program.residuals(at: θ).elements
        let slope = Channel(field: 0, derivative: .along(0, dimension: 2))
        let value = Channel(field: 0, derivative: .value(dimension: 2))
        let first = program.outputs([value, slope], at: Array(points[0..<2]), parameters: θ)
        let second = program.outputs([value, slope], at: Array(points[2..<4]), parameters: θ)
        for i in 0..<21 {
            #expect(abs(r[i] - (first[0][i] - second[0][i])) <= 1e-14)
            #expect(abs(r[21 + i] - (first[1][i] - second[1][i])) <= 1e-14)
            #expect(abs(r[42 + i] - (points[0][i] * second[0][i] - points[2][i] * first[0][i])) <= 1e-14)
        }
        let mixed = #expect(throws: TraceError.self) {
            try Trace.run(axes: plane, fields: 1, points: 2) { u, _ in [Residual("r", (u[0] * u.at(1)[0]).x)] }
        }
        #expect(mixed?.description.contains("several points") == true)
    }
}
