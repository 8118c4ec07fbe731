import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// What a program promises beyond its derivatives: bits, revisions, and the place of what is not finite.
    @Suite struct ProgramTests {
        static func burgers(points: Int, hidden: [Int] = [12, 10], options: ProgramOptions = ProgramOptions()) -> (Program, Vector) {
            var rng = Seeded(points)
            let network = DenseNetwork(inputs: 2, hidden: hidden, outputs: 1, activation: .tanh)
            let value = PolynomialResidual(
                channels: [Channel(field: 0, derivative: .value(dimension: 2))], dimension: 2, residualCount: 1, dataCount: 1,
                monomials: [
                    .init(residual: 0, coefficient: 1, factors: [0]),
                    .init(residual: 0, coefficient: -1, coordinate: nil, data: 0, factors: []),
                ])
            let terms = [
                ProgramTerm(
                    name: "interior", function: PolynomialResidual.burgers(), points: rng.columns(2, of: points),
                    scale: (1 / Double(points)).squareRoot()),
                ProgramTerm(
                    name: "initial", function: value, points: [Array(repeating: 0, count: 50)] + rng.columns(1, of: 50),
                    data: rng.columns(1, of: 50), scale: 0.3),
            ]
            return (Program(network: network, terms: terms, options: options), parameters(of: network, using: &rng))
        }

        /// Every product has the same bits on one thread, on two, on five, and again on one.
        @Test(arguments: InstructionSet.allCases)
        func threadsDoNotChangeBits(level: InstructionSet) {
            let before = (ThreadPool.threadCount, InstructionSet.current)
            defer {
                ThreadPool.threadCount = before.0
                InstructionSet.use(before.1)
            }
            guard InstructionSet.use(level) == level else { return }
            let (program, θ) = Self.burgers(points: 3001)
            var rng = Seeded(1)
            let (v, w) = (rng.vector(program.parameterCount), rng.vector(program.residualCount))
            let (small, _) = Self.burgers(points: 600)
            func everything(_ threads: Int) -> [[Double]] {
                ThreadPool.threadCount = threads
                let gradient = program.lossAndGradient(at: θ)
                let linearisation = program.jacobian(at: θ)
                return [
                    gradient.terms, gradient.gradient.elements, program.residuals(at: θ).elements, linearisation.times(v).elements,
                    linearisation.transposedTimes(w).elements, linearisation.normalTimes(v).elements,
                    linearisation.normalMatrix().elements, small.jacobian(at: θ).outerMatrix().elements,
                    program.hessian(at: θ).times(v).elements,
                ]
            }
            let one = everything(1)
            for threads in [2, 5, 1] { #expect(everything(threads) == one, "\(threads) threads at \(level)") }
        }

        /// Any number of points, any block: the sums agree to rounding.
        @Test(arguments: [1, 7, 8, 9, 63, 64, 65, 257])
        func blockSizes(points: Int) {
            let (program, θ) = Self.burgers(points: points)
            let reference = program.lossAndGradient(at: θ)
            for block in [8, 24, 256] {
                let (other, _) = Self.burgers(points: points, options: ProgramOptions(blockSize: block))
                let result = other.lossAndGradient(at: θ)
                #expect(abs(result.loss - reference.loss) <= 1e-13 * reference.loss)
                #expect((result.gradient - reference.gradient).norm <= 1e-12 * reference.gradient.norm)
            }
        }

        /// Burgers' residual at a point from the network's channels, which the jet tests check on their own.
        @Test func residualsFromChannels() {
            let (program, θ) = Self.burgers(points: 20)
            let points = program.terms[0].points
            let channels = PolynomialResidual.burgers().channels
            let z = program.outputs(channels, at: points, parameters: θ)
            let r = program.residuals(ofTerm: 0, at: points, parameters: θ)[0]
            let scaled = program.residuals(at: θ)
            for i in 0..<20 {
                let exact = z[1][i] + z[0][i] * z[2][i] - 0.01 / .pi * z[3][i]
                #expect(abs(r[i] - exact) <= 1e-14)
                #expect(abs(scaled[i] - program.terms[0].scale * exact) <= 1e-14)
            }
        }

        /// Channels come in the order asked for.
        @Test func outputsInOrder() {
            let (program, θ) = Self.burgers(points: 5)
            let channels = Array(PolynomialResidual.burgers().channels.reversed())
            let points = program.terms[0].points
            let forwards = program.outputs(Array(channels.reversed()), at: points, parameters: θ)
            #expect(program.outputs(channels, at: points, parameters: θ) == Array(forwards.reversed()))
        }

        @Test func replacing() {
            let (program, θ) = Self.burgers(points: 40)
            let (other, _) = Self.burgers(points: 41)
            let revised = program.replacing(term: 0, points: other.terms[0].points, scale: other.terms[0].scale)
            #expect(revised.losses(at: θ)[0] == other.losses(at: θ)[0])
            #expect(revised.losses(at: θ)[1] == program.losses(at: θ)[1])
            #expect(revised.losses(at: θ)[0] != program.losses(at: θ)[0])
            let doubled = program.replacing(scales: [2 * program.terms[0].scale, 0])
            #expect(abs(doubled.losses(at: θ)[0] - 4 * program.losses(at: θ)[0]) <= 1e-14 * doubled.losses(at: θ)[0])
            #expect(doubled.losses(at: θ)[1] == 0)
        }

        @Test func locatesWhatIsNotFinite() {
            let (program, θ) = Self.burgers(points: 200)
            #expect(program.locateNonFinite(θ) == nil)
            var points = program.terms[0].points
            points[1][137] = .nan
            points[1][180] = .infinity
            let spoiled = program.replacing(term: 0, points: points)
            let found = spoiled.locateNonFinite(θ)
            #expect(found?.term == 0 && found?.name == "interior" && found?.point == 137)
            #expect(spoiled.lossAndGradient(at: θ).loss.isNaN)
            var data = program.terms[1].data
            data[0][49] = .infinity
            let late = program.replacing(term: 1, points: program.terms[1].points, data: data)
            #expect(late.locateNonFinite(θ)?.term == 1 && late.locateNonFinite(θ)?.point == 49)
        }

        /// Where the parameters lie: layer by layer, weights by rows and then biases.
        @Test func layout() {
            let network = DenseNetwork(inputs: 2, hidden: [3], outputs: 1, activation: .sin)
            #expect(network.parameterCount == 13)
            #expect(network.layers.map(\.weightOffset) == [0, 9] && network.layers.map(\.biasOffset) == [6, 12])
            var θ = Vector.zeros(13)
            θ[1 * 3 + 2] = 0.5  // x₁ to feature 2
            θ[6 + 2] = 0.25
            θ[9 + 2] = 2
            θ[12] = -1
            let program = Program(network: network, terms: [])
            let u = program.outputs(at: [[9], [0.75]], parameters: θ)[0][0]
            let exact = 2 * Activation.sin.derivatives(upTo: 0, at: [0.5 * 0.75 + 0.25])[0][0] - 1
            #expect(abs(u - exact) <= 1e-15)
        }

        /// Calls from several threads at once do not disturb each other.
        @Test func concurrentCallers() async {
            let (program, θ) = Self.burgers(points: 500)
            let reference = program.lossAndGradient(at: θ)
            let results = await withTaskGroup(of: LossAndGradient.self) { group in
                for _ in 0..<8 { group.addTask { program.lossAndGradient(at: θ) } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.count == 8 && results.allSatisfy { $0 == reference })
        }
    }
}
