import OptimizationCore
import Testing

/// Settings of every kind of field.
private struct Machine: Configurable, Equatable {
    enum Mode: String, CaseIterable, Sendable { case slow, fast, veryFast = "very-fast" }

    struct Gear: Configurable, Equatable {
        var ratio = 2.0
        static let identifier = "gear"
        static let summary = "A part."
        static var fields: [Field<Gear>] { [.number("ratio", \.ratio, in: .positive, meaning: "of the gear")] }
    }

    struct Belt: Configurable, Equatable {
        var length = 1.0
        static let identifier = "belt"
        static let summary = "Another part."
        static var fields: [Field<Belt>] { [.number("length", \.length, in: .positive, meaning: "of the belt")] }
    }

    var speed = 1.5
    var wheels = 4
    var isLoud = false
    var label = "m"
    var loads = [1.0, 2.0]
    var mode = Mode.slow
    var gear = Gear()
    var belt: Belt?

    static let identifier = "machine"
    static let summary = "Has settings."
    static var fields: [Field<Machine>] {
        [
            .number("speed", \.speed, in: .nonNegative, meaning: "of the machine"),
            .integer("wheels", \.wheels, atLeast: 1, meaning: "how many"), .flag("isLoud", \.isLoud, meaning: "whether it is"),
            .text("label", \.label, meaning: "what is on it"), .numbers("loads", \.loads, in: .nonNegative, meaning: "on each axle"),
            .choice("mode", \.mode, meaning: "how it runs"), .part("gear", \.gear, meaning: "its gear"),
            .variant(
                "drive", among: [Gear.self, Belt.self], meaning: "what drives it", describe: { $0.belt?.settings ?? $0.gear.settings },
                assign: { machine, part in
                    if let gear = part as? Gear { (machine.gear, machine.belt) = (gear, nil) }
                    if let belt = part as? Belt { machine.belt = belt }
                }),
        ]
    }

    func validate() throws {
        if isLoud && mode == .slow { throw ConfigurationError(path: "isLoud", reason: "a slow machine is never loud") }
    }
}

@Suite struct SettingsTests {
    private func map(_ pairs: (String, Setting)...) -> Setting { .map(pairs.map { Setting.Pair($0, $1) }) }
    private func line(_ text: String, _ line: Int) -> Setting { Setting(.scalar(text), line: line) }

    @Test func settingsAreReadAsTheyAreWritten() throws {
        var machine = Machine()
        (machine.speed, machine.wheels, machine.isLoud, machine.label) = (0.1 + 0.2, 1_000, true, "ν")
        (machine.loads, machine.mode, machine.belt) = ([3, 1e-300], .veryFast, Machine.Belt(length: 7))
        #expect(try Machine(machine.settings, path: "machine") == machine)
        #expect(try machine.validated() == machine)
        #expect(try Machine(.scalar("machine"), path: "machine") == Machine())
        #expect(try Machine(map(("wheels", .scalar("1_000"))), path: "").wheels == 1_000)
        #expect(try Machine(map(("drive", .scalar("belt"))), path: "").belt == Machine.Belt())
    }

