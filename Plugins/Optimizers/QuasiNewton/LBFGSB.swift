import Globalization
import LinearAlgebra
import OptimizationCore

/// L-BFGS-B: a limited-memory quasi-Newton method for parameters between bounds, l ≤ θ ≤ u.
///
/// The model L + gᵀd + ½dᵀBd, B = σI − WMWᵀ of the last m pairs (``CompactRepresentation``), is minimised twice: along the projected path
/// θ(t) = P(θ − tg) to its first local minimiser, the generalised Cauchy point, which says what bounds are active; then over the parameters
/// that are free there. That point, brought back into the box, gives the direction for a search by Moré and Thuente no farther than the box.
/// Cost: usually one gradient a step, some 20mP flops and a sort of the breakpoints, 2mP doubles. A pair enters only if
/// yᵀs > `curvatureTolerance`·‖y‖‖s‖. A failed search drops the pairs and begins anew once; then the method breaks down, or is stationary
/// where rounding hides every decrease. It is stationary too where the gradient vanishes but for what points out of the box: the norm of that
/// reduced gradient is what reports give. A start outside the box is moved into it; a revision drops the pairs.
/// Variants: the minimiser over the free parameters is projected onto the box, as in version 3.0, and the step to it truncated only where
/// that would not descend; blocks have bounds, not single parameters.
/// Sources: Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16 (1995) 1190–1208, doi:10.1137/0916069; Morales & Nocedal, ACM TOMS 38 (2011) 7,
/// doi:10.1145/2049662.2049669.
public struct LBFGSB: Optimizer, Configurable {
    public var bounds = ParameterBounds()
    /// m ≥ 1.
    public var memory = 20
    public var lineSearch = MoreThuente()
    /// ε in yᵀs > ε‖y‖‖s‖.
    public var curvatureTolerance = 1e-12

    public init() {}

    public init(bounds: ParameterBounds = ParameterBounds(), memory: Int) {
        precondition(memory >= 1, "a memory of \(memory) pairs")
        (self.bounds, self.memory) = (bounds, memory)
    }

    public init(bounds: ParameterBounds) { self.bounds = bounds }

    public static let identifier = "l-bfgs-b"
    public static let summary = "L-BFGS for parameters between bounds, as in inverse problems."
    public static var fields: [Field<Self>] {
        [
            .bounds(\.bounds),
            .integer("memory", \.memory, atLeast: 1, meaning: "m, how many steps are remembered"),
            .part("lineSearch", \.lineSearch, meaning: "the search for the step length, within the box"),
            .number("curvatureTolerance", \.curvatureTolerance, in: .fraction, meaning: "ε in yᵀs > ε‖y‖‖s‖, for a pair to be kept"),
        ]
    }

    public func start(on problem: any DifferentiableProblem, from parameters: Parameters) throws -> LBFGSBState {
        let inside = parameters.with(try bounds.box(for: parameters.layout).projected(parameters.values))
        return LBFGSBState(standpoint: Standpoint(at: inside, try problem.lossAndGradient(at: inside.values)))
    }

