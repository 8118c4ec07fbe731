import Differentiation
import LinearAlgebra

/// A loss as its formula: networks written out, coordinate derivatives by nested dual numbers, residuals monomial by monomial.
///
/// Whatever a program makes of it follows in a few lines, by dual numbers again: J·v as r's tangent in θ along v, H·v as the mixed
/// coefficient of L along two directions. Over ``Rounded`` every result brings the bound of its rounding.
struct WrittenProgram: Sendable {
    struct Term: Sendable {
        var residual: PolynomialResidual
        var points: [[Double]]
        var data: [[Double]] = []
        var scale: Double
        var count: Int { points[0].count }
    }

    let network: WrittenNetwork
    /// How many trained numbers follow the network's parameters.
    var scalars = 0
    let terms: [Term]

    /// The engine's program of the same loss, its residuals being the terms' or others in their place.
    func program(_ options: ProgramOptions = ProgramOptions(), functions: [any PointwiseFunction]? = nil) -> Program {
        let network = scalars > 0 ? network.network.adding(scalars: (0..<scalars).map { "c\($0)" }) : network.network
        return Program(
            network: network,
            terms: terms.enumerated().map { t, term in
                ProgramTerm(
                    name: "term \(t)", function: functions?[t] ?? term.residual, points: term.points, data: term.data, scale: term.scale)
            }, options: options)
    }

    // MARK: Coordinate derivatives

    /// What is read off the network.
    enum Quantity {
        case field(Int)
        /// An input of the dense map whose weights begin at `offset`.
        case input(offset: Int, Int)
    }

    /// ε·Π(xᵢ − oᵢ)^αᵢ/c, added to a unit of a dense map: at x = o the channel ∂^α of the map's jet alone is moved, by ε·α!/c.
    struct Bump<S: Number> {
        var offset: Int
        var unit: Int
        var origin: [Double]
        var powers: [Int]
        var divisor: Double
        var size: S
        /// Which point of the tuple sees it.
        var point: Int

        var lifted: Bump<Dual<S>> {
            Bump<Dual<S>>(
                offset: offset, unit: unit, origin: origin, powers: powers, divisor: divisor, size: Dual(size, S(0)), point: point)
        }

        func amount(at x: [S]) -> S {
            var product = size * S(1 / divisor)
            for (i, power) in powers.enumerated() { for _ in 0..<power { product = product * (x[i] - S(origin[i])) } }
            return product
        }
    }

    private func read<S: Number>(_ quantity: Quantity, _ x: [S], _ θ: [S], _ bump: Bump<S>?) -> S {
        var probe = Probe<S>()
        if let bump { probe.bump = (bump.offset, bump.unit, bump.amount(at: x)) }
        let fields = network.values(at: x, θ, &probe)
        switch quantity {
        case .field(let field): return fields[field]
        case .input(let offset, let i):
            guard let map = probe.maps.first(where: { $0.offset == offset }) else { return S(.nan) }
            return map.input[i]
        }
    }

    private func lifted<S: Number>(_ x: [S], along direction: [Double]) -> [Dual<S>] { zip(x, direction).map { Dual($0, S($1)) } }
    private func lifted<S: Number>(_ θ: [S]) -> [Dual<S>] { θ.map { Dual($0, S(0)) } }

    private func first<S: Number>(_ q: Quantity, _ d: ArraySlice<[Double]>, _ x: [S], _ θ: [S], _ bump: Bump<S>?) -> S {
        read(q, lifted(x, along: d[d.startIndex]), lifted(θ), bump?.lifted).tangent
    }
    private func second<S: Number>(_ q: Quantity, _ d: ArraySlice<[Double]>, _ x: [S], _ θ: [S], _ bump: Bump<S>?) -> S {
        first(q, d.dropFirst(), lifted(x, along: d[d.startIndex]), lifted(θ), bump?.lifted).tangent
    }
    private func third<S: Number>(_ q: Quantity, _ d: ArraySlice<[Double]>, _ x: [S], _ θ: [S], _ bump: Bump<S>?) -> S {
        second(q, d.dropFirst(), lifted(x, along: d[d.startIndex]), lifted(θ), bump?.lifted).tangent
    }
    private func fourth<S: Number>(_ q: Quantity, _ d: ArraySlice<[Double]>, _ x: [S], _ θ: [S], _ bump: Bump<S>?) -> S {
        third(q, d.dropFirst(), lifted(x, along: d[d.startIndex]), lifted(θ), bump?.lifted).tangent
    }

