import CKernels
import Differentiation
import LinearAlgebra
import Testing

extension Engine {
    /// Programs whose jets are `Float`, against the same in Double.
    @Suite struct SinglePrecisionTests {
        /// The unit roundoff of `Float`.
        static let unit = 0x1p-24

        /// ‖a − b‖ is at most `factor` roundings of ‖b‖, and not nothing: it was another precision.
        static func expectClose(_ a: [Double], _ b: [Double], _ factor: Double, _ what: String, isNew: Bool = true) {
            #expect(a.count == b.count, "\(what)")
            let size = b.reduce(0) { max($0, abs($1)) }
            let difference = zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect(difference <= factor * unit * size, "\(what): \(difference / size / unit) roundings of the largest entry")
            if isNew, size > 0 { #expect(difference > 0, "\(what) is the same to the bit") }
        }

        static let cases =
            RandomCase.low.enumerated().filter { $0.offset % 3 == 0 }.map(\.element)
            + RandomCase.rich.enumerated().filter { $0.offset % 2 == 1 }.map(\.element) + RandomCase.high

        /// Every product of dense networks and of graphs of all layers, at every instruction set. What a residual cancels is lost, so that
        /// entries are compared with the largest.
        @Test(arguments: cases)
        func productsAgreeWithDouble(_ c: RandomCase) {
            let (double, θ) = c.program()
            let (single, _) = c.program(ProgramOptions(precision: .single))
            var rng = Seeded(c.seed + 1)
            let (v, w) = (rng.vector(double.parameterCount), rng.vector(double.residualCount))
            let factor = 1e3
            KernelTests.atEveryLevel { level in
                func compare(_ what: String, _ value: (Program) -> [Double]) {
                    Self.expectClose(value(single), value(double), factor, "\(what), \(level)", isNew: false)
                }
                Self.expectClose(
                    single.lossAndGradient(at: θ).gradient.elements, double.lossAndGradient(at: θ).gradient.elements, factor,
                    "the gradient, \(level)")
                compare("losses") { $0.losses(at: θ) }
                compare("residuals") { $0.residuals(at: θ).elements }
                compare("J·v") { $0.jacobian(at: θ).times(v).elements }
                compare("Jᵀ·w") { $0.jacobian(at: θ).transposedTimes(w).elements }
                compare("JᵀJ·v") { $0.jacobian(at: θ).normalTimes(v).elements }
                compare("J") { $0.jacobian(at: θ).jacobian().elements }
                compare("JᵀJ") { $0.jacobian(at: θ).normalMatrix().elements }
                compare("JJᵀ") { $0.jacobian(at: θ).outerMatrix(form: .explicit).elements }
                compare("JJᵀ, structured") { $0.jacobian(at: θ).outerMatrix(form: .structured).elements }
                compare("H·v") { $0.hessian(at: θ).times(v).elements }
                compare("term gradients") { $0.termGradients(at: θ).flatMap(\.elements) }
                compare("Kronecker factors") { $0.jacobian(at: θ).kroneckerFactors().flatMap { $0.input.elements + $0.output.elements } }
            }
        }

        /// The forms of a product agree among themselves, and so do both rules.
        @Test(arguments: RandomCase.low.enumerated().filter { $0.offset % 5 == 0 }.map(\.element))
        func formsAgree(_ c: RandomCase) {
            let (fast, θ) = c.program(ProgramOptions(precision: .single))
            let (generic, _) = c.program(ProgramOptions(usesGenericRule: true, precision: .single))
            Self.expectClose(
                generic.lossAndGradient(at: θ).gradient.elements, fast.lossAndGradient(at: θ).gradient.elements, 1e4,
                "the gradient by both rules",
                isNew: false)
            let j = fast.jacobian(at: θ)
            let product = Matrix.product(j.jacobian(), j.jacobian(), transposingFirst: true)
            Self.expectClose(j.normalMatrix().elements, product.elements, 64, "JᵀJ", isNew: false)
            let gradient = j.transposedTimes(fast.residuals(at: θ))
            Self.expectClose(fast.lossAndGradient(at: θ).gradient.elements, gradient.elements, 1e3, "Jᵀr", isNew: false)
        }

        /// The same bits on any number of threads, and for any number of points of a block about the length of a vector.
        @Test func threadsDoNotChangeBits() {
            let before = ThreadPool.threadCount
            defer { ThreadPool.threadCount = before }
            for points in [1, 7, 15, 16, 17, 33, 3001] {
                let (program, θ) = ProgramTests.burgers(points: points, options: ProgramOptions(precision: .single))
                let (double, _) = ProgramTests.burgers(points: points)
                func everything(_ threads: Int) -> [[Double]] {
                    ThreadPool.threadCount = threads
                    let v = Vector((0..<program.parameterCount).map { Double($0 % 7) - 3 })
                    return [
                        program.lossAndGradient(at: θ).gradient.elements, program.residuals(at: θ).elements,
                        program.jacobian(at: θ).times(v).elements, program.hessian(at: θ).times(v).elements,
                    ]
                }
                let one = everything(1)
                for threads in [2, 5] { #expect(everything(threads) == one, "\(threads) threads, \(points) points") }
                Self.expectClose(one[0], double.lossAndGradient(at: θ).gradient.elements, 1e3, "\(points) points")
            }
        }

        /// Sums over points are Double: the mean over 200 000 points is as good as over 2 000.
        @Test func manyPointsDoNotLoseDigits() {
            var rng = Seeded(11)
            let network = DenseNetwork(inputs: 1, hidden: [], outputs: 1, activation: .tanh)
            let value = PolynomialResidual(
                channels: [Channel(field: 0, derivative: .value(dimension: 1))], dimension: 1, residualCount: 1, dataCount: 0,
                monomials: [.init(residual: 0, coefficient: 1, factors: [0])])
            let θ = Vector([1, 0.5])
            let points = rng.columns(1, of: 200_000)
            func mean(_ precision: JetPrecision) -> LossAndGradient {
                Program(
                    network: network,
                    terms: [ProgramTerm(name: "value", function: value, points: points, scale: (1 / 200_000.0).squareRoot())],
                    options: ProgramOptions(precision: precision)
                ).lossAndGradient(at: θ)
            }
            let (single, double) = (mean(.single), mean(.double))
            #expect(abs(single.loss / double.loss - 1) < 4 * Self.unit)
            Self.expectClose(single.gradient.elements, double.gradient.elements, 4, "the gradient")
        }

        /// Each activation and its six derivatives in single precision, against the kernels of Double.
        @Test(arguments: Activation.allCases)
        func activations(_ activation: Activation) {
            let x = (0..<4001).map { Float($0 - 2000) / 100 } + [0, -0.0, 1e-20, -1e-20, 87, -87, 300, -300]
            let exact = activation.derivatives(upTo: Activation.highestDerivative, at: x.map { Double($0) })
            let code = Int32(Activation.allCases.firstIndex(of: activation) ?? 0)
            KernelTests.atEveryLevel { level in
                var table = [Float](repeating: 0, count: 7 * x.count)
                ck_single_activation(code, 6, x.count, x, &table)
                for k in 0...6 {
                    let size = exact[k].reduce(0) { max($0, min(abs($1), 10)) }
                    for i in x.indices {
                        let (value, wanted) = (Double(table[k * x.count + i]), exact[k][i])
                        #expect(
                            abs(value - wanted) <= 40 * Self.unit * (abs(wanted) + size),
                            "σ⁽\(k)⁾(\(x[i])) = \(value), not \(wanted), \(level)")
                    }
                }
            }
        }

        /// Small values keep their relative accuracy: tanh x = x − … near zero.
        @Test func tanhNearZero() {
            let x: [Float] = (1...60).map { Float(sign: $0 % 2 == 0 ? .plus : .minus, exponent: -$0, significand: 1.3) }
            var values = [Float](repeating: 0, count: x.count)
            ck_single_activation(Int32(CK_TANH), 0, x.count, x, &values)
            let exact = Activation.tanh.derivatives(upTo: 0, at: x.map { Double($0) })[0]
            for i in x.indices { #expect(abs(Double(values[i]) / exact[i] - 1) <= 4 * Self.unit, "tanh \(x[i])") }
        }
    }
}
