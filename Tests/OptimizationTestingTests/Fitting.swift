import LinearAlgebra
import OptimizationCore
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// y ≈ e^{ax} + b fitted to samples, with every capability of the core; right but for one fault.
///
///     r_i = √(w/n)·(e^{a xᵢ} + b − yᵢ),   θ = (a, b)
struct Fitting: LeastSquaresProblem, TwiceDifferentiableProblem, SampledProblem, RevisableProblem, MonitoredProblem, ReferencedProblem {
    enum Wrong: String, CaseIterable, CustomTestStringConvertible {
        case none, termWithoutName, residualCount, startWanders, gradientEntry, hessianWithoutResiduals, remembersEvaluations, countsThreads
        case finiteAtNaN, throwsAtNaN, strangeFault, losesASample, viewLosesVersion, weighsByTheWhole, ignoresTheBatch, wrongInViews
        case clampsIndices, acceptsEmptyBatches, acceptsOtherSets, keepsItsVersion, revisesNothing, revisesInPlace, storesNoWeight
        case storesRounded, acceptsForeignRevisions, acceptsForeignArchives

        var testDescription: String { rawValue }
    }

    /// What a wrong problem keeps behind its back.
    private final class Memory: Sendable {
        let calls = Mutex(0.0)
        let weight = Mutex(1.0)
    }

    var wrong = Wrong.none
    var samples: [(x: Double, y: Double)] = (0..<7).map { (i: Int) -> (x: Double, y: Double) in
        let x: Double = 0.2 * Double(i) - 0.5
        return (x, 1.3 + 0.7 * Double(i % 3))
    }
    var weight = 1.0
    var version = 0
    var isView = false
    private let memory = Memory()

    init(_ wrong: Wrong = .none) { self.wrong = wrong }

    var name: String { "fitting" }
    var identity: Setting { .scalar(name) }
    var layout: ParameterLayout { ParameterLayout(count: 2) }
    var terms: [String] { [wrong == .termWithoutName ? "" : "samples"] }
    var residualCount: Int { samples.count + (wrong == .residualCount ? 1 : 0) }

    func initialParameters(from random: inout RandomStream) -> Parameters {
        let wandering = wrong == .startWanders ? 1e-9 * remember() : 0
        return Parameters([0.3 + 0.1 * random.normal() + wandering, -0.2])
    }

    private func remember() -> Double {
        memory.calls.withLock {
            $0 += 1; return $0
        }
    }

    private var scale: Double {
        let count = wrong == .weighsByTheWhole ? 7 : samples.count
        let inPlace = wrong == .revisesInPlace ? memory.weight.withLock { $0 } : 1
        return (weight * inPlace / Double(count)).squareRoot()
    }

    func residual(at θ: Vector) throws -> Vector {
        if wrong == .throwsAtNaN, !θ.isFinite { throw Breakdown(.nonFinite, "not a number") }
        if wrong == .finiteAtNaN, !θ.isFinite { return .zeros(samples.count) }
        let extra = wrong == .countsThreads ? 1e-13 * Double(ThreadPool.threadCount) : 0
        let (s, b) = (scale, θ[1] + extra)
        return Vector(samples.map { sample -> Double in s * (exp(θ[0] * sample.x) + b - sample.y) })
    }

    private func jacobian(at θ: Vector) -> Matrix {
        let s = scale
        let slopes = samples.map { sample -> Double in s * sample.x * exp(θ[0] * sample.x) }
        return Matrix(rows: samples.count, columns: 2, elements: slopes + Array(repeating: s, count: samples.count))
    }

    func loss(at θ: Vector) throws -> LossValue {
        let r = try residual(at: θ)
        let drift = wrong == .remembersEvaluations ? 1 + 1e-15 * remember().rounded() : 1
        return LossValue(0.5 * r.dot(r) * drift)
    }

