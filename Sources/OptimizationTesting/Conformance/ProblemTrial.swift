import LinearAlgebra
import OptimizationCore
import Synchronization

/// Held while a trial changes the number of the pool's threads, so that trials in parallel do not change it for one another.
private let poolInUse = Mutex(())

/// A problem under test at one point; each method returns what it finds broken.
struct ProblemTrial<P: Problem> {
    let problem: P
    let point: Vector
    let revisions: [any Revision]
    let seed: UInt64

    private var elsewhere: Vector { Vector(point.enumerated().map { 0.9 * $1 + 0.01 * Double(1 + $0 % 3) }) }

    private func differences(_ problem: any Problem, _ reference: Archive, _ what: String) throws -> [String] {
        let differences = try Archive(evaluating: problem, at: point).differences(from: reference)
        return differences.isEmpty ? [] : ["\(what): \(differences.joined(separator: ", "))"]
    }
}

// MARK: Counts and start

extension ProblemTrial {
    func countsAgree() throws -> [String] {
        var failures: [String] = []
        func demand(_ holds: Bool, _ failure: @autoclosure () -> String) { if !holds { failures.append(failure()) } }
        let count = problem.layout.count
        demand(!problem.name.isEmpty, "has an empty name")
        demand(count > 0 && count == point.count, "\(point.count) parameters at the point, \(count) in the layout")
        guard failures.isEmpty else { return failures }
        if let problem = problem as? any DifferentiableProblem {
            let (loss, value) = (try problem.loss(at: point), try problem.lossAndGradient(at: point))
            let terms = problem.terms
            demand(
                !terms.isEmpty && !terms.contains("") && Set(terms).count == terms.count, "terms without a name of their own: \(terms)")
            demand(
                loss.terms.count == terms.count && value.loss.terms.count == terms.count,
                "\(loss.terms.count) and \(value.loss.terms.count) values for \(terms.count) terms")
            demand(value.gradient.count == count, "a gradient of \(value.gradient.count) for \(count) parameters")
            demand(value.isFinite, "loss or gradient is not finite at the point: choose another")
        }
        if let problem = problem as? any LeastSquaresProblem {
            let (r, linearization) = (try problem.residual(at: point).count, try problem.linearization(at: point))
            demand(
                r == problem.residualCount && linearization.residualCount == r && linearization.residual.count == r,
                "residualCount \(problem.residualCount), residual of \(r), J of \(linearization.residualCount) rows")
            if let counts = problem.residualCounts {
                demand(
                    counts.count == problem.terms.count && counts.reduce(0, +) == r,
                    "residualCounts \(counts) of \(problem.terms.count) terms")
            }
            demand(linearization.parameterCount == count, "J of \(linearization.parameterCount) columns for \(count) parameters")
        }
        if let problem = problem as? any TwiceDifferentiableProblem {
            let order = try problem.hessian(at: point).parameterCount
            demand(order == count, "a Hessian of order \(order) for \(count) parameters")
        }
        if let problem = problem as? any SampledProblem {
            let sets = problem.sampleSets
            demand(!sets.isEmpty && Set(sets.map(\.name)).count == sets.count, "sample sets without names of their own")
            demand(sets.allSatisfy { $0.count > 0 }, "an empty sample set")
        }
        return failures
    }

    func startsAlike() -> [String] {
        func start() -> (Parameters, UInt64) {
            var random = RandomStream(seed: seed, name: "initialization")
            return (problem.initialParameters(from: &random), random.position)
        }
        let (one, two) = (start(), start())
        if one.0.layout != problem.layout { return ["the initial parameters have another layout"] }
        if !one.0.values.isFinite { return ["the initial parameters are not finite"] }
        return one.0.values.sameBits(as: two.0.values) && one.1 == two.1 ? [] : ["the same stream gives two different starts"]
    }
}

// MARK: Linear parameters

