import Differentiation
import Foundation
import LinearAlgebra
import Testing

extension Engine {
    /// Products of one operator: the first goes without the forward passes of others, the second keeps them, the next read them.
    @Suite struct KeptForwardTests {
        static let cases =
            RandomCase.low.enumerated().filter { $0.offset % 4 == 0 }.map(\.element)
            + RandomCase.rich.enumerated().filter { $0.offset % 2 == 0 }.map(\.element) + RandomCase.high

        /// All products of an operator in turn, each four times, have the bits of those of an operator that keeps nothing: of programs with
        /// several terms, blocks, fields and trained numbers, in both precisions.
        @Test(arguments: cases, JetPrecision.allCases)
        func bitsAreThoseWithout(_ c: RandomCase, _ precision: JetPrecision) {
            let (keeps, _) = c.program(ProgramOptions(blockSize: 16, precision: precision))
            // Less than everything: z of the layers whose activation the kernels know, and all of others.
            let (keepsLess, _) = c.program(
                ProgramOptions(blockSize: 16, precision: precision, keptForwardBytes: keeps.keptForwardMemory - 1))
            #expect(keepsLess.keptForwardMemory < keeps.keptForwardMemory)
            let (streams, θ) = c.program(ProgramOptions(blockSize: 16, precision: precision, keptForwardBytes: 0))
            #expect(streams.keptForwardMemory == 0)
            var rng = Seeded(c.seed + 2)
            // The second point's operators find the memory of the first's.
            for (θ, keeps) in [(θ, keeps), (rng.vector(θ.count), keeps), (θ, keepsLess), (rng.vector(θ.count), keepsLess)] {
                let (jacobian, hessian) = (keeps.jacobian(at: θ), keeps.hessian(at: θ))
                for round in 1...4 {
                    let (v, w) = (rng.vector(keeps.parameterCount), rng.vector(keeps.residualCount))
                    let several = Matrix(rows: v.count, columns: 2, elements: v.elements + rng.vector(v.count).elements)
                    func expectSame(_ what: String, _ a: [Double], _ b: [Double]) {
                        #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "\(what) in round \(round)")
                    }
                    let (j, h) = (streams.jacobian(at: θ), streams.hessian(at: θ))
                    expectSame("J·v", jacobian.times(v).elements, j.times(v).elements)
                    expectSame("Jᵀ·w", jacobian.transposedTimes(w).elements, j.transposedTimes(w).elements)
                    expectSame("JᵀJ·v", jacobian.normalTimes(v).elements, j.normalTimes(v).elements)
                    expectSame("H·V", hessian.times(several).elements, h.times(several).elements)
                }
            }
        }

        /// Products at once on several threads, some of which come while the second keeps.
        @Test func concurrentProductsAreRight() async {
            let (program, θ) = ProgramTests.burgers(points: 501)
            let v = Vector((0..<program.parameterCount).map { Double($0 % 7) - 3 })
            let expected = program.hessian(at: θ).times(v)
            for _ in 0..<20 {
                let hessian = program.hessian(at: θ)
                let products = await withTaskGroup(of: Vector.self, returning: [Vector].self) { group in
                    for _ in 0..<6 { group.addTask { hessian.times(v) } }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                for product in products { #expect(product == expected) }
            }
        }

        /// An activation that counts how many values it was asked for.
        struct Counting: CustomActivation {
            final class Count: @unchecked Sendable {
                // Sendable: all access is under the lock.
                private let lock = NSLock()
                private var values = 0
                func add(_ count: Int) { lock.withLock { values += count } }
                func take() -> Int {
                    lock.withLock {
                        defer { values = 0 }
                        return values
                    }
                }
            }

            let count = Count()
            var name: String { "counting" }
            func derivatives(upTo order: Int, count: Int, at x: UnsafePointer<Double>, into derivatives: UnsafeMutablePointer<Double>) {
                self.count.add(count)
                Bump().derivatives(upTo: order, count: count, at: x, into: derivatives)
            }
        }

        /// The first two products compute the forward pass, the others do not; none goes without where the store would be too large.
        @Test func laterProductsSpareTheForwardPass() {
            let activation = Counting()
            func counts(_ keptForwardBytes: Int) -> [Int] {
                var builder = NetworkBuilder(coordinates: 2)
                let first = builder.dense(builder.coordinates, outputs: 6, activation: .standard(.tanh), name: "first")
                let hidden = builder.dense(first, outputs: 5, activation: .custom(activation), name: "second")
                let network = builder.network(output: builder.dense(hidden, outputs: 1, name: "last"))
                var rng = Seeded(3)
                let program = Program(
                    network: network,
                    terms: [
                        ProgramTerm(name: "interior", function: PolynomialResidual.burgers(), points: rng.columns(2, of: 100), scale: 0.1)
                    ],
                    options: ProgramOptions(keptForwardBytes: keptForwardBytes))
                // Four channels of 100 points; z and h of 6 and of 5 units, and the output; columns are padded to whole vectors.
                let numbers = 4 * 100 * (2 * 6 + 2 * 5 + 1)
                let bytes = program.keptForwardMemory
                #expect(keptForwardBytes == 0 ? bytes == 0 : (8 * numbers...16 * numbers).contains(bytes), "\(bytes) bytes")
                let θ = rng.vector(program.parameterCount)
                _ = activation.count.take()
                let hessian = program.hessian(at: θ)
                return (1...4).map { _ in
                    _ = hessian.times(θ)
                    return activation.count.take()
                }
            }
            let kept = counts(1 << 20)
            #expect(kept[0] == kept[1])
            #expect(kept[2] == kept[3])
            // A forward pass, its tangent, and the tangent of the reverse pass evaluate σ once each.
            #expect(3 * kept[2] == 2 * kept[0])
            #expect(Set(counts(0)) == [kept[0]])
        }
    }
}
