import LinearAlgebra
import OptimizationCore

/// L(x) = ½ Σ (i + 1)² xᵢ², split in two terms; revisable in nothing.
struct Bowl: DifferentiableProblem, ReferencedProblem {
    var count = 5
    var name: String { "bowl" }
    var identity: Setting { .map([.init("name", .scalar("bowl")), .init("count", .integer(count))]) }
    var layout: ParameterLayout { ParameterLayout([("weights", [2, 2]), ("bias", [count - 4])]) }
    var terms: [String] { ["even", "odd"] }

    func initialParameters(from random: inout RandomStream) -> Parameters {
        Parameters(layout: layout, values: random.normalVector(count))
    }

    func loss(at θ: Vector) throws -> LossValue { try lossAndGradient(at: θ).loss }

    func lossAndGradient(at θ: Vector) throws -> Evaluation {
        var (terms, gradient) = ([0.0, 0.0], [Double](repeating: 0, count: count))
        for i in 0..<count {
            let scale = Double((i + 1) * (i + 1))
            terms[i % 2] += scale * θ[i] * θ[i] / 2
            gradient[i] = scale * θ[i]
        }
        return Evaluation(loss: LossValue(total: terms[0] + terms[1], terms: terms), gradient: Vector(gradient))
    }

    func referenceError(at θ: Vector) throws -> Double? { θ.elements.map(abs).max() }
}

/// x ← x − α ∇L(x) + β (x − x₋): a method with a memory, so that a checkpoint must hold more than the parameters.
struct HeavyBall: Optimizer {
    var α = 0.01
    var β = 0.9
    /// Steps at whose end the first parameter is negative are told as recoveries.
    var tellsRecoveries = false

    struct State: OptimizerState, Equatable {
        var parameters: Parameters
        var velocity: Vector

        init(_ parameters: Parameters) { (self.parameters, velocity) = (parameters, Vector(parameters.values.elements.map { _ in 0 })) }

        func encode(into archive: inout Archive) {
            archive.set("parameters", parameters)
            archive.set("velocity", velocity)
        }

        init(from archive: Archive) throws {
            parameters = try archive.value("parameters")
            velocity = try archive.vector("velocity")
        }
    }

    func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> State { State(parameters) }

    func step(_ state: inout State, on problem: any DifferentiableProblem) throws -> StepReport {
        let gradient = try problem.lossAndGradient(at: state.parameters.values).gradient
        var (x, v) = (state.parameters.values.elements, state.velocity.elements)
        for i in x.indices {
            v[i] = β * v[i] - α * gradient[i]
            x[i] += v[i]
        }
        (state.parameters, state.velocity) = (state.parameters.with(Vector(x)), Vector(v))
        let new = try problem.lossAndGradient(at: state.parameters.values)
        return StepReport(
            loss: new.loss, gradientNorm: new.gradient.elements.reduce(0) { $0 + $1 * $1 }.squareRoot(), stepLength: α,
            details: [.init("momentum/β", β)], recoveries: tellsRecoveries && x[0] < 0 ? ["x₀ went below zero: told"] : [])
    }
}

/// Announces a value every other step, as measuring callbacks do.
struct Measure: Callback {
    var name: String { "measure" }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        guard case .stepTaken = event, observation.totalIteration % 2 == 0 else { return [] }
        let twice = RunRequest.record(.init("twice", Double(2 * observation.totalIteration)))
        guard observation.totalIteration % 8 == 0 else { return [twice] }
        let θ = observation.parameters.values
        let columns: [RecordedRows.Column] = [
            .init("place", .integers([0, 1]), meaning: "the entry's index"),
            .init("name", .texts(["first", "second"]), meaning: "its name"),
            .init("value", .reals([θ[0], θ[1]]), meaning: "θ there"),
        ]
        return [twice, .recordRows(RecordedRows(table: "entries", columns: columns))]
    }
}

/// Asks to stop after an iteration, as a person does by Ctrl-C.
struct InterruptAfter: Callback {
    var iteration: Int
    var name: String { "interrupt" }

    func handle(_ event: RunEvent, state: inout Stateless, in observation: Observation) throws -> [RunRequest] {
        if case .stepTaken = event, observation.totalIteration == iteration { return [.stop(.interrupted("asked to"))] }
        return []
    }
}

func pipeline(_ iterations: Int = 60) -> Pipeline<Bowl> {
    Pipeline(minimizing: Bowl()) {
        Stage("first", HeavyBall(), until: .iterations(20))
        Stage("second", HeavyBall(α: 0.005), until: .iterations(iterations - 20))
    }
}
