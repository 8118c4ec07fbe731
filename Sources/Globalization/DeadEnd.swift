import LinearAlgebra
import OptimizationCore

/// What it means that a search found no decrease along a descent direction.
public enum DeadEnd {
    /// Rounding errors of the loss hide every decrease that is left: the method is where floating point lets it go. The finding holds
    /// the promised decrease and what rounding hides.
    case stationary(Finding)
    /// A decrease that can be told from rounding was found after all.
    case step(RaySample<Trial>)
    /// Decreases over many orders of step lengths could have been seen, and were not: the direction, and so the gradient, is wrong,
    /// or the loss is not smooth here.
    case unexplained
}

extension Standpoint {
    /// Judges a failed search along p, whose natural step length is one (a Newton-like step), by the loss's own noise.
    ///
    /// The noise is the change of L when every parameter moves by a rounding error; α* = 10·noise/|φ′(0)| is the shortest step whose decrease
    /// would show above it. If α* is beyond 1e-6 there are fewer than six decades of step lengths left in which a decrease
    /// could be seen, curvature included, and the point is stationary for this arithmetic. Costs three losses.
    ///
    /// With `seeingCurvature` it is stationary too where the slope has changed its sign at α*: the lowest point along p lies before the first
    /// that could be told. That is for methods that know no better direction than p, along gradients; a Newton-like step that bends upwards
    /// at once may only be a wrong one. Costs two losses and a gradient.
    public func deadEnd(along p: Vector, on problem: any DifferentiableProblem, seeingCurvature: Bool = false) throws -> DeadEnd {
        let ray = ray(along: p, on: problem)
        guard ray.slope < 0, loss.isFinite else { return .unexplained }
        let noise = try roundingNoise(on: problem)
        let shortest = 10 * noise / -ray.slope
        guard shortest < 1 else { return .stationary(.hiddenDecrease(-ray.slope, hidden: 10 * noise)) }
        let sample = try ray.sample(at: shortest, needsSlope: seeingCurvature)
        guard sample.isFinite else { return .unexplained }  // what cannot be told says nothing of decreases
        if sample.value < loss.total { return .step(sample) }
        if let slope = sample.slope, slope >= 0 { return .stationary(.hiddenDecrease(-ray.slope * shortest, hidden: 10 * noise)) }
        return shortest > 1e-6 ? .stationary(.hiddenDecrease(-ray.slope, hidden: 1e7 * noise)) : .unexplained
    }

    /// How much L changes when every parameter moves by a rounding error, all up and then up and down in turn; at least L's own last bits.
    func roundingNoise(on problem: any DifferentiableProblem) throws -> Double {
        // Among the least numbers, theirs are the last bits.
        var noise = 4 * Swift.max(Double.ulpOfOne * abs(loss.total), Double.leastNonzeroMagnitude)
        for alternation in [1.0, -1.0] {
            var (moved, sign) = (parameters.values, 1.0)
            for i in 0..<moved.count {
                moved[i] *= 1 + sign * Double.ulpOfOne
                sign *= alternation
            }
            let value = try problem.loss(at: moved).total
            if value.isFinite { noise = Swift.max(noise, abs(value - loss.total)) }
        }
        return noise
    }
}