    public func step(_ state: inout LBFGSBState, on problem: any DifferentiableProblem) throws -> StepReport {
        let here = state.standpoint
        let box = try bounds.box(for: here.parameters.layout)
        let reduced = box.reduced(here.gradient, at: here.parameters.values)
        func ended(_ verdict: StepVerdict, floor: Finding? = nil) -> StepReport {
            StepReport(loss: here.loss, gradientNorm: reduced.norm, verdict: verdict, floor: floor)
        }
        guard here.isFinite else { return ended(.brokeDown(.nonFinite(at: here.parameters.values, on: problem))) }
        if reduced.dot(reduced) < Double.leastNormalMagnitude {
            return ended(.stationary, floor: .vanishingGradient(reduced.norm, threshold: Double.leastNormalMagnitude.squareRoot()))
        }

        var memory = state.memory
        var reasons: [String] = []
        var proposed: Vector?
        var floor: Finding?
        while true {
            let p = Subproblem(box: box, here: here, reducedNorm: reduced.norm, memory: memory).direction()
            let ray = ray(from: here, along: p, within: box, on: problem)
            var failure: LineSearchFailure? = .notDescending(slope: ray.slope)
            var trials = 0
            if ray.slope < 0, p.isFinite {
                proposed = proposed ?? p
                let longest = Swift.max(1, box.longestStep(from: here.parameters.values, along: p))
                let result = try lineSearch.search(along: ray, from: 1, longest: Swift.min(longest, lineSearch.maximumExpansion))
                (failure, trials) = (result.failure, result.trials)
                if let sample = result.usable ?? atTheWall(result, longest) {
                    let promised = -0.5 * ray.slope
                    if sample.value >= here.loss.total, promised <= here.lastBits {
                        floor = floor ?? .hiddenDecrease(promised, hidden: here.lastBits)
                    } else if floor == nil || sample.value < here.loss.total - here.lastBits {
                        return try moved(&state, memory, sample, trials, box, on: problem)
                    }
                }
            }
            reasons.append(failure?.description ?? "no decrease")
            guard memory.pairs.isEmpty else {
                memory = CompactRepresentation()
                continue
            }
            // Neither with what was learned nor without it.
            if let floor { return ended(.stationary, floor: floor) }
            for p in [proposed, ray.slope < 0 ? p : nil].compactMap({ $0 }) {
                switch try here.deadEnd(along: p, on: problem) {
                case .stationary(let finding): return ended(.stationary, floor: finding)
                case .step(let sample): return try moved(&state, memory, sample, trials, box, on: problem)
                case .unexplained: break
                }
            }
            let θ = here.parameters.values
            if failure == .noFiniteTrial { return ended(.brokeDown(.nonFinite(at: θ + p, on: problem))) }
            let detail = "the line search found no step: \(reasons.joined(separator: "; without memory: "))"
            return ended(.brokeDown(Breakdown(.lineSearch, detail, lookingAt: [θ + p], on: problem)))
        }
    }

    /// A search that still descends where the box ends has found its step.
    private func atTheWall(_ result: LineSearchResult<Trial>, _ longest: Double) -> RaySample<Trial>? {
        guard case .failed(.unbounded(let α), let best) = result.end, α >= longest else { return nil }
        return best
    }

    private func moved(
        _ state: inout LBFGSBState, _ memory: CompactRepresentation, _ sample: RaySample<Trial>, _ trials: Int, _ box: Box,
        on problem: any DifferentiableProblem
    ) throws -> StepReport {
        let here = state.standpoint
        let there = try here.accepting(sample, on: problem)
        let reduced = box.reduced(there.gradient, at: there.parameters.values)
        guard there.isFinite else {
            let norm = box.reduced(here.gradient, at: here.parameters.values).norm
            return StepReport(
                loss: here.loss, gradientNorm: norm, verdict: .brokeDown(.nonFinite(at: there.parameters.values, on: problem)))
        }
        let (s, y) = (there.parameters.values - here.parameters.values, there.gradient - here.gradient)
        let isForgotten = memory.pairs.count < state.memory.pairs.count
        state.memory = memory
        if hasCurvature(s, y, tolerance: curvatureTolerance) {
            state.memory.append(SecantPair(step: s, change: y), keeping: self.memory)
        }
        state.standpoint = there
        return StepReport(
            loss: there.loss, gradientNorm: reduced.norm, stepLength: sample.stepLength,
            details: [
                .init("trials", Double(trials)), .init("pairs", Double(state.memory.pairs.count)),
                .init("activeBounds", Double(box.active(at: there.parameters.values))),
            ], recoveries: isForgotten ? ["no step by what was learnt: the pairs were forgotten"] : [])
    }

