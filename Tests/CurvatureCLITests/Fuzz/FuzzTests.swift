import Curvature
import CurvatureCLI
import Foundation
import Testing

/// Nearly right configurations, checkpoints and run files: never a crash, never a hang, always a message.
///
/// 2 000 cases by default; `scripts/fuzz` tries more. See ``Fuzzing`` for how a failure is repeated.
@Suite(.serialized) struct FuzzTests {
    @Test func configurations() async throws {
        let count = Fuzzing.cases * 7 / 10
        try await Fuzzing.survey("configurations", count: count) { first, count, progress in
            await #expect(processExitsWith: .success) {
                [first = first as Int, count = count as Int, path = progress as String, seed = Fuzzing.seed as Int] in
                let (progress, registry) = (Progress(path), try Registry.withBuiltIns())
                var accepted = 0
                for number in first..<count {
                    var fuzzer = ConfigurationFuzzer(number: number, seed: seed)
                    let (text, overrides) = try fuzzer.next()
                    progress.begin(number, "\(text)\n--set \(overrides)")
                    do {
                        var setting = try YAML.setting(from: text, file: "fuzz.yaml")
                        for override in overrides { setting = try setting.overridden(by: override) }
                        _ = try RunConfiguration(setting, registry: registry).preflight(registry: registry)
                        accepted += 1
                    } catch {
                        #expect(isMessage(error), "case \(number): \(error)\n\(text)")
                    }
                }
                progress.finish()
                print("configurations \(first)..<\(count), seed \(seed): \(accepted) accepted, the others refused with a message")
            }
        }
    }

    @Test func checkpoints() async throws {
        let count = Fuzzing.cases / 10
        try await Fuzzing.survey("checkpoints", count: count) { first, count, progress in
            await #expect(processExitsWith: .success) {
                [first = first as Int, count = count as Int, path = progress as String, seed = Fuzzing.seed as Int] in
                let (progress, scratch) = (Progress(path), try ScratchFolder())
                let folder = CheckpointFolder("\(scratch.path)/checkpoints")
                let subjects = try CheckpointFuzzer.subjects()
                var accepted = 0
                for number in first..<count {
                    var fuzzer = CheckpointFuzzer(number: number, seed: seed)
                    let subject = subjects[number % subjects.count]
                    let archive = fuzzer.changed(subject.snapshot)
                    progress.begin(number, "\(subject.name): \(archive.differences(from: subject.snapshot))")
                    do {
                        // Through a file and its seal: sound to HDF5, nonsense to the run.
                        try folder.write(archive, iteration: 1, keep: 1)
                        try subject.goOn(try folder.latest().archive)
                        accepted += 1
                    } catch {
                        #expect(isMessage(error), "case \(number): \(error)")
                    }
                }
                progress.finish()
                print("checkpoints \(first)..<\(count), seed \(seed): \(accepted) accepted, the others refused with a message")
            }
        }
    }

    @Test func files() async throws {
        let count = Fuzzing.cases / 10
        try await Fuzzing.survey("files", count: count) { first, count, progress in
            await #expect(processExitsWith: .success) {
                [first = first as Int, count = count as Int, path = progress as String, seed = Fuzzing.seed as Int] in
                let (progress, scratch) = (Progress(path), try ScratchFolder())
                let sound = try FileFuzzer.soundRunFile(in: scratch)
                var (opened, crashes) = (0, 0)
                for number in first..<count {
                    var fuzzer = FileFuzzer(number: number, seed: seed)
                    let (bytes, what) = fuzzer.changed(sound)
                    progress.begin(number, what)
                    let file = "\(scratch.path)/fuzz.h5"
                    try Data(bytes).write(to: URL(fileURLWithPath: file))
                    do {
                        try FileFuzzer.readEverything(file)
                        opened += 1
                    } catch {
                        #expect(isMessage(error), "case \(number): \(error)")
                        let text = "\(error)"
                        if text.contains("crashes the HDF5 library") || text.contains("never comes to an end") { crashes += 1 }
                    }
                }
                progress.finish()
                print("run files \(first)..<\(count), seed \(seed): \(opened) opened, \(crashes) would have crashed or hung HDF5")
            }
        }
    }

    @Test func structures() async throws {
        let count = Fuzzing.cases / 10
        try await Fuzzing.survey("structures", count: count) { first, count, progress in
            await #expect(processExitsWith: .success) {
                [first = first as Int, count = count as Int, path = progress as String, seed = Fuzzing.seed as Int] in
                // Files that HDF5 could not write to stay open in the process.
                var files = rlimit()
                getrlimit(openFileLimit, &files)
                files.rlim_cur = files.rlim_max
                setrlimit(openFileLimit, &files)
                let (progress, scratch) = (Progress(path), try ScratchFolder())
                let subjects = try StructureFuzzer.subjects(in: scratch)
                try FileManager.default.createDirectory(atPath: "\(scratch.path)/fuzz", withIntermediateDirectories: true)
                var used = 0
                for number in first..<count {
                    var fuzzer = StructureFuzzer(number: number, seed: seed)
                    let subject = subjects[number % subjects.count]
                    let file = "\(scratch.path)/fuzz/00000001.h5"
                    progress.begin(number, "making the file")
                    let what = try fuzzer.write(subject, to: file)
                    progress.begin(number, what)
                    let open = StructureFuzzer.openObjects
                    do {
                        let reading = Result { try StructureFuzzer.read(subject, at: file) }
                        #expect(StructureFuzzer.openObjects == open, "case \(number) is read, and leaves objects open: \(what)")
                        // What cannot all be read may be taken on nevertheless.
                        try StructureFuzzer.goOn(subject, at: file)
                        try reading.get()
                        used += 1
                    } catch {
                        #expect(isMessage(error), "case \(number): \(error)\n\(what)")
                    }
                }
                progress.finish()
                print("structures \(first)..<\(count), seed \(seed): \(used) taken, the others refused with a message")
            }
        }
    }
}

#if canImport(Glibc)
    private let openFileLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#else
    private let openFileLimit = RLIMIT_NOFILE
#endif

/// Whether an error says something to a person: one of ours, with a sentence.
private func isMessage(_ error: any Error) -> Bool {
    let text = "\(error)"
    // What has no description of its own is printed as its type and parts.
    return !text.hasPrefix("\(type(of: error))(") && text.count >= 12 && text.contains(" ") && !text.contains("Optional(")
}
