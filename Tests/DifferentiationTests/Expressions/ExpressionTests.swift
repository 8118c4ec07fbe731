import Differentiation
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

private let timeSpace = Axes(["t", "x"], time: "t")

/// Rounding of some 50 operations on numbers of moderate size, whose slopes amplify it by a few orders at most.
private func agree(_ a: Double, _ b: Double, scale: Double = 1) -> Bool { abs(a - b) <= 1e-11 * (scale + abs(b)) }

/// Fields with known derivatives of every order: u_f = A_f exp(a_f·(t, x)).
private struct ExponentialFields {
    var amplitude = [0.7, -0.4]
    var rates = [[0.6, -0.8], [-0.5, 0.9]]

    func value(_ channel: Channel, _ x: [Double]) -> Double {
        let a = rates[channel.field]
        var v = amplitude[channel.field] * exp(a[0] * x[0] + a[1] * x[1])
        for (axis, order) in channel.derivative.orders.enumerated() { for _ in 0..<order { v *= a[axis] } }
        return v
    }
}

@Suite struct ExpressionTests {
    @Test(arguments: 0..<60) func totalDerivativesOfRandomExpressions(seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed))
        let (i, j) = (Int(random.next() % 2), Int(random.next() % 2))
        var meaning: ((_ leaf: (RandomExpression.Leaf) -> HyperDual) -> HyperDual)?
        let trace = try Trace.run(axes: timeSpace, fields: 2) { u, p in
            let e = RandomExpression(depth: 4, u: u, p: p, withData: false, random: &random)
            meaning = e.meaning
            return [
                Residual("value", e.expression), Residual("first", e.expression.d(i)), Residual("second", e.expression.d(i, j)),
            ]
        }
        let (f, fields) = (CompiledResidual(trace, collapsingOperators: false), ExponentialFields())
        let points = (0..<5).map { _ in [random.uniform(), random.uniform()] }
        let result = Evaluated(
            f, order: 0, inputs: f.channels.map { c in points.map { fields.value(c, $0) } },
            coordinates: (0..<2).map { axis in points.map { $0[axis] } })
        let expected = try #require(meaning)
        for (n, x) in points.enumerated() {
            let answer = expected { leaf in
                switch leaf {
                case .coordinate(let axis): HyperDual(x[axis], axis == i ? 1 : 0, axis == j ? 1 : 0, 0)
                case .field(let c):
                    HyperDual(
                        fields.value(c, x),
                        fields.value(Channel(field: c.field, derivative: c.derivative.raised(along: i)), x),
                        fields.value(Channel(field: c.field, derivative: c.derivative.raised(along: j)), x),
                        fields.value(Channel(field: c.field, derivative: c.derivative.raised(along: i).raised(along: j)), x))
                case .datum: HyperDual(.nan)
                }
            }
            #expect(agree(result.residuals[0][n], answer.value))
            #expect(agree(result.residuals[1][n], answer.first, scale: abs(answer.value)))
            #expect(agree(result.residuals[2][n], answer.mixed, scale: abs(answer.value) + abs(answer.first)))
        }
    }

    @Test(arguments: 0..<60) func partialsOfRandomExpressions(seed: Int) throws {
        var random = SplitMix(seed: 1000 + UInt64(seed))
        var meaning: ((_ leaf: (RandomExpression.Leaf) -> HyperDual) -> HyperDual)?
        let f = try Trace.run(axes: timeSpace, fields: 2, data: ["g"]) { u, p in
            let e = RandomExpression(depth: 4, u: u, p: p, withData: true, random: &random)
            meaning = e.meaning
            return [Residual("a", e.expression), Residual("b", 2 * e.expression + u[0].x * u[0].x)]
        }.compiled
        let points = 4
        func columns(_ n: Int) -> [[Double]] { (0..<n).map { _ in (0..<points).map { _ in random.uniform() } } }
        let (z, x, g) = (columns(f.channels.count), columns(2), columns(1))
        let result = Evaluated(f, order: 2, inputs: z, coordinates: x, data: g)
        let valuesAlone = Evaluated(f, order: 0, inputs: z, coordinates: x, data: g)
        #expect(valuesAlone.residuals == result.residuals)
        let expected = try #require(meaning)
        let ux = Channel(field: 0, derivative: MultiIndex([0, 1]))
        for n in 0..<points {
            for i in f.channels.indices {
                for j in i..<f.channels.count {
                    func seeded(_ c: Channel) -> HyperDual {
                        guard let k = f.channels.firstIndex(of: c) else { return HyperDual(0) }
                        return HyperDual(z[k][n], k == i ? 1 : 0, k == j ? 1 : 0, 0)
                    }
                    let a = expected { leaf in
                        switch leaf {
                        case .field(let c): seeded(c)
                        case .coordinate(let axis): HyperDual(x[axis][n])
                        case .datum: HyperDual(g[0][n])
                        }
                    }
                    let answers = [a, a + a + seeded(ux) * seeded(ux)]
                    for (k, answer) in answers.enumerated() {
                        #expect(agree(result.residuals[k][n], answer.value))
                        let first = f.partials.firstIndex { $0.residual == k && $0.input == i }.map { result.partials[$0][n] } ?? 0
                        #expect(agree(first, answer.first, scale: abs(answer.value)))
                        let second =
                            f.secondPartials.firstIndex { $0.residual == k && $0.first == i && $0.second == j }
                            .map { result.secondPartials[$0][n] } ?? 0
                        #expect(agree(second, answer.mixed, scale: abs(answer.value) + abs(answer.first)))
                    }
                }
            }
        }
    }

    @Test func aPointDoesNotDependOnItsBlock() throws {
        let f = try Trace.run(axes: timeSpace, fields: 2) { u, p in
            [Residual("r", u[0].t + u[0] * u[1].x - exp(p.x) * tanh(u[1].xx) / 3)]
        }.compiled
        var random = SplitMix(seed: 5)
        let z = f.channels.map { _ in (0..<37).map { _ in random.uniform() } }
        let x = (0..<2).map { _ in (0..<37).map { _ in random.uniform() } }
        let whole = Evaluated(f, order: 2, inputs: z, coordinates: x)
        for n in 0..<37 {
            let one = Evaluated(f, order: 2, inputs: z.map { [$0[n]] }, coordinates: x.map { [$0[n]] })
            #expect(one.residuals.map { $0[0] } == whole.residuals.map { $0[n] })
            #expect(one.partials.map { $0[0] } == whole.partials.map { $0[n] })
            #expect(one.secondPartials.map { $0[0] } == whole.secondPartials.map { $0[n] })
        }
    }
}

