import LinearAlgebra
import OperatorLearning
import OptimizationCore
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct RandomFieldTests {
    /// The covariance of u is e(x)ᵀe(y): equal to the kernel up to some jitters (9.4 of them for the fewest nodes allowed, in an
    /// independent computation).
    @Test(arguments: [21, 64, 128]) func hasTheKernelAsItsCovariance(nodeCount: Int) throws {
        let field = try GaussianRandomField(lengthScale: 0.2, nodeCount: nodeCount, jitter: 1e-10)
        let places = [0.0, 0.0371, 0.2, 0.5001, 0.77, 1.0]
        let basis = field.basis(at: places)
        for (i, x) in places.enumerated() {
            for (j, y) in places.enumerated() {
                let covariance = basis.column(i).dot(basis.column(j))
                let kernel = exp(-(x - y) * (x - y) / 0.08)
                #expect(abs(covariance - kernel) < 2e-9)
            }
        }
    }

    /// Over F functions, a sample covariance of unit normals has the standard deviation √((1 + ρ²)/F): five of them are allowed.
    @Test func samplesHaveTheCovariance() throws {
        let count = 4000
        let field = try GaussianRandomField(lengthScale: 0.2, nodeCount: 64)
        let data = AntiderivativeData(field: field, functions: count, sensors: 6, points: 1, seed: 11).functions(0..<count)
        for i in 0..<6 {
            var mean = 0.0
            for f in 0..<count { mean += data.inputs[f * 6 + i] }
            #expect(abs(mean / Double(count)) < 5 / Double(count).squareRoot())
            for j in 0...i {
                var sum = 0.0
                for f in 0..<count { sum += data.inputs[f * 6 + i] * data.inputs[f * 6 + j] }
                let distance = Double(i - j) / 5
                let ρ = exp(-distance * distance / 0.08)
                let deviation = abs(sum / Double(count) - ρ)
                let allowed = 5 * ((1 + ρ * ρ) / Double(count)).squareRoot()
                #expect(deviation < allowed, "sensors \(i), \(j)")
            }
        }
    }

    /// The closed form against composite ten-point Gauss–Legendre quadrature of the function itself, on 200 panels: on panels of at
    /// most ℓ/20 the quadrature is exact to rounding, so the difference is the error of the data.
    @Test(arguments: [0.1, 0.2, 0.5]) func integratesItsFunctions(lengthScale: Double) throws {
        let field = try GaussianRandomField(lengthScale: lengthScale, nodeCount: 128)
        let data = AntiderivativeData(field: field, functions: 5, sensors: 2, points: 11, seed: 3)
        let made = data.functions(0..<5)
        let panels = 200
        let (abscissas, weights) = gaussLegendre10
        let places = (0..<panels).flatMap { panel in abscissas.map { (Double(panel) + 0.5 * (1 + $0)) / Double(panels) } }
        let basis = field.basis(at: places)
        for f in 0..<5 {
            let u = basis.transposedTimes(data.coefficients(of: f))
            var integral = 0.0
            #expect(made.outputs[f * 11] == 0)
            for panel in 0..<panels {
                for i in 0..<10 { integral += weights[i] * u[panel * 10 + i] / Double(2 * panels) }
                if (panel + 1) % 20 == 0 {
                    let difference = abs(made.outputs[f * 11 + (panel + 1) / 20] - integral)
                    #expect(difference < 1e-8)
                }
            }
            #expect(abs(integral) > 1e-4)
        }
    }

    @Test func refusesTooFewNodesAndTooLittleJitter() {
        #expect(throws: RandomFieldError.self) { try GaussianRandomField(lengthScale: 0.01, nodeCount: 64) }
        #expect(throws: RandomFieldError.self) { try GaussianRandomField(lengthScale: 0.2, nodeCount: 128, jitter: 0) }
    }

    /// A function's bits depend on the seed and its index only.
    @Test func functionsDoNotDependOnTheirCompany() throws {
        let field = try GaussianRandomField(nodeCount: 32)
        let few = AntiderivativeData(field: field, functions: 10, sensors: 7, points: 5, seed: 4)
        let many = AntiderivativeData(field: field, functions: 100, sensors: 7, points: 5, seed: 4)
        #expect(few.functions(3..<9).inputs == many.functions(0..<100).functions(3..<9).inputs)
        #expect(try few.functions(3..<9).outputs == many.functions(at: [3, 4, 5, 6, 7, 8]).outputs)
        let other = AntiderivativeData(field: field, functions: 10, sensors: 7, points: 5, seed: 5)
        #expect(few.functions(3..<4).inputs != other.functions(3..<4).inputs)
    }
}

/// The ten-point Gauss–Legendre rule on [−1, 1], by Newton's iteration on the Legendre polynomial.
private let gaussLegendre10: (abscissas: [Double], weights: [Double]) = {
    var (abscissas, weights) = ([Double](), [Double]())
    for i in 0..<10 {
        var x = cos(.pi * (Double(i) + 0.75) / 10.5)
        var slope = 0.0
        for _ in 0..<20 {
            var (p, q) = (1.0, 0.0)
            for k in 0..<10 { (p, q) = ((Double(2 * k + 1) * x * p - Double(k) * q) / Double(k + 1), p) }
            slope = 10 * (x * p - q) / (x * x - 1)
            x -= p / slope
        }
        abscissas.append(x)
        weights.append(2 / ((1 - x * x) * slope * slope))
    }
    return (abscissas, weights)
}()
