import CHDF5

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The HDF5 library as a whole: the lock around it, its error stack, its version.
///
/// HDF5 is not safe to call from two threads unless it was built so, therefore every call of this module runs inside `locked`.
public enum HDF5 {
    /// The version of the library that is loaded, such as `1.10.8`.
    public static var version: String {
        locked {
            var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
            return H5get_libversion(&major, &minor, &release) < 0 ? "unknown" : "\(major).\(minor).\(release)"
        }
    }

    /// Runs `body` while no other thread is inside HDF5, with the library's own printing of errors switched off, and restored after.
    static func locked<R>(_ body: () throws -> R) rethrows -> R {
        _ = isPrepared
        lock.acquire()
        defer { lock.release() }
        var print: H5E_auto2_t?
        var client: UnsafeMutableRawPointer?
        H5Eget_auto2(ch5_error_stack(), &print, &client)
        H5Eset_auto2(ch5_error_stack(), nil, nil)
        defer { H5Eset_auto2(ch5_error_stack(), print, client) }
        return try body()
    }

    private static let lock = RecursiveLock()

    /// Keeps HDF5 from closing files when the process exits: every write of this module is flushed when it matters, and a file that was
    /// abandoned after a failed write must not be touched again.
    private static let isPrepared: Bool = H5dont_atexit() >= 0

    /// The messages on this thread's error stack, the outermost call first, and empties it.
    static func takeErrors() -> [String] {
        var messages: [String] = []
        withUnsafeMutablePointer(to: &messages) { list in
            _ = H5Ewalk2(
                ch5_error_stack(), H5E_WALK_DOWNWARD,
                { _, entry, client in
                    guard let entry = entry?.pointee, let client else { return 0 }
                    let call = entry.func_name.map { String(cString: $0) } ?? ""
                    let text = entry.desc.map { String(cString: $0) } ?? ""
                    client.assumingMemoryBound(to: [String].self).pointee.append("\(call): \(text)")
                    return 0
                }, list)
        }
        H5Eclear2(ch5_error_stack())
        return messages
    }
}

/// A lock that the thread which holds it may take again.
///
/// It is recursive because a handle closes itself in `deinit`, which may run inside another call to HDF5.
///
/// `@unchecked Sendable` is sound: the only stored property is a constant pointer to a mutex that lives as long as the object, and the
/// operating system allows `pthread_mutex_lock` and `_unlock` on it from every thread.
private final class RecursiveLock: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() {
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_settype(&attributes, CInt(PTHREAD_MUTEX_RECURSIVE))
        pthread_mutex_init(mutex, &attributes)
        pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func acquire() { pthread_mutex_lock(mutex) }
    func release() { pthread_mutex_unlock(mutex) }
}
