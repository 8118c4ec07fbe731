import CKernels

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// h = σ(x) on a range of features, the others unchanged: an activation that stands apart from the affine map before it.
struct ActivationLayer: ParameterFreeLayer {
    let outputs: Int
    let activation: ActivationFunction
    /// The features that σ is applied to.
    let range: Range<Int>

    init(outputs: Int, activation: ActivationFunction, range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= outputs, "features \(range) of \(outputs)")
        (self.outputs, self.activation, self.range) = (outputs, activation, range)
    }

    var savedWidth: Int { range.count }
    var element: ActivationFunction? { activation }

    /// Copies the features that σ leaves alone.
    private func copyOthers<S: JetScalar>(_ pass: JetPass<S>, _ x: Numbers<S>, to y: MutableNumbers<S>, accumulating: Bool = false) {
        for part in [0..<range.lowerBound, range.upperBound..<outputs] {
            let (at, count) = (part.lowerBound * pass.rows, part.count * pass.rows)
            if accumulating { S.axpy(count, 1, x + at, y + at) } else { (y + at).update(from: x + at, count: count) }
        }
    }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        let at = range.lowerBound * pass.rows
        m.z.update(from: m.x() + at, count: range.count * pass.rows)
        pass.activate(activation, range.count, bias: nil, z: m.z, h: m.h + at)
        copyOthers(pass, m.x(), to: m.h)
    }

    /// x̄ (or its tangent) from a cotangent of h in which σ's features are those of z already.
    private func hand<S: JetScalar>(_ pass: JetPass<S>, _ g: Numbers<S>, accumulating: Bool, to xbar: MutableNumbers<S>) {
        let count = outputs * pass.rows
        if accumulating { S.axpy(count, 1, g, xbar) } else { xbar.update(from: g, count: count) }
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        guard let xbar = m.xbar() else { return }
        let at = range.lowerBound * pass.rows
        pass.activateReverse(activation, range.count, z: m.z, h: m.h + at, g: m.g + at)
        hand(pass, m.g, accumulating: xbar.accumulates, to: xbar.value)
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        let at = range.lowerBound * pass.rows
        m.zdot.update(from: m.xdot() + at, count: range.count * pass.rows)
        pass.activateTangent(activation, range.count, z: m.z, h: m.h + at, zdot: m.zdot, hdot: m.hdot + at)
        copyOthers(pass, m.xdot(), to: m.hdot)
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        guard let xbar = m.xbar() else { return }
        let at = range.lowerBound * pass.rows
        pass.activateTangentReverse(activation, range.count, z: m.z, h: m.h + at, zdot: m.zdot, g: m.g + at, gdot: m.gdot + at)
        hand(pass, m.g, accumulating: xbar.accumulates, to: xbar.value)
        hand(pass, m.gdot, accumulating: xbar.accumulates, to: xbar.tangent)
    }
}

/// h_j = f(s_j)·x_j + b_j with a trained factor for each feature, or one for all: trainable slopes (Jagtap, Kawaguchi and Karniadakis
/// 2020, doi:10.1016/j.jcp.2019.109136), and the factors of weights that are factorised at random.
struct ScaleLayer: JetLayer {
    let outputs: Int
    let scaling: TrainedScaling
    let isShared: Bool
    let hasShift: Bool

    private var factorCount: Int { isShared ? 1 : outputs }
    var parameterCount: Int { factorCount + (hasShift ? outputs : 0) }
    var savedWidth: Int { 0 }
    var parameterStride: Int { 1 }

    private func index(_ j: Int) -> Int { isShared ? 0 : j }

    /// f, f′ and f″ at a parameter.
    private func factor(_ s: some JetScalar) -> (value: Double, slope: Double, curvature: Double) {
        let s = Double(s)
        return switch scaling {
        case .linear(let n): (n * s, n, 0)
        case .exponential: (exp(s), exp(s), exp(s))
        }
    }

    private func scale<S: JetScalar>(_ a: Double, _ count: Int, _ x: Numbers<S>, accumulating: Bool, into y: MutableNumbers<S>) {
        if !accumulating { y.update(repeating: 0, count: count) }
        S.axpy(count, S(a), x, y)
    }

    func forward<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>) {
        let rows = pass.rows
        for j in 0..<outputs {
            let column = m.h + j * rows
            scale(factor(θ[index(j)]).value, rows, m.x() + j * rows, accumulating: false, into: column)
            if hasShift { S.addConstant(pass.count, θ[factorCount + j], column) }
        }
    }

    func reverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, gradient: MutableDoubles?) {
        let rows = pass.rows
        for j in 0..<outputs {
            let (f, at) = (factor(θ[index(j)]), j * rows)
            if let gradient {
                gradient[index(j)] += f.slope * S.dot(rows, m.g + at, m.x() + at)
                if hasShift { gradient[factorCount + j] += S.sum(pass.count, m.g + at) }
            }
            if let xbar = m.xbar() { scale(f.value, rows, m.g + at, accumulating: xbar.accumulates, into: xbar.value + at) }
        }
    }

    func jacobianRows<S: JetScalar>(
        _ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int
    ) {
        let parts = pass.space.count * pass.arity
        for p in parameters {
            let entry = out + (p - parameters.lowerBound) * leading
            entry.update(repeating: 0, count: points)
            if p >= factorCount {
                let column = m.g + (p - factorCount) * pass.rows
                for point in 0..<pass.arity { S.axpyWide(points, 1, column + point * pass.tuples, entry) }
                continue
            }
            let slope = factor(θ[p]).slope
            for j in isShared ? 0..<outputs : p..<(p + 1) {
                for part in 0..<parts {
                    let at = j * pass.rows + part * pass.tuples
                    S.addProductWide(points, slope, m.g + at, m.x() + at, entry)
                }
            }
        }
    }

    func tangent<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>) {
        let rows = pass.rows
        for j in 0..<outputs {
            let (f, at) = (factor(θ[index(j)]), j * rows)
            scale(f.value, rows, m.xdot() + at, accumulating: false, into: m.hdot + at)
            S.axpy(rows, S(f.slope) * v[index(j)], m.x() + at, m.hdot + at)
            if hasShift { S.addConstant(pass.count, v[factorCount + j], m.hdot + at) }
        }
    }

    func tangentReverse<S: JetScalar>(_ pass: JetPass<S>, _ θ: Numbers<S>, _ v: Numbers<S>, _ m: LayerMemory<S>, product: MutableDoubles) {
        let rows = pass.rows
        for j in 0..<outputs {
            let (f, at, direction) = (factor(θ[index(j)]), j * rows, Double(v[index(j)]))
            let slope = S.dot(rows, m.gdot + at, m.x() + at) + S.dot(rows, m.g + at, m.xdot() + at)
            product[index(j)] += f.slope * slope + f.curvature * direction * S.dot(rows, m.g + at, m.x() + at)
            if hasShift { product[factorCount + j] += S.sum(pass.count, m.gdot + at) }
            if let xbar = m.xbar() {
                scale(f.value, rows, m.gdot + at, accumulating: xbar.accumulates, into: xbar.tangent + at)
                S.axpy(rows, S(f.slope * direction), m.g + at, xbar.tangent + at)
                scale(f.value, rows, m.g + at, accumulating: xbar.accumulates, into: xbar.value + at)
            }
        }
    }
}

/// How a trained number becomes a factor.
public enum TrainedScaling: Sendable, Hashable {
    /// n·s: a larger n lets the slope change faster.
    case linear(Double)
    /// eˢ: positive.
    case exponential
}
