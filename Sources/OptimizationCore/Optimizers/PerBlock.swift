import LinearAlgebra

/// A first-order method with other settings for some blocks of the parameters.
///
///     PerBlock(AdamW(), [.init("*.biases", AdamW(weightDecay: 0)), .init("coefficients.*", rate: 10), .init("layer1.*", rate: 0)])
///
/// Each rule names blocks by a pattern, in which `*` stands for any characters, and gives them settings of their own, a factor of their
/// steps, or both: θ_B ← θ_B − rate·Δ_B. A factor of 0 leaves a block where it is. A block goes by the first rule that names it, all others
/// by the base. The blocks of one rule are a vector of their own to the method, with a memory of their own: an entrywise method takes the
/// steps there that it would take on that rule's blocks alone, bit for bit; one that goes by norms or layers sees only those.
///
/// A rule that names no block, or only blocks that rules before it have taken, is refused before the first step, with the names that there
/// are. Cost: the base's, and two copies of P numbers a step. Clipping lies outside (by the norm over all blocks), and so do accumulation,
/// plateaus and bounds; PyTorch's parameter groups and Optax's `multi_transform` are the like.
public struct PerBlock<Base: FirstOrderMethod & Configurable>: FirstOrderMethod {
    public typealias Memory = PerBlockMemory<Base.Memory>

    /// Settings for the blocks that a pattern names.
    public struct Rule: Sendable {
        /// A block's name, `*` for any characters.
        public var pattern: String
        /// The factor of the steps, ≥ 0.
        public var rate: Double
        /// The settings that differ from the base's.
        var changes: [Setting.Pair]

        /// The base's settings, its steps multiplied by a factor.
        public init(_ pattern: String, rate: Double) { self.init(pattern, rate: rate, changes: []) }

        /// Settings of their own.
        public init(_ pattern: String, _ method: Base, rate: Double = 1) {
            self.init(pattern, rate: rate, changes: Base.fields.map { Setting.Pair($0.name, $0.value(in: method)) })
        }

        init(_ pattern: String, rate: Double, changes: [Setting.Pair]) {
            precondition(rate >= 0 && rate.isFinite, "steps cannot be multiplied by \(rate); the rate must be finite and not negative")
            (self.pattern, self.rate, self.changes) = (pattern, rate, changes)
        }

        /// The base with the changes. Throws where they do not go with the rest of its settings.
        func resolved(from base: Base) throws -> Base {
            let settings = changes.reduce(base.settings) { $0.setting([$1.key], to: $1.value) }
            return try Base(settings, path: "\(PerBlockKey.blocks).\(pattern)")
        }
    }

    public var base: Base { didSet { resolve() } }
    public var rules: [Rule] { didSet { resolve() } }
    /// The base with each rule's settings, where they go together.
    private var methods: [Base?] = []

    public init(_ base: Base, _ rules: [Rule]) {
        (self.base, self.rules) = (base, rules)
        resolve()
    }

    private mutating func resolve() { methods = rules.map { try? $0.resolved(from: base) } }

    public func check(_ problem: any DifferentiableProblem) throws {
        try base.check(problem)
        for rule in rules { _ = try rule.resolved(from: base) }
        let names = problem.layout.blocks.map(\.name)
        let taken = names.map { name in rules.firstIndex { $0.names(name) } }
        for (index, rule) in rules.enumerated() where !taken.contains(index) {
            let path = "\(PerBlockKey.blocks).\(rule.pattern)"
            if names.contains(where: rule.names) {
                throw ConfigurationError(path: path, reason: "every block that it names goes by an entry before it; put it first")
            }
            let known = nearest(to: rule.pattern, among: names).joined(separator: ", ")
            throw ConfigurationError(path: path, reason: "names no block of the problem's parameters; there are: \(known)")
        }
    }

    public func start(count n: Int) -> Memory { start(layout: ParameterLayout(count: n)) }

