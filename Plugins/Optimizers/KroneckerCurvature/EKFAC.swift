import Globalization
import LinearAlgebra
import OptimizationCore

/// E-KFAC: the diagonal of JᵀJ in the eigenbasis of a Kronecker product, layer by layer.
///
/// With A = U_AΛ_AU_Aᵀ and B = U_BΛ_BU_Bᵀ the factors of all terms taken together (``KFAC``), and J_n ∈ ℝᵇˣᵃ the derivative of residual n by a
/// layer's parameters:
///
///     s = Σ_n (U_BᵀJ_nU_A)²        Δ = −U_B[(U_BᵀGU_A)/(s + λ)]U_Aᵀ        entrywise; G the gradient of the layer
///
/// Of all matrices that are diagonal in that basis, the one with s is nearest to the block (in the Frobenius norm), so one product of merged
/// terms serves where K-FAC needs a sum of two. The steps along Δ are K-FAC's: a line search with momentum, or `stepLength: automatic`.
///
/// β = `averaging`, λ = `damping`, μ = `momentum`. What happens where no step is found, and what a revision keeps, as in ``KFAC``; s is of the
/// present point and batch. All parameters must be of affine layers.
/// Cost: as ``KFAC`` but 9(a³ + b³) flops for the bases, and all of J, row by row, with 2N·ab(a + b) flops a layer.
/// Variant: scalings of the present batch, not their running mean; the basis from merged terms, which the paper, having one, leaves open.
/// Source: George, Laurent, Bouthillier, Ballas & Vincent, NeurIPS 2018, arXiv:1806.03884.
public struct EKFAC: Optimizer, Configurable {
    /// λ ≥ 0.
    public var damping = 1e-10
    /// β ∈ [0, 1).
    public var averaging = 0.95
    public var factorStart = FactorStart.zero
    /// The steps between two evaluations of the factors.
    public var refresh = 1
    public var stepLength = KroneckerStepLength.search(GridLineSearch())
    /// μ ∈ [0, 1).
    public var momentum = 0.0

    public init() {}

    public init(
        damping: Double = 1e-10, averaging: Double = 0.95, factorStart: FactorStart = .zero, refresh: Int = 1,
        stepLength: KroneckerStepLength = .search(GridLineSearch()), momentum: Double = 0
    ) {
        (self.damping, self.averaging, self.factorStart) = (damping, averaging, factorStart)
        (self.refresh, self.stepLength, self.momentum) = (refresh, stepLength, momentum)
    }

    public static let identifier = "ekfac"
    public static let summary = "The diagonal of JᵀJ in the eigenbasis of Kronecker factors, layer by layer."
    public static var fields: [Field<Self>] {
        [
            .number("damping", \.damping, in: .nonNegative, meaning: "λ, which is added to the diagonal"),
            .number("averaging", \.averaging, in: .fraction, meaning: "β, the part of the factors that is kept"),
            .choice("factorStart", \.factorStart, meaning: "from what the factors' means begin"),
            .integer("refresh", \.refresh, atLeast: 1, meaning: "the steps between two evaluations of the factors"),
            .kroneckerStepLength("stepLength", \.stepLength, meaning: "how far a step goes"),
            .number("momentum", \.momentum, in: .fraction, meaning: "μ, the part of the last direction that is kept"),
        ]
    }

    public func validate() throws { try stepLength.validate(momentum: momentum) }

    public func start(on problem: any LayeredCurvatureProblem, from parameters: Parameters) throws -> KroneckerState {
        _ = try problem.completeCurvatures(at: parameters.values, for: Self.identifier)
        return KroneckerState(standpoint: Standpoint(at: parameters, try problem.lossAndGradient(at: parameters.values)))
    }

    public func step(_ state: inout KroneckerState, on problem: any LayeredCurvatureProblem) throws -> StepReport {
        if let end = state.end(on: problem) { return end }
        let θ = state.parameters.values
        var next = state
        if state.steps % refresh == 0 || state.layers.isEmpty {
            let curvatures = try problem.completeCurvatures(at: θ, for: Self.identifier)
            next.observe(curvatures, keeping: averaging, from: factorStart) { [$0] }
        }
        let pairs = next.layers.map { ($0.offset, next.pairs(of: $0, keeping: averaging, from: factorStart)[0]) }
        let diagonal = EigenbasisDiagonal.of(try problem.linearization(at: θ), in: pairs)
        let step = KroneckerStep(damping: damping, momentum: momentum, stepLength: stepLength)
        return try step.take(&state, next, on: problem) { g, λ in
            diagonal.flatMap { diagonal in
                // Undamped, a direction that no residual feels has none.
                let used = λ > 0 ? λ : Swift.max(.ulpOfOne * diagonal.largest, .leastNormalMagnitude)
                return .success(Preconditioned(vector: diagonal.solve(g, damping: used), damping: used))
            }
        }
    }

