import Diagnostics
import OptimizationCore
import OptimizationTesting
import StochasticGradient
import Synchronization
import Testing

/// Keeps what callbacks record.
private struct Listener: Callback {
    final class Heard: Sendable { let values = Mutex<[(iteration: Int, detail: StepReport.Detail)]>([]) }
    let heard = Heard()
    var name: String { "listener" }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) -> [RunRequest] {
        if case .recorded(let details) = event {
            heard.values.withLock { values in values += details.map { (observation.totalIteration, $0) } }
        }
        return []
    }
}

@Suite struct MeasurementTests {
    @Test func theErrorIsRecordedAtItsCadenceAndFalls() throws {
        let problem = try #require(ZooProblem.all.first { $0.name == "rosenbrock" })
        let listener = Listener()
        let pipeline = Pipeline(minimizing: problem) { Stage("descend", Adam(learningRate: 0.05), until: .iterations(400)) }
        let result = try pipeline.start(callbacks: [RecordReferenceError(every: 100), listener])
        let values = listener.heard.values.withLock { $0 }
        #expect(values.map(\.iteration) == [1, 100, 200, 300, 400])
        #expect(values.allSatisfy { $0.detail.name == "referenceError" })
        #expect(values[4].detail.value < values[0].detail.value)
        #expect(values[4].detail.value == result.stages[0].referenceError)
    }
}
