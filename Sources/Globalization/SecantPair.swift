import LinearAlgebra
import OptimizationCore

/// One accepted step and the change of the gradient over it.
public struct SecantPair: Sendable, Equatable {
    /// s ∈ ℝᴾ.
    public let step: Vector
    /// y ∈ ℝᴾ.
    public let change: Vector
    /// τ, by which the matrix before this pair is divided: 1 but in self-scaled methods.
    public let scaling: Double
    /// sᵀy.
    public let curvature: Double

    public init(step: Vector, change: Vector, scaling: Double = 1) {
        (self.step, self.change, self.scaling) = (step, change, scaling)
        curvature = step.pooledDot(change)
    }

    /// γ = sᵀy/yᵀy: the inverse curvature along y.
    package var inverseCurvature: Double { curvature / change.pooledDot(change) }
}

extension [SecantPair] {
    /// −H·g by the two-loop recursion: newest pair first, then oldest first. H₀ = γ·I; a pair's 1/τ scales what comes before it.
    ///
    /// 8mP flops. Each pass over a pair's vectors ends with the inner product that the next one begins with, so that s and y are
    /// read twice each: 4mP doubles, and 3P of the running vector a pass.
    package func direction(for g: Vector, initialScale γ: Double) -> Vector {
        guard let newest = last else { return -γ * g }
        var q = g
        var a = [Double](repeating: 0, count: count)
        var product = newest.step.pooledDot(g)
        for i in indices.reversed() {
            a[i] = product / self[i].curvature
            product = q.update(adding: self[i].change, times: -a[i], dotting: i > 0 ? self[i - 1].step : self[0].change)
        }
        // r = γ·q, of which y₀ᵀq is known.
        var scale = γ / self[0].scaling
        product *= scale
        for i in indices {
            let coefficient = a[i] - product / self[i].curvature
            let next = i + 1 < count ? i + 1 : i
            let factor = i + 1 < count ? 1 / self[next].scaling : -1
            product = q.update(
                scaledBy: scale * factor, adding: self[i].step, times: coefficient * factor, dotting: self[next].change)
            scale = 1
        }
        return q
    }
}

extension Archive {
    package mutating func set(pairs: [SecantPair]) {
        set("steps", pairs.map(\.step))
        set("changes", pairs.map(\.change))
        set("scalings", pairs.map(\.scaling))
    }

    package func pairs(of count: Int) throws -> [SecantPair] {
        let (steps, changes, scalings) = (try vectors("steps"), try vectors("changes"), try doubles("scalings"))
        guard steps.count == changes.count, steps.count == scalings.count, (steps + changes).allSatisfy({ $0.count == count }) else {
            throw ArchiveError(entry: "steps", reason: "does not hold a pair of \(count) values for each change")
        }
        return steps.indices.map { SecantPair(step: steps[$0], change: changes[$0], scaling: scalings[$0]) }
    }
}

/// Powell's damping: y with as much of Bs added as keeps sᵀy ≥ 0.2·sᵀBs, so that the update stays positive definite.
///
///     ŷ = θy + (1 − θ)Bs,   θ = 1 where sᵀy ≥ 0.2·sᵀBs, else 0.8·sᵀBs/(sᵀBs − sᵀy)
///
/// Along a quasi-Newton direction Bs = −α∇L is known for nothing. Source: Powell, Math. Prog. 14 (1978) 224–248, doi:10.1007/BF01588967.
package func damped(_ y: Vector, along s: Vector, image Bs: Vector) -> Vector {
    let (curvature, model) = (s.dot(y), s.dot(Bs))
    guard model > 0, curvature < 0.2 * model else { return y }
    let θ = 0.8 * model / (model - curvature)
    var mixed = θ * y
    mixed.add(Bs, scaledBy: 1 - θ)
    return mixed
}
