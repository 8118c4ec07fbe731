import Differentiation
import LinearAlgebra
import Testing

/// A small generator with a fixed sequence (SplitMix64).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678 }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func uniform(_ range: ClosedRange<Double> = -1...1) -> Double { Double.random(in: range, using: &self) }
    mutating func vector(_ count: Int) -> Vector { Vector((0..<count).map { _ in uniform() }) }
    mutating func columns(_ columns: Int, of count: Int) -> [[Double]] { (0..<columns).map { _ in (0..<count).map { _ in uniform() } } }
}

/// rₖ = Σ c·(a coordinate)·(a column of data)·Π zᵢ: a polynomial in the channels, evaluated point by point in the plainest way.
struct PolynomialResidual: PointwiseFunction {
    struct Monomial {
        var residual: Int
        var coefficient: Double
        var coordinate: Int?
        var data: Int?
        /// Inputs, repeated as often as their power.
        var factors: [Int]
    }

    let channels: [Channel]
    let scalars: [Int]
    let dimension: Int
    let arity: Int
    let residualCount: Int
    let dataCount: Int
    let coefficientCount: Int
    let monomials: [Monomial]
    let partials: [(residual: Int, input: Int)]
    let secondPartials: [(residual: Int, first: Int, second: Int)]
    let scratchCount = 1

    init(
        channels: [Channel], scalars: [Int] = [], dimension: Int, arity: Int = 1, residualCount: Int, dataCount: Int,
        coefficientCount: Int = 0, monomials: [Monomial]
    ) {
        (self.channels, self.scalars, self.dimension, self.arity) = (channels, scalars, dimension, arity)
        (self.residualCount, self.dataCount, self.coefficientCount) = (residualCount, dataCount, coefficientCount)
        self.monomials = monomials
        var first = Set<[Int]>()
        var second = Set<[Int]>()
        for m in monomials {
            for (p, i) in m.factors.enumerated() {
                first.insert([m.residual, i])
                for (q, j) in m.factors.enumerated() where p != q { second.insert([m.residual, min(i, j), max(i, j)]) }
            }
        }
        partials = first.sorted { $0.lexicographicallyPrecedes($1) }.map { ($0[0], $0[1]) }
        secondPartials = second.sorted { $0.lexicographicallyPrecedes($1) }.map { ($0[0], $0[1], $0[2]) }
    }

    func evaluate(order: Int, at a: PointwiseArguments, into results: PointwiseResults) {
        a.scratch?.update(repeating: .nan, count: a.count)  // scratch is ours to spoil
        for i in 0..<a.count {
            func factor(_ m: Monomial, without: [Int]) -> Double {
                var value = m.coefficient
                if let c = m.coordinate { value *= a.coordinates[c][i] }
                if let d = m.data, let data = a.data { value *= data[d][i] }
                for (p, input) in m.factors.enumerated() where !without.contains(p) { value *= a.inputs[input][i] }
                return value
            }
            for k in 0..<residualCount {
                results.residuals[k][i] = monomials.filter { $0.residual == k }.reduce(0) { $0 + factor($1, without: []) }
            }
            if let columns = results.partials {
                for (n, (k, input)) in partials.enumerated() {
                    var sum = 0.0
                    for m in monomials where m.residual == k {
                        for p in m.factors.indices where m.factors[p] == input { sum += factor(m, without: [p]) }
                    }
                    columns[n][i] = sum
                }
            }
            if let columns = results.secondPartials {
                for (n, (k, first, second)) in secondPartials.enumerated() {
                    var sum = 0.0
                    for m in monomials where m.residual == k {
                        for p in m.factors.indices {
                            for q in m.factors.indices where p != q && m.factors[p] == first && m.factors[q] == second {
                                sum += factor(m, without: [p, q])
                            }
                        }
                    }
                    columns[n][i] = sum
                }
            }
        }
    }

    /// The pointwise factor k of operators: 1.5 + x₀ − k/4 + (the first datum)/8.
    func evaluateCoefficients(at a: PointwiseArguments, into columns: UnsafePointer<UnsafeMutablePointer<Double>>) {
        for k in 0..<coefficientCount {
            for i in 0..<a.count { columns[k][i] = 1.5 + a.coordinates[0][i] - Double(k) / 4 + (a.data.map { $0[0][i] / 8 } ?? 0) }
        }
    }

