import Differentiation
import Foundation
import LinearAlgebra
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Engine {
    /// The element-wise kernels at every instruction set that this machine has.
    @Suite struct KernelTests {
        static let unit = 0x1p-53

        /// Runs `body` at every level, and goes back to the one in use.
        static func atEveryLevel(_ body: (InstructionSet) -> Void) {
            let before = InstructionSet.current
            for level in InstructionSet.allCases where InstructionSet.use(level) == level { body(level) }
            InstructionSet.use(before)
        }

        /// A level belongs to the thread that asks for it and to the jobs that it gives to the pool; it changes no bits elsewhere.
        @Test func aLevelIsItsThreads() throws {
            let native = InstructionSet.current
            InstructionSet.use(.baseline)
            defer { InstructionSet.use(native) }
            var levels = [InstructionSet?](repeating: nil, count: 64)
            levels.withUnsafeMutableBufferPointer { levels in
                guard let base = levels.baseAddress else { return }
                parallelFor(count: levels.count) { index, _ in
                    base[index] = InstructionSet.current
                    usleep(100)
                }
            }
            #expect(levels.allSatisfy { $0 == .baseline })
            let other = Mutex<InstructionSet?>(nil)
            let thread = Thread { other.withLock { $0 = InstructionSet.current } }
            thread.start()
            while !thread.isFinished { usleep(100) }
            #expect(other.withLock { $0 } == native)
        }

        static func exact(_ activation: Activation, _ x: Double) -> Double {
            switch activation {
            case .tanh: tanh(x)
            case .sin: sin(x)
            case .gelu: x * 0.5 * erfc(-x / 2.0.squareRoot())
            case .silu: x / (1 + exp(-x))
            case .softplus: x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))
            }
        }

        /// σ to a few units in the last place: tanh within 4 of libm's (itself within 2), sin within 3, silu and softplus
        /// within 5, GELU within 8 in its tail, where e^(−x²/2) and the quotient's roundings add up.
        @Test(arguments: Activation.allCases)
        func values(activation: Activation) {
            var rng = Seeded(3)
            var x = (0..<4001).map { _ in rng.uniform(-9...9) } + (0..<200).map { rng.uniform() * pow(2, -Double($0) / 4) }
            x += [0, 1, -1, 20, -20, 36.5, -36.5, 1e-300]
            let bounds: [Activation: Double] = [.tanh: 4, .sin: 3, .silu: 5, .softplus: 5, .gelu: 8]
            let bound = bounds[activation] ?? 0
            Self.atEveryLevel { level in
                let values = activation.derivatives(upTo: 0, at: x)[0]
                for (value, x) in zip(values, x) {
                    let exact = Self.exact(activation, x)
                    // libm's own, and for erfc: its argument x/√2 carries two roundings, which its condition number x² magnifies.
                    let slack = activation == .gelu ? 4 + 2 * x * x : 3
                    #expect(abs(value - exact) <= (bound + slack) * exact.ulp, "\(activation) at \(x), \(level): \(value), \(exact)")
                }
            }
        }

        /// Derivatives to order 6 against power series of the definition; the tolerance is relative to k!, by which a bounded
        /// analytic function's k-th derivative may grow.
        @Test(arguments: Activation.allCases)
        func derivatives(activation: Activation) {
            var rng = Seeded(4)
            let x = (0..<333).map { _ in rng.uniform(-6...6) } + [0]
            Self.atEveryLevel { level in
                let table = activation.derivatives(upTo: 6, at: x)
                for (i, x) in x.enumerated() {
                    let c = taylorCoefficients(activation, at: x, order: 6)
                    var factorial = 1.0
                    for k in 0...6 {
                        factorial *= Double(max(k, 1))
                        let tolerance = 200 * Self.unit * factorial * max(1, abs(x))
                        #expect(abs(table[k][i] - c[k] * factorial) <= tolerance, "\(activation)⁽\(k)⁾ at \(x), \(level)")
                    }
                }
            }
        }

        @Test func extremes() {
            Self.atEveryLevel { level in
                let x = [Double.infinity, -.infinity, .nan, 1e8, -1e8, 1e300, -800, 800]
                let tanhs = Activation.tanh.derivatives(upTo: 1, at: x)
                #expect(Array(tanhs[0][0...1]) == [1, -1] && tanhs[0][2].isNaN && Array(tanhs[0][3...]) == [1, -1, 1, -1, 1])
                #expect(tanhs[1][0] == 0 && tanhs[1][2].isNaN)
                let sines = Activation.sin.derivatives(upTo: 1, at: x)
                #expect(sines[0][2].isNaN && sines[0][3] == sin(1e8) && sines[1][5] == cos(1e300))
                for activation in [Activation.gelu, .silu, .softplus] {
                    let table = activation.derivatives(upTo: 1, at: x)
                    #expect(table[0][2].isNaN)
                    #expect(table[0][3] == 1e8 && table[0][4] == 0 && table[0][6].magnitude < 1e-300 && table[0][7] == 800)
                    #expect(table[1][3] == 1 && table[1][4] == 0)
                }
                _ = level
            }
        }
    }
}
