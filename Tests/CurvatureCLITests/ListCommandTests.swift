import Curvature
import CurvatureCLI
import Testing

/// `curvature list`: models have entries, and what has settings of its own lists them.
@Suite struct ListCommandTests {
    let tool: CommandLineTool

    init() throws { tool = try CommandLineTool() }

    private func lines(_ arguments: String...) throws -> [String] {
        let output = try tool.run(["list"] + arguments)
        try #require(output.status == 0, "\(output.errors)")
        return output.text.split(separator: "\n").map(String.init)
    }

    /// Whether a line has these words in this order, at this indentation.
    private func has(_ lines: [String], indent: Int, _ words: String...) -> Bool {
        lines.contains { line in
            guard line.prefix(while: { $0 == " " }).count == indent else { return false }
            var rest = line[...]
            for word in words {
                guard let place = rest.range(of: word) else { return false }
                rest = rest[place.upperBound...]
            }
            return true
        }
    }

    @Test func models() throws {
        let all = try lines()
        for title in ["optimizers:", "problems:", "models:", "callbacks:"] { #expect(all.contains(title)) }
        #expect(try lines("models").map { $0.split(separator: " ").first } == ["models:", "multilayer-perceptron", "deeponet"])
        let perceptron = try lines("multilayer-perceptron")
        #expect(has(perceptron, indent: 2, "width", "20", "≥ 1", "units of each hidden layer"))
        #expect(has(perceptron, indent: 2, "activation", "tanh", "tanh | sin | gelu"))
        let deeponet = try lines("deeponet")
        #expect(has(deeponet, indent: 2, "branchWidth", "40", "≥ 1"))
    }

    @Test func nestedSettings() throws {
        let burgers = try lines("burgers")
        #expect(has(burgers, indent: 2, "network", "multilayer-perceptron"))
        #expect(has(burgers, indent: 6, "depth", "4", "≥ 0", "hidden layers"))
        // Defaults are those of the problem, not of the part by itself.
        let poisson = try lines("poisson-1d")
        #expect(has(burgers, indent: 6, "initialWeight", "5.0") && has(poisson, indent: 6, "width", "32"))
        let broyden = try lines("self-scaled-broyden")
        #expect(has(broyden, indent: 6, "strong-wolfe (default): ") && has(broyden, indent: 6, "armijo: "))
        #expect(has(broyden, indent: 10, "curvature", "in (0, 1)"))
        let marquardt = try lines("levenberg-marquardt")
        #expect(has(marquardt, indent: 10, "initial", "> 0", "the first damping"))
        let adam = try lines("adam")
        #expect(has(adam, indent: 2, "schedule", "constant", "constant | exponential"))
        #expect(has(adam, indent: 10, "factors", "[0.1]"))
        #expect(has(adam, indent: 2, "clipNorm", "none", "> 0") && has(adam, indent: 6, "holding", "1", "≥ 1"))
    }

    @Test func asJSON() throws {
        #expect(try lines("models", "--json")[0].contains("\"models\":[{\"name\":\"multilayer-perceptron\""))
        let broyden = try lines("self-scaled-broyden", "--json")[0]
        #expect(broyden.contains("\"parts\":[{\"name\":\"strong-wolfe\"") && broyden.contains("\"isDefault\":true"))
    }

    /// A schedule after a schedule ends somewhere: the deepest is one of a natural gradient's rate, within its step length.
    @Test func theSchemaIsFinite() throws {
        func depth(_ fields: [FieldDescription]) -> Int { 1 + (fields.flatMap(\.parts).map { depth($0.fields) }.max() ?? 0) }
        let registry = try Registry.withBuiltIns()
        let entries: [any RegistryEntry] = registry.optimizers + registry.problems + registry.models + registry.callbacks
        for entry in entries {
            #expect(depth(entry.schema) <= 6, "\(entry.name)")
            #expect(schemaLines(of: entry.schema).allSatisfy { !$0.isEmpty })
        }
    }
}