    /// Random monomials of degree ≤ 3 in random channels up to `order`, in trained numbers, and, if `isRich`, in second-order operators
    /// with constant and pointwise factors or in the channels of several points.
    static func random(
        dimension: Int, fields: Int, order: Int, isRich: Bool, scalars: Int, using rng: inout Seeded
    ) -> PolynomialResidual {
        guard isRich else { return random(dimension: dimension, fields: fields, order: order, using: &rng) }
        let arity = Int.random(in: 1...3, using: &rng)
        let coefficients = arity == 1 ? Int.random(in: 0...2, using: &rng) : 0
        let plain = random(dimension: dimension, fields: fields, order: order, using: &rng)
        var channels = Set(
            plain.channels.map {
                Channel(field: $0.field, derivative: $0.derivative, point: Int.random(in: 0..<arity, using: &rng))
            })
        var pairs: [(Int, Int)] = []
        for i in 0..<dimension { for j in i..<dimension { pairs.append((i, j)) } }
        for kind in 0..<Int.random(in: 1...3, using: &rng) {
            let entries = pairs.shuffled(using: &rng).prefix(Int.random(in: 1...pairs.count, using: &rng)).map { i, j in
                SecondOrderOperator.Entry(
                    i, j,
                    coefficients > 0 && rng.uniform() > 0
                        ? .pointwise(Int.random(in: 0..<coefficients, using: &rng)) : .constant(rng.uniform()))
            }
            let laplacian = SecondOrderOperator.laplacian(over: Array((kind == 2 && dimension > 1 ? 1 : 0)..<dimension))
            channels.insert(
                Channel(
                    field: Int.random(in: 0..<fields, using: &rng), contraction: kind == 0 ? laplacian : SecondOrderOperator(entries),
                    dimension: dimension, point: Int.random(in: 0..<arity, using: &rng)))
        }
        let read = scalars > 0 ? Array((0..<scalars).shuffled(using: &rng).prefix(Int.random(in: 1...scalars, using: &rng))).sorted() : []
        let inputs = channels.count + read.count
        let monomials = (0..<plain.residualCount).flatMap { k in
            (0..<8).map { m in
                Monomial(
                    residual: k, coefficient: rng.uniform(),
                    coordinate: rng.uniform() > 0 ? Int.random(in: 0..<(arity * dimension), using: &rng) : nil,
                    data: plain.dataCount > 0 && rng.uniform() > 0 ? 0 : nil,
                    factors: (0..<(m % 4)).map { _ in Int.random(in: 0..<inputs, using: &rng) })
            }
        }
        return PolynomialResidual(
            channels: channels.sorted(), scalars: read, dimension: dimension, arity: arity, residualCount: plain.residualCount,
            dataCount: plain.dataCount, coefficientCount: coefficients, monomials: monomials)
    }

    /// Random monomials of degree ≤ 3 in random channels up to `order`.
    static func random(dimension: Int, fields: Int, order: Int, using rng: inout Seeded) -> PolynomialResidual {
        var channels = Set<Channel>()
        for _ in 0..<Int.random(in: 1...5, using: &rng) {
            var orders = [UInt8](repeating: 0, count: dimension)
            for _ in 0..<Int.random(in: 0...order, using: &rng) { orders[Int.random(in: 0..<dimension, using: &rng)] += 1 }
            channels.insert(Channel(field: Int.random(in: 0..<fields, using: &rng), derivative: MultiIndex(orders)))
        }
        let residuals = Int.random(in: 1...2, using: &rng)
        let data = Int.random(in: 0...1, using: &rng)
        var monomials: [Monomial] = []
        for k in 0..<residuals {
            for degree in 0...3 {
                for _ in 0..<2 {
                    monomials.append(
                        Monomial(
                            residual: k, coefficient: rng.uniform(),
                            coordinate: rng.uniform() > 0 ? Int.random(in: 0..<dimension, using: &rng) : nil,
                            data: data > 0 && rng.uniform() > 0 ? 0 : nil,
                            factors: (0..<degree).map { _ in Int.random(in: 0..<channels.count, using: &rng) }))
                }
            }
        }
        return PolynomialResidual(
            channels: channels.sorted(), dimension: dimension, residualCount: residuals, dataCount: data, monomials: monomials)
    }

    /// uₜ + u uₓ − ν uₓₓ.
    static func burgers(ν: Double = 0.01 / .pi) -> PolynomialResidual {
        let channels = [[0, 0], [1, 0], [0, 1], [0, 2]].map { Channel(field: 0, derivative: MultiIndex($0)) }
        return PolynomialResidual(
            channels: channels, dimension: 2, residualCount: 1, dataCount: 0,
            monomials: [
                Monomial(residual: 0, coefficient: 1, factors: [1]), Monomial(residual: 0, coefficient: 1, factors: [0, 2]),
                Monomial(residual: 0, coefficient: -ν, factors: [3]),
            ])
    }
}