    /// The ray within the box: what rounding carries out of it is brought back.
    private func ray(from here: Standpoint, along p: Vector, within box: Box, on problem: any DifferentiableProblem) -> Ray<Trial> {
        let θ = here.parameters.values
        return Ray(value: here.loss.total, slope: here.gradient.dot(p)) { α, _ in
            let candidate = box.projected(θ.adding(p, scaledBy: α))
            let value = try problem.lossAndGradient(at: candidate)
            return RaySample(
                stepLength: α, value: value.loss.total, slope: value.gradient.isFinite ? value.gradient.dot(p) : .nan,
                point: Trial(parameters: candidate, loss: value.loss, gradient: value.gradient))
        }
    }

    public func adapt(_ state: inout LBFGSBState, to problem: any DifferentiableProblem) throws {
        state = try start(on: problem, from: state.parameters)
    }

    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        bytes(ofNumbers: (2 * Double(memory) + 12) * Double(parameters))
    }

    /// A full memory's products with W and the inner products of a new pair.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        StepCost([.init(.gradient, 1)], flops: 20 * Double(memory) * Double(parameters))
    }
}

/// Where L-BFGS-B stands and the pairs it remembers.
public struct LBFGSBState: OptimizerState, Equatable {
    public var standpoint: Standpoint
    package internal(set) var memory = CompactRepresentation()

    public var parameters: Parameters { standpoint.parameters }
    /// The pairs, the oldest first.
    public var pairs: [SecantPair] { memory.pairs }

    public init(standpoint: Standpoint) { self.standpoint = standpoint }

    public func encode(into archive: inout Archive) {
        archive.set("standpoint", standpoint)
        archive.set(pairs: pairs)
    }

    public init(from archive: Archive) throws {
        standpoint = try archive.value("standpoint")
        memory = CompactRepresentation(try archive.pairs(of: standpoint.parameters.count))
    }
}

/// The model's minimisation in the box, as seen from one standpoint.
private struct Subproblem {
    let box: Box
    let here: Standpoint
    let reducedNorm: Double
    let memory: CompactRepresentation

    private var θ: Vector { here.parameters.values }
    private var g: Vector { here.gradient }

    /// x̄ − θ, x̄ the minimiser that was found. All that follows are displacements from θ: near a minimiser they are below its last bits.
    func direction() -> Vector {
        let σ = memory.scale ?? 1 / Descent.firstStep(loss: here.loss.total, gradientNorm: reducedNorm)
        let M = memory.pairs.isEmpty ? Matrix.zeros(0, 0) : memory.middle(σ)
        // Pairs whose M⁻¹ is singular say nothing that could be relied on: their scale is what is left of them.
        let memory = M == nil ? CompactRepresentation() : self.memory
        let cauchy = cauchyPoint(σ, M ?? .zeros(0, 0), memory)
        guard !memory.pairs.isEmpty, let M else { return cauchy.step }
        return subspaceMinimiser(cauchy, σ, M, memory) ?? cauchy.step
    }

