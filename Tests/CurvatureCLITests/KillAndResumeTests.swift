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
        var resampling = false
        var problem = "{name: burgers, network: {width: 12, depth: 3}, points: {interior: 400}}"
        var testDescription: String { "\(optimizer)\(resampling ? ", resampled" : "") on \(problem.prefix { $0 != "," })" }
    }

    static let cases = [
        Case(
            optimizer: "{name: adam, learningRate: 1e-3, schedule: {name: exponential, rate: 0.9, every: 100}}", iterations: 3000,
            checkpointCadence: 25),
        Case(optimizer: "{name: adam, learningRate: 1e-3}", iterations: 3000, checkpointCadence: 25, resampling: true),
        Case(optimizer: "{name: l-bfgs, memory: 10}", iterations: 2000, checkpointCadence: 20, resampling: true),
        Case(optimizer: "{name: self-scaled-broyden}", iterations: 1200, checkpointCadence: 20, resampling: true),
        Case(optimizer: "{name: levenberg-marquardt}", iterations: 120, checkpointCadence: 2),
        Case(optimizer: "{name: gauss-newton}", iterations: 60, checkpointCadence: 1),
        Case(
            optimizer: "{name: adam, learningRate: 1e-3, batch: {size: 100, holding: 3}}", iterations: 4000, checkpointCadence: 25,
            problem: logistic),
        Case(optimizer: "{name: adam, batch: {size: 64}}", iterations: 4000, checkpointCadence: 25),
        Case(optimizer: "{name: l-bfgs}", iterations: 150, checkpointCadence: 5, problem: poisson),
        Case(optimizer: "{name: levenberg-marquardt}", iterations: 40, checkpointCadence: 1, problem: poisson),
        Case(optimizer: "{name: adam, batch: {size: 20}}", iterations: 1500, checkpointCadence: 20, problem: antiderivative),
        Case(optimizer: "{name: l-bfgs}", iterations: 400, checkpointCadence: 10, problem: antiderivative),
    ]

    static let logistic = "{name: logistic-regression, samples: 20000, features: 40, heldOut: 200}"
    static let antiderivative =
        "{name: antiderivative, functions: 100, validationFunctions: 20, testFunctions: 0, sensors: 20, points: 20, features: 10, "
        + "branchWidth: 10, branchDepth: 1, trunkWidth: 10, trunkDepth: 1}"
    static let poisson = "{name: poisson-2d, network: {width: 16, depth: 2}, points: {interior: 400, boundary: 80}}"

    /// Kills a case must survive: 20, or an equal share of `CURVATURE_KILLS` over all cases.
    static let kills =
        ProcessInfo.processInfo.environment["CURVATURE_KILLS"].flatMap(Int.init).map { ($0 + cases.count - 1) / cases.count } ?? 20

    @Test(arguments: cases) func endsWithTheSameBits(_ example: Case) throws {
        let (tool, scratch) = (try CommandLineTool(), try ScratchFolder())
        let callbacks = example.resampling ? "callbacks: [{name: residual-adaptive-resampling, every: 70, pool: 2000}]" : ""
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
            // A delay below the start of a process kills nothing: a third of the undisturbed time on average is long enough.
            while try tool.run(arguments, sending: SIGKILL, after: 0.02 + random.uniform() * duration * 0.6) {
                killed += 1
                let hasCheckpoint = try !CheckpointFolder("\(folder)/checkpoints").list().isEmpty
                arguments = hasCheckpoint ? ["resume", folder, "--quiet"] : ["run", file, "-o", folder, "--quiet", "--overwrite"]
                arguments += ["--threads", String(1 + random.index(below: 2))]
            }
            let differences = try finalState(in: folder).differences(from: try finalState(in: undisturbed))
            #expect(differences.isEmpty, "\(differences)")
            #expect(try trajectory(in: folder) == trajectory(in: undisturbed))
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
        #expect(try tool.run(["run", file, "-o", cut, "--quiet"], sending: signal, after: duration / 2))
        let iteration = try CheckpointFolder("\(cut)/checkpoints").latest().entry.iteration
        #expect(iteration > 0 && iteration < 3000)
        let resumed = try tool.run(["resume", cut, "--quiet"])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try finalState(in: cut).differences(from: try finalState(in: whole)) == [])
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

/// Every column of the trajectory but the clock's, bit by bit.
private func trajectory(in folder: String) throws -> [String: [UInt64]] {
    let file = try RunFile.open("\(folder)/run.h5")
    defer { try? file.close() }
    var columns: [String: [UInt64]] = [:]
    for column in file.columns(in: .trajectory) where column.kind == .real && column.unit != "s" {
        columns[column.name] = try file.reals(column.name, in: .trajectory).map(\.bitPattern)
    }
    return columns
}
