import Convection
import Diagnostics
import LinearAlgebra
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import StochasticGradient
import Synchronization
import Testing

/// Convection at β = 3 with 25 parameters and 33 residuals, and a point of its training.
func smallConvection() throws -> (problem: PhysicsInformedProblem, θ: Vector) {
    var setup = ConvectionSetup()
    setup.speed = 3
    setup.network = PerceptronSettings(width: 6, depth: 1)
    setup.points = PointPlan(interior: 20, initial: 8, boundary: 5, initialWeight: 4, boundaryWeight: 2)
    let problem = try #require(try setup.makeProblem(seed: 2) as? PhysicsInformedProblem)
    var random = RandomStream(seed: 5, name: "point")
    return (problem, random.normalVector(problem.layout.count))
}

/// Keeps what callbacks record.
struct RecordListener: Callback {
    final class Heard: Sendable {
        let details = Mutex<[(iteration: Int, detail: StepReport.Detail)]>([])
        let rows = Mutex<[(iteration: Int, rows: RecordedRows)]>([])
    }
    let heard = Heard()
    var name: String { "record-listener" }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] {
        switch event {
        case .recorded(let details): heard.details.withLock { $0 += details.map { (observation.totalIteration, $0) } }
        case .recordedRows(let tables): heard.rows.withLock { $0 += tables.map { (observation.totalIteration, $0) } }
        default: break
        }
        return []
    }
}

/// A loss that offers nothing but itself and its gradient.
struct Bowl: DifferentiableProblem {
    var name: String { "bowl" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    func initialParameters(from random: inout RandomStream) -> Parameters { Parameters([1, 2]) }
    func loss(at θ: Vector) -> LossValue { lossAndGradient(at: θ).loss }
    func lossAndGradient(at θ: Vector) -> Evaluation { Evaluation(loss: LossValue(0.5 * θ.dot(θ)), gradient: θ) }
}

@Suite struct SpectrumTests {
    /// The dense matrix that a spectrum is of.
    private func dense(_ kind: CurvatureOperator, of problem: PhysicsInformedProblem, at θ: Vector) throws -> Matrix {
        switch kind {
        case .hessian:
            let h = try problem.hessian(at: θ)
            let columns = (0..<θ.count).map { j in
                h.product(Vector((0..<θ.count).map { $0 == j ? 1 : 0 }))
            }
            return Matrix(rows: θ.count, columns: θ.count, elements: columns.flatMap(\.elements))
        case .gramian: return try problem.linearization(at: θ).jacobian().gram
        case .kernel: return try problem.linearization(at: θ).jacobian().outerGram
        }
    }

    private func eigenvalues(_ kind: CurvatureOperator, of problem: PhysicsInformedProblem, at θ: Vector) throws -> Vector {
        try SymmetricEigen.factorize(dense(kind, of: problem, at: θ)).get().values
    }