    /// The generalised Cauchy point, c = Wᵀ(x − θ) there and the parameters that stand at no bound (algorithm CP).
    private func cauchyPoint(_ σ: Double, _ M: Matrix, _ memory: CompactRepresentation) -> (step: Vector, c: Vector, free: [Int]) {
        let n = g.count
        var (d, x) = (Vector.zeros(n), Vector.zeros(n))
        var breakpoints: [(t: Double, i: Int)] = []
        var isFree = [Bool](repeating: true, count: n)
        for i in 0..<n {
            isFree[i] = box.lower[i] < box.upper[i]
            guard g[i] != 0 else { continue }
            let t = g[i] < 0 ? (θ[i] - box.upper[i]) / g[i] : (θ[i] - box.lower[i]) / g[i]
            guard t > 0 else {
                isFree[i] = false
                continue
            }
            d[i] = -g[i]
            if t.isFinite { breakpoints.append((t, i)) }
        }
        breakpoints.sort { $0.t != $1.t ? $0.t < $1.t : $0.i < $1.i }
        var p = memory.transposedProduct(d, scale: σ)
        var c = Vector.zeros(p.count)
        var slope = -d.dot(d)
        let wholeCurvature = -σ * slope
        var curvature = wholeCurvature - (p.isEmpty ? 0 : p.dot(M.times(p)))
        func step() -> Double { -slope / Swift.max(curvature, Double.ulpOfOne * wholeCurvature) }
        var (passed, best) = (0.0, step())
        for (t, b) in breakpoints {
            let Δ = t - passed
            if best < Δ { break }
            x[b] = d[b] > 0 ? box.upper[b] - θ[b] : box.lower[b] - θ[b]
            isFree[b] = false
            let gb = g[b]
            c.add(p, scaledBy: Δ)
            slope += Δ * curvature + gb * gb + σ * gb * x[b]
            curvature -= σ * gb * gb
            if !p.isEmpty {
                let w = memory.row(b, scale: σ)
                let Mw = M.times(w)
                slope -= gb * Mw.dot(c)
                curvature -= 2 * gb * Mw.dot(p) + gb * gb * Mw.dot(w)
                p.add(w, scaledBy: gb)
            }
            (d[b], passed) = (0, t)
            best = slope < 0 ? step() : 0
        }
        best = Swift.max(0, best)
        let t = passed + best
        for i in 0..<n where d[i] != 0 { x[i] = t * d[i] }
        c.add(p, scaledBy: best)
        return (box.cut(x, from: θ), c, (0..<n).filter { isFree[$0] })
    }

    /// The model's minimiser over the parameters that are free at the Cauchy point, in the box (the direct primal method), or nil where
    /// none is free or the reduced matrix is singular.
    private func subspaceMinimiser(
        _ cauchy: (step: Vector, c: Vector, free: [Int]), _ σ: Double, _ M: Matrix, _ memory: CompactRepresentation
    ) -> Vector? {
        let (x, free) = (cauchy.step, cauchy.free)
        guard !free.isEmpty else { return nil }
        // All free: the minimiser is −Hg away, which the two-loop recursion gives with less rounding.
        if free.count == x.count { return box.cut(memory.pairs.direction(for: g, initialScale: 1 / σ), from: θ) }
        // The model's gradient at the Cauchy point, of the free parameters.
        let bend = memory.product(M.times(cauchy.c), scale: σ, count: x.count)
        var r = Vector.zeros(x.count)
        for i in free { r[i] = g[i] + σ * x[i] - bend[i] }
        let m = 2 * memory.pairs.count
        // N = I − M·(WᵀZZᵀW)/σ over the free rows of W.
        let W = Matrix(rows: free.count, columns: m, elements: columns(memory, σ).flatMap { column in free.map { column[$0] } })
        var N = Matrix.product(M, W.gram)
        for j in 0..<m { for i in 0..<m { N[i, j] = (i == j ? 1 : 0) - N[i, j] / σ } }
        let v = M.times(memory.transposedProduct(r, scale: σ))
        guard case .success(let qr) = QR.factorize(N), case .success(let u) = qr.solveLeastSquares(v), u.isFinite else { return nil }
        let spread = memory.product(u, scale: σ, count: x.count)
        var d = Vector.zeros(x.count)
        for i in free { d[i] = -r[i] / σ - spread[i] / (σ * σ) }
        let whole = box.cut(x + d, from: θ)
        if whole.dot(g) < 0 { return whole }
        return box.cut(x.adding(d, scaledBy: Swift.min(1, box.longestStep(from: θ + x, along: d))), from: θ)
    }

    private func columns(_ memory: CompactRepresentation, _ σ: Double) -> [[Double]] {
        memory.pairs.map(\.change.elements) + memory.pairs.map { (σ * $0.step).elements }
    }
}
