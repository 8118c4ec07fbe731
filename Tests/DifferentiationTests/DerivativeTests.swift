import Differentiation
import LinearAlgebra
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Engine {
    /// Every product against an independent one, on random networks and random residuals.
    @Suite struct DerivativeTests {
        /// The slope of log remainder(h) in log h, by least squares over the steps whose remainder stands clear of rounding.
        static func slope(noise: Double, _ remainder: (Double) -> Double) -> (slope: Double, steps: Int) {
            var samples: [(Double, Double)] = []
            for k in 4..<14 {
                let h = pow(2, -Double(k))
                let value = remainder(h)
                if value > 300 * noise { samples.append((log2(h), log2(value))) }
            }
            // The smallest steps: there the leading power rules.
            let used = samples.suffix(5)
            let n = Double(used.count)
            let (mx, my) = (used.reduce(0) { $0 + $1.0 } / n, used.reduce(0) { $0 + $1.1 } / n)
            let (sxy, sxx) = used.reduce((0.0, 0.0)) { ($0.0 + ($1.0 - mx) * ($1.1 - my), $0.1 + ($1.0 - mx) * ($1.0 - mx)) }
            return (sxy / sxx, used.count)
        }

        static func normalised(_ v: Vector) -> Vector { (1 / v.norm) * v }

        /// Remainders vanish with slope 2 for the gradient and for H·v as the gradient's derivative, 3 for the Hessian's quadratic
        /// form; a wrong derivative gives 1, 1 and 2.
        @Test(arguments: RandomCase.low + RandomCase.high + RandomCase.rich)
        func taylorSlopes(c: RandomCase) {
            let (program, θ) = c.program()
            var rng = Seeded(c.seed + 7)
            let v = Self.normalised(rng.vector(program.parameterCount))
            let here = program.lossAndGradient(at: θ)
            let noise = 0x1p-50 * here.loss
            let first = Self.slope(noise: noise) { h in
                abs(program.loss(at: θ.adding(v, scaledBy: h)) - here.loss - h * here.gradient.dot(v))
            }
            // 3 where the curvature along v happens to vanish; a wrong gradient gives 1.
            #expect(first.steps >= 3 && first.slope > 1.75 && first.slope < 3.25, "gradient: \(first)")
            let hv = program.hessian(at: θ).times(v)
            let second = Self.slope(noise: noise) { h in
                let quadratic = h * here.gradient.dot(v) + 0.5 * h * h * hv.dot(v)
                return abs(program.loss(at: θ.adding(v, scaledBy: h)) - here.loss - quadratic)
            }
            #expect(second.steps >= 3 && second.slope > 2.6 && second.slope < 4.4, "quadratic form: \(second)")
            let third = Self.slope(noise: 0x1p-50 * here.gradient.norm) { h in
                (program.lossAndGradient(at: θ.adding(v, scaledBy: h)).gradient - here.gradient - h * hv).norm
            }
            #expect(third.steps >= 3 && abs(third.slope - 2) < 0.25, "H·v: \(third)")
        }

        /// L = ½‖r‖², ∇L = Jᵀr, ⟨Jv, w⟩ = ⟨v, Jᵀw⟩, ⟨Hv, w⟩ = ⟨v, Hw⟩.
        @Test(arguments: RandomCase.low + RandomCase.high + RandomCase.rich)
        func identities(c: RandomCase) {
            let (program, θ) = c.program()
            var rng = Seeded(c.seed + 8)
            let here = program.lossAndGradient(at: θ)
            let r = program.residuals(at: θ)
            #expect(r.count == program.residualCount)
            #expect(abs(0.5 * r.dot(r) - here.loss) <= 1e-13 * here.loss)
            for term in program.terms.indices {
                let part = Vector(r.elements[program.residualRange(ofTerm: term)])
                #expect(abs(0.5 * part.dot(part) - here.terms[term]) <= 1e-13 * here.loss)
            }
            #expect(program.losses(at: θ) == here.terms)
            let j = program.jacobian(at: θ)
            #expect((j.transposedTimes(r) - here.gradient).norm <= 1e-12 * here.gradient.norm)
            let (v, w) = (rng.vector(program.parameterCount), rng.vector(program.residualCount))
            let (jv, jtw) = (j.times(v), j.transposedTimes(w))
            #expect(abs(jv.dot(w) - v.dot(jtw)) <= 1e-12 * (jv.norm * w.norm + v.norm * jtw.norm))
            #expect((j.normalTimes(v) - j.transposedTimes(jv)).norm <= 1e-12 * j.transposedTimes(jv).norm)
            let h = program.hessian(at: θ)
            let u = rng.vector(program.parameterCount)
            let (hv, hu) = (h.times(v), h.times(u))
            #expect(abs(hv.dot(u) - v.dot(hu)) <= 1e-12 * (hv.norm * u.norm + v.norm * hu.norm))
        }

        /// J against J·v on basis vectors, in one piece and in row blocks; JᵀJ and JJᵀ against J.
        @Test(arguments: RandomCase.low + RandomCase.high + RandomCase.rich)
        func jacobian(c: RandomCase) {
            let (program, θ) = c.program()
            let linearisation = program.jacobian(at: θ)
            let j = linearisation.jacobian()
            let (n, p) = (j.rows, j.columns)
            var rng = Seeded(c.seed + 9)
            let scale = j.elements.reduce(0) { max($0, abs($1)) }
            for _ in 0..<20 {
                var e = Vector.zeros(p)
                let column = Int.random(in: 0..<p, using: &rng)
                e[column] = 1
                #expect((linearisation.times(e) - j.column(column)).maximumNorm <= 1e-12 * scale)
            }
            for _ in 0..<4 {
                let low = Int.random(in: 0..<n, using: &rng)
                let rows = low..<Int.random(in: (low + 1)...n, using: &rng)
                var block = [Double](repeating: .nan, count: (rows.count + 3) * p)
                block.withUnsafeMutableBufferPointer { block in
                    guard let base = block.baseAddress else { return }
                    linearisation.jacobian(rows: rows, into: base, leading: rows.count + 3)
                }
                var error = 0.0
                for q in 0..<p { for i in rows { error = max(error, abs(block[i - low + q * (rows.count + 3)] - j[i, q])) } }
                #expect(error <= 1e-12 * scale)
            }
            func agree(_ a: Matrix, _ b: Matrix) -> Bool {
                let largest = b.elements.reduce(0) { max($0, abs($1)) }
                return zip(a.elements, b.elements).allSatisfy { abs($0 - $1) <= 1e-12 * largest }
            }
            let (normal, outer) = (linearisation.normalMatrix(), linearisation.outerMatrix())
            #expect(agree(normal, Matrix.product(j, j, transposingFirst: true)))
            #expect(agree(outer, Matrix.product(j, j, transposingSecond: true)))
            #expect(normal == normal.transposed && outer == outer.transposed)
        }

        /// The kernels for order ≤ 2 and the generic rule, in every product.
        @Test(arguments: RandomCase.low + RandomCase.rich.filter { $0.order <= 2 })
        func fastAgainstGeneric(c: RandomCase) {
            let (fast, θ) = c.program()
            let (generic, _) = c.program(ProgramOptions(usesGenericRule: true))
            var rng = Seeded(c.seed + 10)
            let v = rng.vector(fast.parameterCount)
            func close(_ a: Vector, _ b: Vector) -> Bool { (a - b).norm <= 1e-12 * b.norm }
            #expect(close(fast.residuals(at: θ), generic.residuals(at: θ)))
            #expect(close(fast.lossAndGradient(at: θ).gradient, generic.lossAndGradient(at: θ).gradient))
            #expect(close(fast.jacobian(at: θ).times(v), generic.jacobian(at: θ).times(v)))
            #expect(close(fast.hessian(at: θ).times(v), generic.hessian(at: θ).times(v)))
        }
    }
}