    func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let r = try residual(at: θ)
        var gradient = jacobian(at: θ).transposedTimes(r)
        if wrong == .finiteAtNaN, !θ.isFinite { gradient = [0, 0] }
        if wrong == .gradientEntry || (wrong == .wrongInViews && isView) { gradient[0] *= 1.01 }
        return Evaluation(loss: LossValue(0.5 * r.dot(r)), gradient: gradient)
    }

    func locateFault(at θ: Vector) -> Fault? {
        θ.isFinite ? nil : Fault(term: wrong == .strangeFault ? "elsewhere" : terms[0], sample: "sample 0")
    }

    func linearization(at θ: Vector) throws -> any Linearization {
        Dense(residual: try residual(at: θ), matrix: jacobian(at: θ))
    }

    func hessian(at θ: Vector) throws -> any HessianOperator {
        let r = try residual(at: θ)
        var matrix = Matrix.product(jacobian(at: θ), jacobian(at: θ), transposingFirst: true)
        if wrong != .hessianWithoutResiduals {
            let s = scale
            for (r, sample) in zip(r, samples) { matrix[0, 0] += r * s * sample.x * sample.x * exp(θ[0] * sample.x) }
        }
        return Curvature(matrix: matrix)
    }

    // MARK: Batches

    var sampleSets: [SampleSet] { [SampleSet(name: "samples", count: samples.count)] }

    func restricted(to batch: Batch) throws -> Fitting {
        var indices = batch.indices.first ?? []
        let isOne = batch.indices.count == 1 || wrong == .acceptsOtherSets
        if wrong == .clampsIndices { indices = indices.map { min(max($0, 0), samples.count - 1) } }
        guard isOne, !indices.isEmpty || wrong == .acceptsEmptyBatches, indices.allSatisfy(samples.indices.contains) else {
            throw ConfigurationError(path: "batch", reason: "\(batch.indices) does not fit \(samples.count) samples")
        }
        var view = self
        view.samples = indices.map { samples[$0] }
        if wrong == .losesASample, indices.count == samples.count { view.samples.removeLast() }
        if wrong == .ignoresTheBatch { view.samples = samples }
        if wrong == .viewLosesVersion { view.version += 1 }
        view.isView = true
        return view
    }

    // MARK: Revisions

    func revised(by revision: any Revision) throws -> Fitting {
        guard let revision = revision as? Reweighting else {
            if wrong == .acceptsForeignRevisions { return self }
            throw ConfigurationError(path: "revision", reason: "“\(revision.summary)” is none of a fit's")
        }
        var next = self
        if wrong != .keepsItsVersion { next.version += 1 }
        if wrong == .revisesInPlace { memory.weight.withLock { $0 = revision.weight } }
        if wrong != .revisesNothing { next.weight = revision.weight }
        return next
    }

    func encodeRevisions(into archive: inout Archive) {
        archive.set("version", version)
        if wrong != .storesNoWeight { archive.set("weight", wrong == .storesRounded ? Double(Float(weight)) : weight) }
    }

    func restoringRevisions(from archive: Archive) throws -> Fitting {
        var restored = self
        if wrong == .acceptsForeignArchives, archive["version"] == nil { return self }
        restored.version = try archive.integer("version")
        if wrong != .storesNoWeight { restored.weight = try archive.double("weight") }
        return restored
    }

    func monitorLoss(at θ: Vector) throws -> Double? { abs(θ[0]) }
    func referenceError(at θ: Vector) throws -> Double? { nil }
}

/// Another weight of the samples.
struct Reweighting: Revision {
    var weight: Double
    var summary: String { "weight \(weight)" }
}

private struct Dense: Linearization {
    let residual: Vector
    let matrix: Matrix

    var residualCount: Int { matrix.rows }
    var parameterCount: Int { matrix.columns }
    func product(_ v: Vector) -> Vector { matrix.times(v) }
    func transposedProduct(_ w: Vector) -> Vector { matrix.transposedTimes(w) }
    func jacobian(rows: Range<Int>) -> Matrix {
        Matrix(
            rows: rows.count, columns: matrix.columns,
            elements: (0..<matrix.columns).flatMap { j in rows.map { matrix[$0, j] } })
    }
}

private struct Curvature: HessianOperator {
    let matrix: Matrix

    var parameterCount: Int { matrix.rows }
    func product(_ v: Vector) -> Vector { matrix.times(v) }
}