@Suite struct TraceTests {
    private func channel(_ field: Int, _ t: UInt8, _ x: UInt8) -> Channel { Channel(field: field, derivative: MultiIndex([t, x])) }

    @Test func burgersAsksForFourChannels() throws {
        let f = try Trace.run(axes: timeSpace, fields: 1) { u, _ in
            let u = u[0]
            return [Residual("burgers", u.t + u * u.x - 0.01 / .pi * u.xx)]
        }.compiled
        #expect(f.channels == [channel(0, 0, 0), channel(0, 1, 0), channel(0, 0, 1), channel(0, 0, 2)])
        #expect(f.partials.map(\.input) == [0, 1, 2, 3])
        #expect(f.secondPartials.map { [$0.first, $0.second] } == [[0, 2]])
        let result = Evaluated(f, order: 2, inputs: [[2], [3], [5], [7]], coordinates: [[0], [0]])
        let ν: Double = 0.01 / .pi
        let expected: Double = 13 - ν * 7
        #expect(result.residuals == [[expected]])
        #expect(result.partials == [[5], [1], [2], [-ν]])
        #expect(result.secondPartials == [[1]])
    }

    @Test func conservativeFormIsTheSameFunction() throws {
        let f = try Trace.run(axes: timeSpace, fields: 1) { u, _ in
            [Residual("flux", (u[0] * u[0] / 2).x), Residual("advective", u[0] * u[0].x)]
        }.compiled
        let result = Evaluated(f, order: 0, inputs: [[1.25, -0.5], [3, 0.75]], coordinates: [[0, 0], [0, 0]])
        #expect(result.residuals[0] == result.residuals[1])
    }

    @Test func navierStokesInThreeFields() throws {
        let axes = Axes(["t", "x", "y"], time: "t")
        let ν = 0.01
        let f = try Trace.run(axes: axes, fields: 3) { u, _ in
            let (u, v, p) = (u[0], u[1], u[2])
            return [
                Residual("x-momentum", u.t + u * u.x + v * u.y + p.x - ν * (u.xx + u.yy)),
                Residual("y-momentum", v.t + u * v.x + v * v.y + p.y - ν * v.laplacian),
                Residual("continuity", u.x + v.y),
            ]
        }.compiled
        // Values and first derivatives of u and v, the gradient of p, and one Laplacian each of u and v.
        #expect(f.channels.count == 12 && f.channels.count { $0.contraction != nil } == 2)
        #expect(f.residualCount == 3)
        // u·u_x, v·u_y; u·v_x, v·v_y.
        #expect(f.secondPartials.count == 4)
        #expect(f.partials.filter { $0.residual == 2 }.count == 2)
    }

