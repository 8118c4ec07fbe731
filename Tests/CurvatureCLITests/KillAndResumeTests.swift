import Curvature
import Foundation
import Testing

/// A run that is killed at random moments and resumed each time, in a fresh process and with another number of threads, ends with
/// the bits of the run that nothing disturbed.
@Suite(.serialized) struct KillAndResumeTests {
    /// An optimizer, and iterations that last long enough to be killed in.
    struct Case: Sendable, CustomTestStringConvertible {
        var optimizer: String
        var iterations: Int
        var checkpointCadence: Int
        /// Iterations between two draws of new points; nil keeps the points.
        var resampling: Int?
        var problem = "{name: burgers, network: {width: 12, depth: 3}, points: {interior: 400}}"
        var testDescription: String { "\(optimizer)\(resampling == nil ? "" : ", resampled") on \(problem.prefix { $0 != "," })" }
    }

    static let cases = [
        Case(
            optimizer: "{name: adam, learningRate: 1e-3, schedule: {name: exponential, rate: 0.9, every: 100}}", iterations: 1500,
            checkpointCadence: 25),
        Case(optimizer: "{name: adam, learningRate: 1e-3}", iterations: 1500, checkpointCadence: 25, resampling: 70),
        Case(optimizer: "{name: l-bfgs, memory: 10}", iterations: 900, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: self-scaled-broyden}", iterations: 700, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: levenberg-marquardt}", iterations: 60, checkpointCadence: 2, resampling: 15),
        Case(optimizer: "{name: l-bfgs-b, bounds: {all: [-2, 2]}}", iterations: 900, checkpointCadence: 20),
        Case(optimizer: "{name: trust-region-quasi-newton}", iterations: 400, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: nonlinear-cg, preconditioner: diagonal}", iterations: 500, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: nesterov}", iterations: 600, checkpointCadence: 20),
        Case(optimizer: "{name: barzilai-borwein}", iterations: 600, checkpointCadence: 20),
        Case(optimizer: "{name: newton-cg}", iterations: 100, checkpointCadence: 4, resampling: 30),
        Case(optimizer: "{name: nystrom-newton-cg, rank: 20, refresh: 7}", iterations: 60, checkpointCadence: 2, resampling: 25),
        Case(optimizer: "{name: cubic-regularization}", iterations: 80, checkpointCadence: 4),
        Case(optimizer: "{name: trust-region}", iterations: 100, checkpointCadence: 4, resampling: 30),
        Case(optimizer: "{name: trust-region, model: quasi-newton}", iterations: 300, checkpointCadence: 10, resampling: 70),
        Case(optimizer: "{name: trust-region, model: structured-secant}", iterations: 80, checkpointCadence: 4, resampling: 25),
        Case(optimizer: "{name: natural-gradient}", iterations: 60, checkpointCadence: 2, resampling: 15),
        Case(
            optimizer: "{name: natural-gradient, solver: {name: nystrom, share: 0.2}, momentum: {name: spring, decay: 0.5}, "
                + "damping: {name: constant, value: 1e-6}}", iterations: 60, checkpointCadence: 2, resampling: 15),
        Case(
            optimizer: "{name: natural-gradient, averaging: 0.5, damping: nielsen, solver: exact, stepLength: full}", iterations: 60,
            checkpointCadence: 2, resampling: 15),
        Case(
            optimizer: "{name: natural-gradient, batch: {size: 64, holding: 2}, damping: {name: constant, value: 1e-3}, "
                + "momentum: {name: spring, decay: 0.9}, stepLength: fixed}", iterations: 150, checkpointCadence: 5),
        Case(optimizer: "{name: hessian-free, maximumIterations: 60}", iterations: 60, checkpointCadence: 2, resampling: 15),
        Case(optimizer: "{name: natural-gradient}", iterations: 100, checkpointCadence: 4, problem: deepRitz),
        Case(optimizer: "{name: kfac, refresh: 3, momentum: 0.5}", iterations: 100, checkpointCadence: 4, resampling: 30),
        Case(optimizer: "{name: ekfac, refresh: 3}", iterations: 100, checkpointCadence: 4),
        Case(optimizer: "{name: soap}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: shampoo}", iterations: 1000, checkpointCadence: 20),
        Case(optimizer: "{name: muon}", iterations: 1000, checkpointCadence: 20),
        Case(optimizer: "{name: psgd-kron, balance: 0.3}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(
            optimizer: "{name: adam, batch: {size: 64}, accumulate: 5, clipNorm: 1, plateau: {every: 7, patience: 3, factor: 0.5}, "
                + "average: {after: 200}, blocks: {layer1.*: {rate: 0.5}}}", iterations: 1500, checkpointCadence: 23),
        Case(optimizer: "{name: schedule-free-adamw}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: gauss-newton}", iterations: 20, checkpointCadence: 1, resampling: 6),
        Case(optimizer: "{name: dogleg}", iterations: 40, checkpointCadence: 2, resampling: 12),
        Case(optimizer: "{name: singular-value-trust-region, sketch: 60}", iterations: 60, checkpointCadence: 2, resampling: 15),
        Case(optimizer: "{name: variable-projection}", iterations: 30, checkpointCadence: 1, problem: poisson),
        Case(
            optimizer: "{name: adam, learningRate: 1e-3, batch: {size: 100, holding: 3}}", iterations: 2500, checkpointCadence: 25,
            problem: logistic),
        Case(optimizer: "{name: adam, batch: {size: 64}}", iterations: 1500, checkpointCadence: 25),
        Case(optimizer: "{name: svrg, learningRate: 1e-3, batch: {size: 64}}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(
            optimizer: "{name: saga, learningRate: 1e-3, table: batches, batch: {size: 5}}", iterations: 1500, checkpointCadence: 25,
            problem: antiderivative),
        Case(
            optimizer: "{name: online-l-bfgs, batch: {size: 64, holding: 2}}", iterations: 1500, checkpointCadence: 25, resampling: 70),
        Case(
            optimizer: "{name: subsampled-gauss-newton, batch: {size: 64}, probeBatch: {size: 64, holding: 5}}", iterations: 60,
            checkpointCadence: 2, resampling: 15),
        Case(
            optimizer: "{name: sketchy-sgd, batch: {size: 100}, refresh: 30}", iterations: 1500, checkpointCadence: 25, problem: logistic),
        Case(optimizer: "{name: l-svrg, learningRate: 1e-3, batch: {size: 64}}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: sarah, learningRate: 1e-3, batch: {size: 64}}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(
            optimizer: "{name: subsampled-newton-cg, batch: {size: 100}, curvatureBatch: {size: 50}, sampleSize: norm-test}",
            iterations: 300,
            checkpointCadence: 10, problem: logistic),
        Case(optimizer: "{name: progressive-l-bfgs, batch: {size: 64}}", iterations: 600, checkpointCadence: 20, resampling: 70),
        Case(
            optimizer: "{name: stochastic-trust-region, batch: {size: 100}, curvatureBatch: {size: 50}, probeBatch: {size: 100}}",
            iterations: 400, checkpointCadence: 10, problem: logistic),
        Case(optimizer: "{name: adahessian, batch: {size: 64}, refresh: 3}", iterations: 1000, checkpointCadence: 20, resampling: 70),
        Case(optimizer: "{name: sophia, batch: {size: 64}, refresh: 7}", iterations: 1000, checkpointCadence: 20),
        Case(
            optimizer: "{name: kfac, refresh: 3, stepLength: automatic, batch: {size: 64, holding: 10}}", iterations: 150,
            checkpointCadence: 4, resampling: 30),
        Case(optimizer: "{name: l-bfgs}", iterations: 150, checkpointCadence: 5, problem: poisson),
        Case(optimizer: "{name: levenberg-marquardt}", iterations: 40, checkpointCadence: 1, problem: poisson),
        Case(optimizer: "{name: adam, batch: {size: 20}}", iterations: 1500, checkpointCadence: 20, problem: antiderivative),
        Case(optimizer: "{name: l-bfgs}", iterations: 400, checkpointCadence: 10, problem: antiderivative),
        Case(optimizer: "{name: self-scaled-broyden}", iterations: 400, checkpointCadence: 10, problem: antiderivative),
        Case(optimizer: "{name: levenberg-marquardt}", iterations: 60, checkpointCadence: 2, problem: antiderivative),
        Case(optimizer: "{name: l-bfgs}", iterations: 3000, checkpointCadence: 50, problem: deepRitz),
    ]

    static let logistic = "{name: logistic-regression, samples: 20000, features: 40, heldOut: 200}"
    static let antiderivative =
        "{name: antiderivative, functions: 100, validationFunctions: 20, testFunctions: 0, sensors: 20, points: 20, features: 10, "
        + "branchWidth: 10, branchDepth: 1, trunkWidth: 10, trunkDepth: 1}"
    static let deepRitz = "{name: deep-ritz-1d, network: {width: 24, depth: 2}, elements: 64}"
    static let poisson = "{name: poisson-2d, network: {width: 16, depth: 2}, points: {interior: 400, boundary: 80}}"

    /// Kills a case must survive: 5, or an equal share of `CURVATURE_KILLS` over all cases.
    static let kills =
        ProcessInfo.processInfo.environment["CURVATURE_KILLS"].flatMap(Int.init).map { ($0 + cases.count - 1) / cases.count } ?? 5

    @Test(arguments: cases) func endsWithTheSameBits(_ example: Case) throws {
        let (tool, scratch) = (try CommandLineTool(), try ScratchFolder())
        let callbacks =
            example.resampling.map { cadence in
                """
                callbacks:
                  - {name: residual-adaptive-resampling, every: \(cadence), pool: 2000}
                  - {name: reference-error, every: 35}
                """
            } ?? ""
        let file = try scratch.write(
            """
            problem: \(example.problem)
            seed: 5
            stages:
              - {stage: warm, optimizer: {name: adam, learningRate: 5e-3}, until: {iterations: 50}}
              - {stage: main, optimizer: \(example.optimizer), until: {iterations: \(example.iterations)}}
            \(callbacks)
            output: {checkpoints: {every: \(example.checkpointCadence), keep: 2}, trajectory: {every: 7}}
            """, to: "run.yaml")

        let undisturbed = "\(scratch.path)/undisturbed"
        let began = Date()
        let whole = try tool.run(["run", file, "-o", undisturbed, "--quiet", "--threads", "2"])
        try #require(whole.status == 0, "\(whole.errors)")
        let duration = Date().timeIntervalSince(began)

        var random = RandomStream(seed: 11, name: "kills of \(example.testDescription)")
        var (killed, round) = (0, 0)
        while killed < KillAndResumeTests.kills {
            round += 1
            try #require(
                round <= max(20, KillAndResumeTests.kills), "only \(killed) of \(KillAndResumeTests.kills) kills hit a running process")
            let folder = "\(scratch.path)/killed-\(round)"
            var arguments = ["run", file, "-o", folder, "--quiet", "--threads", String(1 + random.index(below: 2))]
            // A delay below the start of a process kills nothing: a third of the undisturbed time on average is long enough. On a machine
            // that has become slower since, the next process gets longer wherever one has come no further.
            var (reached, patience) = (0, 1.0)
            while killed < KillAndResumeTests.kills,
                try tool.run(arguments, sending: SIGKILL, after: 0.02 + random.uniform() * duration * 0.6 * patience)
            {
                killed += 1
                let iteration = try CheckpointFolder("\(folder)/checkpoints").list().map(\.iteration).max()
                arguments = iteration == nil ? ["run", file, "-o", folder, "--quiet", "--overwrite"] : ["resume", folder, "--quiet"]
                arguments += ["--threads", String(1 + random.index(below: 2))]
                (reached, patience) = iteration ?? 0 > reached ? (iteration ?? 0, 1) : (reached, 1.5 * patience)
            }
            // Where the last process that there may be was killed, one more ends the run.
            if killed == KillAndResumeTests.kills {
                let last = try tool.run(arguments)
                try #require(last.status == 0, "\(last.errors)")
            }
            let differences = try finalState(in: folder).differences(from: try finalState(in: undisturbed))
            #expect(differences.isEmpty, "\(differences)")
            let (records, expected) = (try Records(of: folder), try Records(of: undisturbed))
            #expect(expected.rows(of: "/events/detail") >= 4 && expected.rows(of: "/trajectory/loss") > 5, "nothing is compared")
            #expect(records.differences(from: expected) == [])
        }
        print("\(example.testDescription): \(killed) kills in \(round) runs, each ended with the same bits")
    }

    @Test(arguments: [SIGINT, SIGTERM]) func interruptsAreCheckpointed(_ signal: Int32) throws {
        let (tool, scratch) = (try CommandLineTool(), try ScratchFolder())
        let file = try scratch.write(
            """
            problem: {name: burgers, network: {width: 12, depth: 3}, points: {interior: 400}}
            stages: [{stage: main, optimizer: l-bfgs, until: {iterations: 3000}}]
            output: {checkpoints: {every: 1000000}}
            """, to: "run.yaml")
        let (whole, cut) = ("\(scratch.path)/whole", "\(scratch.path)/cut")
        let began = Date()
        try #require(try tool.run(["run", file, "-o", whole, "--quiet"]).status == 0)
        let duration = Date().timeIntervalSince(began)
        // Half-way, or earlier where other work on the machine made the first run slow and this one ends before.
        var (delay, process) = (duration / 2, Process())
        for _ in 0..<6 {
            process = try tool.launch(["run", file, "-o", cut, "--quiet", "--overwrite"], [:]).0
            Thread.sleep(forTimeInterval: delay)
            kill(process.processIdentifier, signal)
            process.waitUntilExit()
            if process.terminationStatus != 0 { break }
            delay /= 2
        }
        #expect(process.terminationReason == .exit && process.terminationStatus == 130)
        let iteration = try CheckpointFolder("\(cut)/checkpoints").latest().entry.iteration
        #expect(iteration > 0 && iteration < 3000)
        // The run's own account of how it ended, in the result and among the events.
        let run = try RunFile.open("\(cut)/run.h5")
        #expect(try run.file.text("outcome", at: "/result") == "interrupted")
        #expect(try run.file.text("outcome", at: "/stages/0") == "interrupted")
        #expect(try run.file.integer("iterations", at: "/result") == iteration)
        #expect(try run.texts("event", in: .events).last == "stage ended")
        #expect(try run.texts("detail", in: .events).last?.hasPrefix("main: interrupted: ") == true)
        try run.close()
        let resumed = try tool.run(["resume", cut, "--quiet"])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try finalState(in: cut).differences(from: try finalState(in: whole)) == [])
        #expect(try Records(of: cut).differences(from: try Records(of: whole)) == [])
    }
}