    /// D_{d₁}…D_{dₙ} of a quantity at x, n ≤ 4: as many levels of dual numbers as there are directions.
    func derivative<S: Number>(
        of quantity: Quantity, along directions: [[Double]], at point: [Double], _ θ: [S], _ bump: Bump<S>? = nil
    ) -> S {
        let (x, d) = (point.map { S($0) }, directions[...])
        switch directions.count {
        case 0: return read(quantity, x, θ, bump)
        case 1: return first(quantity, d, x, θ, bump)
        case 2: return second(quantity, d, x, θ, bump)
        case 3: return third(quantity, d, x, θ, bump)
        case 4: return fourth(quantity, d, x, θ, bump)
        default: return S(.nan)
        }
    }

    private func axes(_ index: MultiIndex) -> [[Double]] {
        index.orders.enumerated().flatMap { i, n in
            Array(repeating: (0..<index.dimension).map { $0 == i ? 1 : 0 }, count: Int(n))
        }
    }

    /// A channel's derivative of a quantity at point `channel.point` of a tuple.
    func value<S: Number>(
        of channel: Channel, _ quantity: Quantity, in term: Term, at tuple: Int, _ θ: [S], _ bump: Bump<S>? = nil
    ) -> S {
        let d = network.dimension
        let point = (0..<d).map { term.points[channel.point * d + $0][tuple] }
        let bump = bump?.point == channel.point ? bump : nil
        func at(_ index: MultiIndex) -> S { derivative(of: quantity, along: axes(index), at: point, θ, bump) }
        guard let contraction = channel.contraction else { return at(channel.derivative) }
        return contraction.entries.reduce(S(0)) { sum, entry in
            sum + coefficient(entry.coefficient, in: term, at: tuple)
                * at(MultiIndex.along(entry.first, dimension: d).raised(along: entry.second))
        }
    }

    /// A factor of an operator as a number.
    func coefficient<S: Number>(_ coefficient: SecondOrderOperator.Coefficient, in term: Term, at tuple: Int) -> S {
        switch coefficient {
        case .constant(let a): S(a)
        case .pointwise(let k): term.residual.factor(k, at: term.points.map { $0[tuple] }, data: term.data.map { $0[tuple] })
        }
    }

    // MARK: Residuals and what follows

    /// s·rₖ of a term at one of its tuples.
    func residuals<S: Number>(of term: Term, at tuple: Int, _ θ: [S], _ bump: Bump<S>? = nil) -> [S] {
        let channels = term.residual.channels.map { value(of: $0, .field($0.field), in: term, at: tuple, θ, bump) }
        let trained = term.residual.scalars.map { θ[network.network.parameterCount + $0] }
        return term.residual.values(channels + trained, at: term.points.map { $0[tuple] }, data: term.data.map { $0[tuple] })
            .map { S(term.scale) * $0 }
    }

    /// r(θ), in the engine's order.
    func residuals<S: Number>(_ θ: [S]) -> [S] {
        terms.flatMap { term in
            let byTuple = (0..<term.count).map { residuals(of: term, at: $0, θ) }
            return (0..<term.residual.residualCount).flatMap { k in byTuple.map { $0[k] } }
        }
    }

    /// J column by column.
    func jacobian<S: Number>(_ θ: [S]) -> [[S]] {
        θ.indices.map { p in
            let seeded: [Dual<S>] = θ.indices.map { Dual(θ[$0], S($0 == p ? 1 : 0)) }
            return residuals(seeded).map { $0.tangent }
        }
    }

    /// (H·v)ₚ = ∂²L/∂θₚ∂v.
    func hessianTimes<S: Number>(_ v: Vector, row p: Int, _ θ: [S]) -> S {
        let seeded: [Dual<Dual<S>>] = θ.indices.map { i in
            Dual(Dual(θ[i], S(v[i])), Dual(S(i == p ? 1 : 0), S(0)))
        }
        var sum = S(0)
        for r in residuals(seeded) {
            // ½r² has the mixed coefficient r·r_vp + r_v·r_p.
            sum = sum + r.value.value * r.tangent.tangent
            sum = sum + r.value.tangent * r.tangent.value
        }
        return sum
    }

    // MARK: Kronecker factors

    /// A and B of a dense map for a term, entry by entry, from x and g = s·∂r/∂z of every channel of every point.
    struct Factors<S: Number> {
        var offset: Int
        var channels: Int
        var input: [[S]]
        var output: [[S]]
    }

