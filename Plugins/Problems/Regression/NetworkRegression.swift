import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore

/// A network of one variable fitted to samples of a sum of sines.
///
///     L(θ) = ½ (1/n) Σᵢ (u_θ(xᵢ) − yᵢ)²,   yᵢ = f(xᵢ) + σεᵢ,   f(x) = Σₖ aₖ sin 2πκₖx on [0, 1]
///
/// With several frequencies and no noise the samples say everything and it is the training that fails: gradient descent learns low
/// frequencies long before high ones (Rahaman et al., ICML 2019, arXiv:1806.08734), and L falls to rounding only by methods that see the
/// curvature. With noise the least L is no answer: at f itself it is ½σ² in the mean (``noiseLoss``), a fit far below follows the noise, and
/// the held-out loss (``monitorLoss(at:)``) and the error against f (``referenceError(at:)``, 1 001 points) say where to stop.
///
/// A batch averages over its own samples. The last layer enters linearly. Cost: a pass of one channel, the value, at each sample.
public struct NetworkRegression: Sendable {
    public let name: String
    public let target: SumOfSines
    public let model: any NetworkModel
    public private(set) var samples: NoisySamples
    /// Samples that training does not see, where some were set aside.
    public let heldOut: NoisySamples?
    public let identity: Setting
    private var program: Program
    private let monitor: Program?
    private let residual: CompiledResidual
    private let value: CompiledResidual

    /// `identity` says everything that decides the problem besides the seed; it becomes part of a run's identity. Throws a
    /// ``RegressionError`` where there are no samples or one is not finite, a `ModelError` where the network is of more than one variable.
    public init(
        name: String, target: SumOfSines, model: any NetworkModel, samples: NoisySamples, heldOut: NoisySamples? = nil,
        identity: Setting
    ) throws {
        guard model.inputCount == 1, model.outputCount == 1 else {
            throw ModelError("the network maps \(model.inputCount) inputs to \(model.outputCount) outputs; \(name) needs one of each")
        }
        for data in [samples, heldOut].compactMap({ $0 }) {
            guard data.count > 0 else { throw RegressionError(problem: name, reason: "there are no samples") }
            if let i = data.points.indices.first(where: { !data.points[$0].isFinite || !data.values[$0].isFinite }) {
                throw RegressionError(
                    problem: name, reason: "sample \(i), (\(data.points[i]), \(data.values[i])), is not finite; remove it")
            }
        }
        (self.name, self.target, self.model, self.samples, self.heldOut) = (name, target, model, samples, heldOut)
        self.identity = identity
        residual = try Trace.run(axes: Axes(["x"]), fields: 1, data: ["target"]) { u, p in [Residual("fit", u[0] - p.data("target"))] }
            .compiled
        program = Self.program(residual, model, samples, model.precision)
        monitor = heldOut.map { [residual] in Self.program(residual, model, $0, .double) }
        value = try Trace.run(axes: Axes(["x"]), fields: 1) { u, _ in [Residual("u", u[0])] }.compiled
    }

    private static func program(
        _ residual: CompiledResidual, _ model: any NetworkModel, _ data: NoisySamples, _ precision: JetPrecision
    ) -> Program {
        let term = ProgramTerm(
            name: "fit", function: residual, points: [data.points], data: [data.values], scale: (1 / Double(data.count)).squareRoot())
        return Program(network: model.network, terms: [term], options: ProgramOptions(precision: precision))
    }

    /// The loss of f itself on the samples: ½σ² in the mean, 0 without noise.
    public var noiseLoss: Double {
        zip(samples.points, samples.values).reduce(0) { $0 + 0.5 * ($1.1 - target($1.0)) * ($1.1 - target($1.0)) } / Double(samples.count)
    }

    /// u_θ at some points.
    public func fit(at x: [Double], parameters θ: Vector) -> [Double] { program.values(of: value, at: [x], parameters: θ)[0] }
}

/// Samples do not fit what they are to be used for.
public struct RegressionError: Error, CustomStringConvertible, Equatable {
    public var problem: String
    public var reason: String
    public var description: String { "\(problem): \(reason)" }
}

// MARK: Capabilities

extension NetworkRegression: ResidualCurvatureProblem {
    public var layout: ParameterLayout { model.layout }
    public var terms: [String] { ["fit"] }
    public var residualCount: Int { samples.count }

    public func initialParameters(from random: inout RandomStream) -> Parameters { model.initialParameters(from: &random) }

    public func loss(at θ: Vector) -> LossValue { LossValue(program.loss(at: θ)) }