    /// What is wrong, where the error says it is, and what it advises.
    @Test func errorsSayWhatWhereAndWhatToDo() {
        let cases: [(Setting, path: String, line: Int?, reason: String)] = [
            (map(("sped", line("3", 7))), "m.sped", 7, "is not a setting of machine; it has: speed, "),
            (map(("speed", line("quick", 8))), "m.speed", 8, "“quick” is not a number"),
            (map(("speed", line("nan", 8))), "m.speed", 8, "must be ≥ 0"),
            (map(("wheels", line("0", 9))), "m.wheels", 9, "0 must be ≥ 1"),
            (map(("wheels", line("2.5", 9))), "m.wheels", 9, "is not a whole number"),
            (map(("isLoud", line("yes", 10))), "m.isLoud", 10, "must be true or false"),
            (map(("label", .list([]))), "m.label", nil, "must be text"),
            (map(("loads", line("3", 11))), "m.loads", 11, "must be a list of numbers"),
            (map(("loads", .list([line("1", 12), line("-1", 13)]))), "m.loads", 13, "“-1” must be a number ≥ 0"),
            (map(("mode", line("fats", 14))), "m.mode", 14, "must be one of: fast, "),
            (map(("gear", map(("ratio", line("-2", 15))))), "m.gear.ratio", 15, "must be > 0"),
            (map(("drive", map(("name", line("bell", 16))))), "m.drive", nil, "“bell” must be one of: belt, gear"),
            (map(("drive", map(("length", line("2", 17))))), "m.drive", nil, "needs a name"),
            (map(("isLoud", line("true", 18))), "m.isLoud", nil, "a slow machine is never loud"),
            (line("engine", 19), "m", 19, "should be a map of the settings of machine"),
        ]
        for (setting, path, line, reason) in cases {
            let error = #expect(throws: ConfigurationError.self) { try Machine(setting, path: "m") }
            #expect(error?.path == path)
            #expect(error?.line == line)
            #expect(error?.reason.contains(reason) == true, "“\(error?.reason ?? "")” lacks “\(reason)”")
        }
    }

    @Test func anErrorPrintsItsLine() {
        let error = ConfigurationError(path: "stages.0.optimizer.rate", line: 12, reason: "must be > 0")
        #expect(error.description == "line 12: stages.0.optimizer.rate: must be > 0")
    }

    @Test func valuesMadeInCodeAreChecked() {
        var machine = Machine()
        machine.wheels = -1
        #expect(throws: ConfigurationError.self) { try machine.validated() }
    }

    @Test func boundsHoldTheirEnds() {
        func holds(_ bounds: Bounds, _ value: Double) -> Bool { bounds.contains(value) }
        #expect(holds(.positive, .leastNonzeroMagnitude) && !holds(.positive, 0) && !holds(.positive, .infinity))
        #expect(holds(.nonNegative, 0) && !holds(.nonNegative, -.leastNonzeroMagnitude) && !holds(.nonNegative, .nan))
        #expect(holds(.openUnit, 0.5) && !holds(.openUnit, 0) && !holds(.openUnit, 1))
        #expect(holds(.fraction, 0) && !holds(.fraction, 1))
        #expect(holds(.within(1...2), 2) && !holds(.within(1...2), 2.1) && !holds(.any, .infinity))
        #expect(holds(.atLeast(3), 3) && !holds(.atLeast(3), 2.9))
    }

    @Test func settingsCompareByContentAndListTheirDifferences() {
        let here = map(("a", line("1", 1)), ("b", map(("c", .scalar("x")))), ("l", .list([.integer(1), .integer(2)])))
        let there = map(("a", line("1", 99)), ("b", map(("c", .scalar("y")))), ("l", .list([.integer(1)])), ("d", .flag(true)))
        #expect(here != there)
        #expect(here["a"] == there["a"])
        #expect(
            here.differences(from: there) == ["b.c: x here, y there", "l.1: 2 here, missing there", "d: missing here, true there"])
        #expect(here.differences(from: here).isEmpty)
        #expect(here.description == "{a: 1, b: {c: x}, l: [1, 2]}")
        #expect(here.setting(["b", "e"], to: .integer(3)).description == "{a: 1, b: {c: x, e: 3}, l: [1, 2]}")
        #expect(here.setting(["a"], to: .integer(3))["a"] == .integer(3))
        #expect(here.removing("b").description == "{a: 1, l: [1, 2]}")
    }

    @Test func theNearestNameComesFirst() {
        #expect(nearest(to: "lerningRate", among: ["memory", "learningRate", "decay"]).first == "learningRate")
        #expect(nearest(to: "ADAM", among: ["l-bfgs", "adam"]).first == "adam")
        #expect(nearest(to: "", among: ["b", "a"]) == ["a", "b"])
    }
}
