import Curvature
import CurvatureCLI
import Foundation
import Testing

/// The run files under Examples: each is accepted, says what it shows and what to expect, and together they show the whole grammar.
/// `Examples/run` checks what they reach.
@Suite struct ExampleTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var path: String
        var text: String
        var testDescription: String { URL(fileURLWithPath: path).lastPathComponent }
    }

    static let examples: [Example] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Examples").standardizedFileURL
        return ["", "/grammar"].flatMap { folder in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path + folder)) ?? []
            return names.filter { $0.hasSuffix(".yaml") }.sorted().map { name in
                let path = "\(root.path)\(folder)/\(name)"
                return Example(path: path, text: (try? String(contentsOfFile: path, encoding: .utf8)) ?? "")
            }
        }
    }()

    @Test(arguments: examples) func theExampleIsAccepted(_ example: Example) throws {
        var setting = try YAML.setting(from: example.text, file: example.path)
        // Nothing is written here.
        if setting["problem"]?["data"] != nil { setting = try setting.overridden(by: "problem.data=''") }
        let registry = try Registry.withBuiltIns()
        #expect(try !RunConfiguration(setting, registry: registry).preflight(registry: registry).stages.isEmpty)
    }

    @Test(arguments: examples) func theHeaderSaysHowToRunItAndWhatToExpect(_ example: Example) {
        let header = example.text.split(separator: "\n").prefix { $0.hasPrefix("#") }
        #expect(header.contains { $0.hasPrefix("# Run:    curvature run Examples/") && $0.contains(example.testDescription) })
        let expected = header.drop { !$0.hasPrefix("# Expect: ") }
        #expect(expected.contains { $0.contains(where: \.isNumber) })
        if example.path.contains("/grammar/") { #expect(header.contains { $0.hasPrefix("# Check") }) }
    }

    @Test func together() throws {
        let registry = try Registry.withBuiltIns()
        let all = Self.examples.map(\.text).joined(separator: "\n")
        #expect(Self.examples.count > 15)
        let rules = [
            "any", "all", "iterations", "seconds", "evaluations", "gradients", "loss", "gradientNorm", "relativeGradientNorm",
            "monitorLoss", "referenceError", "stalled", "monitorRising",
        ]
        let parts = [
            "onBreakdown", "restart", "clearMemory", "shrink", "clipNorm", "batch", "sizes", "holding", "checkpoints", "trajectory", "data",
            "seed", "average", "accumulate", "plateau", "blocks",
        ]
        for key in rules + parts { #expect(all.contains("\(key):"), "no example has “\(key)”") }
        // Every kind that can be chosen by name inside an optimizer: schedules, line searches, damping rules.
        let kinds = registry.optimizers.flatMap(\.schema).filter { $0.parts.count > 1 }.flatMap { $0.parts.map(\.name) }
        let names = registry.optimizers.map(\.name) + registry.callbacks.map(\.name) + kinds
        for name in Set(names) { #expect(all.contains(name), "no example has “\(name)”") }
        // Every setting of the parts of a problem, but for those of equations yet to come.
        for part in ["network", "points"] {
            let fields = registry.problems.first { $0.name == "burgers" }?.schema.first { $0.name == part }?.parts.first?.fields ?? []
            for field in fields { #expect(all.contains("\(field.name):"), "no example has “\(part).\(field.name)”") }
        }
    }
}
