import Curvature
import CurvatureCLI
import OptimizationTesting

/// Makes configurations that are nearly right: valid ones with some keys, values, types or characters changed.
struct ConfigurationFuzzer {
    private var random: RandomStream

    init(number: Int, seed: Int) { random = Fuzzing.random("configuration", number, seed: seed) }

    /// A configuration's text, and overrides as `--set` takes them.
    mutating func next() throws -> (text: String, overrides: [String]) {
        var setting = try YAML.setting(from: sound(), file: "sound")
        if !random.chance(0.1) { for _ in 0...random.index(below: 3) { setting = changed(setting) } }
        var text = try YAML.text(of: setting)
        if random.chance(0.25) { text = garbled(text) }
        var overrides: [String] = []
        if random.chance(0.2) {
            let paths = setting.flattened().map(\.path)
            let path = paths.isEmpty || random.chance(0.2) ? random.element(of: Self.words) : random.element(of: paths)
            overrides = ["\(path)=\(random.element(of: Self.values))"]
        }
        return (text, overrides)
    }

    // MARK: Valid configurations

    private static let problems = [
        "{name: test-function, function: FUNCTION}", "{name: test-function, function: FUNCTION, dimension: 12}",
        """
        {name: antiderivative, functions: 6, validationFunctions: 2, testFunctions: 2, sensors: 5, points: 6, features: 3,
         branchWidth: 3, branchDepth: 1, trunkWidth: 3, trunkDepth: 1, lengthScale: 0.3}
        """,
        "{name: logistic-regression, samples: 30, heldOut: 5, features: 4, regularization: 1e-3, conditionNumber: 10, labelNoise: 0.1}",
        """
        {name: poisson-1d, frequency: 2, network: {width: 3, depth: 1, activation: tanh, firstLayerSlope: 2, scalesInputs: true},
         points: {interior: 8, boundary: 2, monitor: 4, sampling: grid, boundaryWeight: 10}}
        """,
        "{name: poisson-cube, dimension: 3, network: {width: 3, depth: 1}, points: {interior: 9, boundary: 6, monitor: 0, sampling: halton}}",
        "{name: helmholtz-2d, wavenumber: 2, network: {width: 3, depth: 1}, points: {interior: 9, boundary: 8, monitor: 2}}",
        "{name: poisson-2d, network: {width: 3, depth: 2}, points: {interior: 9, boundary: 8, monitor: 0, sampling: latin-hypercube}}",
    ]
    /// Its reference costs a tenth of a second, so it is seldom taken.
    private static let burgers = "{name: burgers, viscosity: 0.1, network: {width: 3, depth: 2}, points: {interior: 9, monitor: 3}}"
    private static let optimizers = [
        "adam", "{name: adam, learningRate: 1e-3, schedule: {name: exponential, rate: 0.9, every: 100}}",
        "{name: adam, batch: {size: 4, holding: 2}}", "{name: l-bfgs, memory: 5}", "{name: l-bfgs, lineSearch: {name: strong-wolfe}}",
        "self-scaled-broyden", "{name: levenberg-marquardt, maximumTrials: 5}", "{name: gauss-newton, relativeCutoff: 1e-10}",
    ]
    private static let rules = [
        "{iterations: 5}", "{any: [{iterations: 5}, {gradientNorm: {below: 1e-8}}]}", "{all: [{loss: {below: 1}}, {seconds: 3}]}",
        "{stalled: {window: 10, relativeDecrease: 1e-3}}", "{monitorRising: {patience: 3, every: 10}}", "{gradients: 30}",
    ]
    private static let callbacks = [
        "monitor-loss", "{name: reference-error, every: 5}", "{name: early-stop, patience: 2, every: 3}",
        "{name: residual-adaptive-resampling, every: 5, pool: 50}",
    ]

    private mutating func sound() -> String {
        let family = random.element(of: ZooFamily.all.map(\.name))
        let problem = random.chance(0.02) ? Self.burgers : random.element(of: Self.problems).replacing("FUNCTION", with: family)
        let stages = (0...random.index(below: 2)).map { _ in
            """
              - stage: s\(random.index(below: 9))
                optimizer: \(random.element(of: Self.optimizers))
                until: \(random.element(of: Self.rules))
                onBreakdown: \(random.element(of: ["hand-over", "stop", "{restart: 2}", "{clearMemory: 2}", "{shrink: 2}"]))
            """
        }
        return """
            problem: \(problem)
            seed: \(random.index(below: 100))
            stages:
            \(stages.joined(separator: "\n"))
            callbacks: [\(random.element(of: Self.callbacks))]
            output: {folder: runs/x, checkpoints: {every: 5, keep: 2}, trajectory: {every: 3}}
            """
    }