    @Test func kuramotoSivashinskyAndManyDimensions() throws {
        let f = try Trace.run(axes: timeSpace, fields: 1) { u, _ in
            let u = u[0]
            return [Residual("ks", u.t + 6.25 * u * u.x + 0.39 * u.xx + 0.02 * u.xxxx)]
        }.compiled
        #expect(f.channels.last == channel(0, 0, 4))
        let axes = Axes((1...100).map { "x\($0)" })
        let trace = try Trace.run(axes: axes, fields: 1) { u, p in
            [Residual("Δu", u[0].laplacian + u[0].d(0, 3) + u[0].d("x100", "x7") - p["x5"] + u[0].gradient[99])]
        }
        // One operator of 102 derivatives, and the gradient's last component.
        #expect(trace.compiled.channels.count == 2)
        let laplace = CompiledResidual(trace, collapsingOperators: false)
        #expect(laplace.channels.count == 103)
        #expect(laplace.channels.contains(Channel(field: 0, derivative: .along(3, dimension: 100).raised(along: 0))))
        #expect(laplace.channels.contains(Channel(field: 0, derivative: .along(6, dimension: 100).raised(along: 99))))
    }

    @Test func sharedSubexpressionsAreEvaluatedOnce() throws {
        let once = try Trace.run(axes: timeSpace, fields: 1) { u, _ in [Residual("a", sin(u[0] * u[0]))] }.compiled
        let twice = try Trace.run(axes: timeSpace, fields: 1) { u, _ in
            [Residual("a", sin(u[0] * u[0])), Residual("b", 1 * sin(u[0] * u[0] + 0) - 0 * u[0])]
        }.compiled
        #expect(once.instructionCount(order: 0) == 2)
        // The second residual is a copy of the first.
        #expect(twice.instructionCount(order: 0) == 3)
    }

    @Test func normalsAndDataAreLeaves() throws {
        let trace = try Trace.run(axes: Axes(["x", "y"]), fields: 1, data: ["flux"], withNormal: true) { u, p in
            let (n, slope) = (p.normal, u[0].gradient)
            return [Residual("neumann", n[0] * slope[0] + n[1] * slope[1] - p.data("flux"))]
        }
        #expect(trace.data == ["flux", "normal.x", "normal.y"])
        let result = Evaluated(
            trace.compiled, order: 1, inputs: [[3], [4]], coordinates: [[0], [0]], data: [[0.5], [0.6], [0.8]])
        #expect(result.residuals == [[3 * 0.6 + 4 * 0.8 - 0.5]])
        #expect(result.partials == [[0.6], [0.8]])
    }

    /// What is wrong is thrown as an error that names the residual and what to write instead, never a trap.
    @Test func mistakesAreThrown() {
        func message(_ body: @escaping (Fields, Point) -> [Residual]) -> String {
            do {
                _ = try Trace.run(axes: timeSpace, fields: 1, body)
                return "nothing was thrown"
            } catch {
                return "\(error)"
            }
        }
        #expect(message { u, _ in [Residual("r", u[0].t + u[0].yy)] }.contains("residual 'r': '.yy'"))
        #expect(message { u, _ in [Residual("r", u[0].yy)] }.contains("its axes are t, x"))
        #expect(message { u, _ in [Residual("r", 0 * u[0].y)] }.contains("no axis 'y'"))
        #expect(message { _, p in [Residual("r", p.z)] }.contains("no axis 'z'"))
        #expect(message { u, _ in [Residual("r", u[0].d(2))] }.contains("coordinate 2"))
        #expect(message { u, _ in [Residual("r", u[1])] }.contains("field 1"))
        #expect(message { _, p in [Residual("r", p.data("g"))] }.contains("'g'"))
        #expect(message { _, p in [Residual("r", p.normal[0])] }.contains("boundary"))
        #expect(message { _, _ in [] } == "no residual was written")
        #expect(message { u, _ in [Residual("r", u[0]), Residual("r", u[0])] }.contains("two residuals"))
        let derivativeOfData = #expect(throws: TraceError.self) {
            try Trace.run(axes: timeSpace, fields: 1, data: ["g"]) { u, p in [Residual("r", (u[0] * p.data("g")).x)] }
        }
        #expect(derivativeOfData?.description.contains("datum") == true)
    }
}
