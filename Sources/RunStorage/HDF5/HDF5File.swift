import CHDF5
import CJournal

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// An open HDF5 file, whose objects are addressed by their paths (`/trajectory/loss`).
///
/// `@unchecked Sendable` is sound: `id`, `hasFailed` and `number` are only read and written inside `HDF5.locked`, which one thread at a time is in, and the other
/// properties are constants.
public final class HDF5File: @unchecked Sendable {
    /// The file's path; for a file in memory, the name that errors call it by.
    public let path: String
    public let isWritable: Bool
    /// HDF5's identifier, negative once the file is closed.
    private var id: hid_t
    private let isInMemory: Bool
    /// The bytes of the image that a file in memory was opened from.
    private let imageBytes: Int?

    private init(_ path: String, isWritable: Bool, id: hid_t, isInMemory: Bool = false, imageBytes: Int? = nil) {
        (self.path, self.isWritable, self.id, self.isInMemory, self.imageBytes) = (path, isWritable, id, isInMemory, imageBytes)
    }

    /// Whether a write failed, as on a bad disk: HDF5's picture of the file is then inconsistent, and touching it again may crash.
    private var hasFailed = false

    /// The file's number on disk, while it is open for writing.
    private var number: [UInt64]?

    /// The bytes that the file takes.
    var bytes: Int { imageBytes ?? FileStatus(of: path)?.bytes ?? 0 }

    deinit { try? close() }

    // MARK: Opening and closing

    /// Creates an empty file; refuses where one is.
    public static func create(_ path: String) throws -> HDF5File {
        try HDF5.locked {
            let access = try fileAccess(path)
            let creation = try rootOrder(path)
            let id = H5Fcreate(path, ch5_exclusive(), creation.id, access.id)
            guard id >= 0 else {
                throw failure(
                    "the file could not be created", path, advice: "Choose a folder that exists and can be written, and a new name.")
            }
            let file = HDF5File(path, isWritable: true, id: id)
            file.noteWriting(true)
            return file
        }
    }

    /// Opens an existing file. Readers take no lock on it, so a run that is still writing can be looked at.
    ///
    /// What a killed process left in the file's journal is honoured: readers see the file as it was to be, writers bring it to that state.
    public static func open(_ path: String, writing: Bool = false) throws -> HDF5File {
        try open(path, writing: writing, journaled: false)
    }

    /// With `journaled`, what is written waits in memory until `flush` or `close`, which a killed process did wholly or not at all.
    package static func open(_ path: String, writing: Bool, journaled: Bool) throws -> HDF5File {
        try HDF5.locked {
            guard let status = FileStatus(of: path) else {
                throw StorageError(.missing, "there is no such file", file: path, advice: "Check the path.")
            }
            guard status.isFile else {
                throw StorageError(.mismatch, "this is not a file", file: path, advice: "Give the path of an HDF5 file.")
            }
            let access = try fileAccess(path, locks: writing, journaled: journaled)
            var id = H5Fopen(path, writing ? ch5_read_write() : ch5_read_only(), access.id)
            if id < 0, !writing {
                // This process may hold the file open for writing, and then HDF5 wants the same choice of locking.
                let locking = try fileAccess(path)
                id = H5Fopen(path, ch5_read_only(), locking.id)
            }
            guard id >= 0 else { throw openingFailure(path, writing: writing) }
            let file = HDF5File(path, isWritable: writing, id: id)
            file.noteWriting(true)
            return file
        }
    }

    /// Throws where HDF5 would crash or never return on a file: reads all of it in a child process first.
    ///
    /// For files without a seal, whose structure nothing vouches for. What merely is an error stays for `open` to tell. A file that this
    /// process is writing is not probed: it is sound here, and a child must not share its state.
    package static func probe(_ path: String) throws {
        try HDF5.locked {
            guard let status = FileStatus(of: path), status.isFile, !writing.contains(status.number) else { return }
            let access = try fileAccess(path, locks: false)
            let signal = ch5_probe(path, access.id, UInt32(10 + status.bytes >> 24))
            guard [SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGTRAP].contains(signal) else { return }
            let what = signal == SIGALRM ? "never comes to an end" : "crashes the HDF5 library (\(String(cString: strsignal(signal))))"
            throw StorageError(
                .damaged, "the file was not closed by its last writer, and reading it \(what)", file: path,
                advice: "Restore it from a backup, or put it aside: a run goes on from its checkpoints alone.")
        }
    }