    // MARK: Changes of structure

    /// Numbers are small or beyond all memory: those between cost time, not insight.
    private static let values = [
        "0", "-1", "1", "2", "7", "-0", "0.5", "1e-300", "1e300", "1e400", "-1e400", "nan", "inf", "-inf", "2147483648", "4294967296",
        "9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1_000", "0x10", "1e3", " 5", "+3",
        "", "~", "null", "true", "no", "[]", "{}", "[1, 2]", "{name: adam}", "{name: }", "adam", "l-bfgs", "burgers", "grid", "tanh",
        "stop",
        "٣", "½", "𝟓", "–1", "e\u{301}", "👩‍👩‍👧", "a b", "a.b", "a/b", "../..", "\u{202e}abc", "\u{feff}", "%s%n", "$(true)",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]
    private static let words = [
        "name", "width", "depth", "iterations", "below", "any", "restart", "seed", "stages", "from", "run", "0", "", ".", "..", "a.b.c",
        "naïve", "名前",
        "🙂",
    ]

    /// The setting with something changed at a place chosen at random.
    private mutating func changed(_ setting: Setting) -> Setting {
        switch setting.value {
        case .scalar: return replacement(for: setting)
        case .list(var items):
            guard !items.isEmpty, !random.chance(0.15) else { return replacement(for: setting) }
            let index = random.index(below: items.count)
            switch random.index(below: 10) {
            case 0: items.remove(at: index)
            case 1: items.append(items[index])
            default: items[index] = changed(items[index])
            }
            return .list(items)
        case .map(var pairs):
            guard !pairs.isEmpty, !random.chance(0.08) else { return replacement(for: setting) }
            let index = random.index(below: pairs.count)
            switch random.index(below: 16) {
            case 0: pairs.remove(at: index)
            case 1: pairs.append(pairs[index])
            case 2: pairs[index].key = random.element(of: Self.words)
            case 3: pairs[index].key = garbled(pairs[index].key)
            case 4: pairs.append(.init(random.element(of: Self.words), .scalar(random.element(of: Self.values))))
            case 5: pairs.swapAt(index, random.index(below: pairs.count))
            default: pairs[index].value = changed(pairs[index].value)
            }
            return .map(pairs)
        }
    }

    private mutating func replacement(for setting: Setting) -> Setting {
        switch random.index(below: 12) {
        case 0: return .list([setting])
        case 1: return .map([.init(random.element(of: Self.words), setting)])
        case 2: return .map([])
        case 3: return .list([])
        case 4:
            var nested = setting
            for _ in 0..<random.element(of: [3, 63, 200]) { nested = random.chance(0.5) ? .list([nested]) : .map([.init("any", nested)]) }
            return nested
        case 5: return .scalar(String(repeating: random.element(of: ["9", "a", "é"]), count: random.element(of: [30, 3000])))
        case 6: return .scalar(garbled(setting.text ?? "x"))
        default: return .scalar(random.element(of: Self.values))
        }
    }

    // MARK: Changes of characters

    private static let pieces = [
        "\t", "\u{0}", "\u{feff}", ":", "- ", "{", "}", "[", "]", "\"", "'", "#", "&a ", "*a", "!!int ", "---\n", "...\n", "<<: *a", "|\n",
        "%", "\r",
        "?", "@", "`", "\u{1F600}", "\u{2028}", "\u{85}", "\\x", "\n", " ",
    ]

    private mutating func garbled(_ text: String) -> String {
        var characters = Array(text)
        for _ in 0...random.index(below: 3) {
            let place = random.index(below: characters.count + 1)
            switch random.index(below: 6) {
            case 0 where place < characters.count: characters.remove(at: place)
            case 1 where place < characters.count: characters[place] = Character(Unicode.Scalar(UInt8(random.index(below: 128))))
            case 2: characters.removeLast(min(characters.count, random.index(below: 40)))
            case 3 where place < characters.count: characters.swapAt(place, random.index(below: characters.count))
            default: characters.insert(contentsOf: Array(random.element(of: Self.pieces)), at: place)
            }
        }
        return String(characters)
    }
}