    public func lossAndGradient(at θ: Vector) -> Evaluation {
        let value = program.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(value.loss), gradient: value.gradient)
    }

    public func residual(at θ: Vector) -> Vector { program.residuals(at: θ) }

    public func linearization(at θ: Vector) -> any Linearization {
        FitLinearization(residual: program.residuals(at: θ), base: program.jacobian(at: θ))
    }

    public func hessian(at θ: Vector) -> any HessianOperator { FitHessian(base: program.hessian(at: θ)) }

    public func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) -> any HessianOperator {
        FitHessian(base: program.curvature(at: θ, slopes: w, bends: h))
    }

    public func locateFault(at θ: Vector) -> Fault? {
        program.locateNonFinite(θ).map { Fault(term: "fit", sample: "sample \($0.point), x = \($0.coordinates[0])") }
    }
}

private struct FitLinearization: Linearization {
    let residual: Vector
    let base: ProgramJacobian

    var residualCount: Int { base.rows }
    var parameterCount: Int { base.columns }
    func product(_ v: Vector) -> Vector { base.times(v) }
    func transposedProduct(_ w: Vector) -> Vector { base.transposedTimes(w) }
    func jacobian(rows: Range<Int>) -> Matrix { base.jacobian(rows: rows) }
}

private struct FitHessian: HessianOperator {
    let base: ProgramHessian

    var parameterCount: Int { base.program.parameterCount }
    func product(_ v: Vector) -> Vector { base.times(v) }
}

extension NetworkRegression: LayeredCurvatureProblem {
    /// One product a layer; that of the last is exact, for its residuals see the inputs alone.
    public func layerCurvatures(at θ: Vector) -> [LayerCurvature] { program.jacobian(at: θ).layerCurvatures() }
}

extension NetworkRegression: PartiallyLinearProblem {
    /// The network's last layer.
    public var linearParameters: [Int] { model.linearBlocks.compactMap { layout[$0]?.range }.flatMap { $0 } }
}

extension NetworkRegression: SampledProblem {
    public var sampleSets: [SampleSet] { [SampleSet(name: "samples", count: samples.count)] }

    public func restricted(to batch: Batch) throws -> NetworkRegression {
        guard batch.indices.count == 1, let indices = batch.indices.first, !indices.isEmpty else {
            throw RegressionError(problem: name, reason: "a batch needs one list of at least one sample, for the set “samples”")
        }
        if let wrong = indices.first(where: { !samples.points.indices.contains($0) }) {
            throw RegressionError(problem: name, reason: "a batch asks for sample \(wrong) of \(samples.count)")
        }
        var view = self
        view.samples = samples.taking(indices)
        view.program = Self.program(residual, model, view.samples, model.precision)
        return view
    }
}

extension NetworkRegression: FactoredGradientProblem {
    /// The inputs and cotangents of the layers; of layers that are no affine maps, or have no more parameters than that, the gradient's entries.
    public var factorCount: Int { SampleFactors(program).count }

    public func lossAndFactors(at θ: Vector) -> FactoredEvaluation {
        let value = SampleFactors(program).lossAndFactors(at: θ)
        return FactoredEvaluation(loss: LossValue(value.loss), factors: value.factors, remainder: .zeros(θ.count))
    }

    public func gradient(ofFactors factors: Matrix) -> Vector { SampleFactors(program).gradient(of: factors) }
}

extension NetworkRegression: MonitoredProblem, FreshlyReferencedProblem {
    /// The loss on the held-out samples, noise and all.
    public func monitorLoss(at θ: Vector) -> Double? { monitor?.loss(at: θ) }

    /// ‖u_θ − f‖₂ / ‖f‖₂ on 1 001 points, both ends included.
    public func referenceError(at θ: Vector) -> Double? { errors(at: θ, on: Self.gridCount).relativeL2 }

    public func freshErrors(at θ: Vector, grid: [Int]?) throws -> ReferenceErrors? {
        errors(at: θ, on: try freshGrid(grid, besides: [Self.gridCount])[0])
    }

    private static let gridCount = 1001

    private func errors(at θ: Vector, on count: Int) -> ReferenceErrors {
        let x = (0..<count).map { Double($0) / Double(count - 1) }
        let reference = Vector(x.map { target($0) })
        let difference = Vector(fit(at: x, parameters: θ)) - reference
        return ReferenceErrors(
            relativeL2: difference.norm / reference.norm, maximum: difference.maximumNorm, samples: "\(count) points of x")
    }
}

extension NetworkRegression: PredictingProblem, PicturedProblem {
    public var coordinateNames: [String] { ["x"] }

    public func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) -> Prediction {
        precondition(points.columns == 1, "points of \(points.columns) coordinates")
        return Prediction(
            [.init("u", meaning: "the network's value")],
            values: Matrix(rows: points.rows, columns: 1, elements: fit(at: points.elements, parameters: θ)))
    }

    public func picture(at θ: Vector) -> SolutionPicture? {
        let x = (0...400).map { Double($0) / 400 }
        return SolutionPicture(
            axes: [.init("x", x)], fields: ["u"], values: Matrix(rows: x.count, columns: 1, elements: fit(at: x, parameters: θ)),
            reference: Matrix(rows: x.count, columns: 1, elements: x.map { target($0) }))
    }
}
