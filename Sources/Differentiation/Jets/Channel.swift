/// A derivative of one of a network's outputs: what a residual reads at a point.
public struct Channel: Hashable, Comparable, Sendable {
    /// Which output of the network.
    public let field: Int
    /// Which of its coordinate derivatives; the value where `contraction` says what is read.
    public let derivative: MultiIndex
    /// A sum of second derivatives that is carried as one channel; nil for a single derivative.
    public let contraction: SecondOrderOperator?
    /// Which point of a tuple of points: 0, but for residuals that tie several points together.
    public let point: Int

    public init(field: Int, derivative: MultiIndex, point: Int = 0) {
        (self.field, self.derivative, contraction, self.point) = (field, derivative, nil, point)
    }

    /// Σ aᵢⱼ ∂ᵢ∂ⱼ of a field.
    public init(field: Int, contraction: SecondOrderOperator, dimension: Int, point: Int = 0) {
        self.field = field
        self.derivative = .value(dimension: dimension)
        self.contraction = contraction
        self.point = point
    }

    /// The order of the highest derivative that is read.
    public var order: Int { contraction == nil ? derivative.order : 2 }

    /// By field, then by point, then by derivative; contractions after single derivatives.
    public static func < (a: Channel, b: Channel) -> Bool {
        if a.field != b.field { return a.field < b.field }
        if a.point != b.point { return a.point < b.point }
        switch (a.contraction, b.contraction) {
        case (nil, nil): return a.derivative < b.derivative
        case (nil, _?): return true
        case (_?, nil): return false
        case (let first?, let second?): return first < second
        }
    }
}

/// L = Σ aᵢⱼ ∂ᵢ∂ⱼ with constant or pointwise factors: a Laplacian, or the second-order part of any linear operator.
///
/// It goes through a network as ONE channel beside the value and the first derivatives, however many second derivatives it sums:
/// L σ(z) = σ′ Lz + σ″ Σ aᵢⱼ zᵢzⱼ. Cost and memory are those of d + 2 channels, not of 1 + d + d(d + 1)/2.
///
/// The “forward Laplacian”: R. Li et al., Nature Machine Intelligence 6 (2024) 209, doi:10.1038/s42256-024-00794-x.
public struct SecondOrderOperator: Hashable, Comparable, Sendable {
    /// A factor aᵢⱼ.
    public enum Coefficient: Hashable, Sendable {
        case constant(Double)
        /// Column k of the coefficients that the term computes from its points (see ``PointwiseFunction/coefficientCount``).
        case pointwise(Int)
    }

    /// aᵢⱼ ∂ᵢ∂ⱼ with i ≤ j; each pair of coordinates once.
    public struct Entry: Hashable, Sendable {
        public let first: Int
        public let second: Int
        public let coefficient: Coefficient

        public init(_ i: Int, _ j: Int, _ coefficient: Coefficient) {
            (first, second, self.coefficient) = (min(i, j), max(i, j), coefficient)
        }
    }

    /// Sorted by their coordinates.
    public let entries: [Entry]

    public init(_ entries: [Entry]) {
        precondition(!entries.isEmpty, "an operator without a derivative")
        self.entries = entries.sorted { ($0.first, $0.second) < ($1.first, $1.second) }
        for (a, b) in zip(self.entries, self.entries.dropFirst()) {
            precondition((a.first, a.second) != (b.first, b.second), "two factors of ∂\(a.first)∂\(a.second)")
        }
    }

    /// Δ over the coordinates named.
    public static func laplacian(over coordinates: [Int]) -> SecondOrderOperator {
        SecondOrderOperator(coordinates.map { Entry($0, $0, .constant(1)) })
    }

    /// Whether all factors are 1 and all derivatives unmixed.
    var isLaplacian: Bool { entries.allSatisfy { $0.first == $0.second && $0.coefficient == .constant(1) } }

    /// The derivatives that are summed.
    func derivatives(dimension: Int) -> [MultiIndex] {
        entries.map { MultiIndex.along($0.first, dimension: dimension).raised(along: $0.second) }
    }

    /// In an order that depends on the entries alone.
    public static func < (a: SecondOrderOperator, b: SecondOrderOperator) -> Bool {
        a.entries.lexicographicallyPrecedes(b.entries) { $0.key.lexicographicallyPrecedes($1.key) }
    }
}

extension SecondOrderOperator.Entry {
    fileprivate var key: [Double] {
        switch coefficient {
        case .constant(let value): [Double(first), Double(second), 0, value]
        case .pointwise(let column): [Double(first), Double(second), 1, Double(column)]
        }
    }
}
