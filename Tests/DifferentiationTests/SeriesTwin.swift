import Differentiation
import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A network under construction and, beside every layer, the same map on truncated power series, written from its definition.
struct SeriesTwin {
    typealias Layer = (_ θ: Vector, _ point: [Double], _ before: [[TruncatedSeries]], _ order: Int) -> [TruncatedSeries]

    /// Features and where their series are found.
    struct Place {
        var features: Features
        var index: Int
    }

    let dimension: Int
    private var builder: NetworkBuilder
    private var layers: [Layer] = []
    private var offset = 0
    /// Scales of random parameters, block by block.
    private var spreads: [(count: Int, spread: Double)] = []
    private(set) var network: Network

    init(dimension: Int) {
        self.dimension = dimension
        builder = NetworkBuilder(coordinates: dimension)
        network = Network(DenseNetwork(inputs: 1, hidden: [], outputs: 1, activation: .sin))
    }

    private mutating func add(_ features: Features, parameters: [(Int, Double)] = [], _ layer: @escaping Layer) -> Place {
        layers.append(layer)
        for (count, spread) in parameters {
            spreads.append((count, spread))
            offset += count
        }
        return Place(features: features, index: layers.count - 1)
    }

    func parameters(using rng: inout Seeded) -> Vector {
        Vector(spreads.flatMap { part in (0..<part.count).map { _ in rng.uniform(-part.spread...part.spread) } })
    }

    /// The series of every output at a point.
    func series(_ θ: Vector, at point: [Double], order: Int) -> [TruncatedSeries] {
        var values: [[TruncatedSeries]] = []
        for layer in layers { values.append(layer(θ, point, values, order)) }
        return values[values.count - 1]
    }

    mutating func finish(_ output: Place) { network = builder.network(output: output.features) }

    // MARK: Layers

    private static func coordinate(_ i: Int, _ point: [Double], _ order: Int, factor: Double = 1, offset: Double = 0) -> TruncatedSeries {
        let indices = TruncatedSeries.indices(dimension: point.count, order: order)
        var series = TruncatedSeries(constant: factor * point[i] + offset, indices: indices)
        if let k = indices.firstIndex(of: .along(i, dimension: point.count)) { series.coefficients[k] = factor }
        return series
    }

    private static func affine(
        _ x: [TruncatedSeries], _ outputs: Int, weight: (Int, Int) -> Double, bias: (Int) -> Double
    ) -> [TruncatedSeries] {
        (0..<outputs).map { j in
            var sum = TruncatedSeries(constant: bias(j), indices: x[0].indices)
            for i in x.indices { sum.add(x[i], scaledBy: weight(i, j)) }
            return sum
        }
    }

    mutating func coordinates() -> Place {
        add(builder.coordinates) { _, point, _, order in point.indices.map { Self.coordinate($0, point, order) } }
    }

    mutating func coordinateDense(_ outputs: Int, _ activation: Activation?, factors: [Double], offsets: [Double], name: String) -> Place {
        let (start, d) = (offset, dimension)
        let features = builder.coordinateDense(
            outputs: outputs, activation: activation.map { .standard($0) }, factors: factors, offsets: offsets, name: name)
        return add(features, parameters: [(d * outputs, 0.7), (outputs, 0.5)]) { θ, point, _, order in
            let x = (0..<d).map { Self.coordinate($0, point, order, factor: factors[$0], offset: offsets[$0]) }
            let z = Self.affine(x, outputs, weight: { θ[start + $0 * outputs + $1] }, bias: { θ[start + d * outputs + $0] })
            return activation.map { σ in z.map { $0.applying(σ, order: order) } } ?? z
        }
    }

