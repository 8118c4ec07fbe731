import Globalization
import LinearAlgebra

/// The global minimiser of gᵀp + ½pᵀBp over ‖p‖ ≤ Δ for B = σI + ΨCΨᵀ, the hard case included, without a matrix of order P.
///
///     Ψ = QR,   RCRᵀ = UΛUᵀ,   V = QU:   B = V(σI + Λ)Vᵀ + σ(I − VVᵀ)
///
/// At most k + 1 coordinates matter: Vᵀp and the part of p along what g has outside of span V, whose eigenvalue is σ > 0. There the equation in
/// one multiplier is solved as for a dense B (``SpectralModel``). 6k²P + 26k³/3 flops once, 4kP a radius; 2kP doubles.
/// Source: Burdakov, Gong, Zikrin & Yuan, Math. Prog. Comp. 9 (2017) 101–134, doi:10.1007/s12532-016-0109-7; Brust, Erway & Marcia,
/// Comput. Optim. Appl. 66 (2017) 245–266, doi:10.1007/s10589-016-9868-3.
public struct LowRankSubproblem: TrustRegionSubproblem {
    private struct Decomposition {
        var model: SpectralModel
        /// V.
        var basis: Matrix
        /// What g has outside of span V.
        var rest: Vector
        /// For each eigenvalue of the model its column of V; nil for the one along `rest`.
        var columns: [Int?]
    }

    private let decomposition: Result<Decomposition, FactorizationFailure>
    public let products: Int

    public init(_ g: Vector, _ B: LowRankMatrix) {
        precondition(B.columns.rows == g.count, "a matrix of order \(B.columns.rows) for a gradient of \(g.count)")
        products = B.columns.columns
        decomposition = LowRankSubproblem.decompose(g, B)
    }

    private static func decompose(_ g: Vector, _ B: LowRankMatrix) -> Result<Decomposition, FactorizationFailure> {
        var (values, basis, rest) = ([Double](), Matrix.zeros(g.count, 0), g)
        var slopes = Vector([])
        if B.columns.columns > 0 {
            let qr: QR
            switch QR.factorize(B.columns) {
            case .failure(let failure): return .failure(failure)
            case .success(let factors): qr = factors
            }
            let R = qr.r
            let inner = Matrix.product(Matrix.product(R, B.middle), R, transposingSecond: true)
            switch SymmetricEigen.factorize(inner) {
            case .failure(let failure): return .failure(failure)
            case .success(let eigen):
                values = eigen.values.map { $0 + B.scale }
                basis = Matrix.product(qr.thinQ, eigen.vectors)
            }
            slopes = basis.transposedTimes(g)
            // Twice, for orthogonality to rounding.
            for _ in 0..<2 { rest.add(basis.times(basis.transposedTimes(rest)), scaledBy: -1) }
        }
        guard values.allSatisfy(\.isFinite), B.scale.isFinite else { return .failure(.nonFinite) }
        var coordinates: [(value: Double, slope: Double, column: Int?)] = values.indices.map { (values[$0], slopes[$0], $0) }
        if basis.columns < g.count {
            let place = coordinates.firstIndex { $0.value > B.scale } ?? coordinates.count
            coordinates.insert((B.scale, rest.norm, nil), at: place)
        }
        let model = SpectralModel(eigenvalues: Vector(coordinates.map(\.value)), slopes: Vector(coordinates.map(\.slope)))
        return .success(Decomposition(model: model, basis: basis, rest: rest, columns: coordinates.map(\.column)))
    }

    public func step(within Δ: Double) -> Result<TrustRegionStep, FactorizationFailure> {
        decomposition.map { found in
            let end = found.model.minimizer(within: Δ)
            var inside = Vector.zeros(found.basis.columns)
            var p = Vector.zeros(found.rest.count)
            for (i, column) in found.columns.enumerated() {
                if let column {
                    inside[column] = end.coefficients[i]
                } else if end.coefficients[i] != 0 {
                    p.add(found.rest, scaledBy: end.coefficients[i] / found.rest.norm)
                }
            }
            if found.basis.columns > 0 { p.add(found.basis.times(inside)) }
            return TrustRegionStep(p: p, decrease: end.decrease, residualNorm: 0, isOnBoundary: end.isOnBoundary)
        }
    }
}
