import LinearAlgebra
import OptimizationCore

// The rungs, capability by capability. A bound for ⟨a, b⟩ computed in two orders is (n + 64)·ε·Σ|aᵢ||bᵢ|.

// MARK: Losses and gradients

extension Ladder {
    mutating func shapes(_ problem: any DifferentiableProblem) throws {
        let value = try problem.lossAndGradient(at: point)
        let counts = [try problem.loss(at: point).terms.count, value.loss.terms.count]
        add(
            "one value a term", counts.allSatisfy { $0 == problem.terms.count },
            detail: "\(counts) values, terms: \(problem.terms.joined(separator: ", "))")
        add(
            "one entry of the gradient a parameter", value.gradient.count == point.count,
            detail: "\(value.gradient.count) entries, \(point.count) parameters")
    }

    mutating func agreement(_ problem: any DifferentiableProblem) throws {
        let (loss, value) = (try problem.loss(at: point), try problem.lossAndGradient(at: point))
        let count = (problem as? any LeastSquaresProblem)?.residualCount ?? problem.layout.count
        let allowed = Ladder.rounding(count) * abs(value.loss.total)
        add("loss agrees with the gradient's", deviation: abs(loss.total - value.loss.total), allowed: allowed)
        add(
            "terms add up to the loss", deviation: abs(loss.terms.reduce(0, +) - loss.total),
            allowed: Ladder.rounding(count) * loss.terms.reduce(0) { $0 + abs($1) })
    }

    mutating func climb(_ problem: any DifferentiableProblem, along v: Vector, _ suffix: String) throws {
        let value = try problem.lossAndGradient(at: point)
        let slope = value.gradient.dot(v)
        add(
            "gradient's Taylor remainder" + suffix, order: 2,
            try TaylorSlope { h in
                let moved = try problem.loss(at: point.adding(v, scaledBy: h)).total
                return (abs(moved - value.loss.total - h * slope), abs(moved) + abs(value.loss.total) + h * abs(slope))
            })
    }
}

// MARK: Least squares

extension Ladder {
    mutating func climb(leastSquares problem: any LeastSquaresProblem, along v: Vector, _ w: Vector, _ suffix: String) throws {
        let linearization = try problem.linearization(at: point)
        let (r, jv) = (linearization.residual, linearization.product(v))
        add(
            "J·v's Taylor remainder" + suffix, order: 2,
            try TaylorSlope { h in
                let moved = try problem.residual(at: point.adding(v, scaledBy: h))
                return ((moved - r - h * jv).norm, moved.norm + r.norm + h * jv.norm)
            })
        let (jtw, n) = (linearization.transposedProduct(w), max(r.count, v.count))
        // Σ|wᵢ||Jᵢⱼ||vⱼ| bounds both sides' roundings; its larger factor pair does where J is too large to form.
        let scale = w.magnitudes.dot(absoluteProduct(linearization, v) ?? jv.magnitudes) + v.magnitudes.dot(jtw.magnitudes)
        add(
            "⟨Jv, w⟩ = ⟨v, Jᵀw⟩" + suffix, deviation: abs(jv.dot(w) - v.dot(jtw)), allowed: 2 * Ladder.rounding(n) * scale)
        rows(linearization, v, jv, suffix)
    }

    /// Dense rows, asked for in uneven pieces, against J·v.
    private mutating func rows(_ linearization: any Linearization, _ v: Vector, _ jv: Vector, _ suffix: String) {
        let n = linearization.residualCount
        guard n * v.count <= DerivativeCheck.denseLimit else { return }
        var (worst, worstRow, first) = (0.0, 0, 0)
        for piece in [n / 3, n] where piece > first {
            let block = linearization.jacobian(rows: first..<piece)
            let (product, scale) = (block.times(v), block.absolute.times(v.magnitudes))
            for i in 0..<(piece - first) {
                let deviation = abs(product[i] - jv[first + i])
                let ratio = deviation == 0 ? 0 : deviation / (2 * Ladder.rounding(v.count) * scale[i])
                // A NaN compares false: it must count as the worst.
                if !(ratio <= worst) { (worst, worstRow) = (ratio, first + i) }
            }
            first = piece
        }
        add("dense rows agree with J·v" + suffix, deviation: worst, allowed: 1, detail: "worst in row \(worstRow)")
    }

    private func absoluteProduct(_ linearization: any Linearization, _ v: Vector) -> Vector? {
        guard linearization.residualCount * v.count <= DerivativeCheck.denseLimit else { return nil }
        return linearization.jacobian().absolute.times(v.magnitudes)
    }

    mutating func shapes(leastSquares problem: any LeastSquaresProblem) throws {
        let (n, linearization) = (try problem.residual(at: point).count, try problem.linearization(at: point))
        add(
            "counts of residuals and parameters agree",
            n == problem.residualCount && linearization.residualCount == n && linearization.residual.count == n
                && linearization.parameterCount == point.count,
            detail:
                "residual \(n), residualCount \(problem.residualCount), J \(linearization.residualCount) × \(linearization.parameterCount)"
        )
    }

