import CKernels

/// Tasks of which some wait for others, run on the pool: what a tiled factorisation is made of.
///
/// Of the tasks that may begin, the one of the lowest rank goes first. Who runs a task, and when, depends on the threads; the bits do
/// not, as long as tasks that touch the same memory wait for each other. A task costs well under a microsecond to hand out.
package struct TaskGraph {
    private var ranks: [Int32] = []
    private var edges: [(from: Int32, to: Int32)] = []

    package init() {}

    package var count: Int { ranks.count }

    /// Adds a task that waits for earlier ones (nil: for nobody) and returns its number.
    @discardableResult
    package mutating func add(rank: Int, after earlier: Int?...) -> Int {
        let task = ranks.count
        ranks.append(Int32(clamping: rank))
        for case let other? in earlier { wait(task, for: other) }
        return task
    }

    /// Makes `task` wait for `other`, which was added before it.
    package mutating func wait(_ task: Int, for other: Int) {
        precondition(other >= 0 && other < task && task < ranks.count, "task \(task) cannot wait for task \(other)")
        edges.append((Int32(truncatingIfNeeded: other), Int32(truncatingIfNeeded: task)))
    }

    /// Runs every task once, on workers 0..<`workers`, and returns when all are done.
    package func run(workers: Int = ThreadPool.threadCount, _ body: (_ task: Int, _ worker: Int) -> Void) {
        precondition(edges.count < Int(Int32.max), "\(edges.count) dependencies")
        guard count > 0 else { return }
        _ = BLASThreads.single
        var blockers = [Int32](repeating: 0, count: count)
        var first = [Int32](repeating: 0, count: count + 1)
        for edge in edges {
            blockers[Int(edge.to)] += 1
            first[Int(edge.from) + 1] += 1
        }
        for i in 0..<count { first[i + 1] += first[i] }
        var (next, successors) = (first, [Int32](repeating: 0, count: edges.count))
        for edge in edges {
            successors[Int(next[Int(edge.from)])] = edge.to
            next[Int(edge.from)] += 1
        }
        typealias Body = (Int, Int) -> Void
        withoutActuallyEscaping(body) { body in
            var body = body
            withUnsafeMutablePointer(to: &body) { context in
                ranks.withUnsafeBufferPointer { ranks in
                    blockers.withUnsafeMutableBufferPointer { blockers in
                        first.withUnsafeBufferPointer { first in
                            successors.withUnsafeBufferPointer { successors in
                                withUnsafeTemporaryAllocation(of: Int32.self, capacity: count) { ready in
                                    var tasks = ck_tasks(
                                        count: count, rank: ranks.baseAddress, blockers: blockers.baseAddress, first: first.baseAddress,
                                        successors: successors.baseAddress, ready: ready.baseAddress)
                                    ck_run_tasks(
                                        &tasks, Int32(clamping: workers),
                                        { context, task, worker in
                                            context?.assumingMemoryBound(to: Body.self).pointee(task, Int(worker))
                                        }, context)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