extension ProblemTrial {
    /// r(α, c + v) = r(α, c) + Φ(α)v and Φᵀw the same at both, for steps v in c of the size of c and a hundred times that.
    func linearParametersAreLinear(_ problem: any PartiallyLinearProblem) throws -> [String] {
        let linear = problem.linearParameters
        guard linear == linear.sorted(), Set(linear).count == linear.count, linear.allSatisfy(point.indices.contains) else {
            return ["linearParameters are not ascending numbers of parameters: \(linear)"]
        }
        let here = try problem.linearization(at: point)
        var random = RandomStream(seed: seed, name: "linear parameters")
        let w = random.normalVector(here.residualCount)
        let size = Swift.max(Vector(linear.map { point[$0] }).norm, 1e-3) / Double(linear.count).squareRoot()
        var failures: [String] = []
        for factor in [1.0, 100] {
            var v = Vector.zeros(point.count)
            for i in linear { v[i] = factor * size * random.normal() }
            let there = try problem.linearization(at: point + v)
            let image = here.product(v)
            let off = (there.residual - here.residual - image).norm
            let demand = 1e-9 * (here.residual.norm + image.norm)
            if !(off <= demand) { failures.append("r is off its linear model by \(off), beyond \(demand)") }
            let (a, b) = (here.transposedProduct(w), there.transposedProduct(w))
            let change = Vector(linear.map { a[$0] - b[$0] }).norm
            let columns = Vector(linear.map { a[$0] }).norm
            if !(change <= 1e-9 * columns) { failures.append("their columns of J change by \(change) of \(columns)") }
        }
        return failures
    }
}

// MARK: Factors

extension ProblemTrial {
    /// ∇L = (1/n) Σᵢ Gᵢ(cᵢ) + ∇R, a sum over samples, and a batch's factors are the whole's.
    func factorsMakeTheGradient(_ problem: any FactoredGradientProblem) throws -> [String] {
        func check<S: FactoredGradientProblem>(_ problem: S) throws -> [String] {
            var failures: [String] = []
            let (whole, value) = (try problem.lossAndFactors(at: point), try problem.lossAndGradient(at: point))
            let count = problem.sampleSets.reduce(0) { $0 + $1.count }
            guard problem.sampleSets.count == 1, whole.factors.columns == count, whole.factors.rows == problem.factorCount,
                whole.remainder.count == point.count
            else {
                return [
                    "factors of \(whole.factors.rows) × \(whole.factors.columns) for \(count) samples in \(problem.sampleSets.count) sets"
                ]
            }
            let allowed = Ladder.rounding(count)
            if !(abs(whole.loss.total - value.loss.total) <= allowed * abs(value.loss.total)) {
                failures.append("the loss with the factors is another")
            }
            let made = problem.gradient(ofFactors: whole.factors)
            let size = made.norm + whole.remainder.norm
            if !((made + whole.remainder - value.gradient).norm <= allowed * size) { failures.append("they make another gradient") }
            let elsewhere = try problem.lossAndFactors(at: 0.5 * point).factors
            let there = problem.gradient(ofFactors: elsewhere)
            let difference = problem.gradient(ofFactors: whole.factors, minus: elsewhere)
            if !((difference - (made - there)).norm <= allowed * (size + there.norm)) {
                failures.append("the difference of two gradients is another")
            }
            let parts = halves(of: problem.sampleSets)
            func share(of batch: Batch) throws -> Vector {
                let columns = batch.indices[0].flatMap { whole.factors.column($0).elements }
                let factors = Matrix(rows: whole.factors.rows, columns: batch.indices[0].count, elements: columns)
                return try problem.restricted(to: batch).gradient(ofFactors: factors)
            }
            let (first, second) = (try share(of: parts.first), try share(of: parts.second))
            if !((try share(of: parts.union) - 0.5 * (first + second)).norm <= allowed * (first.norm + second.norm)) {
                failures.append("the gradient is no mean over samples")
            }
            let batch = parts.second
            let part = try problem.restricted(to: batch).lossAndFactors(at: point)
            for (column, sample) in batch.indices[0].enumerated() {
                let (own, other) = (part.factors.column(column), whole.factors.column(sample))
                if !((own - other).norm <= allowed * other.norm) { failures.append("those of sample \(sample) are others in a batch") }
            }
            if part.remainder != whole.remainder { failures.append("what remains of the gradient is another in a batch") }
            return failures
        }
        return try check(problem)
    }
}

// MARK: Values