extension PolynomialResidual.Monomial {
    init(residual: Int, coefficient: Double, factors: [Int]) {
        self.init(residual: residual, coefficient: coefficient, coordinate: nil, data: nil, factors: factors)
    }
}

/// A random program: a network and one to three terms.
struct RandomCase: CustomTestStringConvertible, Sendable {
    var seed: Int
    var activation: Activation
    var order: Int
    /// Whether the network is a graph of all kinds of layers, and the residuals read operators, several points and trained numbers.
    var isRich = false
    var testDescription: String { "seed \(seed), \(activation), order \(order)\(isRich ? ", rich" : "")" }

    private func richProgram(_ options: ProgramOptions) -> (Program, Vector) {
        var rng = Seeded(seed)
        let twin = SeriesTwin.random(activation: activation, using: &rng)
        let scalars = Int.random(in: 0...2, using: &rng)
        let network = twin.network.adding(scalars: (0..<scalars).map { "c\($0)" })
        let terms = (0..<Int.random(in: 1...2, using: &rng)).map { index in
            let count = Int.random(in: 1...60, using: &rng)
            let function = PolynomialResidual.random(
                dimension: network.inputs, fields: network.outputs, order: order, isRich: true, scalars: scalars, using: &rng)
            return ProgramTerm(
                name: "term \(index)", function: function, points: rng.columns(function.arity * network.inputs, of: count),
                data: rng.columns(function.dataCount, of: count), scale: (rng.uniform(0.5...2) / Double(count)).squareRoot())
        }
        let θ = Vector(twin.parameters(using: &rng).elements + rng.vector(scalars).elements)
        return (Program(network: network, terms: terms, options: options), θ)
    }

    func program(_ options: ProgramOptions = ProgramOptions()) -> (Program, Vector) {
        if isRich { return richProgram(options) }
        var rng = Seeded(seed)
        let dimension = Int.random(in: 1...4, using: &rng)
        let fields = Int.random(in: 1...2, using: &rng)
        let depth = Int.random(in: 1...5, using: &rng)
        let network = DenseNetwork(
            inputs: dimension, hidden: (0..<depth).map { _ in Int.random(in: 1...40, using: &rng) }, outputs: fields,
            activation: activation,
            inputFactors: (0..<dimension).map { _ in rng.uniform(0.5...1.5) }, inputOffsets: (0..<dimension).map { _ in rng.uniform() })
        let terms = (0..<Int.random(in: 1...3, using: &rng)).map { index in
            let count = Int.random(in: 1...150, using: &rng)
            let function = PolynomialResidual.random(dimension: dimension, fields: fields, order: order, using: &rng)
            return ProgramTerm(
                name: "term \(index)", function: function, points: rng.columns(dimension, of: count),
                data: rng.columns(function.dataCount, of: count), scale: (rng.uniform(0.5...2) / Double(count)).squareRoot())
        }
        return (Program(network: network, terms: terms, options: options), parameters(of: network, using: &rng))
    }

    static let low = Activation.allCases.enumerated().flatMap { index, activation in
        (0..<6).map { RandomCase(seed: 100 * index + $0, activation: activation, order: 2) }
    }
    static let rich = Activation.allCases.enumerated().flatMap { index, activation in
        (0..<6).map { RandomCase(seed: 3000 + 100 * index + $0, activation: activation, order: [0, 1, 2, 2, 2, 3][$0], isRich: true) }
    }
    static let high = Activation.allCases.enumerated().flatMap { index, activation in
        [3, 4].map { RandomCase(seed: 1000 + 10 * index + $0, activation: activation, order: $0) }
    }
}

/// Glorot-uniform weights and uniform biases.
func parameters(of network: DenseNetwork, using rng: inout Seeded) -> Vector {
    var θ = Vector.zeros(network.parameterCount)
    for layer in network.layers {
        let bound = (6 / Double(layer.inputs + layer.outputs)).squareRoot()
        for i in layer.weightOffset..<layer.biasOffset { θ[i] = rng.uniform(-bound...bound) }
        for i in 0..<layer.outputs { θ[layer.biasOffset + i] = rng.uniform(-0.5...0.5) }
    }
    return θ
}
