import CKernels
import COpenBLAS

/// A = L·Lᵀ in place, by blocks of columns cut into chunks of rows, over the pool.
///
/// With block columns of width w and Lₖ the finished block column k, right-looking:
///
///     P(k): Aₖₖ → Lₖₖ (dpotrf)    S(k, c): L_ck = A_ck·Lₖₖ⁻ᵀ    U(k, j, c): A_cj −= L_ck·L_jkᵀ,  j > k
///
/// Tasks wait only for what they read, and those that lead to the next diagonal block go first, so that the narrow part of one step
/// hides behind the wide part of others. An entry is updated in the order k = 0, 1, …, with the same calls, on any number of threads.
/// Diagonal blocks are updated as full squares (one dgemm with what lies below them), so what is above the diagonal is spoilt there.
/// S is `ck_solve_right`: OpenBLAS's dtrsm reaches a third of dgemm's rate.
package enum TiledCholesky {
    /// Up to this order dpotrf alone is called.
    static let smallest = 160

    /// The width of a block column and the rows of a chunk, a multiple of it.
    static func tiles(order n: Int) -> (width: Int, chunk: Int) {
        n < 2000 ? (96, 480) : (128, 768)
    }

    private enum Task {
        case pivot(Int)
        case solve(Int, chunk: Int)
        case update(Int, column: Int, chunk: Int)
    }

    /// Replaces the lower triangle of `a` by L; returns the index of the first pivot that is not positive, where there is one.
    package static func factorize(_ n: Int, _ a: UnsafeMutablePointer<Double>, _ lda: Int, tiles: (width: Int, chunk: Int)? = nil) -> Int? {
        _ = BLASThreads.single
        let (w, height) = tiles ?? Self.tiles(order: n)
        if tiles == nil, n <= smallest {
            let info = lapack_potrf_lower(blasInt(n), a, leading(lda))
            return info == 0 ? nil : Int(info) - 1
        }
        let blocks = (n + w - 1) / w
        let (graph, tasks) = plan(n, w, height)
        // What step k found: the failing pivot, or nil. Written by P(k), read by tasks that wait for it.
        var failures = [Int?](repeating: nil, count: blocks)
        failures.withUnsafeMutableBufferPointer { failures in
            let failures = failures
            graph.run { task, _ in
                switch tasks[task] {
                case .pivot(let k):
                    if k > 0, let earlier = failures[k - 1] {
                        failures[k] = earlier
                        return
                    }
                    let first = k * w
                    let info = lapack_potrf_lower(blasInt(min(w, n - first)), a + first + first * lda, leading(lda))
                    if info != 0 { failures[k] = first + Int(info) - 1 }
                case .solve(let k, let chunk):
                    guard failures[k] == nil else { return }
                    let (first, start, end) = (k * w, max((k + 1) * w, chunk * height), min(n, (chunk + 1) * height))
                    ck_solve_right(end - start, w, a + first + first * lda, lda, a + start + first * lda, lda)
                case .update(let k, let column, let chunk):
                    guard failures[k] == nil else { return }
                    let (p, first, start, end) = (k * w, column * w, max(column * w, chunk * height), min(n, (chunk + 1) * height))
                    RawProducts.gemm(
                        false, true, end - start, min(w, n - first), w, alpha: -1, a + start + p * lda, lda, a + first + p * lda, lda,
                        beta: 1, a + start + first * lda, lda)
                }
            }
        }
        return failures.last ?? nil
    }

    /// All tasks with what they wait for.
    private static func plan(_ n: Int, _ w: Int, _ height: Int) -> (TaskGraph, [Task]) {
        let (blocks, chunks) = ((n + w - 1) / w, (n + height - 1) / height)
        var (graph, tasks) = (TaskGraph(), [Task]())
        // The last task that wrote to chunk c of block column j, at c + j·chunks.
        var writer = [Int?](repeating: nil, count: blocks * chunks)
        for k in 0..<blocks {
            // The rank of U(k, j) is 2j + k: an estimate of how soon the next diagonal blocks need it.
            let diagonal = k * w / height
            let pivot = graph.add(rank: 3 * k, after: writer[diagonal + k * chunks])
            tasks.append(.pivot(k))
            writer[diagonal + k * chunks] = pivot
            for c in diagonal..<chunks where min(n, (c + 1) * height) > (k + 1) * w {
                let before = writer[c + k * chunks]
                let solve = graph.add(rank: 3 * k, after: pivot, before == pivot ? nil : before)
                tasks.append(.solve(k, chunk: c))
                writer[c + k * chunks] = solve
            }
            for j in (k + 1)..<max(k + 1, blocks) {
                let own = j * w / height
                for c in own..<chunks {
                    let (left, right) = (writer[c + k * chunks], writer[own + k * chunks])
                    let update = graph.add(rank: 2 * j + k, after: left, left == right ? nil : right, writer[c + j * chunks])
                    tasks.append(.update(k, column: j, chunk: c))
                    writer[c + j * chunks] = update
                }
            }
        }
        return (graph, tasks)
    }
}
