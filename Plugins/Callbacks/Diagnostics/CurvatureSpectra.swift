import LinearAlgebra
import OptimizationCore

/// A matrix whose eigenvalues say how the loss bends.
public enum CurvatureOperator: String, Sendable, Hashable, CaseIterable {
    /// H = ∇²L ∈ ℝᴾˣᴾ.
    case hessian
    /// The Gauss–Newton matrix JᵀJ ∈ ℝᴾˣᴾ.
    case gramian
    /// The neural tangent kernel of the residuals, JJᵀ ∈ ℝᴺˣᴺ.
    case kernel

    /// “H”, “JᵀJ”, “JJᵀ”.
    public var symbol: String {
        switch self {
        case .hessian: "H"
        case .gramian: "JᵀJ"
        case .kernel: "JJᵀ"
        }
    }
}

/// A spectrum at one θ: of which matrix, of the whole loss or one term of it.
public struct MeasuredSpectrum: Sendable, Hashable {
    public var `operator`: CurvatureOperator
    /// Nil for the whole loss.
    public var term: String?
    public var density: SpectralDensity

    public init(_ operator: CurvatureOperator, term: String?, density: SpectralDensity) {
        (self.operator, self.term, self.density) = (`operator`, term, density)
    }

    /// “gramian”, “gramian of initial”.
    public var name: String { term.map { "\(`operator`.rawValue) of \($0)" } ?? `operator`.rawValue }
}

/// Which spectra are measured, and how closely.
///
/// A term's matrices are those of Lₖ alone, at its weight: H and JᵀJ of the whole are their sums, and JJᵀ of a term is a diagonal block.
/// Cost: for each matrix `probes`·`steps` products; over all terms as much again as for the whole.
public struct CurvatureSpectra: Sendable, Hashable {
    /// k.
    public var probes: Int
    /// m, the nodes of a probe.
    public var steps: Int
    public var operators: [CurvatureOperator]
    /// Whether each term of the loss is measured beside the whole.
    public var perTerm: Bool

    public init(probes: Int = 4, steps: Int = 64, operators: [CurvatureOperator] = CurvatureOperator.allCases, perTerm: Bool = true) {
        precondition(probes > 0 && steps > 0, "\(probes) probes of \(steps) steps")
        (self.probes, self.steps, self.operators, self.perTerm) = (probes, steps, operators, perTerm)
    }

    /// Those of the operators that a problem has products for.
    public func operators(offeredBy problem: any Problem) -> [CurvatureOperator] {
        operators.filter { $0 == .hessian ? problem is any TwiceDifferentiableProblem : problem is any LeastSquaresProblem }
    }

    /// The spectra that the problem offers at θ, the whole loss before its terms. Where a matrix is not finite it is left out.
    public func spectra(of problem: any Problem, at θ: Vector, random: inout RandomStream) throws -> [MeasuredSpectrum] {
        var spectra = try whole(of: problem, at: θ, term: nil, random: &random)
        guard perTerm, let termwise = problem as? any TermwiseProblem, termwise.terms.count > 1 else { return spectra }
        for (index, term) in termwise.terms.enumerated() {
            spectra += try whole(of: try termwise.restricted(toTerm: index), at: θ, term: term, random: &random)
        }
        return spectra
    }

    private func whole(of problem: any Problem, at θ: Vector, term: String?, random: inout RandomStream) throws -> [MeasuredSpectrum] {
        let offered = operators(offeredBy: problem)
        let hessian = offered.contains(.hessian) ? try (problem as? any TwiceDifferentiableProblem)?.hessian(at: θ) : nil
        let model = offered == [.hessian] ? nil : try (problem as? any LeastSquaresProblem)?.linearization(at: θ)
        var spectra: [MeasuredSpectrum] = []
        func measure(_ kind: CurvatureOperator, order: Int, _ product: (Vector) -> Vector) {
            guard order > 0 else { return }
            let found = SpectralDensity.estimate(order: order, probes: probes, steps: steps, random: &random, product: product)
            if case .success(let density) = found { spectra.append(MeasuredSpectrum(kind, term: term, density: density)) }
        }
        for kind in offered {
            switch kind {
            case .hessian: if let hessian { measure(kind, order: hessian.parameterCount, hessian.product) }
            case .gramian: if let model { measure(kind, order: model.parameterCount) { model.transposedProduct(model.product($0)) } }
            case .kernel: if let model { measure(kind, order: model.residualCount) { model.product(model.transposedProduct($0)) } }
            }
        }
        return spectra
    }
}

/// The table of a run's spectra.
extension MeasuredSpectrum {
    /// The table's name.
    public static let table = "spectra"

    /// A row for each node of each spectrum.
    public static func rows(of spectra: [MeasuredSpectrum]) -> RecordedRows {
        let nodes = spectra.flatMap { spectrum in spectrum.density.nodes.map { (spectrum, $0) } }
        return RecordedRows(
            table: table,
            columns: [
                .init("operator", .texts(nodes.map { $0.0.operator.rawValue }), meaning: "hessian, gramian (JᵀJ) or kernel (JJᵀ)"),
                .init("term", .texts(nodes.map { $0.0.term ?? "" }), meaning: "the loss term; empty for the whole loss"),
                .init("order", .integers(nodes.map { $0.0.density.order }), meaning: "n, how many eigenvalues the matrix has"),
                .init("eigenvalue", .reals(nodes.map(\.1.eigenvalue)), meaning: "a node of the quadrature of the spectral density"),
                .init("weight", .reals(nodes.map(\.1.weight)), meaning: "the share of the spectrum that it stands for"),
                .init("bound", .reals(nodes.map(\.1.bound)), meaning: "an eigenvalue lies within this distance"),
            ])
    }
}
