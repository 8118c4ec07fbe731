import Differentiation
import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

// References that share nothing with the engine: truncated power series, multiplied out term by term.

/// The Taylor coefficients cₖ = σ⁽ᵏ⁾(x)/k! of an activation, from its definition by recurrences for exp, log, sin and quotients.
func taylorCoefficients(_ activation: Activation, at x: Double, order: Int) -> [Double] {
    func product(_ a: [Double], _ b: [Double]) -> [Double] { (0...order).map { n in (0...n).reduce(0) { $0 + a[$1] * b[n - $1] } } }
    func quotient(_ a: [Double], _ b: [Double]) -> [Double] {
        var q: [Double] = []
        for n in 0...order { q.append((a[n] - (0..<n).reduce(0) { $0 + q[$1] * b[n - $1] }) / b[0]) }
        return q
    }
    func factorial(_ n: Int) -> Double { n < 2 ? 1 : (2...n).reduce(1) { $0 * Double($1) } }
    func exponential(rate: Double) -> [Double] { (0...order).map { exp(rate * x) * pow(rate, Double($0)) / factorial($0) } }
    let one = [1.0] + Array(repeating: 0.0, count: order)
    var identity = Array(repeating: 0.0, count: order + 1)
    identity[0] = x
    if order > 0 { identity[1] = 1 }
    func sum(_ a: [Double], _ b: [Double], _ factor: Double = 1) -> [Double] { zip(a, b).map { $0 + factor * $1 } }
    switch activation {
    case .sin:
        return (0...order).map { [sin(x), cos(x), -sin(x), -cos(x)][$0 % 4] / factorial($0) }
    case .tanh:
        var t = quotient(sum(exponential(rate: 2), one, -1), sum(exponential(rate: 2), one))
        t[0] = tanh(x)
        return t
    case .silu:
        return quotient(identity, sum(one, exponential(rate: -1)))
    case .softplus:
        // The derivative's series, integrated.
        let slope = quotient(one, sum(one, exponential(rate: -1)))
        return [x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))] + (0..<order).map { slope[$0] / Double($0 + 1) }
    case .gelu:
        // φ′ = −xφ: (n + 1)φₙ₊₁ = −(x φₙ + φₙ₋₁).
        var density = [exp(-x * x / 2) / (2 * Double.pi).squareRoot()]
        for n in 0..<order { density.append(-(x * density[n] + (n > 0 ? density[n - 1] : 0)) / Double(n + 1)) }
        let distribution = [0.5 * erfc(-x / 2.0.squareRoot())] + (0..<order).map { density[$0] / Double($0 + 1) }
        return product(identity, distribution)
    }
}

/// A polynomial in the displacements δ of the coordinates, truncated at an order: coefficient of δ^α by α.
struct TruncatedSeries {
    let indices: [MultiIndex]
    var coefficients: [Double]

    static func indices(dimension: Int, order: Int) -> [MultiIndex] {
        var all: Set<MultiIndex> = [.value(dimension: dimension)]
        for _ in 0..<order { for index in all { for i in 0..<dimension { all.insert(index.raised(along: i)) } } }
        return all.filter { $0.order <= order }.sorted()
    }

    init(constant: Double, indices: [MultiIndex]) {
        self.indices = indices
        coefficients = [constant] + Array(repeating: 0, count: indices.count - 1)
    }

    static func * (a: TruncatedSeries, b: TruncatedSeries) -> TruncatedSeries {
        var product = TruncatedSeries(constant: 0, indices: a.indices)
        let highest = a.indices[a.indices.count - 1].order
        for (i, α) in a.indices.enumerated() where a.coefficients[i] != 0 {
            for (j, β) in b.indices.enumerated() where b.coefficients[j] != 0 && α.order + β.order <= highest {
                let sum = MultiIndex(zip(α.orders, β.orders).map(+))
                if let k = product.indices.firstIndex(of: sum) { product.coefficients[k] += a.coefficients[i] * b.coefficients[j] }
            }
        }
        return product
    }

    mutating func add(_ other: TruncatedSeries, scaledBy factor: Double = 1) {
        for i in coefficients.indices { coefficients[i] += factor * other.coefficients[i] }
    }

    /// σ of the series: Σ cₖ (series − its constant)ᵏ.
    func applying(_ activation: Activation, order: Int) -> TruncatedSeries {
        let c = taylorCoefficients(activation, at: coefficients[0], order: order)
        var rest = self
        rest.coefficients[0] = 0
        var result = TruncatedSeries(constant: c[order], indices: indices)
        for k in stride(from: order - 1, through: 0, by: -1) {
            result = result * rest
            result.coefficients[0] += c[k]
        }
        return result
    }

    /// ∂^α = α!·coefficient.
    func derivative(_ index: MultiIndex) -> Double {
        guard let i = indices.firstIndex(of: index) else { return .nan }
        let factorial = index.orders.reduce(1.0) { product, n in n < 2 ? product : (2...Int(n)).reduce(product) { $0 * Double($1) } }
        return coefficients[i] * factorial
    }
}

extension DenseNetwork {
    /// The Taylor series of every output at a point.
    func series(_ θ: Vector, at point: [Double], order: Int) -> [TruncatedSeries] {
        let indices = TruncatedSeries.indices(dimension: inputs, order: order)
        var jets = (0..<inputs).map { i in
            var series = TruncatedSeries(constant: inputFactors[i] * point[i] + inputOffsets[i], indices: indices)
            if order > 0, let k = indices.firstIndex(of: .along(i, dimension: inputs)) { series.coefficients[k] = inputFactors[i] }
            return series
        }
        for (l, layer) in layers.enumerated() {
            jets = (0..<layer.outputs).map { j in
                var sum = TruncatedSeries(constant: θ[layer.biasOffset + j], indices: indices)
                for i in 0..<layer.inputs { sum.add(jets[i], scaledBy: θ[layer.weightOffset + i * layer.outputs + j]) }
                return l + 1 < layers.count ? sum.applying(activation, order: order) : sum
            }
        }
        return jets
    }
}
