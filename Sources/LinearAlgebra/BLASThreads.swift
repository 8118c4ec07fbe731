import COpenBLAS

/// The one place that tells OpenBLAS to stay on the calling thread: its own threading changes bits with the thread count.
package enum BLASThreads {
    /// Touching this value sets OpenBLAS to one thread, once in the life of the process.
    package static let single: Void = openblas_set_num_threads(1)
}
