import LinearAlgebra
import Testing

@Suite struct TaskGraphTests {
    /// Every task once, after all that it waits for, by a worker within bounds.
    @Test(arguments: [1, 2, 3, 8]) func tasksWaitForTheirPredecessors(threads: Int) {
        withThreads(threads) {
            var stream = TestStream(71)
            for count in [0, 1, 2, 30, 400] {
                var graph = TaskGraph()
                var earlier: [[Int]] = []
                for task in 0..<count {
                    let number = graph.add(rank: Int(100 * stream.next()))
                    #expect(number == task)
                    earlier.append(task == 0 ? [] : (0..<(task % 4)).map { _ in Int(abs(stream.next()) * Double(task)) % task })
                    for other in earlier[task] { graph.wait(task, for: other) }
                }
                let done = Locked([Bool](repeating: false, count: count))
                graph.run(workers: threads) { task, worker in
                    #expect(worker >= 0 && worker < threads)
                    let (repeated, early) = done.withLock { done in (done[task], earlier[task].contains { !done[$0] }) }
                    #expect(!repeated && !early)
                    done.withLock { $0[task] = true }
                }
                #expect(done.withLock { $0.allSatisfy { $0 } })
            }
        }
    }

    /// On one thread the order is that of ranks, then of numbers, among what may begin.
    @Test func lowRanksGoFirst() {
        withThreads(1) {
            var graph = TaskGraph()
            let late = graph.add(rank: 9)
            let first = graph.add(rank: 1)
            let tie = graph.add(rank: 1)
            let urgent = graph.add(rank: 0, after: tie)
            let order = Locked([Int]())
            graph.run(workers: 1) { task, _ in order.withLock { $0.append(task) } }
            #expect(order.withLock { $0 } == [first, tie, urgent, late])
        }
    }

    /// Within a parallel loop a graph runs on the thread that starts it.
    @Test func nestedGraphsRunInline() {
        withThreads(4) {
            let total = Locked(0)
            parallelFor(count: 8) { _, _ in
                var graph = TaskGraph()
                for i in 0..<10 { graph.add(rank: 0, after: i == 0 ? nil : i - 1) }
                graph.run { task, worker in total.withLock { $0 += worker == 0 ? task : 1000 } }
            }
            #expect(total.withLock { $0 } == 8 * 45)
        }
    }
}
