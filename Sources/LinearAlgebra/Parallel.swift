import CKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The process's standing pool of threads: workers spin briefly and then sleep, so that work is handed over in microseconds.
public enum ThreadPool {
    /// How many threads `parallelFor` uses, the caller included: `CURVATURE_NUM_THREADS`, else the machine's cores. No result
    /// of this package depends on it.
    public static var threadCount: Int {
        get { Int(ck_thread_count()) }
        set {
            precondition(newValue >= 1, "\(newValue) threads")
            ck_set_thread_count(Int32(clamping: newValue))
        }
    }
}

/// Runs `body(index, worker)` once for every index in 0..<count, on the pool's threads, and returns when all are done.
///
/// Indices are taken in no fixed order by workers 0..<min(threadCount, maximumWorkers, count): what an index computes must not
/// depend on its worker, and the bodies must write to disjoint memory. Nested calls run on the calling thread. BLAS calls
/// inside stay on their thread.
public func parallelFor(count: Int, maximumWorkers: Int = .max, _ body: (_ index: Int, _ worker: Int) -> Void) {
    precondition(count >= 0, "\(count) indices")
    share(count, costs: nil, maximumWorkers: maximumWorkers, body)
}

/// The same for the indices of `costs`, of which threads get equal sums to begin with. A cost is finite and ≥ 0, in any unit. Cheap indices
/// at the end even out what is left.
public func parallelFor(costs: [Double], maximumWorkers: Int = .max, _ body: (_ index: Int, _ worker: Int) -> Void) {
    costs.withUnsafeBufferPointer { share($0.count, costs: $0.baseAddress, maximumWorkers: maximumWorkers, body) }
}

private func share(
    _ count: Int, costs: UnsafePointer<Double>?, maximumWorkers: Int, _ body: (_ index: Int, _ worker: Int) -> Void
) {
    _ = BLASThreads.single
    typealias Body = (Int, Int) -> Void
    withoutActuallyEscaping(body) { body in
        var body = body
        withUnsafeMutablePointer(to: &body) { pointer in
            ck_parallel_for_shared(
                count, costs, Int32(clamping: maximumWorkers),
                { context, index, worker in
                    guard let context else { return }
                    context.assumingMemoryBound(to: Body.self).pointee(index, Int(worker))
                }, pointer)
        }
    }
}

/// A mutual exclusion around a value.
// Sendable: `value` is touched only between lock and unlock of `mutex`, which lives as long as the object.
package final class Locked<Value>: @unchecked Sendable {
    private var value: Value
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init(_ value: Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        let failure = pthread_mutex_init(mutex, nil)
        precondition(failure == 0, "no mutex: error \(failure)")
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deinitialize(count: 1)
        mutex.deallocate()
    }

    package func withLock<R>(_ body: (inout Value) throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