    /// The channels of a term's jets, at one point of a tuple: everything below what the residual reads, and its operators.
    private func closure(_ term: Term) -> [Channel] {
        let d = network.dimension
        var derivatives: Set<MultiIndex> = [.value(dimension: d)]
        var operators = Set<SecondOrderOperator>()
        for channel in term.residual.channels {
            if let contraction = channel.contraction {
                operators.insert(contraction)
                for entry in contraction.entries { for i in [entry.first, entry.second] { derivatives.insert(.along(i, dimension: d)) } }
            }
            let highest = channel.derivative.orders
            func below(_ i: Int, _ orders: [UInt8]) {
                guard i < d else {
                    derivatives.insert(MultiIndex(orders))
                    return
                }
                for n in 0...highest[i] { below(i + 1, orders + [n]) }
            }
            below(0, [])
        }
        return derivatives.map { Channel(field: 0, derivative: $0) }
            + operators.map { Channel(field: 0, contraction: $0, dimension: d) }
    }

    /// Of a term that reads one operator at most, and with an operator no single second derivative: a polynomial moves one of its channels
    /// and leaves the others.
    func factors<S: Number>(ofTerm t: Int, _ θ: [S]) -> [Factors<S>] {
        let (term, d) = (terms[t], network.dimension)
        let channels = closure(term)
        var probe = Probe<S>()
        _ = network.values(at: Array(repeating: S(0.5), count: d), θ, &probe)
        let lifted = θ.map { Dual($0, S(0)) }
        return probe.maps.map { map in
            let (inputs, side) = (map.input.count, map.input.count + (map.hasBias ? 1 : 0))
            var a = Array(repeating: Array(repeating: S(0), count: side), count: side)
            var b = Array(repeating: Array(repeating: S(0), count: map.outputs), count: map.outputs)
            for tuple in 0..<term.count {
                for point in 0..<term.residual.arity {
                    for channel in channels {
                        let here = Channel(moving: channel, to: point, dimension: d)
                        var x = (0..<inputs).map { value(of: here, .input(offset: map.offset, $0), in: term, at: tuple, θ) }
                        if map.hasBias { x.append(S(channel.order == 0 ? 1 : 0)) }
                        for i in 0..<side { for j in 0..<side { a[i][j] = a[i][j] + x[i] * x[j] } }
                        let bump = self.bump(of: here, map.offset, in: term, at: tuple, S(1))
                        let g = (0..<map.outputs).map { unit in
                            var own = bump
                            own.unit = unit
                            return residuals(of: term, at: tuple, lifted, own).map(\.tangent)
                        }
                        for k in 0..<term.residual.residualCount {
                            for i in 0..<map.outputs { for j in 0..<map.outputs { b[i][j] = b[i][j] + g[i][k] * g[j][k] } }
                        }
                    }
                }
            }
            return Factors(offset: map.offset, channels: channels.count * term.residual.arity, input: a, output: b)
        }
    }

    /// What moves one channel by ε.
    private func bump<S: Number>(of channel: Channel, _ offset: Int, in term: Term, at tuple: Int, _ one: S) -> Bump<Dual<S>> {
        let d = network.dimension
        var powers = channel.derivative.orders.map { Int($0) }
        var divisor = powers.reduce(1.0) { product, n in n < 2 ? product : (2...n).reduce(product) { $0 * Double($1) } }
        if let entry = channel.contraction?.entries.first {
            powers = (0..<d).map { ($0 == entry.first ? 1 : 0) + ($0 == entry.second ? 1 : 0) }
            let a: Double = coefficient(entry.coefficient, in: term, at: tuple)
            divisor = entry.first == entry.second ? 2 * a : a
        }
        return Bump(
            offset: offset, unit: 0, origin: (0..<d).map { term.points[channel.point * d + $0][tuple] }, powers: powers, divisor: divisor,
            size: Dual(S(0), one), point: channel.point)
    }
}

extension Channel {
    /// The same of another point of the tuple.
    fileprivate init(moving channel: Channel, to point: Int, dimension: Int) {
        if let contraction = channel.contraction {
            self.init(field: channel.field, contraction: contraction, dimension: dimension, point: point)
        } else {
            self.init(field: channel.field, derivative: channel.derivative, point: point)
        }
    }
}

extension PolynomialResidual {
    /// The residuals at a point from the inputs' values.
    func values<S: Number>(_ z: [S], at point: [Double], data: [Double]) -> [S] {
        (0..<residualCount).map { k in
            monomials.filter { $0.residual == k }.reduce(S(0)) { sum, m in
                var product = S(m.coefficient)
                if let c = m.coordinate { product = product * S(point[c]) }
                if let d = m.data { product = product * S(data[d]) }
                for input in m.factors { product = product * z[input] }
                return sum + product
            }
        }
    }

    /// The pointwise factor k of operators, as `evaluateCoefficients` has it.
    func factor<S: Number>(_ k: Int, at point: [Double], data: [Double]) -> S {
        S(1.5) + S(point[0]) - S(Double(k) / 4) + S(data.first.map { $0 / 8 } ?? 0)
    }
}
