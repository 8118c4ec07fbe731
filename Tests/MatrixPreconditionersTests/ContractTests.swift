import MatrixPreconditioners
import NeuralModels
import OptimizationCore
import OptimizationTesting
import PhysicsInformed
import Poisson
import StochasticGradient
import Testing

@Suite struct ContractTests {
    /// The zoo's functions have one vector of parameters, where Adam's rule is left: what is tried is the contract.
    @Test(arguments: ZooProblem.sample) func onVectors(problem: ZooProblem) throws {
        try OptimizerConformance.check(SOAP(learningRate: 1e-2), on: problem, reaching: .descent(within: 100))
        try OptimizerConformance.check(Shampoo(learningRate: 1e-2), on: problem, reaching: .descent(within: 100))
        try OptimizerConformance.check(Muon(learningRate: 1e-2, vectorLearningRate: 1e-2), on: problem, reaching: .descent(within: 100))
        try OptimizerConformance.check(PSGDKron(learningRate: 1e-2), on: problem, reaching: .descent(within: 100))
    }

    static func network() throws -> PhysicsInformedProblem {
        var setup = PoissonOnSquareSetup()
        setup.network = PerceptronSettings(width: 7, depth: 2)
        setup.points = PointPlan(interior: 60, boundary: 20)
        guard let problem = try setup.makeProblem(seed: 1) as? PhysicsInformedProblem else { throw PhysicsError("no network") }
        return problem
    }

    static let methods: [any Optimizer & Configurable] = [
        SOAP(learningRate: 3e-3, refresh: 2), Shampoo(learningRate: 3e-3, refresh: 3), Shampoo(learningRate: 1e-5, grafting: .sgd),
        Muon(learningRate: 3e-3, vectorLearningRate: 3e-3), Muon(learningRate: 3e-3, vectorLearningRate: 3e-3, matrices: .inner),
        PSGDKron(learningRate: 3e-3), PSGDKron(learningRate: 3e-3, triangles: .shorter, seed: 5),
        PSGDKron(learningRate: 3e-3, triangles: .none),
    ]

    @Test(arguments: methods.indices) func onLayers(index: Int) throws {
        func check<O: Optimizer>(_ optimizer: O) throws {
            try OptimizerConformance.check(optimizer, on: try Self.network(), reaching: .descent(within: 60))
        }
        try check(Self.methods[index])
    }

    @Test func goOnInAFreshProcess() async throws {
        let problem = try Self.network()
        let cuts = [
            try OptimizerConformance.interrupted(SOAP(learningRate: 3e-3, refresh: 2), on: problem),
            try OptimizerConformance.interrupted(Shampoo(learningRate: 3e-3, refresh: 3), on: problem),
            try OptimizerConformance.interrupted(Muon(learningRate: 3e-3), on: problem),
            try OptimizerConformance.interrupted(PSGDKron(learningRate: 3e-3), on: problem),
        ]
        await #expect(processExitsWith: .success) { [cuts = cuts as [InterruptedRun]] in
            let problem = try ContractTests.network()
            try cuts[0].finish(SOAP(learningRate: 3e-3, refresh: 2), on: problem)
            try cuts[1].finish(Shampoo(learningRate: 3e-3, refresh: 3), on: problem)
            try cuts[2].finish(Muon(learningRate: 3e-3), on: problem)
            try cuts[3].finish(PSGDKron(learningRate: 3e-3), on: problem)
        }
    }
}
