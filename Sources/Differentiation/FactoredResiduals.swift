/// A pointwise function times a factor of each point: fᵢ·rₖ(z; xᵢ), f being one more column of data after the function's own.
///
/// With fᵢ = √wᵢ a term's loss is ½s² Σᵢ wᵢ Σₖ rₖ². The factors do not depend on θ, so every partial is multiplied too and all products
/// (J, JᵀJ, JJᵀ, H·v, Kronecker factors) are those of the weighted residuals. Cost: a product a point for each column that is written.
public struct FactoredResiduals: PointwiseFunction {
    public let base: any PointwiseFunction

    public init(_ base: any PointwiseFunction) { self.base = base }

    public var channels: [Channel] { base.channels }
    public var scalars: [Int] { base.scalars }
    public var dimension: Int { base.dimension }
    public var arity: Int { base.arity }
    public var residualCount: Int { base.residualCount }
    public var dataCount: Int { base.dataCount + 1 }
    public var partials: [(residual: Int, input: Int)] { base.partials }
    public var secondPartials: [(residual: Int, first: Int, second: Int)] { base.secondPartials }
    public var scratchCount: Int { base.scratchCount }
    public var coefficientCount: Int { base.coefficientCount }

    public func evaluate(order: Int, at arguments: PointwiseArguments, into results: PointwiseResults) {
        base.evaluate(order: order, at: arguments, into: results)
        guard let data = arguments.data else { preconditionFailure("no column of factors") }
        let (factors, count) = (data[base.dataCount], arguments.count)
        func multiply(_ columns: UnsafePointer<UnsafeMutablePointer<Double>>?, _ number: Int) {
            guard number > 0, let columns else { return }
            for k in 0..<number {
                let column = columns[k]
                for i in 0..<count { column[i] *= factors[i] }
            }
        }
        multiply(results.residuals, residualCount)
        if order >= 1 { multiply(results.partials, partials.count) }
        if order >= 2 { multiply(results.secondPartials, secondPartials.count) }
    }

    public func evaluateCoefficients(at arguments: PointwiseArguments, into columns: UnsafePointer<UnsafeMutablePointer<Double>>) {
        base.evaluateCoefficients(at: arguments, into: columns)
    }
}
