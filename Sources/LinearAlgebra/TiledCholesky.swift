import CKernels
import COpenBLAS

/// A = L·Lᵀ in place, by block columns over the pool.
///
/// Block column j consists of its diagonal square and of what lies below it, cut into chunks c of rows. For k = 0, 1, …:
///
///     D(k): Aₖₖ = Lₖₖ·Lₖₖᵀ    S(k, c): L_ck = A_ck·Lₖₖ⁻ᵀ    U(k, j): Aⱼⱼ −= Lⱼₖ·Lⱼₖᵀ    U(k, j, c): A_cj −= L_ck·Lⱼₖᵀ    (j > k)
///
/// Tasks wait only for what they read, and those that lead to the next diagonal square go first, so that the narrow part of one step hides
/// behind the wide part of others. An entry meets its updates in the order k = 0, 1, …, by the same calls, on any number of threads.
/// S is `ck_solve_right`: OpenBLAS's dtrsm reaches a third of dgemm's rate. It packs what it has solved, once for all updates of its step;
/// the packed columns of a few steps are held, so that a solve of step k + `held` waits until step k has been used up.
package enum TiledCholesky {
    /// The width of block columns, and the height of chunks in multiples of it.
    package struct Tiles: Sendable {
        var width: Int
        var height: Int

        package init(width: Int, height: Int) { (self.width, self.height) = (width, height) }

        init(order n: Int) {
            self = Tiles(width: n < 1600 ? 96 : 144, height: 4)
        }
    }

    /// The width of the squares on the diagonal in which entries above it are written over; beyond them none is.
    static func squareWidth(order n: Int) -> Int {
        let width = Tiles(order: n).width
        return n <= 2 * width ? n : width
    }

    enum Task {
        case diagonal(Int)
        case solve(Int, chunk: Int)
        case updateDiagonal(Int, Int)
        case update(Int, Int, chunk: Int)
        case release(Int)
    }

    /// The steps whose packed columns are held.
    private static let held = 4

    /// Replaces the lower triangle of `a` by L; returns the first pivot that is not positive, if one is not. What is above the diagonal is
    /// not read, and may be written over.
    package static func factorize(_ n: Int, _ a: UnsafeMutablePointer<Double>, _ lda: Int, tiles: Tiles? = nil) -> Int? {
        _ = BLASThreads.single
        let tiles = tiles ?? Tiles(order: n)
        let (w, height) = (tiles.width, tiles.width * tiles.height)
        let blocks = (n + w - 1) / w
        if blocks <= 2 { return factorizeOnThread(n, a, lda) }
        func size(_ j: Int) -> Int { min(w, n - j * w) }
        func tile(_ i: Int, _ j: Int) -> UnsafeMutablePointer<Double> { a + (i + j * lda) * w }
        func rows(_ j: Int, _ chunk: Int) -> Range<Int> { max((j + 1) * w, chunk * height)..<min(n, (chunk + 1) * height) }

        // Square blocks of step k, packed.
        let square = (w + 7) / 8 * 8 * w
        let (graph, tasks) = plan(n, tiles)
        // The failing pivot that step k met, its own or an earlier one. Written by D(k), read by tasks that wait for it.
        var failures = [Int?](repeating: nil, count: blocks)
        failures.withUnsafeMutableBufferPointer { failures in
            let failures = failures
            WorkingMemory.borrow(held * blocks * square) { memory in
                func packed(_ k: Int, _ i: Int) -> UnsafeMutablePointer<Double> { memory + (k % held * blocks + i) * square }
                func squares(of chunk: Int, below j: Int) -> Range<Int> {
                    max(j + 1, chunk * tiles.height)..<min(blocks, (chunk + 1) * tiles.height)
                }
                graph.run { task, _ in
                    switch tasks[task] {
                    case .diagonal(let k):
                        failures[k] =
                            k > 0 && failures[k - 1] != nil
                            ? failures[k - 1] : factorizeOnThread(size(k), tile(k, k), lda).map { k * w + $0 }
                    case .solve(let k, let chunk):
                        guard failures[k] == nil else { return }
                        let rows = rows(k, chunk)
                        ck_solve_right(rows.count, w, tile(k, k), lda, a + rows.lowerBound + k * w * lda, lda)
                        for i in squares(of: chunk, below: k) { ck_pack_rows(size(i), w, tile(i, k), lda, packed(k, i)) }
                    case .updateDiagonal(let k, let j):
                        guard failures[k] == nil else { return }
                        ck_packed_product(
                            size(j), size(j), w, -1, packed(k, j), packed(k, j), 1, 1, tile(j, j), lda, packed(k, j), packed(k, j))
                    case .update(let k, let j, let chunk):
                        guard failures[k] == nil else { return }
                        for i in squares(of: chunk, below: j) {
                            let next = packed(k, min(i + 1, blocks - 1))
                            ck_packed_product(size(i), size(j), w, -1, packed(k, i), packed(k, j), 1, 0, tile(i, j), lda, next, next)
                        }
                    case .release: break
                    }
                }
            }
        }
        return failures.last ?? nil
    }

    /// All tasks with what they wait for.
    static func plan(_ n: Int, _ tiles: Tiles) -> (TaskGraph, [Task]) {
        let (w, height) = (tiles.width, tiles.width * tiles.height)
        let (blocks, chunks) = ((n + w - 1) / w, (n + height - 1) / height)
        var (graph, tasks) = (TaskGraph(), [Task]())
        // The last task that wrote to the diagonal square j, and to chunk c of block column j, at c + j·chunks.
        var (diagonal, writer) = ([Int?](repeating: nil, count: blocks), [Int?](repeating: nil, count: blocks * chunks))
        /// The chunks below the diagonal square j.
        func below(_ j: Int) -> Range<Int> { (j + 1) * w < n ? (j + 1) * w / height..<chunks : 0..<0 }
        var releases: [Int] = []
        for k in 0..<blocks {
            var uses: [Int] = []
            // The rank of an update of block column j is 2j + k: an estimate of how soon the next diagonal squares need it.
            let pivot = graph.add(rank: 3 * k, after: diagonal[k])
            tasks.append(.diagonal(k))
            for c in below(k) {
                writer[c + k * chunks] = graph.add(
                    rank: 3 * k, after: pivot, writer[c + k * chunks], k < held ? nil : releases[k - held])
                tasks.append(.solve(k, chunk: c))
            }
            for j in (k + 1)..<max(k + 1, blocks) {
                let right = writer[j * w / height + k * chunks]
                diagonal[j] = graph.add(rank: 2 * j + k, after: right, diagonal[j])
                tasks.append(.updateDiagonal(k, j))
                uses.append(tasks.count - 1)
                for c in below(j) {
                    let left = writer[c + k * chunks]
                    writer[c + j * chunks] = graph.add(rank: 2 * j + k, after: left, left == right ? nil : right, writer[c + j * chunks])
                    tasks.append(.update(k, j, chunk: c))
                    uses.append(tasks.count - 1)
                }
            }
            releases.append(graph.add(rank: 0))
            tasks.append(.release(k))
            for use in uses { graph.wait(releases[k], for: use) }
        }
        return (graph, tasks)
    }

    // MARK: A square

    private static let narrow = 48

    /// A = L·Lᵀ in place on the calling thread, by narrow block columns from left to right: dpotrf is slow, and does little here.
    private static func factorizeOnThread(_ n: Int, _ a: UnsafeMutablePointer<Double>, _ lda: Int) -> Int? {
        for first in stride(from: 0, to: n, by: narrow) {
            let (w, block) = (min(narrow, n - first), a + first + first * lda)
            if first > 0 {
                RawProducts.gemm(false, true, n - first, w, first, alpha: -1, a + first, lda, a + first, lda, beta: 1, block, lda)
            }
            let info = lapack_potrf_lower(blasInt(w), block, leading(lda))
            if info != 0 { return first + Int(info) - 1 }
            ck_solve_right(n - first - w, w, block, lda, block + w, lda)
        }
        return nil
    }
}
