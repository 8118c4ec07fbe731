import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore

/// A PDE, a network and points, made an optimization problem: the loss of a physics-informed network and all its derivatives.
///
///     L(θ) = ½ Σ_terms (weight / points) Σ_points r(u_θ; x)²
///
/// The terms are the equation in the interior and the conditions where they hold, in that order; their residuals are stacked in the
/// same order. Points, weights and version change by revisions (``PointRevision``, ``WeightRevision``, ``PointWeightRevision``) only,
/// which make a new value. The monitor loss has the terms' weights of the set-up and no point weights.
public struct PhysicsInformedProblem: Sendable {
    public let pde: any PDEProblem
    public let model: any NetworkModel
    public let identity: Setting
    public private(set) var version: Int
    private(set) var lossTerms: [LossTerm]
    private var objective: Objective
    /// How JJᵀ is formed.
    public let kernelForm: GramForm
    /// The same terms on points that training never sees.
    private let monitor: Objective?
    let monitorTerms: [LossTerm]
    private let errorMeasure: ReferenceError?

    /// Draws the points of `plan` from streams of `seed` and traces the residuals.
    ///
    /// `identity` says everything that decides the problem besides the seed; it becomes part of a run's identity. `kernelForm` overrides the
    /// engine's choice between the forms of JJᵀ. Throws a
    /// ``PhysicsError``, a `TraceError` or a ``SamplingError`` where equation, conditions, plan or model do not fit together.
    public init(
        _ pde: any PDEProblem, model: any NetworkModel, points plan: PointPlan, seed: UInt64, identity: Setting,
        kernelForm: GramForm = .automatic
    ) throws {
        let domain = pde.domain
        try domain.validate()
        guard model.inputCount == domain.dimension else {
            throw PhysicsError("the network has \(model.inputCount) inputs, but a point of \(pde.name) has \(domain.dimension) coordinates")
        }
        guard model.outputCount == pde.outputCount else {
            throw PhysicsError("the network has \(model.outputCount) outputs, but \(pde.name) needs \(pde.outputCount)")
        }
        if let bad = pde.unknowns.first(where: { !$0.initial.isFinite || $0.name.isEmpty }) {
            throw PhysicsError(
                "the unknown coefficient “\(bad.name)” of \(pde.name) starts at \(bad.initial): it needs a name and a finite start")
        }
        let model: any NetworkModel = pde.unknowns.isEmpty ? model : ModelWithUnknowns(base: model, unknowns: pde.unknowns)
        try plan.validate(for: pde.conditions)
        try plan.requireMemory(dimension: domain.dimension)
        (self.pde, self.model, self.identity, self.kernelForm, version) = (pde, model, identity, kernelForm, 0)
        lossTerms = try Self.terms(of: pde, plan: plan, interior: plan.interior, streams: "points", seed: seed)
        objective = try Objective(model, lossTerms, kernelForm: kernelForm)
        if plan.monitor > 0 {
            // A grid would put monitor points of the conditions where the training points are.
            var fresh = plan
            if fresh.sampling == .grid { fresh.sampling = .latinHypercube }
            monitorTerms = try Self.terms(of: pde, plan: fresh, interior: plan.monitor, streams: "monitor", seed: seed)
            monitor = try Objective(model, monitorTerms, precision: .double)
        } else {
            (monitor, monitorTerms) = (nil, [])
        }
        errorMeasure = try pde.reference.map { try ReferenceError($0, of: pde, model: model) }
    }

    private static func terms(
        of pde: any PDEProblem, plan: PointPlan, interior: Int, streams: String, seed: UInt64
    ) throws -> [LossTerm] {
        func stream(_ name: String) -> RandomStream { RandomStream(seed: seed, name: "\(streams)/\(name)") }
        var random = stream("interior")
        let points = try plan.sampling.points(interior, in: pde.domain, random: &random)
        var terms = [try LossTerm.equation(of: pde, at: points, weight: plan.interiorWeight)]
        for condition in pde.conditions {
            guard !terms.contains(where: { $0.name == condition.name }) else {
                throw PhysicsError("two terms of \(pde.name) are named “\(condition.name)”: give one another name with .named(…)")
            }
            let (count, weight) = plan.share(of: condition, among: pde.conditions)
            var random = stream(condition.name)
            let points = try condition.points(count, on: pde.domain, sampling: plan.sampling, random: &random)
            terms.append(try LossTerm.condition(condition, of: pde, at: points, weight: weight))
        }
        return terms
    }