extension ProblemTrial {
    private func derivativeFailures<Q: Problem>(_ problem: Q) throws -> [String] {
        try DerivativeCheck(of: problem, at: point, directions: 1, seed: seed).failures.map {
            "\($0.name): \($0.measured), demanded \($0.demand)" + ($0.detail.isEmpty ? "" : " (\($0.detail))")
        }
    }

    func hasRightDerivatives() throws -> [String] { try derivativeFailures(problem) }

    func isPure() throws -> [String] {
        let first = try Archive(evaluating: problem, at: point)
        let again = try differences(problem, first, "the same evaluation again gives other values")
        _ = try Archive(evaluating: problem, at: elsewhere)
        return try again + differences(problem, first, "after an evaluation elsewhere these are others")
    }

    func ignoresThreads() throws -> [String] {
        try poolInUse.withLock { _ in
            let before = ThreadPool.threadCount
            defer { ThreadPool.threadCount = before }
            ThreadPool.threadCount = 1
            let alone = try Archive(evaluating: problem, at: point)
            return try [2, 3].flatMap { count in
                ThreadPool.threadCount = count
                return try differences(problem, alone, "on \(count) threads these differ from one's")
            }
        }
    }

    func answersNonFinite() -> [String] {
        guard let problem = problem as? any DifferentiableProblem else { return [] }
        let θ = Vector(repeating: .nan, count: point.count)
        do {
            if try problem.loss(at: θ).isFinite { return ["the loss is finite where θ is not a number"] }
            if try problem.lossAndGradient(at: θ).isFinite { return ["loss and gradient are finite where θ is not a number"] }
        } catch { return ["throws where θ is not a number: \(error)"] }
        guard let fault = problem.locateFault(at: θ), !problem.terms.contains(fault.term) else { return [] }
        return ["locates a fault in “\(fault.term)”, which is none of its terms"]
    }
}

// MARK: Batches

extension ProblemTrial {
    func everythingIsTheWhole<S: SampledProblem>(_ problem: S) throws -> [String] {
        let sets = problem.sampleSets
        let view = try problem.restricted(to: Batch(sets.map { Array(0..<$0.count) }))
        var failures = try differences(view, try Archive(evaluating: problem, at: point), "these differ")
        if view.sampleSets != sets { failures.append("its sample sets are others") }
        return failures + kept(view, of: problem)
    }

    /// What a view must share with the whole.
    private func kept<S: SampledProblem>(_ view: S, of whole: S) -> [String] {
        var failures: [String] = []
        if view.layout != whole.layout { failures.append("a view has another layout") }
        if view.version != whole.version { failures.append("a view has version \(view.version), the whole \(whole.version)") }
        if view.name != whole.name { failures.append("a view is named “\(view.name)”, the whole “\(whole.name)”") }
        return failures
    }

    /// Two disjoint halves of each set, and their union; a set of one sample is in all three.
    private func halves(of sets: [SampleSet]) -> (first: Batch, second: Batch, union: Batch) {
        let parts = sets.map { set -> ([Int], [Int], [Int]) in
            guard set.count > 1 else { return ([0], [0], [0]) }
            let half = set.count / 2
            // Interleaved: neither half is the first samples only.
            return ((0..<half).map { 2 * $0 }, (0..<half).map { 2 * $0 + 1 }, Array(0..<(2 * half)))
        }
        return (Batch(parts.map(\.0)), Batch(parts.map(\.1)), Batch(parts.map(\.2)))
    }

    func batchesAverage<S: SampledProblem>(_ problem: S) throws -> [String] {
        let (first, second, union) = halves(of: problem.sampleSets)
        let views = try [first, second, union].map { try problem.restricted(to: $0) }
        for (view, batch) in zip(views, [first, second, union]) where view.sampleSets.map(\.count) != batch.indices.map(\.count) {
            return ["a view of \(batch.indices.map(\.count)) samples says it has \(view.sampleSets.map(\.count))"]
        }
        guard let parts = views as? [any DifferentiableProblem] else { return [] }
        let losses = try parts.map { try $0.loss(at: point).terms }
        let samples = problem.sampleSets.reduce(0) { $0 + $1.count }
        var failures: [String] = []
        for (t, term) in parts[2].terms.enumerated() {
            let (mean, whole) = (0.5 * (losses[0][t] + losses[1][t]), losses[2][t])
            // The sums' own rounding, where terms may cancel within a half as far as the halves differ.
            let size = abs(losses[0][t]) + abs(losses[1][t]) + abs(whole)
            if !(abs(mean - whole) <= Ladder.rounding(samples) * size) {
                failures.append("term “\(term)”: the mean of two halves is \(mean), their union's value \(whole)")
            }
        }
        let differ = try Archive(evaluating: views[0], at: point) != Archive(evaluating: views[1], at: point)
        return differ || problem.sampleSets.allSatisfy { $0.count == 1 }
            ? failures : failures + ["two disjoint batches have the same values"]
    }