/// The last checkpoint, without the readings of the clock.
private func finalState(in folder: String) throws -> Archive {
    try CheckpointFolder("\(folder)/checkpoints").latest().archive.withoutClock
}

extension Archive {
    fileprivate var withoutClock: Archive {
        var rest = Archive()
        for entry in entries where !["seconds", "secondsInStage", "lastSeconds"].contains(entry.name) {
            guard case .group(let group) = entry.content else {
                rest.set(entry)
                continue
            }
            rest.set(entry.name, group.withoutClock)
        }
        return rest
    }
}

/// All that `run.h5` says of the run: every column of every table, fields, the stages', the run's and the root's attributes, bit by bit;
/// but for the clock's readings, and the sessions, which are the processes that took part.
private struct Records {
    /// Each object and attribute by its path, value by value.
    private var values: [String: [String]] = [:]

    init(of folder: String) throws {
        let run = try RunFile.open("\(folder)/run.h5")
        defer { try? run.close() }
        try add("/", in: run.file)
    }

    func rows(of path: String) -> Int { values[path]?.count ?? 0 }

    func differences(from other: Records) -> [String] {
        Set(values.keys).union(other.values.keys).sorted().compactMap { path in
            guard let mine = values[path] else { return "\(path) is missing" }
            guard let theirs = other.values[path] else { return "\(path) is too much" }
            if mine.count != theirs.count { return "\(path): \(mine.count) values stand for \(theirs.count)" }
            return zip(mine, theirs).enumerated().first { $1.0 != $1.1 }.map { "\(path), value \($0): \($1.0) stands for \($1.1)" }
        }
    }