    /// The files on disk that this process has open for writing. Only touched inside `HDF5.locked`.
    nonisolated(unsafe) private static var writing: [[UInt64]] = []

    /// Notes that this file is, or is no longer, open for writing.
    private func noteWriting(_ isOpen: Bool) {
        guard isWritable, !isInMemory else { return }
        if isOpen, let number = FileStatus(of: path)?.number {
            self.number = number
            HDF5File.writing.append(number)
        } else if let number, let index = HDF5File.writing.firstIndex(of: number) {
            HDF5File.writing.remove(at: index)
        }
    }

    /// Creates an empty file in memory, growing by `increment` bytes at a time; `image()` gives its bytes.
    public static func inMemory(name: String, increment: Int = 1 << 20) throws -> HDF5File {
        try HDF5.locked {
            let access = try fileAccess(name)
            let creation = try rootOrder(name)
            guard ch5_set_memory_driver(access.id, max(increment, 1 << 12)) >= 0 else {
                throw failure("no file could be set up in memory", name)
            }
            let id = H5Fcreate(memoryName(name), ch5_truncate(), creation.id, access.id)
            guard id >= 0 else { throw failure("no file could be created in memory", name) }
            return HDF5File(name, isWritable: true, id: id, isInMemory: true)
        }
    }

    /// Opens the bytes of a file that lie in memory, for reading.
    public static func image(_ bytes: [UInt8], name: String) throws -> HDF5File {
        try HDF5.locked {
            let access = try fileAccess(name)
            var bytes = bytes  // HDF5 copies the image, but asks for a mutable pointer to it.
            let driver = ch5_set_memory_driver(access.id, 1 << 12)
            let status = bytes.withUnsafeMutableBytes { H5Pset_file_image(access.id, $0.baseAddress, $0.count) }
            guard driver >= 0, status >= 0 else { throw failure("the image could not be set up", name) }
            let id = H5Fopen(memoryName(name), ch5_read_only(), access.id)
            guard id >= 0 else { throw openingFailure(name, writing: false) }
            return HDF5File(name, isWritable: false, id: id, isInMemory: true, imageBytes: bytes.count)
        }
    }

