import Diagnostics
import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import StochasticGradient
import Testing

@Suite struct TermGradientTests {
    /// The recorded numbers after the last step, by name, and where it ended.
    private func measured() throws -> (problem: PhysicsInformedProblem, values: [String: Double], θ: Vector, iterations: [Int]) {
        let (problem, _) = try smallConvection()
        let listener = RecordListener()
        let pipeline = Pipeline(minimizing: problem) { Stage("descend", Adam(learningRate: 0.02), until: .iterations(10)) }
        let result = try pipeline.start(seed: 4, callbacks: [RecordTermGradients(every: 5), listener])
        let details = listener.heard.details.withLock { $0 }
        let last = details.filter { $0.iteration == 10 }.map { ($0.detail.name, $0.detail.value) }
        return (problem, Dictionary(uniqueKeysWithValues: last), result.parameters.values, Array(Set(details.map(\.iteration))).sorted())
    }

    /// gₖ = Jₖᵀrₖ over the rows of each term, of the dense Jacobian.
    @Test func normsAndCosinesAreThoseOfTheRowsOfJ() throws {
        let (problem, values, θ, iterations) = try measured()
        #expect(iterations == [1, 5, 10])
        let model = try problem.linearization(at: θ)
        let (terms, rows) = (problem.terms, [0..<20, 20..<28, 28..<33])
        let g = rows.map { rows in model.jacobian(rows: rows).transposedTimes(Vector(model.residual.elements[rows])) }
        #expect(values.count == 6)
        for i in 0..<3 {
            let norm = try #require(values["gradient norm: \(terms[i])"])
            #expect(abs(norm - g[i].norm) < 1e-12 * g[i].norm)
            for j in (i + 1)..<3 {
                let cosine = try #require(values["gradient cosine: \(terms[i]), \(terms[j])"])
                #expect(abs(cosine - g[i].dot(g[j]) / (g[i].norm * g[j].norm)) < 1e-12)
            }
        }
    }

    /// ‖∇L‖² = Σᵢⱼ ‖gᵢ‖‖gⱼ‖ cos(gᵢ, gⱼ): the terms' gradients add up to the whole.
    @Test func theyAddUpToTheGradient() throws {
        let (problem, values, θ, _) = try measured()
        let terms = problem.terms
        var square = 0.0
        for i in 0..<3 {
            let norm = try #require(values["gradient norm: \(terms[i])"])
            square += norm * norm
            for j in (i + 1)..<3 {
                let (other, cosine) = (values["gradient norm: \(terms[j])"], values["gradient cosine: \(terms[i]), \(terms[j])"])
                square += 2 * norm * (try #require(other)) * (try #require(cosine))
            }
        }
        let gradient = try problem.lossAndGradient(at: θ).gradient
        #expect(abs(square.squareRoot() - gradient.norm) < 1e-12 * gradient.norm)
    }
}
