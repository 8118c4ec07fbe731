import LinearAlgebra
import OptimizationCore

/// How points are spread over a box.
public enum PointSampling: String, Sendable, Hashable, CaseIterable {
    /// Independent uniform points.
    case uniform
    /// Scrambled Sobol points: see ``SobolSequence``.
    case sobol
    /// Halton's sequence, each digit of each base permuted at random: see ``HaltonSequence``.
    case halton
    /// Hammersley's set: i/n along the first axis, shifted at random modulo 1 (Cranley and Patterson), and a scrambled
    /// ``HaltonSequence`` along the others.
    case hammersley
    /// One point in each of n slices of every axis, at random within it (McKay, Beckman and Conover 1979).
    case latinHypercube = "latin-hypercube"
    /// The midpoints of a uniform grid of ⌊n^(1/d)⌋ cells an axis; the only one that may give fewer points than asked for.
    case grid

    /// The highest dimension that the method reaches; nil where there is none.
    public var largestDimension: Int? {
        switch self {
        case .sobol: SobolSequence.largestDimension
        case .halton: HaltonSequence.largestDimension
        case .hammersley: HaltonSequence.largestDimension + 1
        case .uniform, .latinHypercube, .grid: nil
        }
    }

    /// At most `count` points of the unit cube (0, 1)ᵈ, a row each. Throws where the method does not reach the dimension.
    public func points(_ count: Int, dimension: Int, random: inout RandomStream) throws -> Matrix {
        guard count > 0 else { throw SamplingError("\(count) points were asked for: at least one is needed") }
        precondition(dimension >= 0, "points in \(dimension) dimensions")
        // A face of a one-dimensional domain: one point, which has no coordinates of its own.
        guard dimension > 0 else { return .zeros(1, 0) }
        if let largest = largestDimension, dimension > largest {
            let others = Self.allCases.filter { $0.largestDimension == nil && $0 != .grid }.map(\.rawValue).joined(separator: " or ")
            throw SamplingError("\(rawValue) points are available in up to \(largest) dimensions, not in \(dimension): take \(others) ones")
        }
        switch self {
        case .uniform:
            return Matrix(count, dimension) { _, _ in Self.open(random.uniform()) }
        case .sobol:
            let sequence = try SobolSequence(dimension: dimension) { random.next() }
            let points = sequence.points(count)
            return Matrix(count, dimension) { i, j in points[i * dimension + j] }
        case .halton, .hammersley:
            let leading = self == .hammersley ? 1 : 0
            let shift = leading == 1 ? random.uniform() : 0
            let sequence = HaltonSequence(dimension: dimension - leading, scrambledBy: &random)
            return Matrix(count, dimension) { i, j in
                if j >= leading { return Self.open(sequence.coordinate(j - leading, of: i)) }
                let shifted = Double(i) / Double(count) + shift
                return Self.open(shifted - shifted.rounded(.down))
            }
        case .latinHypercube:
            let orders = (0..<dimension).map { _ in random.permutation(of: count) }
            return Matrix(count, dimension) { i, j in (Double(orders[j][i]) + Self.open(random.uniform())) / Double(count) }
        case .grid:
            var side = 1
            while Self.power(side + 1, dimension) <= count { side += 1 }
            return Matrix(Self.power(side, dimension), dimension) { i, j in
                (Double(i / Self.power(side, j) % side) + 0.5) / Double(side)
            }
        }
    }

    /// Points of the box, a row each.
    public func points(_ count: Int, in domain: Domain, random: inout RandomStream) throws -> Matrix {
        let unit = try points(count, dimension: domain.dimension, random: &random)
        return Matrix(unit.rows, unit.columns) { i, j in
            let range = domain.ranges[j]
            return range.lowerBound + (range.upperBound - range.lowerBound) * unit[i, j]
        }
    }

    /// Keeps a point off the faces of the cube, where conditions have points of their own.
    private static func open(_ x: Double) -> Double { min(max(x, 0x1p-53), 1 - 0x1p-53) }

    private static func power(_ base: Int, _ exponent: Int) -> Int {
        var result = 1
        for _ in 0..<exponent {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            if overflow { return .max }
            result = product
        }
        return result
    }
}

extension Matrix {
    /// The matrix with the entries that `entry` gives, asked for row by row.
    init(_ rows: Int, _ columns: Int, entry: (Int, Int) -> Double) {
        var elements = Array(repeating: 0.0, count: rows * columns)
        for i in 0..<rows { for j in 0..<columns { elements[i + j * rows] = entry(i, j) } }
        self.init(rows: rows, columns: columns, elements: elements)
    }

    /// Row i as an array.
    func row(_ i: Int) -> [Double] { (0..<columns).map { self[i, $0] } }
}
