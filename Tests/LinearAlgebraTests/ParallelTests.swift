import LinearAlgebra
import Testing

/// The standing pool of threads.
@Suite(.serialized) struct ParallelTests {
    /// Every index once, by a worker within bounds, however many threads there are.
    @Test(arguments: [1, 2, 3, 8])
    func everyIndexOnce(threads: Int) {
        withThreads(threads) {
            for count in [0, 1, 2, 7, 64, 1000] {
                for _ in 0..<20 {
                    var visits = [Int](repeating: 0, count: count)
                    var workers = [Int](repeating: 0, count: count)
                    visits.withUnsafeMutableBufferPointer { visits in
                        workers.withUnsafeMutableBufferPointer { workers in
                            let (visits, workers) = (visits, workers)
                            parallelFor(count: count, maximumWorkers: 5) { index, worker in
                                visits[index] += 1
                                workers[index] = worker
                            }
                            parallelFor(costs: (0..<count).map { Double($0 % 4) }, maximumWorkers: 5) { index, worker in
                                visits[index] += 1
                                workers[index] = max(workers[index], worker)
                            }
                        }
                    }
                    #expect(visits.allSatisfy { $0 == 2 })
                    #expect(workers.allSatisfy { $0 >= 0 && $0 < min(threads, 5) })
                }
            }
        }
    }

    /// With more than one thread, two indices run at once. Another caller may have the pool during an attempt, and then both
    /// run on this thread: out of many attempts one must meet.
    @Test func worksAtOnce() {
        withThreads(2) {
            var met = false
            for _ in 0..<200 where !met {
                let arrived = Locked([false, false])
                let together = Locked([false, false])
                parallelFor(count: 2) { index, _ in
                    arrived.withLock { $0[index] = true }
                    for _ in 0..<100_000 where arrived.withLock({ $0[0] && $0[1] }) {
                        together.withLock { $0[index] = true }
                        break
                    }
                }
                met = together.withLock { $0[0] && $0[1] }
            }
            #expect(met)
        }
    }

    /// A thread that stays at its first index has the rest of its run done by others. As above, one attempt of many must be on two threads.
    @Test func othersTakeWhatIsLeft() {
        withThreads(2) {
            var helped = false
            for _ in 0..<200 where !helped {
                let visited = Locked(0)
                let allBefore = Locked(false)
                parallelFor(count: 64) { index, _ in
                    guard index == 0 else { return visited.withLock { $0 += 1 } }
                    for _ in 0..<100_000 where visited.withLock({ $0 == 63 }) {
                        allBefore.withLock { $0 = true }
                        break
                    }
                }
                #expect(visited.withLock { $0 } == 63)
                helped = allBefore.withLock { $0 }
            }
            #expect(helped)
        }
    }

    /// Of costs 8, 1, 1, 1, 1, 4 the second of two threads begins behind the 8, of which the first thread cannot be done before the second has
    /// come to the 4: it waits for that. As above, one attempt of many must be on two threads.
    @Test func sharesAreOfEqualCost() {
        withThreads(2) {
            var inOrder = false
            for _ in 0..<200 where !inOrder {
                let visited = Locked<[Int]>([])
                parallelFor(costs: [8, 1, 1, 1, 1, 4]) { index, _ in
                    if index == 0 { for _ in 0..<100_000 where visited.withLock({ $0.contains(5) }) { break } }
                    visited.withLock { $0.append(index) }
                }
                #expect(visited.withLock { $0.sorted() } == Array(0..<6))
                inOrder = visited.withLock { $0 } == [1, 2, 3, 4, 5, 0]
            }
            #expect(inOrder)
        }
    }

    @Test func nestedCallsRunInline() {
        withThreads(4) {
            let sums = Locked([Int](repeating: 0, count: 10))
            parallelFor(count: 10) { outer, _ in
                parallelFor(count: 10) { inner, worker in
                    #expect(worker == 0)
                    sums.withLock { $0[outer] += inner }
                }
            }
            #expect(sums.withLock { $0 } == Array(repeating: 45, count: 10))
        }
    }

    /// Callers on several threads at once each get their own work done.
    @Test func callersContend() async {
        let totals = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let total = Locked(0)
                    for _ in 0..<50 { parallelFor(count: 20) { index, _ in total.withLock { $0 += index } } }
                    return total.withLock { $0 }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(totals == Array(repeating: 50 * 190, count: 8))
    }
}
