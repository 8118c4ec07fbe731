/// What a loss term evaluates at every point: residuals rₖ(z; x, data) of the channels z of a network's outputs at the
/// point x, with their first and second partial derivatives in z.
///
/// Only the structurally nonzero partials are listed and computed. Implementations are pure: the same arguments give the
/// same bits, each point on its own (a result does not depend on which other points share the call).
public protocol PointwiseFunction: Sendable {
    /// The channels zᵢ that the residuals read: sorted, without repetition.
    var channels: [Channel] { get }
    /// The trained numbers that the residuals read, by their number among the network's: further inputs after the channels, the same
    /// at all points. Sorted, without repetition; none by default.
    var scalars: [Int] { get }
    /// The number of coordinates of a point.
    var dimension: Int { get }
    /// How many points a residual ties together: 1 by default, 2 for a periodic or interface condition, more for a weak form.
    var arity: Int { get }
    /// How many residuals a point gives.
    var residualCount: Int { get }
    /// How many columns of pointwise data are read.
    var dataCount: Int { get }
    /// The structurally nonzero ∂rₖ/∂zᵢ, `input` indexing `channels` and then `scalars`; no pair twice.
    var partials: [(residual: Int, input: Int)] { get }
    /// The structurally nonzero ∂²rₖ/∂zᵢ∂zⱼ with i ≤ j (`first` ≤ `second`), each standing for both orders; no triple twice.
    var secondPartials: [(residual: Int, first: Int, second: Int)] { get }
    /// How many columns of scratch, `count` doubles each, `evaluate` needs at most.
    var scratchCount: Int { get }

    /// Evaluates at `arguments.count` points and writes every entry of what `order` asks for: 0 the residuals, 1 also the
    /// partials, 2 also the second partials, each into its own column in the order of the lists above.
    func evaluate(order: Int, at arguments: PointwiseArguments, into results: PointwiseResults)

    /// How many columns of pointwise factors the operators among the channels read; none by default.
    var coefficientCount: Int { get }

    /// Writes those factors, which depend on the coordinates and the data alone: `columns[k]` receives column k. The arguments'
    /// inputs are not to be read.
    func evaluateCoefficients(at arguments: PointwiseArguments, into columns: UnsafePointer<UnsafeMutablePointer<Double>>)
}

extension PointwiseFunction {
    public var scalars: [Int] { [] }
    public var arity: Int { 1 }
    public var coefficientCount: Int { 0 }
    public func evaluateCoefficients(at arguments: PointwiseArguments, into columns: UnsafePointer<UnsafeMutablePointer<Double>>) {}
}

/// What a pointwise function reads: columns of `count` doubles, one entry a point.
public struct PointwiseArguments {
    /// The number of points (tuples of points) of the call.
    public var count: Int
    /// Column i holds channel `channels[i]`, and after the channels the trained numbers.
    public var inputs: UnsafePointer<UnsafePointer<Double>>
    /// Column i holds the points' i-th coordinate; of tuples, point after point.
    public var coordinates: UnsafePointer<UnsafePointer<Double>>
    /// Column i holds the term's i-th column of pointwise data; nil where it has none.
    public var data: UnsafePointer<UnsafePointer<Double>>?
    /// `scratchCount` · `count` doubles to write on; nil where none are needed.
    public var scratch: UnsafeMutablePointer<Double>?

    public init(
        count: Int, inputs: UnsafePointer<UnsafePointer<Double>>, coordinates: UnsafePointer<UnsafePointer<Double>>,
        data: UnsafePointer<UnsafePointer<Double>>?, scratch: UnsafeMutablePointer<Double>?
    ) {
        (self.count, self.inputs, self.coordinates, self.data, self.scratch) = (count, inputs, coordinates, data, scratch)
    }
}

/// What a pointwise function writes: columns of `count` doubles, one entry a point. No column overlaps another or an argument.
public struct PointwiseResults {
    /// Column k receives residual k.
    public var residuals: UnsafePointer<UnsafeMutablePointer<Double>>
    /// Column m receives the m-th of `partials`; nil below order 1.
    public var partials: UnsafePointer<UnsafeMutablePointer<Double>>?
    /// Column m receives the m-th of `secondPartials`; nil below order 2.
    public var secondPartials: UnsafePointer<UnsafeMutablePointer<Double>>?

    public init(
        residuals: UnsafePointer<UnsafeMutablePointer<Double>>, partials: UnsafePointer<UnsafeMutablePointer<Double>>? = nil,
        secondPartials: UnsafePointer<UnsafeMutablePointer<Double>>? = nil
    ) {
        (self.residuals, self.partials, self.secondPartials) = (residuals, partials, secondPartials)
    }
}