    /// With as many steps as there are eigenvalues every matrix, of the whole and of each term, has the extremes of the dense one.
    @Test func extremesAreThoseOfTheDenseMatrices() throws {
        let (problem, θ) = try smallConvection()
        var random = RandomStream(seed: 1, name: "probes")
        let found = try CurvatureSpectra(probes: 1, steps: 40).spectra(of: problem, at: θ, random: &random)
        #expect(found.map(\.name).prefix(4) == ["hessian", "gramian", "kernel", "hessian of convection"])
        #expect(found.count == 12)
        for spectrum in found {
            var part = problem
            if let term = spectrum.term { part = try problem.restricted(toTerm: try #require(problem.terms.firstIndex(of: term))) }
            let exact = try eigenvalues(spectrum.operator, of: part, at: θ)
            #expect(spectrum.density.order == exact.count)
            let size = max(abs(exact[0]), abs(exact[exact.count - 1]))
            // The smallest of the singular ones is zero, or what rounding makes of it.
            #expect(abs(spectrum.density.largest - exact[exact.count - 1]) < 1e-12 * size, "\(spectrum.name)")
            #expect(abs(spectrum.density.smallest - exact[0]) < 1e-12 * size, "\(spectrum.name)")
            #expect(size > 0)
        }
    }

    /// A term's matrices are its part of the whole: H and JᵀJ add up, JJᵀ is the block of its residuals.
    @Test func termsAreTheirPartsOfTheWhole() throws {
        let (problem, θ) = try smallConvection()
        let parts = try problem.terms.indices.map(problem.restricted(toTerm:))
        for kind in [CurvatureOperator.hessian, .gramian] {
            let whole = try dense(kind, of: problem, at: θ)
            var sum = try dense(kind, of: parts[0], at: θ)
            for part in parts.dropFirst() {
                sum = Matrix(
                    rows: sum.rows, columns: sum.columns, elements: zip(sum.elements, try dense(kind, of: part, at: θ).elements).map(+))
            }
            #expect(zip(whole.elements, sum.elements).allSatisfy { abs($0 - $1) < 1e-13 * whole.frobeniusNorm })
        }
        let (kernel, initial) = (try dense(.kernel, of: problem, at: θ), try dense(.kernel, of: parts[1], at: θ))
        for i in 0..<8 { for j in 0..<8 { #expect(abs(kernel[20 + i, 20 + j] - initial[i, j]) < 1e-13 * kernel.frobeniusNorm) } }
        #expect(parts.map(\.version) == [0, 0, 0] && parts[1].terms == ["initial"])
    }

    /// The density as a distribution: for unit probes, uniform on the sphere, Σ_{λᵢ ≤ λ} (vᵀuᵢ)² has the mean p = #{λᵢ ≤ λ}/n and the
    /// variance 2p(1 − p)/(n + 2), and the trace's estimate vᵀAv·n the variance 2n(‖A‖² − tr²A/n)/(n + 2). Five deviations are allowed.
    @Test(arguments: CurvatureOperator.allCases) func densitiesAndTraces(kind: CurvatureOperator) throws {
        let (problem, θ) = try smallConvection()
        let probes = 400
        var random = RandomStream(seed: 3, name: "probes")
        let spectra = CurvatureSpectra(probes: probes, steps: 40, operators: [kind], perTerm: false)
        let density = try #require(try spectra.spectra(of: problem, at: θ, random: &random).first).density
        let matrix = try dense(kind, of: problem, at: θ)
        let exact = try SymmetricEigen.factorize(matrix).get().values
        let n = Double(exact.count)
        #expect(abs(density.nodes.reduce(0) { $0 + $1.weight } - 1) < 1e-12)
        var checked = 0
        // In the middle of gaps: there the nodes of converged rules and the eigenvalues are on the same sides.
        for i in 1..<exact.count where exact[i] - exact[i - 1] > 1e-6 * matrix.frobeniusNorm {
            let cut = 0.5 * (exact[i] + exact[i - 1])
            let share = density.nodes.reduce(0) { $0 + ($1.eigenvalue <= cut ? $1.weight : 0) }
            let p = Double(i) / n
            #expect(abs(share - p) < 5 * (2 * p * (1 - p) / (n + 2) / Double(probes)).squareRoot(), "at \(cut)")
            checked += 1
        }
        #expect(checked > 5)
        let trace = exact.reduce(0, +)
        let variance = 2 * n * (matrix.frobeniusNorm * matrix.frobeniusNorm - trace * trace / n) / (n + 2)
        #expect(abs(density.trace - trace) < 5 * (variance / Double(probes)).squareRoot(), "\(density.trace), \(trace)")
    }

    /// Few steps give bounds: the largest node is below the largest eigenvalue and, in a PINN's steep spectrum, close to it.
    @Test func fewStepsBoundTheExtremes() throws {
        let (problem, θ) = try smallConvection()
        var random = RandomStream(seed: 4, name: "probes")
        let spectra = CurvatureSpectra(probes: 3, steps: 8, perTerm: false)
        for spectrum in try spectra.spectra(of: problem, at: θ, random: &random) {
            let exact = try eigenvalues(spectrum.operator, of: problem, at: θ)
            let (least, greatest) = (exact[0], exact[exact.count - 1])
            #expect(spectrum.density.largest <= greatest * (1 + 1e-13) && spectrum.density.largest > 0.99 * greatest)
            #expect(spectrum.density.smallest >= least - 1e-13 * greatest)
            for node in spectrum.density.nodes {
                let distance = exact.map { abs($0 - node.eigenvalue) }.min() ?? .infinity
                #expect(distance <= node.bound + 1e-13 * greatest)
            }
        }
    }

    @Test func theCallbackRecordsExtremesAndDensities() throws {
        let (problem, _) = try smallConvection()
        let listener = RecordListener()
        let pipeline = Pipeline(minimizing: problem) { Stage("descend", Adam(learningRate: 0.01), until: .iterations(8)) }
        var callback = RecordSpectrum(every: 4, probes: 2, steps: 5)
        callback.hessian = false
        let run = try pipeline.begin(seed: 9, callbacks: [callback, listener])
        var random = RandomStream(seed: 9, name: "spectrum")
        let direct = CurvatureSpectra(probes: 2, steps: 5, operators: [.gramian, .kernel])
        var expected: [[MeasuredSpectrum]] = []
        while run.outcome == nil {
            let taken = run.result.iterations
            try run.advance()
            guard run.result.iterations > taken, [1, 4, 8].contains(run.result.iterations) else { continue }
            expected.append(try direct.spectra(of: problem, at: run.parameters.values, random: &random))
        }
        let rows = listener.heard.rows.withLock { $0 }
        #expect(rows.map(\.iteration) == [1, 4, 8])
        #expect(rows.map(\.rows) == expected.map { MeasuredSpectrum.rows(of: $0) })
        #expect(rows[0].rows.table == "spectra" && rows[0].rows.count == 8 * 2 * 5)
        let details = listener.heard.details.withLock { $0 }
        #expect(details.count == 3 * 16)
        let last = details.suffix(16)
        #expect(last.first?.detail == .init("gramian: largest eigenvalue", expected[2][0].density.largest))
        #expect(last.contains { $0.detail == .init("kernel of initial: smallest eigenvalue", expected[2][5].density.smallest) })
        // The points differ, and so do the spectra.
        #expect(expected[0][0].density.largest != expected[2][0].density.largest)
    }

    @Test func aProblemWithoutProductsIsRefused() throws {
        let pipeline = Pipeline(minimizing: Bowl()) { Stage("descend", Adam(), until: .iterations(2)) }
        for (callback, says) in [
            (RecordSpectrum() as any Callback, "has no products with H, JᵀJ, JJᵀ"), (RecordTermGradients(), "term by term"),
            (RecordJacobianRank(), "is no sum of squares"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try pipeline.start(callbacks: [callback]) }
            #expect(error?.description.contains(says) == true, "\(String(describing: error))")
        }
    }
}