    mutating func agreement(leastSquares problem: any LeastSquaresProblem) throws {
        let (r, value) = (try problem.residual(at: point), try problem.lossAndGradient(at: point))
        let linearization = try problem.linearization(at: point)
        let (n, p) = (r.count, point.count)
        add(
            "loss = ½‖r‖²", deviation: abs(try problem.loss(at: point).total - 0.5 * r.dot(r)),
            allowed: Ladder.rounding(n) * 0.5 * r.dot(r))
        add(
            "the linearisation's residual is r", deviation: (linearization.residual - r).norm, allowed: Ladder.rounding(p) * r.norm)
        let gradient = linearization.transposedProduct(r)
        guard n * p <= DerivativeCheck.denseLimit else {
            let scale =
                value.gradient.norm + gradient.norm + linearization.product(gradient).norm * r.norm
                / max(gradient.norm, .leastNormalMagnitude)
            return add("gradient = Jᵀr", deviation: (value.gradient - gradient).norm, allowed: 2 * Ladder.rounding(n) * scale)
        }
        let j = linearization.jacobian()
        let scale = j.absolute.transposedTimes(r.magnitudes)
        let worst = (0..<p).map { k in
            let deviation = abs(value.gradient[k] - gradient[k])
            return deviation == 0 ? 0 : deviation / (2 * Ladder.rounding(n) * scale[k])
        }
        add("gradient = Jᵀr", deviation: worst.contains(where: \.isNaN) ? .nan : worst.max() ?? 0, allowed: 1)
        if p * p * n <= 16 * DerivativeCheck.denseLimit {
            let (dense, bound) = (
                Matrix.product(j, j, transposingFirst: true), Matrix.product(j.absolute, j.absolute, transposingFirst: true)
            )
            add(
                "JᵀJ agrees with the rows", deviation: linearization.gramian().deviation(from: dense, bound),
                allowed: 2 * Ladder.rounding(n))
        }
        if n * n * p <= 16 * DerivativeCheck.denseLimit {
            let (dense, bound) = (
                Matrix.product(j, j, transposingSecond: true), Matrix.product(j.absolute, j.absolute, transposingSecond: true)
            )
            add(
                "JJᵀ agrees with the rows", deviation: linearization.kernel().deviation(from: dense, bound), allowed: 2 * Ladder.rounding(p)
            )
        }
    }
}

// MARK: Second derivatives

extension Ladder {
    mutating func climb(second problem: any TwiceDifferentiableProblem, along v: Vector, _ u: Vector, _ suffix: String) throws {
        let (hessian, value) = (try problem.hessian(at: point), try problem.lossAndGradient(at: point))
        let (hv, hu) = (hessian.product(v), hessian.product(u))
        let count = max((problem as? any LeastSquaresProblem)?.residualCount ?? 0, point.count)
        // H is itself a sum in which terms may cancel; the Gauss–Newton part JᵀJ bounds what is added up where it is offered.
        var scale = u.magnitudes.dot(hv.magnitudes) + v.magnitudes.dot(hu.magnitudes)
        if let leastSquares = problem as? any LeastSquaresProblem {
            let linearization = try leastSquares.linearization(at: point)
            scale += 2 * linearization.product(u).norm * linearization.product(v).norm
        }
        add("⟨u, Hv⟩ = ⟨Hu, v⟩" + suffix, deviation: abs(u.dot(hv) - v.dot(hu)), allowed: 2 * Ladder.rounding(count) * scale)
        add(
            "H·v's Taylor remainder" + suffix, order: 2,
            try TaylorSlope { h in
                let moved = try problem.lossAndGradient(at: point.adding(v, scaledBy: h)).gradient
                return ((moved - value.gradient - h * hv).norm, moved.norm + value.gradient.norm + h * hv.norm)
            })
        add("Hessian's Taylor remainder" + suffix, order: 3, try secondRemainder(problem, hessian, value, along: [v, u, v + u]))
    }

    /// The slope of |L(θ + hv) − L(θ) − h⟨∇L, v⟩ − ½h²⟨v, Hv⟩| in the direction that shows it best: where the third derivative along a
    /// direction nearly vanishes, the remainder changes its sign between two steps and has no slope. A wrong Hessian is wrong in all of them.
    private func secondRemainder(
        _ problem: any TwiceDifferentiableProblem, _ hessian: any HessianOperator, _ value: Evaluation, along directions: [Vector]
    ) throws -> TaylorSlope {
        var best: TaylorSlope?
        for v in directions {
            let (slope, curvature) = (value.gradient.dot(v), v.dot(hessian.product(v)))
            let fit = try TaylorSlope { h in
                let moved = try problem.loss(at: point.adding(v, scaledBy: h)).total
                let (first, second) = (h * slope, 0.5 * h * h * curvature)
                let magnitude = abs(moved) + abs(value.loss.total) + abs(first) + abs(second)
                return (abs(moved - (value.loss.total + first + second)), magnitude)
            }
            guard let reached = fit.slope, reached < 3 - Ladder.slack else { return fit }
            if best?.slope.map({ $0 < reached }) ?? true { best = fit }
        }
        guard let best else { preconditionFailure("no direction") }
        return best
    }
}

// MARK: Magnitudes

extension Vector {
    var magnitudes: Vector { Vector(map { abs($0) }) }
}

extension Matrix {
    var absolute: Matrix { Matrix(rows: rows, columns: columns, elements: elements.map { abs($0) }) }

    /// The largest |aᵢⱼ − bᵢⱼ| / boundᵢⱼ; infinite for another shape, NaN where an entry is.
    func deviation(from other: Matrix, _ bound: Matrix) -> Double {
        guard rows == other.rows, columns == other.columns else { return .infinity }
        var worst = 0.0
        for k in elements.indices {
            let difference = abs(elements[k] - other.elements[k])
            let ratio = difference == 0 ? 0 : difference / bound.elements[k]
            if ratio.isNaN { return .nan }
            worst = max(worst, ratio)
        }
        return worst
    }
}
