import LinearAlgebra
import OptimizationCore

/// What Gauss–Newton's matrix leaves out of the Hessian of a sum of squares, learnt from steps: ∇²L = JᵀJ + Σrᵢ∇²rᵢ ≈ JᵀJ + S.
///
/// With s = θ⁺ − θ, y = ∇L(θ⁺) − ∇L(θ) and y# = (J⁺ − J)ᵀr⁺, which is Σrᵢ∇²rᵢ·s to first order,
///
///     S⁺ = τS + ((y# − τSs)yᵀ + y(y# − τSs)ᵀ)/yᵀs − (sᵀ(y# − τSs))·yyᵀ/(yᵀs)²,   τ = min(1, |sᵀy#|/|sᵀSs|)
///
/// so that S⁺s = y#. The sizing τ lets S shrink with the residuals, faster than any update could: where they vanish the model becomes
/// Gauss–Newton's. S begins at zero and is left as it is by a pair without curvature, yᵀs ≤ 1e-12·‖y‖‖s‖.
///
/// Which of the two models, with S or without, is to be followed is asked after every step that was taken, by how well each had foretold the
/// loss there: the other is taken where the present one's error is more than 1.5 times as large.
/// Cost of a pair: 5P² flops and a pass over P²/2 doubles.
/// Variant: of NL2SOL, whose two models differ in S alone too; it asks within a step as well, and sizes by the same τ.
/// Source: Dennis, Gay & Welsch, *An adaptive nonlinear least-squares algorithm*, ACM TOMS 7:348–368 (1981), doi:10.1145/355958.355965.
public struct StructuredSecant: Checkpointable, Equatable {
    /// S ∈ ℝᴾˣᴾ, symmetric.
    public private(set) var matrix: SymmetricMatrix
    /// Whether the next step follows the model with S.
    public private(set) var isFollowed = false

    /// S = 0.
    public init(order: Int) { matrix = .identity(order, scaledBy: 0) }

    /// Takes in a step's s, y and y#.
    public mutating func learn(step s: Vector, change y: Vector, curvatureChange yHash: Vector) {
        guard hasCurvature(s, y, tolerance: 1e-12), yHash.isFinite else { return }
        let image = matrix.times(s)
        let (wanted, present, product) = (abs(s.dot(yHash)), abs(s.dot(image)), y.dot(s))
        let τ = present > wanted ? wanted / present : 1
        let rest = yHash.adding(image, scaledBy: -τ)
        let ratio = s.dot(rest) / product
        guard (1 / product).isFinite, ratio.isFinite, (ratio / product).isFinite else { return }
        matrix.update(scaling: τ, y, rest, ss: -ratio / product, sq: 1 / product, qq: 0)
    }

    /// Judges the models by the decreases that they promised of a step and the one that came.
    public mutating func judge(decrease: Double, promisedWith: Double, promisedWithout: Double) {
        let (with, without) = (abs(decrease - promisedWith), abs(decrease - promisedWithout))
        isFollowed = isFollowed ? !(1.5 * without < with) : 1.5 * with < without
    }

    /// Goes back to the model without S.
    public mutating func distrust() { isFollowed = false }

    public func encode(into archive: inout Archive) {
        archive.set("order", matrix.order)
        archive.set("matrix", matrix.packed)
        archive.set("isFollowed", isFollowed)
    }

    public init(from archive: Archive) throws {
        let order = try archive.count("order")
        guard let stored = SymmetricMatrix(order: order, packed: try archive.doubles("matrix")) else {
            throw ArchiveError(entry: "matrix", reason: "is not the packed triangle of a matrix of order \(order)")
        }
        (matrix, isFollowed) = (stored, try archive.bool("isFollowed"))
    }
}