    public func start(layout: ParameterLayout) -> Memory {
        let taken = layout.blocks.map { block in rules.firstIndex { $0.names(block.name) } }
        let numbers: [Int?] = [nil] + rules.indices.map { $0 }
        let parts = numbers.compactMap { rule -> Memory.Part? in
            let blocks = zip(layout.blocks, taken).filter { $0.1 == rule }.map(\.0)
            guard !blocks.isEmpty else { return nil }
            let method = method(of: rule)
            var memory = method.start(layout: ParameterLayout(blocks.map { ($0.name, $0.shape) }))
            var rate = rule.map { rules[$0].rate } ?? 1
            if rate != 0, rate != 1, method.scaleSteps(by: rate, memory: &memory) { rate = 1 }
            return Memory.Part(rule: rule, rate: rate, ranges: blocks.map(\.range), memory: memory)
        }
        return Memory(parts: parts)
    }

    public func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) {
        for i in memory.parts.indices {
            let rate = memory.parts[i].rate
            var own = memory.parts[i].gather(g)
            if rate > 0 {
                let θ = memory.parts[i].gather(θ)
                method(of: memory.parts[i].rule).update(&own, at: θ, step: step, memory: &memory.parts[i].memory)
                if rate != 1 { own.scale(by: rate) }
            } else {
                own = .zeros(own.count)
            }
            memory.parts[i].scatter(own, into: &g)
        }
    }

    public func gradientPoint(from θ: Vector, memory: Memory) -> Vector? {
        var point: Vector?
        for part in memory.parts where part.rate > 0 {
            guard let own = method(of: part.rule).gradientPoint(from: part.gather(θ), memory: part.memory) else { continue }
            var all = point ?? θ
            part.scatter(own, into: &all)
            point = all
        }
        return point
    }

    /// A method answers alike for all of its blocks.
    public func scaleSteps(by factor: Double, memory: inout Memory) -> Bool {
        var scales = false
        for i in memory.parts.indices {
            if method(of: memory.parts[i].rule).scaleSteps(by: factor, memory: &memory.parts[i].memory) { scales = true }
        }
        return scales
    }

    public func revise(_ memory: inout Memory) {
        for i in memory.parts.indices { method(of: memory.parts[i].rule).revise(&memory.parts[i].memory) }
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        base.workingMemory(parameters: parameters, residuals: residuals).map { $0 + bytes(ofNumbers: 2 * Double(parameters)) }
    }

    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? { base.stepCost(parameters: parameters, residuals: residuals) }

    private func method(of rule: Int?) -> Base {
        guard let rule else { return base }
        guard methods.indices.contains(rule), let method = methods[rule] else {
            preconditionFailure("the settings of the blocks are no settings of \(Base.identifier)")
        }
        return method
    }
}

extension PerBlock.Rule {
    /// Whether the pattern matches a block's name.
    func names(_ block: String) -> Bool {
        let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
        guard let first = parts.first, let last = parts.last, parts.count > 1 else { return pattern == block }
        guard block.count >= first.count + last.count, block.hasPrefix(first), block.hasSuffix(last) else { return false }
        var rest = block.dropFirst(first.count).dropLast(last.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }
}

/// What a method remembers of the blocks of each rule.
public struct PerBlockMemory<Base: Checkpointable>: Checkpointable {
    public struct Part: Sendable {
        /// The rule's number; `nil` for the blocks that no rule names.
        public var rule: Int?
        /// The factor that is left to multiply the method's steps by.
        public var rate: Double
        /// Where the blocks lie in θ.
        public var ranges: [Range<Int>]
        public var memory: Base

        var count: Int { ranges.reduce(0) { $0 + $1.count } }

        func gather(_ values: Vector) -> Vector {
            if ranges == [0..<values.count] { return values }
            var own: [Double] = []
            own.reserveCapacity(count)
            for range in ranges { own += values.elements[range] }
            return Vector(own)
        }

        func scatter(_ own: Vector, into values: inout Vector) {
            precondition(own.count == count, "\(own.count) values for blocks of \(count)")
            var next = 0
            for range in ranges {
                for i in range { values[i] = own[next + i - range.lowerBound] }
                next += range.count
            }
        }
    }

    public var parts: [Part]

    public init(parts: [Part]) { self.parts = parts }

    public func encode(into archive: inout Archive) {
        archive.set("rules", parts.map { $0.rule ?? -1 })
        archive.set("rates", parts.map(\.rate))
        for (index, part) in parts.enumerated() {
            archive.set("starts \(index)", part.ranges.map(\.lowerBound))
            archive.set("ends \(index)", part.ranges.map(\.upperBound))
            archive.set("memory \(index)", part.memory)
        }
    }