    /// The problem with other terms in place of its own.
    private func with(_ terms: [LossTerm], version: Int) throws -> PhysicsInformedProblem {
        var copy = self
        copy.lossTerms = terms
        copy.version = version
        copy.objective = try Objective(model, terms, kernelForm: kernelForm)
        return copy
    }

    private func position(of term: String) throws -> Int {
        guard let position = lossTerms.firstIndex(where: { $0.name == term }) else {
            let known = nearest(to: term, among: terms).map { "“\($0)”" }.joined(separator: ", ")
            throw PhysicsError("\(name) has no term “\(term)”; it has: \(known)")
        }
        return position
    }

    /// The points of a term, a row each.
    public func points(of term: String) throws -> Matrix { try lossTerms[position(of: term)].points }

    /// For each term, its points and the channels of the jets that its residual needs, the value included.
    public var termSizes: [(name: String, points: Int, channels: Int)] {
        zip(lossTerms, objective.channelCounts).map { ($0.name, $0.points.rows, $1) }
    }

    public func weight(of term: String) throws -> Double { try lossTerms[position(of: term)].weight }

    /// The weights of a term's points; nil where all weigh alike.
    public func pointWeights(of term: String) throws -> PointWeights? { try lossTerms[position(of: term)].pointWeights }

    /// The fields at some points: a row for each point, a column for each field.
    public func fields(at points: Matrix, parameters θ: Vector) throws -> Matrix {
        try Objective(model, unweighted: try LossTerm.prediction(of: pde, at: points)).pointwise(at: θ)
    }

    /// The fields beside the reference on its grid; nil where there is none.
    public func comparison(at θ: Vector) throws -> ReferenceComparison? { errorMeasure?.comparison(at: θ) }
}

// MARK: Capabilities

extension PhysicsInformedProblem: ResidualCurvatureProblem {
    public var name: String { pde.name }
    public var layout: ParameterLayout { model.layout }
    public var terms: [String] { lossTerms.map(\.name) }
    public var residualCount: Int { objective.residualCount }
    public var residualCounts: [Int]? { objective.residualCounts }

    public func initialParameters(from random: inout RandomStream) -> Parameters { model.initialParameters(from: &random) }
    public func loss(at θ: Vector) throws -> LossValue { objective.loss(at: θ) }
    public func lossAndGradient(at θ: Vector) throws -> Evaluation { objective.lossAndGradient(at: θ) }
    public func residual(at θ: Vector) throws -> Vector { objective.residual(at: θ) }
    public func linearization(at θ: Vector) throws -> any Linearization { objective.linearization(at: θ) }
    public func plan(of square: JacobianSquare) -> SquarePlan { objective.plan(of: square) }
    public var operatorMemory: Int { objective.operatorMemory }
    public func hessian(at θ: Vector) throws -> any OptimizationCore.HessianOperator { objective.hessian(at: θ) }
    public func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) throws -> any OptimizationCore.HessianOperator {
        objective.curvature(at: θ, slopes: w, bends: h)
    }

    public func locateFault(at θ: Vector) -> Fault? {
        guard let (term, point) = objective.firstFault(at: θ) else { return nil }
        return Fault(term: lossTerms[term].name, sample: pde.domain.axes.place(lossTerms[term].points.row(point)))
    }
}

extension PhysicsInformedProblem: LayeredCurvatureProblem {
    public func layerCurvatures(at θ: Vector) throws -> [LayerCurvature] { objective.layerCurvatures(at: θ) }
}

extension PhysicsInformedProblem: PartiallyLinearProblem {
    /// The network's last layer, where the equation is linear.
    public var linearParameters: [Int] { pde.isLinear ? model.linearBlocks.compactMap { layout[$0]?.range }.flatMap { $0 } : [] }
}

extension PhysicsInformedProblem: SampledProblem {
    public var sampleSets: [SampleSet] { lossTerms.map { SampleSet(name: $0.name, count: $0.points.rows) } }

