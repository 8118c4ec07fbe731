import Differentiation

/// A random expression in two fields, two coordinates and one datum, with what it should evaluate to.
struct RandomExpression {
    let expression: Expression
    /// The value for given leaves.
    let meaning: (_ leaf: (Leaf) -> HyperDual) -> HyperDual

    enum Leaf: Equatable {
        case field(Channel)
        case coordinate(Int)
        case datum
    }

    init(depth: Int, u: Fields, p: Point, withData: Bool, random: inout SplitMix) {
        func sub() -> RandomExpression { RandomExpression(depth: depth - 1, u: u, p: p, withData: withData, random: &random) }
        if depth == 0 {
            switch Int(random.next() % 8) {
            case 0...3:
                let (field, t, x) = (Int(random.next() % 2), UInt8(random.next() % 2), UInt8(random.next() % 3))
                var e = u[field]
                for _ in 0..<t { e = e.t }
                for _ in 0..<x { e = e.x }
                self.init(e) { $0(.field(Channel(field: field, derivative: MultiIndex([t, x])))) }
            case 4: self.init(p.t) { $0(.coordinate(0)) }
            case 5: self.init(p["x"]) { $0(.coordinate(1)) }
            case 6 where withData: self.init(p.data("g")) { $0(.datum) }
            default:
                let c = [-2, -1, 0, 0.5, 1, 3.7][Int(random.next() % 6)]
                self.init(Expression(c)) { _ in HyperDual(c) }
            }
            return
        }
        let a = sub()
        let (e, f) = (a.expression, a.meaning)
        let (one, two) = (HyperDual(1), HyperDual(2))
        switch Int(random.next() % 18) {
        case 0...2:
            let b = sub()
            self.init(e + b.expression) { f($0) + b.meaning($0) }
        case 3...4:
            let b = sub()
            self.init(e - b.expression) { f($0) - b.meaning($0) }
        case 5...7:
            let b = sub()
            self.init(e * b.expression) { f($0) * b.meaning($0) }
        case 8:
            let b = sub()
            self.init(e / (2 + sin(b.expression))) { f($0) / (two + b.meaning($0).sine) }
        case 9: self.init(-e) { -f($0) }
        case 10: self.init(pow(e, 3) - e * e) { f($0) * f($0) * f($0) - f($0) * f($0) }
        case 11: self.init(pow(2 + sin(e), -2)) { one / ((two + f($0).sine) * (two + f($0).sine)) }
        case 12: self.init(exp(tanh(e)) - 1.5) { f($0).hyperbolicTangent.exponential - HyperDual(1.5) }
        case 13: self.init(log(2 + cos(e)) / 4) { (two + f($0).cosine).logarithm * HyperDual(0.25) }
        case 14: self.init(3 - sqrt(1 + e * e)) { HyperDual(3) - (one + f($0) * f($0)).root }
        case 15: self.init(sinh(tanh(e)) * 2) { f($0).hyperbolicTangent.hyperbolicSine * two }
        case 16: self.init(cosh(atan(e)) - (e - e)) { f($0).arcTangent.hyperbolicCosine }
        default: self.init(1 / (2 + sin(e)) + 0 * e) { one / (two + f($0).sine) }
        }
    }

    private init(_ expression: Expression, _ meaning: @escaping (_ leaf: (Leaf) -> HyperDual) -> HyperDual) {
        (self.expression, self.meaning) = (expression, meaning)
    }
}

/// A small deterministic generator for tests.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func uniform(_ range: ClosedRange<Double> = -1...1) -> Double { Double.random(in: range, using: &self) }
}

/// What a pointwise function gives over a few points, as plain arrays: column after column.
struct Evaluated {
    var residuals: [[Double]]
    var partials: [[Double]]
    var secondPartials: [[Double]]

    init(_ f: some PointwiseFunction, order: Int, inputs: [[Double]], coordinates: [[Double]], data: [[Double]] = []) {
        let count = (inputs + coordinates).first?.count ?? 0
        func columns(_ arrays: [[Double]]) -> [UnsafeMutablePointer<Double>] {
            arrays.map { array in
                let column = UnsafeMutablePointer<Double>.allocate(capacity: max(1, count))
                for (i, x) in array.enumerated() { column[i] = x }
                return column
            }
        }
        let blank = [Double](repeating: .nan, count: count)
        func blanks(_ n: Int) -> [UnsafeMutablePointer<Double>] { columns(Array(repeating: blank, count: n)) }
        let (z, x, d) = (columns(inputs), columns(coordinates), columns(data))
        let (r, first, second) = (blanks(f.residualCount), blanks(f.partials.count), blanks(f.secondPartials.count))
        let scratch = UnsafeMutablePointer<Double>.allocate(capacity: max(1, f.scratchCount * count))
        defer {
            for column in z + x + d + r + first + second + [scratch] { column.deallocate() }
        }
        func constant(_ columns: [UnsafeMutablePointer<Double>]) -> [UnsafePointer<Double>] { columns.map { UnsafePointer($0) } }
        let (zs, xs, ds) = (constant(z), constant(x), constant(d))
        zs.withUnsafeBufferPointer { z in
            xs.withUnsafeBufferPointer { x in
                ds.withUnsafeBufferPointer { d in
                    r.withUnsafeBufferPointer { r in
                        first.withUnsafeBufferPointer { first in
                            second.withUnsafeBufferPointer { second in
                                guard let z = z.baseAddress, let x = x.baseAddress, let r = r.baseAddress else { return }
                                f.evaluate(
                                    order: order,
                                    at: PointwiseArguments(count: count, inputs: z, coordinates: x, data: d.baseAddress, scratch: scratch),
                                    into: PointwiseResults(residuals: r, partials: first.baseAddress, secondPartials: second.baseAddress))
                            }
                        }
                    }
                }
            }
        }
        func arrays(_ columns: [UnsafeMutablePointer<Double>]) -> [[Double]] {
            columns.map { column in (0..<count).map { column[$0] } }
        }
        (residuals, partials, secondPartials) = (arrays(r), arrays(first), arrays(second))
    }
}