    /// The bytes that the file would have on disk.
    public func image() throws -> [UInt8] {
        try locked { id in
            guard H5Fflush(id, H5F_SCOPE_LOCAL) >= 0 else { throw error("the file could not be flushed") }
            let size = H5Fget_file_image(id, nil, 0)
            guard size >= 0 else { throw error("the size of the image is unknown") }
            var written = -1
            let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                written = H5Fget_file_image(id, buffer.baseAddress, size)
                count = max(0, written)
            }
            guard written == size else { throw error("the image could not be copied") }
            return bytes
        }
    }

    /// Hands everything written so far to the operating system; a killed process loses none of it.
    ///
    /// Cost, for a journaled file: the changed pages of 4 KiB are written twice, those behind the old end of the file once.
    public func flush() throws {
        guard isWritable else { return }
        try locked { id in
            try requireWritable(0, at: nil)
            guard H5Fflush(id, H5F_SCOPE_LOCAL) >= 0 else { throw writeFailure("the file could not be flushed") }
        }
    }

    /// Flushes, and waits until the file is on the disk. A loss of power during a journaled file's costs nothing that was there before.
    public func synchronize() throws {
        guard isWritable else { return }
        try locked { id in
            try requireWritable(0, at: nil)
            guard cj_synchronize(id) >= 0 else { throw writeFailure("the file could not be brought to disk") }
        }
    }

    /// Closes the file and everything open in it; closing again does nothing. A file whose writing failed is abandoned as it is on disk.
    public func close() throws {
        try HDF5.locked {
            guard id >= 0 else { return }
            let closing = id
            id = -1
            noteWriting(false)
            guard !hasFailed else { return cj_abandon(closing) }
            guard H5Fclose(closing) >= 0 else { throw error("the file could not be closed cleanly") }
        }
    }

    // MARK: Support for the other files of this layer

    /// Runs `body` on the identifier of the open file, alone inside HDF5.
    func locked<R>(_ body: (hid_t) throws -> R) throws -> R {
        try HDF5.locked {
            precondition(id >= 0, "\(path) was closed before this use")
            return try body(id)
        }
    }

    /// An error that carries HDF5's messages; a full disk is recognised by the system's error number in them.
    func error(_ what: String, at object: String? = nil, _ kind: StorageError.Kind = .refused, advice: String = "") -> StorageError {
        HDF5File.failure(what, path, at: object, kind, advice: advice)
    }

    /// The error of a write that failed. The file is not touched again; what was flushed before is on disk.
    func writeFailure(_ what: String, at object: String? = nil) -> StorageError {
        hasFailed = true
        return error(what, at: object, advice: "Check the disk, then resume from the last checkpoint.")
    }

    /// Throws where `bytes` more cannot be written, before HDF5 is asked to: after a failed write it cannot go on.
    func requireWritable(_ bytes: Int, at object: String?) throws {
        guard isWritable else {
            throw StorageError(
                .refused, "the file is open for reading only", file: path, object: object, advice: "Open it for writing, or write a copy.")
        }
        guard !hasFailed else {
            throw StorageError(
                .refused, "an earlier write to this file failed, and it is not touched again", file: path, object: object,
                advice: "Resume from the last checkpoint in a new process.")
        }
        guard !isInMemory, bytes > 0 else { return }
        do { try Files.requireRoom(bytes + HDF5File.metadataMargin, for: path) } catch var error as StorageError {
            error.object = object
            throw error
        }
    }

    /// Bytes that are left free for what HDF5 writes on its own account: headers, indices, heaps.
    private static let metadataMargin = 1 << 18

    private static func failure(
        _ what: String, _ path: String, at object: String? = nil, _ kind: StorageError.Kind = .refused, advice: String = ""
    ) -> StorageError {
        let causes = HDF5.takeErrors()
        // ENOSPC, EFBIG, and EDQUOT on Linux and on Darwin, as HDF5's drivers print them.
        let isFull = causes.contains { cause in [28, 27, 122, 69].contains { cause.contains("errno = \($0),") } }
        return isFull
            ? StorageError(
                .full, "\(what), because no space is left", file: path, object: object,
                advice: "Free space on that disk or choose another folder; what was written before is kept.", causes: causes)
            : StorageError(kind, what, file: path, object: object, advice: advice, causes: causes)
    }

    private static func openingFailure(_ path: String, writing: Bool) -> StorageError {
        let causes = HDF5.takeErrors()
        if causes.contains(where: { $0.contains("unable to lock file") }) {
            return StorageError(
                .refused, "another program has the file open", file: path,
                advice: "Close that program (a run that is still going, an open h5py.File), then try again.", causes: causes)
        }
        if writing, causes.contains(where: { $0.contains("already open for read-only") }) {
            return StorageError(
                .refused, "this program has the file open for reading", file: path, advice: "Close it before writing to it.", causes: causes
            )
        }
        if writing, causes.contains(where: { $0.contains("errno = 13,") || $0.contains("errno = 30,") }) {
            return StorageError(.refused, "the file may not be written", file: path, advice: "Check its permissions.", causes: causes)
        }
        return StorageError(
            .damaged, "this is not an HDF5 file, or it is truncated or garbled", file: path,
            advice: "Use a backup, or a file that this program wrote.", causes: causes)
    }

    /// HDF5 tells files in memory apart by name, and refuses the name of a file on disk.
    private static func memoryName(_ name: String) -> String {
        "\(name) in memory \(String(UInt64.random(in: .min ... .max), radix: 16))"
    }

    /// Properties of access: closing a file closes what is open in it; the system's lock is taken or not; our driver reads and writes.
    private static func fileAccess(_ path: String, locks: Bool = true, journaled: Bool = false) throws -> Handle {
        guard let access = Handle(H5Pcreate(ch5_class_file_access())) else { throw failure("HDF5 gave no property list", path) }
        guard H5Pset_fclose_degree(access.id, H5F_CLOSE_STRONG) >= 0, ch5_set_file_locking(access.id, locks) >= 0,
            cj_set_driver(access.id, journaled) >= 0
        else { throw failure("HDF5 refused the properties of access", path) }
        return access
    }

    /// Properties of creation: the root group remembers the order in which its members were made.
    private static func rootOrder(_ path: String) throws -> Handle {
        guard let creation = Handle(H5Pcreate(ch5_class_file_create())),
            H5Pset_link_creation_order(creation.id, HDF5File.creationOrder) >= 0
        else { throw failure("HDF5 refused the properties of creation", path) }
        return creation
    }

    static let creationOrder = UInt32(H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED)
}