    func viewsAreRight<S: SampledProblem>(_ problem: S) throws -> [String] {
        let view = try problem.restricted(to: halves(of: problem.sampleSets).second)
        return try kept(view, of: problem) + derivativeFailures(view)
    }

    func refusesBatches<S: SampledProblem>(_ problem: S) -> [String] {
        let whole = problem.sampleSets.map { Array(0..<$0.count) }
        var cases = [("of a set too many", whole + [[0]]), ("without its last set", Array(whole.dropLast()))]
        for (k, set) in problem.sampleSets.enumerated() {
            for (name, indices) in [("beyond the last", [set.count]), ("before the first", [-1]), ("none", [])] {
                var batch = whole
                batch[k] = indices
                cases.append(("with sample \(name) of “\(set.name)”", batch))
            }
        }
        return cases.compactMap { name, indices in
            do { _ = try problem.restricted(to: Batch(indices)) } catch { return nil }
            return "a batch \(name) is accepted"
        }
    }
}

// MARK: Revisions

/// A revision that no problem knows.
private struct ForeignRevision: Revision {
    var summary: String { "a foreign revision" }
}

extension ProblemTrial {
    private static var nothingToTry: String { "no revision was given to try: pass some as `revisions`" }

    private func stored<R: RevisableProblem>(_ problem: R) -> Archive {
        var archive = Archive()
        problem.encodeRevisions(into: &archive)
        return archive
    }

    func revisionsAct<R: RevisableProblem>(_ problem: R) throws -> [String] {
        guard !revisions.isEmpty else { return [Self.nothingToTry] }
        var (failures, current) = ([String](), problem)
        for revision in revisions {
            let (values, version) = (try Archive(evaluating: current, at: point), current.version)
            let next = try current.revised(by: revision)
            if next.version != version + 1 { failures.append("“\(revision.summary)” takes version \(version) to \(next.version)") }
            if current.version != version { failures.append("“\(revision.summary)” changed the version of what it revised") }
            failures += try differences(current, values, "“\(revision.summary)” changed what it revised")
            if try Archive(evaluating: next, at: point) == values { failures.append("“\(revision.summary)” changes nothing") }
            if next.layout != problem.layout { failures.append("“\(revision.summary)” changes the layout of the parameters") }
            failures += try derivativeFailures(next)
            if let sampled = next as? any SampledProblem { failures += try everythingIsTheWhole(sampled) }
            current = next
        }
        return failures
    }

    func revisionsAreStored<R: RevisableProblem>(_ problem: R) throws -> [String] {
        guard !revisions.isEmpty else { return [Self.nothingToTry] }
        var (failures, current) = ([String](), problem)
        for count in 0...revisions.count {
            if count > 0 { current = try current.revised(by: revisions[count - 1]) }
            let archive = stored(current)
            let restored = try problem.restoringRevisions(from: archive)
            if restored.version != current.version {
                failures.append("after \(count) revisions version \(current.version) comes back as \(restored.version)")
            }
            failures += try differences(
                restored, try Archive(evaluating: current, at: point), "after \(count) revisions these come back changed")
            let lost = stored(restored).differences(from: archive)
            if !lost.isEmpty { failures.append("stored again after \(count) revisions, these differ: \(lost.joined(separator: ", "))") }
        }
        return failures
    }

    func refusesForeignRevisions<R: RevisableProblem>(_ problem: R) -> [String] {
        var failures: [String] = []
        if (try? problem.revised(by: ForeignRevision())) != nil { failures.append("a revision that it cannot know is accepted") }
        if (try? problem.restoringRevisions(from: Archive())) != nil { failures.append("an empty archive is accepted as its revisions") }
        return failures
    }
}
