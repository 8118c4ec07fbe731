import Globalization
import LinearAlgebra
import OptimizationCore

extension Standpoint {
    /// The change of L that rounding can hide: its last bits, or what it changes by when every parameter moves by a rounding error, all up
    /// and then up and down in turn. Two losses.
    func hiddenChange(on problem: any DifferentiableProblem) throws -> Double {
        var hidden = lastBits
        for alternation in [1.0, -1.0] {
            var (moved, sign) = (parameters.values, 1.0)
            for i in 0..<moved.count {
                moved[i] *= 1 + sign * Double.ulpOfOne
                sign *= alternation
            }
            let change = abs(try problem.loss(at: moved).total - loss.total)
            if change.isFinite { hidden = Swift.max(hidden, change) }
        }
        return hidden
    }
}