    public func restricted(to batch: Batch) throws -> PhysicsInformedProblem {
        guard batch.indices.count == lossTerms.count else {
            throw PhysicsError("a batch of \(batch.indices.count) sample sets for the \(lossTerms.count) terms of \(name)")
        }
        return try with(try zip(lossTerms, batch.indices).map { try $0.restricted(to: $1) }, version: version)
    }
}

extension PhysicsInformedProblem: TermwiseProblem {
    public func restricted(toTerm index: Int) throws -> PhysicsInformedProblem {
        precondition(lossTerms.indices.contains(index), "term \(index) of \(lossTerms.count)")
        return try with([lossTerms[index]], version: version)
    }
}

extension PhysicsInformedProblem: MonitoredProblem, ReferencedProblem {
    public func monitorLoss(at θ: Vector) throws -> Double? { monitor?.loss(at: θ).total }
    public func referenceError(at θ: Vector) throws -> Double? { errorMeasure?.comparison(at: θ).relativeL2 }
}

extension PhysicsInformedProblem: PointWeightedProblem {
    public var domain: Domain { pde.domain }
}

extension PhysicsInformedProblem: ResampledProblem {
    public func candidates(
        _ count: Int, for term: String, sampling: PointSampling, random: inout RandomStream
    ) throws -> Matrix {
        let term = lossTerms[try position(of: term)]
        guard let condition = term.condition else { return try sampling.points(count, in: pde.domain, random: &random) }
        return try condition.points(count, on: pde.domain, sampling: sampling, random: &random)
    }

    public func residualMagnitudes(of term: String, at points: Matrix, parameters θ: Vector) throws -> Vector {
        let values = try Objective(model, unweighted: try lossTerms[position(of: term)].at(points)).pointwise(at: θ)
        return Vector((0..<values.rows).map { i in Vector(values.row(i)).norm })
    }
}

// MARK: Revisions

extension PhysicsInformedProblem: RevisableProblem {
    public func revised(by revision: any Revision) throws -> PhysicsInformedProblem {
        var terms = lossTerms
        switch revision {
        case let revision as PointRevision:
            let position = try position(of: revision.term)
            terms[position] = try terms[position].at(revision.points)
        case let revision as WeightRevision:
            for (term, weight) in revision.weights {
                guard weight >= 0, weight.isFinite else {
                    throw PhysicsError("a weight of \(weight) for term “\(term)”: it must be finite and not negative")
                }
                terms[try position(of: term)].weight = weight
            }
        case let revision as PointWeightRevision:
            let position = try position(of: revision.term)
            terms[position] = try terms[position].weighted(by: revision.weights)
        default:
            throw PhysicsError("“\(revision.summary)” is no revision that \(name) knows: it takes new points and new weights")
        }
        return try with(terms, version: version + 1)
    }

    /// Stores version, weights, point weights, and the points of the terms that were given others; all else follows from the set-up.
    public func encodeRevisions(into archive: inout Archive) {
        archive.set("version", version)
        archive.set("terms", terms)
        archive.set("weights", lossTerms.map(\.weight))
        for (index, term) in lossTerms.enumerated() {
            if term.isResampled { archive.set("points \(index)", term.points) }
            if let weights = term.pointWeights { archive.set("point weights \(index)", weights) }
        }
    }

    public func restoringRevisions(from archive: Archive) throws -> PhysicsInformedProblem {
        let (stored, weights) = (try archive.strings("terms"), try archive.doubles("weights"))
        guard stored == terms, weights.count == terms.count else {
            throw ArchiveError(entry: "terms", reason: "should be \(terms), but is \(stored)")
        }
        var restored = lossTerms
        for index in restored.indices {
            restored[index].weight = weights[index]
            let entry = "points \(index)"
            if archive[entry] != nil { restored[index] = try restored[index].at(try archive.matrix(entry)) }
            let pointWeights = "point weights \(index)"
            if archive[pointWeights] != nil { restored[index] = try restored[index].weighted(by: try archive.value(pointWeights)) }
        }
        return try with(restored, version: try archive.count("version"))
    }
}