    public init(from archive: Archive) throws {
        let (rules, rates) = (try archive.integers("rules"), try archive.doubles("rates"))
        guard rules.count == rates.count, rates.allSatisfy({ $0 >= 0 }) else {
            throw ArchiveError(entry: "rates", reason: "\(rates) for \(rules.count) parts")
        }
        parts = try rules.indices.map { index in
            let (starts, ends) = (try archive.counts("starts \(index)"), try archive.counts("ends \(index)"))
            guard starts.count == ends.count, zip(starts, ends).allSatisfy({ $0 <= $1 }) else {
                throw ArchiveError(entry: "starts \(index)", reason: "\(starts) do not fit the ends \(ends)")
            }
            return Part(
                rule: rules[index] < 0 ? nil : rules[index], rate: rates[index], ranges: zip(starts, ends).map { $0..<$1 },
                memory: try archive.value("memory \(index)"))
        }
    }
}

enum PerBlockKey {
    static let blocks = "blocks"
    static let rate = "rate"
}

/// Written as its base with one setting more: `{name: adamw, blocks: {"*.biases": {weightDecay: 0}, "coefficients.*": {rate: 10}}}`.
///
/// `rate` is the factor of the steps; where the method has a setting of that name, it is the method's.
extension PerBlock: Configurable {
    public init() { self.init(Base(), []) }

    public static var identifier: String { Base.identifier }
    public static var summary: String { Base.summary }
    public static var fields: [Field<Self>] {
        Base.fields.map { $0.lifted(to: \.base) } + [
            Field(
                PerBlockKey.blocks, range: "a map of maps of settings",
                meaning:
                    "settings of the blocks of parameters that a name or a pattern with * stands for; `rate` is a factor of their steps",
                read: { .map($0.rules.map { Setting.Pair($0.pattern, $0.setting) }) }, write: { try $0.write($1, path: $2) })
        ]
    }

    public func validate() throws {
        try base.validate()
        for rule in rules { _ = try rule.resolved(from: base) }
    }

    private mutating func write(_ setting: Setting, path: String) throws {
        guard case .map(let pairs) = setting.value else {
            throw ConfigurationError(
                path: path, line: setting.line, reason: "should be a map from blocks to settings, such as {\"*.biases\": {rate: 0.1}}")
        }
        rules = try pairs.map { try Rule($0.value, of: $0.key, path: "\(path).\($0.key)") }
    }
}

extension PerBlock.Rule {
    fileprivate static var hasFactor: Bool { !Base.fields.contains { $0.name == PerBlockKey.rate } }

    fileprivate init(_ setting: Setting, of pattern: String, path: String) throws {
        guard case .map(let pairs) = setting.value else {
            throw ConfigurationError(path: path, line: setting.line, reason: "should be a map of settings, such as {rate: 0.1}")
        }
        var (rate, changes) = (1.0, pairs)
        if Self.hasFactor, let factor = setting[PerBlockKey.rate] {
            guard let value = factor.text.flatMap(Double.init), value >= 0, value.isFinite else {
                throw ConfigurationError(
                    path: "\(path).\(PerBlockKey.rate)", line: factor.line, reason: "“\(factor)” must be a number ≥ 0")
            }
            (rate, changes) = (value, pairs.filter { $0.key != PerBlockKey.rate })
        }
        // Each by itself, for the errors' places; together with the base's they are checked once all are read.
        var trial = Base()
        for change in changes {
            guard let field = Base.fields.first(where: { $0.name == change.key }) else {
                let known = nearest(to: change.key, among: Base.fields.map(\.name) + (Self.hasFactor ? [PerBlockKey.rate] : []))
                throw ConfigurationError(
                    path: "\(path).\(change.key)", line: change.value.line,
                    reason: "is not a setting of the blocks of \(Base.identifier); there are: \(known.joined(separator: ", "))")
            }
            try field.write(&trial, change.value, "\(path).\(change.key)")
        }
        self.init(pattern, rate: rate, changes: changes)
    }

    fileprivate var setting: Setting {
        .map((Self.hasFactor && rate != 1 ? [Setting.Pair(PerBlockKey.rate, .number(rate))] : []) + changes)
    }
}
