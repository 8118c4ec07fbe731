import LinearAlgebra

/// A loss, its terms and its gradient at a point.
public struct LossAndGradient: Sendable, Hashable {
    /// L = Σₜ Lₜ.
    public var loss: Double
    /// Lₜ of every term: ½‖rₜ‖², or an integral.
    public var terms: [Double]
    /// ∇L ∈ ℝᴾ.
    public var gradient: Vector
}

extension Program {
    /// The loss of every term: ½‖rₜ‖², or an integral. One forward pass; values that are not finite pass through.
    public func losses(at parameters: Vector) -> [Double] {
        check(parameters)
        return parameters.withUnsafeBufferPointer { θ in
            guard let θ = θ.baseAddress else { return [] }
            return blockLosses(θ)
        }
    }

    private func blockLosses(_ θ: Doubles) -> [Double] {
        let terms = compiled.count
        var partial = [Double](repeating: 0, count: shards.count * terms)
        partial.withUnsafeMutableBufferPointer { partial in
            guard let base = partial.baseAddress else { return }
            overShards(.values) { shard, workspace in
                for block in shards[shard] {
                    let block = blocks[block]
                    let pass = pass(.values, term: block.term, start: block.start, points: block.points, in: workspace)
                    pass.forward(θ)
                    pass.evaluate(order: 0)
                    base[shard * terms + block.term] += pass.loss
                }
            }
        }
        return (0..<terms).map { term in shards.indices.reduce(0.0) { $0 + partial[$1 * terms + term] } }
    }

    /// L(θ).
    public func loss(at parameters: Vector) -> Double { losses(at: parameters).reduce(0, +) }

    /// The loss of every term, and the gradient written into `gradient`. One forward and one reverse pass.
    public func lossesAndGradient(
        at parameters: UnsafeBufferPointer<Double>, into gradient: UnsafeMutableBufferPointer<Double>
    ) -> [Double] {
        precondition(parameters.count == parameterCount, "\(parameters.count) parameters instead of \(parameterCount)")
        guard let θ = parameters.baseAddress else { return [] }
        return accumulating(.reverse, into: gradient) { pass, vector in
            pass.forward(θ)
            pass.evaluate(order: 1)
            pass.seedLoss()
            pass.reverse(θ, gradient: vector)
            return pass.loss
        }
    }

    /// L, its terms and ∇L at θ.
    public func lossAndGradient(at parameters: Vector) -> LossAndGradient {
        var terms: [Double] = []
        let gradient = Vector(count: parameterCount) { gradient in
            terms = parameters.withUnsafeBufferPointer { lossesAndGradient(at: $0, into: gradient) }
        }
        return LossAndGradient(loss: terms.reduce(0, +), terms: terms, gradient: gradient)
    }

    func check(_ parameters: Vector) {
        precondition(parameters.count == parameterCount, "\(parameters.count) parameters instead of \(parameterCount)")
    }
}