    private mutating func add(_ path: String, in file: HDF5File) throws {
        for name in try file.attributes(of: path) where !name.hasPrefix("seconds") {
            values["\(path)@\(name)"] = try attribute(name, at: path, in: file)
        }
        guard try file.kind(of: path) == .group else {
            if try file.attributes(of: path).contains("unit"), try file.text("unit", at: path) == "s" { return }
            values[path] = try dataset(path, in: file)
            return
        }
        for name in try file.members(of: path) where name != "sessions" { try add(path == "/" ? "/\(name)" : "\(path)/\(name)", in: file) }
    }

    private func dataset(_ path: String, in file: HDF5File) throws -> [String] {
        switch try file.layout(of: path).element {
        case .double: try file.read(Double.self, at: path).values.map(Self.bits)
        case .integer: try file.read(Int64.self, at: path).values.map { String($0) }
        case .unsigned: try file.read(UInt64.self, at: path).values.map { String($0) }
        case .text: try file.readTexts(at: path).values
        case .byte, .truth, .other: throw CocoaError(.fileReadCorruptFile, userInfo: [NSFilePathErrorKey: path])
        }
    }

    private func attribute(_ name: String, at path: String, in file: HDF5File) throws -> [String] {
        if let texts = try? file.texts(name, at: path) { return texts }
        if let reals = try? file.attribute(name, as: Double.self, at: path) { return reals.map(Self.bits) }
        if let integers = try? file.attribute(name, as: Int64.self, at: path) { return integers.map { String($0) } }
        return try file.attribute(name, as: UInt64.self, at: path).map { $0.map { String($0) } } ?? []
    }

    private static func bits(_ value: Double) -> String { "\(value) (\(String(value.bitPattern, radix: 16)))" }
}
