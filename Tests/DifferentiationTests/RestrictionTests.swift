import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Every product restricted to a batch, to terms, to a block of θ, and to all three at once, against the slices of the whole.
    @Suite struct RestrictionTests {
        static let cases =
            RandomCase.low.enumerated().filter { $0.offset % 5 == 0 }.map(\.element)
            + RandomCase.rich.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)

        static func near(_ a: Vector, _ b: Vector, _ scale: Double) -> Bool { a.count == b.count && (a - b).norm <= 1e-12 * scale }

        /// The rows of the whole residual that a restriction to points keeps, in its order.
        static func rows(of program: Program, toPoints points: [[Int]]) -> [Int] {
            program.terms.indices.flatMap { t in
                let (first, count) = (program.residualRange(ofTerm: t).lowerBound, program.terms[t].pointCount)
                return (0..<program.terms[t].function.residualCount).flatMap { k in points[t].map { first + k * count + $0 } }
            }
        }

        /// All that comes from J, of a program that keeps the given rows, in a block of θ.
        static func expectSlices(
            _ restricted: Program, at θ: Vector, rows: [Int], block: Range<Int>, of j: Matrix, _ r: Vector, _ rng: inout Seeded,
            _ what: String
        ) {
            let part = Matrix(rows: rows.count, columns: block.count, elements: block.flatMap { p in rows.map { j[$0, p] } })
            let residuals = Vector(rows.map { r[$0] })
            #expect(near(restricted.residuals(at: θ), residuals, residuals.norm), "r, \(what)")
            let losses = restricted.terms.indices.map { t in
                restricted.residualRange(ofTerm: t).reduce(0.0) { $0 + 0.5 * residuals[$1] * residuals[$1] }
            }
            #expect(near(Vector(restricted.losses(at: θ)), Vector(losses), losses.reduce(0, +)), "losses, \(what)")
            let jacobian = restricted.jacobian(at: θ, block: block)
            #expect(jacobian.rows == rows.count && jacobian.columns == block.count)
            let scale = part.frobeniusNorm
            #expect(ProductTests.close(jacobian.jacobian(), part), "J, \(what)")
            if rows.count > 1 {
                let some = (rows.count / 3)..<(rows.count / 3 + rows.count / 2)
                let slice = Matrix(
                    rows: some.count, columns: block.count, elements: (0..<block.count).flatMap { p in some.map { part[$0, p] } })
                #expect(near(Vector(jacobian.jacobian(rows: some).elements), Vector(slice.elements), scale), "rows of J, \(what)")
            }
            let (v, w) = (ProductTests.random(block.count, 2, &rng), ProductTests.random(rows.count, 3, &rng))
            let (jv, jw) = (Matrix.product(part, v), Matrix.product(part, w, transposingFirst: true))
            #expect(near(Vector(jacobian.times(v).elements), Vector(jv.elements), scale * v.frobeniusNorm), "J·V, \(what)")
            #expect(near(jacobian.times(v.column(1)), jv.column(1), scale * v.frobeniusNorm), "J·v, \(what)")
            #expect(near(Vector(jacobian.transposedTimes(w).elements), Vector(jw.elements), scale * w.frobeniusNorm), "Jᵀ·W, \(what)")
            #expect(near(jacobian.transposedTimes(w.column(2)), jw.column(2), scale * w.frobeniusNorm), "Jᵀ·w, \(what)")
            let normal = Matrix.product(part, part, transposingFirst: true)
            #expect(near(jacobian.normalTimes(v.column(0)), normal.times(v.column(0)), scale * scale * v.frobeniusNorm), "JᵀJ·v, \(what)")
            #expect(ProductTests.close(jacobian.normalMatrix(), normal), "JᵀJ, \(what)")
            #expect(near(jacobian.normalDiagonal(), normal.diagonal, normal.diagonal.norm), "diag(JᵀJ), \(what)")
            let outer = Matrix.product(part, part, transposingSecond: true)
            for form in GramForm.allCases { #expect(ProductTests.close(jacobian.outerMatrix(form: form), outer), "JJᵀ \(form), \(what)") }
            for a in restricted.terms.indices {
                for b in restricted.terms.indices {
                    let (first, second) = (restricted.residualRange(ofTerm: a), restricted.residualRange(ofTerm: b))
                    let kernel = jacobian.kernelBlock(a, b)
                    let slice = second.flatMap { q in first.map { outer[$0, q] } }
                    #expect(near(Vector(kernel.elements), Vector(slice), outer.frobeniusNorm), "kernel of \(a) and \(b), \(what)")
                }
            }
            let norms = Vector(rows.indices.map { i in abs(residuals[i]) * Vector((0..<block.count).map { part[i, $0] }).norm })
            #expect(near(jacobian.sampleGradientNorms(), norms, norms.norm), "norms, \(what)")
            // ∇L and its terms are offered in all of θ alone; a block's is Jᵀr there.
            #expect(near(jacobian.transposedTimes(restricted.residuals(at: θ)), part.transposedTimes(residuals), scale * residuals.norm))
            let gradients = restricted.termGradients(at: θ)
            for (t, gradient) in gradients.enumerated() {
                let range = restricted.residualRange(ofTerm: t)
                let masked = Vector(residuals.indices.map { range.contains($0) ? residuals[$0] : 0 })
                #expect(
                    near(Vector(gradient.elements[block]), part.transposedTimes(masked), scale * residuals.norm),
                    "gradient of \(t), \(what)")
            }
            let whole = gradients.reduce(Vector.zeros(θ.count)) { $0 + $1 }
            #expect(near(restricted.lossAndGradient(at: θ).gradient, whole, whole.norm), "∇L, \(what)")
        }

        /// Two batches that make up the whole, one of them without points of the last term where there are several.
        static func batches(of program: Program, _ rng: inout Seeded) -> [[[Int]]] {
            let last = program.terms.count - 1
            let first = program.terms.enumerated().map { t, term in
                t == last && last > 0 ? [] : (0..<term.pointCount).filter { t == 0 && $0 == 0 || rng.uniform() > 0 }.shuffled(using: &rng)
            }
            let second = zip(program.terms, first).map { term, taken in (0..<term.pointCount).filter { !taken.contains($0) } }
            return [first, second]
        }

        @Test(arguments: cases) func slicesOfJ(_ c: RandomCase) {
            let (program, θ) = c.program()
            var rng = Seeded(c.seed + 31)
            let (j, r) = (program.jacobian(at: θ).jacobian(), program.residuals(at: θ))
            let all = 0..<program.parameterCount
            let blocks = ProductTests.blocks(of: program, &rng)
            for block in blocks {
                Self.expectSlices(program, at: θ, rows: Array(0..<r.count), block: block, of: j, r, &rng, "block \(block)")
            }
            for points in Self.batches(of: program, &rng) {
                let batch = program.restricted(toPoints: points)
                let rows = Self.rows(of: program, toPoints: points)
                if rows.isEmpty { continue }
                Self.expectSlices(batch, at: θ, rows: rows, block: all, of: j, r, &rng, "batch")
                if let block = blocks.randomElement(using: &rng) {
                    Self.expectSlices(batch, at: θ, rows: rows, block: block, of: j, r, &rng, "batch, block \(block)")
                }
                // Terms in another order, of the batch, in a block.
                let order = Array(program.terms.indices.reversed())
                for terms in [order, [order[0]]] {
                    let few = batch.restricted(toTerms: terms)
                    let offsets = terms.flatMap { t in batch.residualRange(ofTerm: t).map { rows[$0] } }
                    if offsets.isEmpty { continue }
                    for block in [all, blocks[blocks.count - 1]] {
                        Self.expectSlices(few, at: θ, rows: offsets, block: block, of: j, r, &rng, "terms \(terms), block \(block)")
                    }
                }
            }
        }

        /// H·V of batches and of terms add up to the whole's, in θ and in blocks; a block's is the square of the whole's.
        @Test(arguments: cases) func partsOfH(_ c: RandomCase) {
            let (program, θ) = c.program()
            let p = program.parameterCount
            var rng = Seeded(c.seed + 32)
            let whole = program.hessian(at: θ)
            for block in ProductTests.blocks(of: program, &rng).suffix(3) + [0..<p] {
                let v = ProductTests.random(block.count, 2, &rng)
                var padded = Matrix.zeros(p, 2)
                for d in 0..<2 { for (i, q) in block.enumerated() { padded[q, d] = v[i, d] } }
                let product = whole.times(padded)
                let slice = Vector((0..<2).flatMap { d in block.map { product[$0, d] } })
                let scale = Vector(product.elements).norm
                #expect(Self.near(Vector(program.hessian(at: θ, block: block).times(v).elements), slice, scale), "\(block)")
                for parts in [
                    Self.batches(of: program, &rng).map { program.restricted(toPoints: $0) },
                    program.terms.indices.map { program.restricted(toTerms: [$0]) },
                ] {
                    let products = parts.map { Vector($0.hessian(at: θ, block: block).times(v).elements) }
                    let sum = products.reduce(Vector.zeros(slice.count)) { $0 + $1 }
                    let size = products.reduce(0) { $0 + $1.norm }
                    #expect(Self.near(sum, slice, size + scale), "parts, \(block)")
                }
            }
        }

        /// Kronecker factors: of a block those of the dense layers that lie in it; of a term its own; of batches they add up.
        @Test(arguments: cases) func partsOfKroneckerFactors(_ c: RandomCase) {
            let (program, θ) = c.program()
            var rng = Seeded(c.seed + 33)
            let whole = program.jacobian(at: θ).kroneckerFactors()
            func same(_ a: KroneckerFactors, _ b: KroneckerFactors) -> Bool {
                a.parameterOffset == b.parameterOffset && a.channels == b.channels && ProductTests.close(a.input, b.input)
                    && ProductTests.close(a.output, b.output)
            }
            for block in ProductTests.blocks(of: program, &rng) {
                let inside = whole.filter { f in
                    let count = (f.inputs + (f.hasBias ? 1 : 0)) * f.outputs
                    return block.lowerBound <= f.parameterOffset && f.parameterOffset + count <= block.upperBound
                }
                let factors = program.jacobian(at: θ, block: block).kroneckerFactors()
                #expect(factors.count == inside.count && zip(factors, inside).allSatisfy(same), "\(block)")
            }
            for t in program.terms.indices {
                let factors = program.restricted(toTerms: [t]).jacobian(at: θ).kroneckerFactors()
                let own = whole.filter { $0.term == t }
                #expect(factors.count == own.count && zip(factors, own).allSatisfy(same), "term \(t)")
            }
            let parts = Self.batches(of: program, &rng).map { program.restricted(toPoints: $0).jacobian(at: θ).kroneckerFactors() }
            for f in whole {
                let own = parts.flatMap { $0.filter { $0.term == f.term && $0.parameterOffset == f.parameterOffset } }
                #expect(own.reduce(0) { $0 + $1.points } == f.points)
                func sum(_ matrix: (KroneckerFactors) -> Matrix) -> Vector {
                    own.reduce(Vector.zeros(matrix(f).elements.count)) { $0 + Vector(matrix($1).elements) }
                }
                #expect(Self.near(sum(\.input), Vector(f.input.elements), f.input.frobeniusNorm))
                #expect(Self.near(sum(\.output), Vector(f.output.elements), f.output.frobeniusNorm))
            }
        }
    }
}