    mutating func dense(_ x: Place, _ outputs: Int, _ activation: Activation?, hasBias: Bool = true, name: String) -> Place {
        let (start, inputs) = (offset, x.features.count)
        let features = builder.dense(
            x.features, outputs: outputs, activation: activation.map { .standard($0) }, hasBias: hasBias, name: name)
        let spread = (3 / Double(inputs + outputs)).squareRoot()
        let parameters = [(inputs * outputs, spread)] + (hasBias ? [(outputs, 0.5)] : [])
        return add(features, parameters: parameters) { θ, _, before, order in
            let z = Self.affine(
                before[x.index], outputs, weight: { θ[start + $0 * outputs + $1] },
                bias: { hasBias ? θ[start + inputs * outputs + $0] : 0 })
            return activation.map { σ in z.map { $0.applying(σ, order: order) } } ?? z
        }
    }

    mutating func fixed(_ x: Place, weights: [Double], offsets: [Double]) -> Place {
        add(builder.fixed(x.features, weights: weights, offsets: offsets)) { _, _, before, _ in
            Self.affine(before[x.index], offsets.count, weight: { weights[$0 * offsets.count + $1] }, bias: { offsets[$0] })
        }
    }

    mutating func activation(_ σ: Activation, _ x: Place, range: Range<Int>) -> Place {
        add(builder.activation(.standard(σ), of: x.features, range: range)) { _, _, before, order in
            before[x.index].enumerated().map { range.contains($0) ? $1.applying(σ, order: order) : $1 }
        }
    }

    /// The activation given by its derivatives alone: e^(−x²/2).
    mutating func bump(_ x: Place) -> Place {
        add(builder.activation(.custom(Bump()), of: x.features)) { _, _, before, order in
            before[x.index].map { series in
                // Σ (−x²/2)ᵏ/k! about the constant part, by the exponential's own series.
                var exponent = series * series
                for i in exponent.coefficients.indices { exponent.coefficients[i] *= -0.5 }
                let constant = exponent.coefficients[0]
                exponent.coefficients[0] = 0
                var (sum, power, factorial) = (
                    TruncatedSeries(constant: 1, indices: series.indices), TruncatedSeries(constant: 1, indices: series.indices), 1.0
                )
                for k in 1...max(order, 1) {
                    power = power * exponent
                    factorial *= Double(k)
                    sum.add(power, scaledBy: 1 / factorial)
                }
                for i in sum.coefficients.indices { sum.coefficients[i] *= exp(constant) }
                return sum
            }
        }
    }

    mutating func scaled(_ x: Place, _ scaling: TrainedScaling, isShared: Bool, hasShift: Bool, name: String) -> Place {
        let (start, width) = (offset, x.features.count)
        let scales = isShared ? 1 : width
        let features = builder.scaled(x.features, by: scaling, isShared: isShared, hasShift: hasShift, name: name)
        return add(features, parameters: [(scales, 0.8)] + (hasShift ? [(width, 0.5)] : [])) { θ, _, before, _ in
            before[x.index].enumerated().map { j, series in
                let s = θ[start + (isShared ? 0 : j)]
                let factor =
                    switch scaling {
                    case .linear(let n): n * s
                    case .exponential: exp(s)
                    }
                var sum = TruncatedSeries(constant: hasShift ? θ[start + scales + j] : 0, indices: series.indices)
                sum.add(series, scaledBy: factor)
                return sum
            }
        }
    }

    mutating func sum(_ a: Place, _ b: Place, α: Double, β: Double, plus γ: Double) -> Place {
        add(builder.sum(a.features, b.features, α: α, β: β, plus: γ)) { _, _, before, _ in
            zip(before[a.index], before[b.index]).map { x, y in
                var sum = TruncatedSeries(constant: γ, indices: x.indices)
                sum.add(x, scaledBy: α)
                sum.add(y, scaledBy: β)
                return sum
            }
        }
    }

    mutating func product(_ a: Place, _ b: Place) -> Place {
        add(builder.product(a.features, b.features)) { _, _, before, _ in zip(before[a.index], before[b.index]).map { $0 * $1 } }
    }

