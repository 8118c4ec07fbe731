#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the operating system knows of a path.
struct FileStatus {
    var bytes: Int
    var isFile: Bool
    var isFolder: Bool
    /// What tells the file from all others, whatever it is called.
    var number: [UInt64]

    /// Nil where nothing is at the path, or it cannot be looked at.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        bytes = Int(status.st_size)
        isFile = status.st_mode & S_IFMT == S_IFREG
        isFolder = status.st_mode & S_IFMT == S_IFDIR
        number = [UInt64(truncatingIfNeeded: status.st_dev), UInt64(truncatingIfNeeded: status.st_ino)]
    }
}

/// The few calls to the operating system that this module makes on files and folders, with errors in our words.
enum Files {
    /// An error that carries the system's last one.
    static func failure(_ what: String, _ path: String, advice: String = "Check the path, the permissions and the disk.") -> StorageError {
        let number = errno
        let cause = String(cString: strerror(number))
        return switch number {
        case ENOSPC, EDQUOT, EFBIG:
            StorageError(
                .full, "\(what), because no space is left", file: path,
                advice: "Free space on that disk or choose another folder; what was written before is kept.", causes: [cause])
        case ENOENT: StorageError(.missing, what, file: path, advice: advice, causes: [cause])
        default: StorageError(.refused, what, file: path, advice: advice, causes: [cause])
        }
    }

    /// Makes a folder and those above it that are missing.
    static func makeFolder(_ path: String) throws {
        if let status = FileStatus(of: path) {
            guard status.isFolder else {
                throw StorageError(
                    .refused, "a file is where a folder should be", file: path, advice: "Choose another folder or move the file.")
            }
            return
        }
        let above = parent(of: path)
        if above != path { try makeFolder(above) }
        guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
            throw failure("the folder could not be made", path, advice: "Choose a folder that can be written.")
        }
    }

    /// The names in a folder, sorted; without `.` and `..`.
    static func names(in folder: String) throws -> [String] {
        guard let stream = opendir(folder) else { throw failure("the folder could not be listed", folder) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("the file could not be removed", path) }
    }

    static func rename(_ path: String, to target: String) throws {
        #if canImport(Glibc)
            let status = Glibc.rename(path, target)
        #else
            let status = Darwin.rename(path, target)
        #endif
        guard status == 0 else { throw failure("the file could not be renamed to \(target)", path) }
    }

    static func read(_ path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("the file could not be opened", path) }
        defer { close(descriptor) }
        guard let status = FileStatus(of: path), status.isFile else {
            throw StorageError(.mismatch, "this is not a file", file: path, advice: "Give the path of a file.")
        }
        let size = status.bytes
        var complete = false
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
            while initialized < size {
                let count = readSome(descriptor, buffer.baseAddress.map { $0 + initialized }, size - initialized)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                initialized += count
            }
            complete = true
        }
        guard complete else { throw failure("the file could not be read to its end", path) }
        return bytes
    }

    /// Runs `body` on a file's bytes, mapped into memory.
    static func withMapped<R>(_ path: String, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("the file could not be opened", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("the file could not be looked at", path) }
        let size = Int(status.st_size)
        guard size > 0 else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw failure("the file could not be read", path)
        }
        defer { munmap(address, size) }
        return try body(UnsafeRawBufferPointer(start: address, count: size))
    }

    static func append(_ bytes: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("the file could not be opened for writing", path) }
        defer { close(descriptor) }
        try write(bytes, to: descriptor, path)
    }

    /// Writes a file so that its name only ever stands for the whole of it: aside, synced, renamed, the folder synced.
    ///
    /// On any failure the file aside is removed, and what had the name before keeps it.
    static func writeAtomically(_ parts: [[UInt8]], to path: String) throws {
        let aside = path + temporarySuffix
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure("the file could not be made", aside, advice: "Choose a folder that can be written.") }
        do {
            defer { close(descriptor) }
            for part in parts { try write(part, to: descriptor, aside) }
            guard fsync(descriptor) == 0 else { throw failure("the file could not be brought to disk", aside) }
        } catch {
            unlink(aside)
            throw error
        }
        do { try rename(aside, to: path) } catch {
            unlink(aside)
            throw error
        }
        try syncFolder(parent(of: path))
    }

    /// Files of this ending are leftovers of a write that was killed.
    static let temporarySuffix = ".part"

    private static func write(_ bytes: [UInt8], to descriptor: CInt, _ path: String) throws {
        try bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = writeSome(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("the file could not be written", path) }
                done += count
            }
        }
    }

    static func syncFolder(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("the folder could not be opened", path) }
        defer { close(descriptor) }
        // Some file systems cannot sync a folder and say so; the rename is then as durable as they make it.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure("the folder could not be brought to disk", path) }
    }

    /// The bytes that may still be written on the disk of `path`.
    static func freeBytes(at path: String) throws -> Int {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw failure("the free space is unknown", path) }
        return Int(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }

    /// Throws where a file cannot grow by `bytes`: the disk is full, or the process's limit on the size of files is near.
    static func requireRoom(_ bytes: Int, for file: String) throws {
        let free = try freeBytes(at: file)
        guard free >= bytes else {
            throw StorageError(
                .full, "no space is left: \(bytes) bytes are needed and the disk has \(free)", file: file,
                advice: "Free space on that disk or choose another folder; what was written before is kept.")
        }
        var limit = rlimit()
        #if canImport(Glibc)
            let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
        #else
            let isKnown = getrlimit(RLIMIT_FSIZE, &limit) == 0
        #endif
        let size = FileStatus(of: file)?.bytes ?? 0
        guard !isKnown || UInt64(size) + UInt64(bytes) <= limit.rlim_cur else {
            throw StorageError(
                .full, "no space is left: this process may not write files of more than \(limit.rlim_cur) bytes", file: file,
                advice: "Raise the limit (`ulimit -f`); what was written before is kept.")
        }
    }

    static func parent(of path: String) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.last == "/" { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    private static func readSome(_ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        #if canImport(Glibc)
            Glibc.read(descriptor, buffer, count)
        #else
            Darwin.read(descriptor, buffer, count)
        #endif
    }

    private static func writeSome(_ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int {
        #if canImport(Glibc)
            Glibc.write(descriptor, buffer, count)
        #else
            Darwin.write(descriptor, buffer, count)
        #endif
    }
}
