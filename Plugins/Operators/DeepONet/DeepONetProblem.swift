import LinearAlgebra
import OperatorLearning
import OptimizationCore

/// Fitting a DeepONet to operator data: L(θ) = ½‖r‖² with r_{fq} = (G_θ(a_f)(y_q) − s_f(y_q)) / √(F·Q).
///
/// All functions share the points, so the F·Q predictions are one product of the branch's F × K and the trunk's Q × K features:
/// a gradient costs about 6F·P_b + 6Q·P_t + 6FQK flops, where evaluating every pair by itself would cost 6FQ(P_b + P_t). Work is
/// divided into shards of functions that depend on the sizes alone; results do not depend on the number of threads.
///
/// A batch is a set of functions, each with all its points. The data may be streamed: a pass asks for a block of functions at a
/// time, and only ``linearization(at:)`` loads them all.
public struct DeepONetProblem: Sendable {
    public let name: String
    public let model: DeepONet
    /// The functions trained on.
    public let training: any OperatorDataSource
    /// Functions for the monitor loss, which decides which parameters are the best so far.
    public let validation: OperatorData?
    /// Functions for the error that is reported; they decide nothing.
    public let test: OperatorData?
    let scratch: ScratchPool

    /// Throws where the data do not fit the model, or there are none.
    public init(
        name: String = "deeponet", model: DeepONet, training: any OperatorDataSource, validation: OperatorData? = nil,
        test: OperatorData? = nil
    ) throws {
        for (part, source) in [("training", training as (any OperatorDataSource)?), ("validation", validation), ("test", test)] {
            guard let source else { continue }
            guard source.grid.sensorCount == model.branch.inputs else {
                throw OperatorProblemError(
                    reason: "the \(part) data have \(source.grid.sensorCount) sensors, the branch network reads \(model.branch.inputs)")
            }
            guard source.grid.pointDimension == model.trunk.inputs else {
                throw OperatorProblemError(
                    reason: "the \(part) data have points in \(source.grid.pointDimension) dimensions, the trunk network reads "
                        + "\(model.trunk.inputs)")
            }
            guard source.functionCount > 0 else { throw OperatorProblemError(reason: "the \(part) data hold no functions") }
        }
        self.init(
            name: name, model: model, training: training, validation: validation, test: test, scratch: ScratchPool())
    }

    private init(
        name: String, model: DeepONet, training: any OperatorDataSource, validation: OperatorData?, test: OperatorData?,
        scratch: ScratchPool
    ) {
        (self.name, self.model, self.training, self.validation, self.test) = (name, model, training, validation, test)
        self.scratch = scratch
    }

    var pointCount: Int { training.grid.pointCount }
    /// 1/√(F·Q).
    var weight: Double { 1 / Double(residualCount).squareRoot() }

    func passes(over source: any OperatorDataSource) -> DeepONetPasses {
        DeepONetPasses(model: model, source: source, scratch: scratch)
    }
}

extension DeepONetProblem: Problem {
    public var layout: ParameterLayout { model.layout }

    public var identity: Setting {
        .map([
            .init("name", .scalar(name)), .init("model", model.identity), .init("data", training.provenance),
            .init("functions", .integer(training.functionCount)), .init("sensors", .integer(training.grid.sensorCount)),
            .init("points", .integer(pointCount)), .init("validationFunctions", .integer(validation?.functionCount ?? 0)),
        ])
    }

    public func initialParameters(from random: inout RandomStream) -> Parameters { model.initialParameters(from: &random) }
}

extension DeepONetProblem: DifferentiableProblem {
    public var terms: [String] { ["data"] }

    public func loss(at θ: Vector) throws -> LossValue { LossValue(try passes(over: training).loss(at: θ)) }

    public func lossAndGradient(at θ: Vector) throws -> Evaluation {
        let (loss, gradient) = try passes(over: training).lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(loss), gradient: gradient)
    }

    public func locateFault(at θ: Vector) -> Fault? {
        guard let r = try? residual(at: θ), let index = r.firstIndex(where: { !$0.isFinite }) else { return nil }
        let place = training.grid.describe(point: index % pointCount)
        return Fault(term: "data", sample: "function \(index / pointCount), point \(place)")
    }
}

extension DeepONetProblem: LeastSquaresProblem {
    /// F·Q; residual f·Q + q belongs to function f and point q.
    public var residualCount: Int { training.functionCount * pointCount }

    public func residual(at θ: Vector) throws -> Vector { try passes(over: training).residual(at: θ) }

    /// Loads the data and keeps the features and the layers' values of all functions and points.
    public func linearization(at θ: Vector) throws -> any Linearization {
        try DeepONetLinearization(model: model, data: try training.loaded(), θ: θ, scratch: scratch)
    }
}

extension DeepONetProblem: PartiallyLinearProblem {
    /// The branch's last layer, which is affine, and b₀.
    public var linearParameters: [Int] {
        let last = model.branch.blocks(named: "branch").suffix(2).map(\.0)
        return (last + ["bias"]).compactMap { layout[$0]?.range }.flatMap { $0 }
    }
}

extension DeepONetProblem: SampledProblem {
    public var sampleSets: [SampleSet] { [SampleSet(name: "functions", count: training.functionCount)] }

    public func restricted(to batch: Batch) throws -> DeepONetProblem {
        guard batch.indices.count == 1, let functions = batch.indices.first, !functions.isEmpty,
            functions.allSatisfy({ $0 >= 0 && $0 < training.functionCount })
        else {
            throw OperatorProblemError(
                reason: "a batch must be one list of functions below \(training.functionCount), with at least one of them")
        }
        return DeepONetProblem(
            name: name, model: model, training: try training.functions(at: functions), validation: validation, test: test,
            scratch: scratch)
    }
}

extension DeepONetProblem: MonitoredProblem, ReferencedProblem {
    /// The loss on the validation functions.
    public func monitorLoss(at θ: Vector) throws -> Double? { try validation.map { try passes(over: $0).loss(at: θ) } }

    /// The median over the test functions of the relative L2 error.
    public func referenceError(at θ: Vector) throws -> Double? { try testErrors(at: θ)?.median }

    /// The relative L2 error of every test function.
    public func testErrors(at θ: Vector) throws -> OperatorErrors? { try test.map { try errors(on: $0, at: θ) } }

    /// The relative L2 errors on any data that fit the model.
    public func errors(on data: OperatorData, at θ: Vector) throws -> OperatorErrors {
        OperatorErrors(
            predictions: try passes(over: data).predictions(at: θ), targets: data.outputs, pointCount: data.grid.pointCount)
    }
}

extension DeepONetProblem: FreshlyReferencedProblem {
    /// The median relative error and the greatest absolute error over the test functions, which decide nothing in a run and so are fresh
    /// as they are; there is no grid to choose.
    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? {
        guard let test else { return nil }
        guard grid == nil else {
            throw OperatorProblemError(reason: "\(name) is measured on its \(test.functionCount) test functions; leave the grid out")
        }
        let predictions = try passes(over: test).predictions(at: θ)
        let errors = OperatorErrors(predictions: predictions, targets: test.outputs, pointCount: test.grid.pointCount)
        return ReferenceErrors(
            relativeL2: errors.median, maximum: (Vector(predictions) - Vector(test.outputs)).maximumNorm,
            samples: "\(test.functionCount) test functions at \(test.grid.pointCount) points; the median of relative errors")
    }
}

/// Operator data do not fit the model, or a batch does not fit the data.
public struct OperatorProblemError: Error, CustomStringConvertible, Equatable {
    public var reason: String
    public var description: String { reason }
}
