import Foundation
import OptimizationCore
import RunStorage
import Testing

/// What happens when no space is left: by a file system of one megabyte where this process may mount one, and always by the
/// operating system's limit on the size of files, in a child process.
///
/// Where nothing can be mounted (no privileges, as in most containers) that is a warning that names the reason, and the limit on sizes
/// stands in: it is shown to act before anything is concluded from it.
@Suite(.serialized) struct FullDiskTests {
    static func big(_ count: Int) -> Archive {
        var archive = Archive()
        archive.set("H", (0..<count).map(Double.init))
        return archive
    }

    static func checkFullFolder(_ path: String) throws {
        let folder = CheckpointFolder("\(path)/checkpoints")
        try folder.write(CheckpointFolderTests.archive(1), iteration: 1)
        let before = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        let error = #expect(throws: StorageError.self) { try folder.write(big(1 << 18), iteration: 2) }
        #expect(error?.kind == .full, "\(error?.description ?? "")")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == before, "nothing half-written is left")
        #expect(try folder.latest().archive == CheckpointFolderTests.archive(1))

        let run = try RunFile.create("\(path)/run.h5")
        try run.declare(RunFileTests.columns + [Column("snapshot", .vector(2000), meaning: "fills the disk")], in: .trajectory)
        var (safe, failure) = (0, StorageError?.none)
        for row in 0..<1000 {
            do {
                let cells = RunFileTests.row(row) + [("snapshot", .vector(Array(repeating: 1, count: 2000)))]
                try run.append(cells, to: .trajectory)
                try run.flush()
                safe = row + 1
            } catch let error as StorageError {
                failure = error
                break
            }
        }
        #expect(failure?.kind == .full, "\(failure?.description ?? "the disk was never full")")
        #expect(safe > 0)
        try? run.close()
        // The rows before the failure are there to read.
        let back = try RunFile.open("\(path)/run.h5")
        let rows = try back.integers("iteration", in: .trajectory)
        #expect(rows.prefix(safe).elementsEqual((0..<safe).map { $0 }))
    }

    @Test func onAFullFileSystem() async throws {
        let scratch = try Scratch()
        let mount = try output(of: "/usr/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", scratch.path])
        guard mount?.status == 0 else {
            let reason = mount?.text.trimmingCharacters(in: .whitespacesAndNewlines) ?? "there is no mount"
            Issue.record("NOT TRIED on a full file system, only at a limit on file sizes: \(reason)", severity: .warning)
            await Self.checkAtALimit()
            return
        }
        defer { _ = try? output(of: "/usr/bin/umount", ["-l", scratch.path]) }
        // It is small, and not the folder's own file system.
        var status = statvfs()
        #expect(statvfs(scratch.path, &status) == 0 && Int(status.f_blocks) * Int(status.f_frsize) == 1 << 20)
        try Self.checkFullFolder(scratch.path)
    }

    @Test func atALimitOnFileSizes() async { await Self.checkAtALimit() }

    private static func checkAtALimit() async {
        await #expect(processExitsWith: .success) {
            // Without this the system kills a process that exceeds the limit.
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
            #expect(setrlimit(fileSizeLimit, &limit) == 0)
            let scratch = try Scratch()
            // The limit acts: a plain file of more is cut at it, with the error of a file that is too large.
            let file = open(scratch("plain"), O_CREAT | O_WRONLY, 0o600)
            let bytes = [UInt8](repeating: 1, count: 2 << 20)
            #expect(write(file, bytes, bytes.count) == 1 << 20)
            #expect(write(file, bytes, bytes.count) == -1 && errno == EFBIG)
            close(file)
            try FullDiskTests.checkFullFolder(scratch.path)
        }
    }
}

#if canImport(Glibc)
    private let fileSizeLimit = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
#else
    private let fileSizeLimit = RLIMIT_FSIZE
#endif
