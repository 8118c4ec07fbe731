import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Products with several vectors, restricted products, Gram matrices in every form, and what is read off J's rows and columns.
    @Suite struct ProductTests {
        static let cases = RandomCase.low.filter { $0.seed % 2 == 0 } + RandomCase.rich + RandomCase.high.filter { $0.order == 3 }

        static func close(_ a: Matrix, _ b: Matrix) -> Bool {
            let largest = b.elements.reduce(0) { max($0, abs($1)) }
            return a.rows == b.rows && a.columns == b.columns && zip(a.elements, b.elements).allSatisfy { abs($0 - $1) <= 1e-12 * largest }
        }

        static func random(_ rows: Int, _ columns: Int, _ rng: inout Seeded) -> Matrix {
            Matrix(rows: rows, columns: columns, elements: rng.vector(rows * columns).elements)
        }

        /// JJᵀ from J's columns and from the layers, wholly and mixed as the cost says.
        @Test(arguments: cases) func outerMatrixInEveryForm(c: RandomCase) {
            let (program, θ) = c.program()
            let jacobian = program.jacobian(at: θ)
            let j = jacobian.jacobian()
            let outer = Matrix.product(j, j, transposingSecond: true)
            for form in GramForm.allCases {
                let k = jacobian.outerMatrix(form: form)
                #expect(Self.close(k, outer) && k == k.transposed, "\(form)")
            }
            let cost = { jacobian.outerMatrixCost(form: $0) }
            #expect(cost(.automatic) <= min(cost(.explicit), cost(.structured)))
        }

        /// Between an equation's points from J, between those and the points of conditions from the layers: conditions before and after the
        /// equation, in blocks that begin and end within layers too.
        @Test func outerMatrixMixedByTerms() throws {
            let (burgers, θ) = ProgramTests.burgers(points: 300, hidden: [16, 16])
            let program = Program(network: burgers.network, terms: [burgers.terms[1], burgers.terms[0], burgers.terms[1]])
            let whole = program.jacobian(at: θ)
            let j = whole.jacobian()
            #expect(whole.structuredLayers() == [1])
            // The layers' parts by themselves: 2 → 16 and 16 → 1 from J, and 16 → 16 as its counts say.
            let mixed = Double(300 * 300 * 272 + (1_300 * 1_300 - 1_200 * 1_200) * 33)
            #expect(whole.outerMatrixCost() == Double(400 * 400 * (48 + 17)) + mixed)
            let second = program.network.blocks[2].offset..<program.network.blocks[4].offset
            for block in [0..<program.parameterCount, second, 5..<(second.upperBound + 3), 7..<(program.parameterCount - 4)] {
                let part = Matrix(
                    rows: j.rows, columns: block.count,
                    elements: Array(j.elements[(block.lowerBound * j.rows)..<(block.upperBound * j.rows)]))
                let outer = program.jacobian(at: θ, block: block).outerMatrix()
                #expect(Self.close(outer, part.outerGram) && outer == outer.transposed, "\(block)")
            }
            #expect(whole.outerMatrixCost() < min(whole.outerMatrixCost(form: .explicit), whole.outerMatrixCost(form: .structured)))
        }

        /// J too large for one panel of 64 MB: with many rows it comes in two passes; with few, for which a pass is dear beside the products,
        /// in four where panels of 64 MB would take eight.
        @Test(arguments: [(points: 2_600, width: 40, depth: 3, passes: 2), (points: 20, width: 800, depth: 2, passes: 4)])
        func outerMatrixInPanels(points: Int, width: Int, depth: Int, passes: Int) {
            let (program, θ) = ProgramTests.burgers(points: points, hidden: Array(repeating: width, count: depth))
            let jacobian = program.jacobian(at: θ)
            #expect(8 * jacobian.rows * jacobian.columns > 64 << 20)
            #expect(jacobian.outerMatrixPasses(form: .explicit) == passes)
            #expect(Self.close(jacobian.outerMatrix(form: .explicit), jacobian.jacobian().outerGram))
        }

        /// The structured form has the same bits on any number of threads.
        @Test func structuredFormOnThreads() {
            let before = ThreadPool.threadCount
            defer { ThreadPool.threadCount = before }
            let (program, θ) = ProgramTests.burgers(points: 400, hidden: [24, 24])
            let kernels = [1, 2, 5].map { threads in
                ThreadPool.threadCount = threads
                return program.jacobian(at: θ).outerMatrix(form: .structured)
            }
            #expect(kernels[0] == kernels[1] && kernels[1] == kernels[2])
        }

        /// What is read off J's rows, gradients of terms, Kronecker factors, kernels and every product of a block of θ have the same bits on one
        /// thread, on two, on five, and again on one.
        @Test(arguments: InstructionSet.allCases)
        func bitsOnThreads(level: InstructionSet) {
            let before = (ThreadPool.threadCount, InstructionSet.current)
            defer {
                ThreadPool.threadCount = before.0
                InstructionSet.use(before.1)
            }
            guard InstructionSet.use(level) == level else { return }
            let (program, θ) = ProgramTests.burgers(points: 1501)
            let (small, φ) = ProgramTests.burgers(points: 300, hidden: [24, 24])
            #expect(program.shardCount > 5 && small.shardCount > 5)
            var rng = Seeded(3)
            // The whole, layers 2 and 3, and a part that begins and ends within layers.
            let layers = program.network.blocks[2].offset..<program.parameterCount
            let cut = 17..<(program.parameterCount - 6)
            let w = Self.random(program.residualCount, 2, &rng)
            let directions = [layers, cut].map { Self.random($0.count, 2, &rng) }
            func everything(_ threads: Int) -> [[Double]] {
                ThreadPool.threadCount = threads
                let (jacobian, kernel) = (program.jacobian(at: θ), small.jacobian(at: φ))
                var results = program.termGradients(at: θ).map(\.elements)
                results += jacobian.kroneckerFactors().flatMap { [$0.input.elements, $0.output.elements] }
                results += [kernel.kernelBlock(0, 0).elements, kernel.kernelBlock(1, 0).elements]
                results += [jacobian.normalDiagonal().elements, jacobian.sampleGradientNorms().elements, jacobian.jacobian().elements]
                for (block, v) in zip([layers, cut], directions) {
                    let (part, square) = (program.jacobian(at: θ, block: block), program.hessian(at: θ, block: block))
                    results += [part.times(v).elements, part.transposedTimes(w).elements, square.times(v).elements]
                    results += [part.times(v.column(0)).elements, part.normalTimes(v.column(0)).elements]
                    results += [part.normalMatrix().elements, part.normalDiagonal().elements, part.sampleGradientNorms().elements]
                }
                let block = small.network.blocks[2].offset..<small.network.blocks[4].offset
                let part = small.jacobian(at: φ, block: block)
                results += GramForm.allCases.map { part.outerMatrix(form: $0).elements } + [part.kernelBlock(0, 1).elements]
                results += part.kroneckerFactors().flatMap { [$0.input.elements, $0.output.elements] }
                return results
            }
            let one = everything(1)
            for threads in [2, 5, 1] {
                for (i, (a, b)) in zip(everything(threads), one).enumerated() {
                    #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "result \(i) on \(threads) threads at \(level)")
                }
            }
        }

        /// Blocks of θ: every one that has a name, runs of several, and some that begin and end within a layer's portion.
        static func blocks(of program: Program, _ rng: inout Seeded) -> [Range<Int>] {
            let named = program.network.blocks.map { $0.offset..<($0.offset + $0.count) }
            let p = program.parameterCount
            let cut = (0..<4).map { _ in
                let low = Int.random(in: 0..<p, using: &rng)
                return low..<Int.random(in: (low + 1)...p, using: &rng)
            }
            return named + [named[0].lowerBound..<named[named.count / 2].upperBound, 0..<p] + cut
        }

        /// Products with a block of θ against J's columns and H's rows and columns there.
        @Test(arguments: cases) func productsOfBlocks(c: RandomCase) {
            let (program, θ) = c.program()
            let (n, p) = (program.residualCount, program.parameterCount)
            var rng = Seeded(c.seed + 21)
            let (j, h) = (program.jacobian(at: θ).jacobian(), program.hessian(at: θ).times(.identity(p)))
            let w = rng.vector(n)
            for block in Self.blocks(of: program, &rng) {
                let part = Matrix(
                    rows: n, columns: block.count, elements: Array(j.elements[(block.lowerBound * n)..<(block.upperBound * n)]))
                let square = Matrix(
                    rows: block.count, columns: block.count,
                    elements: block.flatMap { q in h.elements[(q * p + block.lowerBound)..<(q * p + block.upperBound)] })
                let v = rng.vector(block.count)
                let (jacobian, hessian) = (program.jacobian(at: θ, block: block), program.hessian(at: θ, block: block))
                #expect(jacobian.rows == n && jacobian.columns == block.count)
                #expect(Self.close(jacobian.jacobian(), part), "\(block)")
                func near(_ a: Vector, _ b: Vector, _ scale: Double) -> Bool { (a - b).norm <= 1e-12 * scale }
                let scale = part.frobeniusNorm
                #expect(near(jacobian.times(v), part.times(v), scale * v.norm), "\(block)")
                #expect(near(jacobian.transposedTimes(w), part.transposedTimes(w), scale * w.norm), "\(block)")
                #expect(near(jacobian.normalTimes(v), part.transposedTimes(part.times(v)), scale * scale * v.norm), "\(block)")
                #expect(near(hessian.times(v), square.times(v), h.frobeniusNorm * v.norm), "\(block)")
                let normal = jacobian.normalMatrix()
                #expect(Self.close(normal, Matrix.product(part, part, transposingFirst: true)) && normal == normal.transposed)
                for form in GramForm.allCases {
                    let outer = jacobian.outerMatrix(form: form)
                    #expect(Self.close(outer, Matrix.product(part, part, transposingSecond: true)), "\(block) \(form)")
                    #expect(outer == outer.transposed)
                }
                #expect(near(jacobian.normalDiagonal(), normal.diagonal, normal.diagonal.norm))
            }
        }

        /// The parts of JᵀJ's diagonal and of JJᵀ that belong to blocks which make up θ add up.
        @Test func blocksAddUp() {
            let (program, θ) = ProgramTests.burgers(points: 300, hidden: [16, 16, 16])
            let blocks = program.network.blocks.map { $0.offset..<($0.offset + $0.count) }
            let whole = program.jacobian(at: θ)
            for form in GramForm.allCases {
                var sum = Vector.zeros(whole.rows * whole.rows)
                for block in blocks { sum.add(Vector(program.jacobian(at: θ, block: block).outerMatrix(form: form).elements)) }
                #expect((sum - Vector(whole.outerMatrix().elements)).maximumNorm <= 1e-12 * sum.maximumNorm)
            }
            #expect(whole.structuredLayers(.explicit).isEmpty && whole.structuredLayers(.structured) == [1, 2, 3])
            // C = 4 and 1: (4·300 + 50)²·33 operations against 350²·272, against 300²·272 and ((4·300 + 50)² − (4·300)²)·33.
            #expect(whole.structuredLayers() == [1, 2])
            // (4·300 + 50)²·81 operations against 350²·1640, against 300²·1640 and ((4·300 + 50)² − (4·300)²)·81.
            let (wider, φ) = ProgramTests.burgers(points: 300, hidden: [40, 40])
            #expect(wider.jacobian(at: φ).structuredLayers() == [1])
            let cost = whole.outerMatrixCost(form: .explicit)
            #expect(cost == Double(350 * 350 * program.parameterCount))
            #expect(blocks.reduce(0) { $0 + program.jacobian(at: θ, block: $1).outerMatrixCost(form: .explicit) } == cost)
        }

        /// Several right-hand sides give the very bits of one after another.
        @Test(arguments: cases) func severalRightHandSides(c: RandomCase) {
            let (program, θ) = c.program()
            var rng = Seeded(c.seed + 20)
            let (v, w) = (Self.random(program.parameterCount, 3, &rng), Self.random(program.residualCount, 2, &rng))
            let (j, h) = (program.jacobian(at: θ), program.hessian(at: θ))
            let (jv, jw, hv) = (j.times(v), j.transposedTimes(w), h.times(v))
            for d in 0..<3 {
                #expect(jv.column(d) == j.times(v.column(d)))
                #expect(hv.column(d) == h.times(v.column(d)))
            }
            for d in 0..<2 { #expect(jw.column(d) == j.transposedTimes(w.column(d))) }
        }

        @Test(arguments: cases) func gradientsOfTerms(c: RandomCase) {
            let (program, θ) = c.program()
            let (whole, parts) = (program.lossAndGradient(at: θ).gradient, program.termGradients(at: θ))
            #expect((parts.reduce(Vector.zeros(whole.count)) { $0 + $1 } - whole).norm <= 1e-12 * whole.norm)
            for t in program.terms.indices {
                let alone = program.restricted(toTerms: [t]).lossAndGradient(at: θ).gradient
                #expect((alone - parts[t]).norm <= 1e-12 * alone.norm)
            }
            // Batches add up: scales are kept.
            let halves = [0, 1].map { half in program.terms.map { term in (0..<term.pointCount).filter { $0 % 2 == half } } }
            let sum = halves.map { program.restricted(toPoints: $0).lossAndGradient(at: θ).gradient }.reduce(Vector.zeros(whole.count)) {
                $0 + $1
            }
            #expect((sum - whole).norm <= 1e-12 * whole.norm)
        }

        @Test(arguments: cases) func rowsAndColumns(c: RandomCase) {
            let (program, θ) = c.program()
            let jacobian = program.jacobian(at: θ)
            let (j, r) = (jacobian.jacobian(), program.residuals(at: θ))
            let normal = Matrix.product(j, j, transposingFirst: true)
            let (diagonal, norms) = (jacobian.normalDiagonal(), jacobian.sampleGradientNorms())
            #expect((diagonal - normal.diagonal).norm <= 1e-12 * normal.diagonal.norm)
            for i in 0..<r.count {
                let row = Vector((0..<j.columns).map { j[i, $0] }).norm
                #expect(abs(norms[i] - abs(r[i]) * row) <= 1e-12 * (1 + norms[i]))
            }
            let last = program.terms.count - 1
            let (a, b) = (program.residualRange(ofTerm: 0), program.residualRange(ofTerm: last))
            let outer = jacobian.outerMatrix()
            var block = Matrix.zeros(a.count, b.count)
            for p in a.indices { for q in b.indices { block[p - a.lowerBound, q - b.lowerBound] = outer[p, q] } }
            #expect(Self.close(jacobian.kernelBlock(0, last), block))
        }

        /// Between thousands of points and fifty, in several panels: J·(Jᵀeᵢ) for each of the fifty.
        @Test func aKernelBlockInSeveralPanels() {
            let (program, θ) = ProgramTests.burgers(points: 6_000, hidden: [40, 40, 40])
            let jacobian = program.jacobian(at: θ)
            let (interior, initial) = (program.residualRange(ofTerm: 0), program.residualRange(ofTerm: 1))
            #expect(interior.count * jacobian.columns > 16 << 20, "in more than two panels of 64 MB")
            var units = Matrix.zeros(program.residualCount, initial.count)
            for (i, row) in initial.enumerated() { units[row, i] = 1 }
            let columns = jacobian.times(jacobian.transposedTimes(units))
            var block = Matrix.zeros(interior.count, initial.count)
            for p in interior { for i in 0..<initial.count { block[p, i] = columns[p, i] } }
            #expect(Self.close(jacobian.kernelBlock(0, 1), block))
            #expect(Self.close(jacobian.kernelBlock(1, 0), block.transposed))
        }

        /// With one point and the value alone, A ⊗ B is JᵀJ's block exactly.
        @Test func factorsOfOnePoint() {
            var rng = Seeded(2)
            let network = DenseNetwork(inputs: 2, hidden: [4, 3], outputs: 1, activation: .tanh)
            let θ = parameters(of: network, using: &rng)
            let value = PolynomialResidual(
                channels: [Channel(field: 0, derivative: .value(dimension: 2))], dimension: 2, residualCount: 1, dataCount: 0,
                monomials: [.init(residual: 0, coefficient: 1, factors: [0, 0])])
            let program = Program(
                network: network, terms: [ProgramTerm(name: "value", function: value, points: rng.columns(2, of: 1), scale: 0.7)])
            let jacobian = program.jacobian(at: θ)
            let normal = jacobian.normalMatrix()
            let factors = jacobian.kroneckerFactors()
            #expect(factors.map(\.parameterOffset) == network.layers.map(\.weightOffset))
            for f in factors {
                for i in 0...f.inputs {
                    for k in 0...f.inputs {
                        for j in 0..<f.outputs {
                            for l in 0..<f.outputs {
                                let (p, q) = (f.parameterOffset + i * f.outputs + j, f.parameterOffset + k * f.outputs + l)
                                #expect(abs(f.input[i, k] * f.output[j, l] - normal[p, q]) <= 1e-14)
                            }
                        }
                    }
                }
            }
        }

        /// The output layer's factors by their definition: x from a network that ends there, g = s·∂r/∂u.
        @Test func factorsByDefinition() {
            let (program, θ) = ProgramTests.burgers(points: 101, hidden: [6, 5])
            let functions = program.terms.map(\.function)
            // The same network with h₂ as its output.
            let whole = DenseNetwork(inputs: 2, hidden: [6, 5], outputs: 1, activation: .tanh)
            let cut = DenseNetwork(inputs: 2, hidden: [6, 5], outputs: 5, activation: .tanh)
            var φ = Array(θ.elements.prefix(whole.layers[2].weightOffset))
            for i in 0..<5 { φ += (0..<5).map { $0 == i ? 1 : 0 } }
            φ += Array(repeating: 0, count: 5)
            let features = Program(network: cut, terms: [])
            let factors = program.jacobian(at: θ).kroneckerFactors().filter { $0.outputs == 1 }
            #expect(factors.count == 2)
            for (t, f) in factors.enumerated() {
                let (term, channels) = (program.terms[t], functions[t].channels)
                var a = Matrix.zeros(6, 6)
                for channel in channels {
                    let x =
                        features.outputs(
                            (0..<5).map { Channel(field: $0, derivative: channel.derivative) }, at: term.points, parameters: Vector(φ))
                        + [Array(repeating: channel.derivative.order == 0 ? 1 : 0, count: term.pointCount)]
                    for i in 0..<6 { for j in 0..<6 { for p in 0..<term.pointCount { a[i, j] += x[i][p] * x[j][p] } } }
                }
                #expect(Self.close(f.input, a))
                let z = program.outputs(channels, at: term.points, parameters: θ)
                let ν = 0.01 / Double.pi
                let b = (0..<term.pointCount).reduce(0.0) { sum, p in
                    let slopes = t == 0 ? [z[2][p], 1, z[0][p], -ν] : [1]
                    return sum + term.scale * term.scale * slopes.reduce(0) { $0 + $1 * $1 }
                }
                #expect(abs(f.output[0, 0] - b) <= 1e-12 * b)
                #expect(f.points == term.pointCount && f.channels == channels.count)
            }
        }
    }
}