    /// Loss and gradient are evaluated anew; factors and memory are kept.
    public func adapt(_ state: inout KroneckerState, to problem: any LayeredCurvatureProblem) throws {
        state.standpoint = Standpoint(at: state.parameters, try problem.lossAndGradient(at: state.parameters.values))
    }

    /// Halves every step from now on.
    public func shortenSteps(_ state: inout KroneckerState) -> Bool {
        state.stepScale *= 0.5
        return true
    }

    /// As for one square layer of all parameters, with some rows of J.
    public func workingMemory(parameters: Int, residuals: Int?) -> Int? {
        guard let residuals else { return nil }
        let rows = Double(EigenbasisDiagonal.rowsAtOnce(parameters: parameters, residuals: residuals))
        return bytes(ofNumbers: (24 + 4 * rows) * Double(parameters) + 4 * Double(residuals))
    }

    /// The factors as a linearisation, and as for one square layer of all parameters; several layers take less.
    public func stepCost(parameters: Int, residuals: Int?) -> StepCost? {
        guard let residuals else { return nil }
        let (p, n) = (Double(parameters), Double(residuals))
        var cost = stepLength.cost(refresh: refresh, flops: (20 + 4 * n) * p * p.squareRoot())
        cost.evaluations.append(.init(.jacobianRow, n))
        return cost
    }
}

/// JᵀJ's diagonal in the eigenbases of Kronecker factors, layer by layer.
package struct EigenbasisDiagonal: Sendable {
    fileprivate struct Layer {
        var offset: Int
        /// U_A and U_B.
        var input: Matrix
        var output: Matrix
        /// s ∈ ℝᵇˣᵃ.
        var scales: Matrix
    }

    private var layers: [Layer]

    /// The greatest of all s.
    package var largest: Double { layers.map { $0.scales.maximumNorm }.max() ?? 0 }

    static func rowsAtOnce(parameters: Int, residuals: Int) -> Int {
        Swift.max(1, Swift.min(residuals, (1 << 20) / Swift.max(1, parameters)))
    }

    package static func of(
        _ model: any Linearization, in pairs: [(offset: Int, pair: KroneckerPair)]
    ) -> Result<EigenbasisDiagonal, FactorizationFailure> {
        var layers: [Layer] = []
        for (offset, pair) in pairs {
            switch SymmetricEigen.factorize(pair.input).flatMap({ a in SymmetricEigen.factorize(pair.output).map { (a.vectors, $0.vectors) }
            })
            {
            case .failure(let failure): return .failure(failure)
            case .success(let (input, output)):
                layers.append(Layer(offset: offset, input: input, output: output, scales: .zeros(output.rows, input.rows)))
            }
        }
        let portion = rowsAtOnce(parameters: model.parameterCount, residuals: model.residualCount)
        for start in stride(from: 0, to: model.residualCount, by: portion) {
            let rows = model.jacobian(rows: start..<Swift.min(start + portion, model.residualCount))
            guard rows.isFinite else { return .failure(.nonFinite) }
            for l in layers.indices { layers[l].add(rows) }
        }
        return .success(EigenbasisDiagonal(layers: layers))
    }

    /// (U diag(s + λ) Uᵀ)⁻¹·g.
    package func solve(_ g: Vector, damping λ: Double) -> Vector {
        var result = g
        for layer in layers {
            let (a, b) = (layer.input.rows, layer.output.rows)
            let x = Matrix(rows: b, columns: a, elements: Array(g.elements[layer.offset..<(layer.offset + a * b)]))
            var y = Matrix.product(.product(layer.output, x, transposingFirst: true), layer.input)
            for i in y.elements.indices { y.elements[i] /= layer.scales.elements[i] + λ }
            let z = Matrix.product(.product(layer.output, y), layer.input, transposingSecond: true)
            for (i, value) in z.elements.enumerated() { result[layer.offset + i] = value }
        }
        return result
    }
}

extension EigenbasisDiagonal.Layer {
    /// Adds what some rows of J have in the basis.
    fileprivate mutating func add(_ rows: Matrix) {
        let (n, a, b) = (rows.rows, input.rows, output.rows)
        // Column i·b + j of J: as a matrix of n·b rows its columns are those of one input.
        let block = Matrix(rows: n * b, columns: a, elements: Array(rows.elements[(offset * n)..<((offset + a * b) * n)]))
        let turned = Matrix.product(block, input)
        for i in 0..<a {
            let slab = Matrix(rows: n, columns: b, elements: Array(turned.elements[(i * n * b)..<((i + 1) * n * b)]))
            let row = Matrix.product(slab, output)
            for j in 0..<b {
                let column = row.column(j)
                scales[j, i] += column.dot(column)
            }
        }
    }
}
