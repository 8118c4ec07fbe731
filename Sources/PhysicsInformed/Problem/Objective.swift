import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore

/// The terms of a loss as a program of the derivative engine.
struct Objective: Sendable {
    private let program: Program
    private let kernelForm: GramForm

    /// In the model's precision, unless another is wanted. Throws where a residual takes a derivative of an order that the engine does
    /// not reach.
    init(
        _ model: any NetworkModel, _ terms: [LossTerm], kernelForm: GramForm = .automatic, precision: JetPrecision? = nil
    ) throws {
        self.kernelForm = kernelForm
        let highest = Activation.highestDerivative - 2
        program = Program(
            network: model.network,
            terms: try terms.map { term in
                if let channel = term.function.channels.first(where: { $0.order > highest }) {
                    throw PhysicsError(
                        "term “\(term.name)” takes a derivative of order \(channel.order); the engine reaches order \(highest)")
                }
                return try term.programTerm()
            }, options: ProgramOptions(precision: precision ?? model.precision))
    }

    /// One residual function at some points, with nothing weighted, in double precision: for predictions and for looking at residuals.
    init(_ model: any NetworkModel, unweighted term: LossTerm) throws {
        var term = try term.weighted(by: nil)
        term.weight = Double(term.points.rows)
        try self.init(model, [term], precision: .double)
    }

    /// For each term, the channels of its jets.
    var channelCounts: [Int] { program.channelCounts }

    var residualCount: Int { program.residualCount }
    /// Of each term.
    var residualCounts: [Int] { program.terms.map(\.residualCount) }

    func loss(at θ: Vector) -> LossValue {
        let terms = program.losses(at: θ)
        return LossValue(total: terms.reduce(0, +), terms: terms)
    }

    func lossAndGradient(at θ: Vector) -> Evaluation {
        let value = program.lossAndGradient(at: θ)
        return Evaluation(loss: LossValue(total: value.loss, terms: value.terms), gradient: value.gradient)
    }

    func residual(at θ: Vector) -> Vector { program.residuals(at: θ) }

    func linearization(at θ: Vector) -> any Linearization {
        ObjectiveLinearization(residual: program.residuals(at: θ), operator: program.jacobian(at: θ), kernelForm: kernelForm)
    }

    /// The factors of every affine layer, term by term.
    func layerCurvatures(at θ: Vector) -> [LayerCurvature] { program.jacobian(at: θ).layerCurvatures() }

    /// What the engine's cost model chooses, or the setting says.
    func plan(of square: JacobianSquare) -> SquarePlan {
        let jacobian = program.jacobian(at: .zeros(program.parameterCount))
        guard square == .kernel else {
            return SquarePlan(.gramian, form: "from rows of J", flops: jacobian.normalMatrixCost, bytes: jacobian.normalMatrixBytes)
        }
        let structured = jacobian.structuredLayers(kernelForm).count
        let form =
            structured == 0
            ? "from columns of J"
            : "from inputs and cotangents of \(structured) layer\(structured == 1 ? "" : "s") and columns of J for the rest"
        return SquarePlan(
            .kernel, form: form, flops: jacobian.outerMatrixCost(form: kernelForm), bytes: jacobian.outerMatrixBytes(form: kernelForm))
    }

    /// The forward pass that the engine's operators keep.
    var operatorMemory: Int { program.keptForwardMemory }

    func hessian(at θ: Vector) -> any OptimizationCore.HessianOperator { ObjectiveHessian(operator: program.hessian(at: θ)) }

    func curvature(at θ: Vector, slopes w: Vector, bends h: Vector) -> any OptimizationCore.HessianOperator {
        ObjectiveHessian(operator: program.curvature(at: θ, slopes: w, bends: h))
    }

    /// The residuals of the only term: a row for each point, a column for each residual.
    func pointwise(at θ: Vector) -> Matrix {
        let count = program.terms[0].pointCount
        return Matrix(rows: count, columns: program.residualCount / count, elements: program.residuals(at: θ).elements)
    }

    /// The first term and point with a residual, or a partial of one, that is not finite.
    func firstFault(at θ: Vector) -> (term: Int, point: Int)? { program.locateNonFinite(θ).map { ($0.term, $0.point) } }
}

/// J of a program at θ, with the residual there.
private struct ObjectiveLinearization: Linearization {
    let residual: Vector
    let `operator`: ProgramJacobian
    let kernelForm: GramForm

    var residualCount: Int { `operator`.rows }
    var parameterCount: Int { `operator`.columns }
    func product(_ v: Vector) -> Vector { `operator`.times(v) }
    func transposedProduct(_ w: Vector) -> Vector { `operator`.transposedTimes(w) }
    func jacobian(rows: Range<Int>) -> Matrix { `operator`.jacobian(rows: rows) }
    func gramian() -> Matrix { `operator`.normalMatrix() }
    func kernel() -> Matrix { `operator`.outerMatrix(form: kernelForm) }
}

private struct ObjectiveHessian: HessianOperator {
    let `operator`: ProgramHessian

    var parameterCount: Int { `operator`.program.parameterCount }
    func product(_ v: Vector) -> Vector { `operator`.times(v) }
}
