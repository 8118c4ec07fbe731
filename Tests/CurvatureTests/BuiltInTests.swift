import Curvature
import Testing

@Suite struct BuiltInTests {
    @Test func everyBuiltInIsInstalledOnceAndDescribesItself() throws {
        let registry = try Registry.withBuiltIns()
        let names = registry.optimizers.map(\.name)
        for name in ["adam", "l-bfgs", "self-scaled-broyden", "levenberg-marquardt", "gauss-newton"] { #expect(names.contains(name)) }
        let entries: [any RegistryEntry] = registry.optimizers + registry.problems + registry.callbacks
        for entry in entries {
            #expect(!entry.summary.isEmpty && entry.name == entry.name.lowercased())
            #expect(entry.schema.allSatisfy { !$0.meaning.isEmpty && !$0.range.isEmpty }, "\(entry.name)")
        }
        #expect(Set(entries.map(\.name)).count == entries.count)
    }

    /// Settings written out and read back make the same settings: what a stored configuration relies on.
    @Test func settingsOfEveryOptimizerSurviveARoundTrip() throws {
        let registry = try Registry.withBuiltIns()
        for entry in registry.optimizers {
            guard let optimizer = try registry.optimizer(.scalar(entry.name)) as? any Configurable else { continue }
            let again = try registry.optimizer(optimizer.settings) as? any Configurable
            #expect(again?.settings == optimizer.settings, "\(entry.name)")
        }
    }

    @Test func theWrongOptimizerIsRefusedByNameWithThoseThatFit() throws {
        let registry = try Registry.withBuiltIns()
        let problem = try registry.problem(.scalar("logistic-regression")).makeProblem(seed: 0)
        func refuse<P: Problem>(_ problem: P) throws {
            let pipeline = Pipeline(minimizing: problem, stages: [Stage(dynamic: "solve", GaussNewton(), until: .iterations(1))])
            _ = try pipeline.preflight(suggestingFrom: registry)
        }
        let error = #expect(throws: PairingError.self) { try refuse(problem) }
        let text = try #require(error).description
        #expect(text.contains("needs a LeastSquaresProblem"))
        #expect(text.contains("offers DifferentiableProblem"))
        #expect(error?.fitting.contains("l-bfgs") == true && error?.fitting.contains("levenberg-marquardt") == false)
    }
}