    mutating func concatenated(_ parts: [Place]) -> Place {
        add(builder.concatenated(parts.map(\.features))) { _, _, before, _ in parts.flatMap { before[$0.index] } }
    }

    mutating func selected(_ range: Range<Int>, _ x: Place) -> Place {
        add(builder.selected(range, of: x.features)) { _, _, before, _ in Array(before[x.index][range]) }
    }

    // MARK: A random network

    /// A network in which every kind of layer may occur.
    static func random(activation: Activation, using rng: inout Seeded) -> SeriesTwin {
        let dimension = Int.random(in: 1...3, using: &rng)
        let width = Int.random(in: 1...6, using: &rng)
        var twin = SeriesTwin(dimension: dimension)
        var h: Place
        switch Int.random(in: 0...2, using: &rng) {
        case 0:
            h = twin.coordinateDense(
                width, activation, factors: (0..<dimension).map { _ in rng.uniform(0.5...1.5) },
                offsets: (0..<dimension).map { _ in rng.uniform() }, name: "first")
        case 1:
            // Fourier features beside the coordinates, and a dense layer on them.
            let x = twin.coordinates()
            let frequencies = twin.fixed(
                x, weights: rng.vector(dimension * 4).elements, offsets: [0, 0, .pi / 2, .pi / 2])
            let waves = twin.activation(.sin, frequencies, range: 0..<4)
            h = twin.dense(twin.concatenated([waves, x]), width, activation, name: "first")
        default:
            let x = twin.coordinates()
            let embedded = twin.fixed(x, weights: rng.vector(dimension * 5).elements, offsets: rng.vector(5).elements)
            h = twin.dense(twin.activation(.sin, embedded, range: 1..<3), width, activation, name: "first")
        }
        for layer in 0..<Int.random(in: 1...4, using: &rng) {
            let name = "hidden\(layer)"
            switch Int.random(in: 0...7, using: &rng) {
            case 0: h = twin.dense(h, width, activation, name: name)
            case 1: h = twin.sum(twin.dense(h, width, activation, name: name), h, α: rng.uniform(), β: 1, plus: rng.uniform())
            case 2: h = twin.product(twin.dense(h, width, activation, name: name), h)
            case 3:
                let slope = twin.scaled(
                    twin.dense(h, width, nil, name: name), .linear(2), isShared: rng.uniform() > 0, hasShift: false, name: "slope\(layer)")
                h = twin.activation(activation, slope, range: 0..<width)
            case 4:
                let factorised = twin.scaled(
                    twin.dense(h, width, nil, hasBias: false, name: name), .exponential, isShared: false, hasShift: true,
                    name: "factor\(layer)")
                h = twin.activation(activation, factorised, range: 0..<width)
            case 5:
                let both = twin.dense(h, 2 * width, activation, name: name)
                let (a, b) = (twin.selected(0..<width, both), twin.selected(width..<(2 * width), both))
                h = twin.sum(twin.product(a, b), twin.product(a, a), α: 1, β: -0.5, plus: 0)
            case 6: h = twin.bump(twin.dense(h, width, nil, name: name))
            default: h = twin.product(h, h)
            }
        }
        let output = twin.dense(h, Int.random(in: 1...2, using: &rng), nil, name: "output")
        twin.finish(output)
        return twin
    }
}

/// e^(−x²/2), given by its derivatives (−1)ᵏ Heₖ(x) e^(−x²/2) as a stranger would give them.
struct Bump: CustomActivation {
    var name: String { "bump" }

    func derivatives(upTo order: Int, count: Int, at x: UnsafePointer<Double>, into derivatives: UnsafeMutablePointer<Double>) {
        for i in 0..<count {
            let value = exp(-x[i] * x[i] / 2)
            var (he, before, sign) = (1.0, 0.0, 1.0)
            for k in 0...order {
                derivatives[k * count + i] = sign * he * value
                (he, before) = (x[i] * he - Double(k) * before, he)
                sign = -sign
            }
        }
    }
}
