import Differentiation

/// A boundary or initial value problem: domain, conditions, equation and, where it is known, the answer.
///
///     struct Burgers: PDEProblem {
///         var domain: Domain { .timeSpace(t: 0...1, x: -1...1) }
///         var conditions: [Condition] { [.initial { x in -sin(.pi * x) }, .dirichlet(at: .x(-1), 0), .dirichlet(at: .x(1), 0)] }
///         func residuals(_ u: Fields, at p: Point) -> [Residual] {
///             let u = u[0]
///             return [Residual("burgers", u.t + u * u.x - 0.01 * u.xx)]
///         }
///     }
public protocol PDEProblem: Sendable {
    /// What the problem is called in reports and run files.
    var name: String { get }
    var domain: Domain { get }
    /// How many fields the solution has.
    var fieldCount: Int { get }
    var conditions: [Condition] { get }
    /// How many outputs of the network the fields are made of.
    var outputCount: Int { get }
    /// The fields made of the network's outputs: the outputs themselves, or, for hard conditions, outputs so transformed that
    /// the conditions hold whatever the network says: u = g + d·N with d = 0 where u = g.
    func fields(of network: Fields, at p: Point) -> [Expression]
    /// Coefficients of the equation that are found together with the solution: what an inverse problem asks for. The residuals read
    /// them as `p.trainable(name)`; in θ they follow the network's parameters, as blocks `coefficients.NAME`.
    var unknowns: [UnknownCoefficient] { get }
    /// Whether all residuals are linear (or affine) in the network's outputs and their derivatives, hard conditions and factors of unknown
    /// coefficients included: then so are they in the network's last layer (`PartiallyLinearProblem`). The problems' conformance suite tries it.
    var isLinear: Bool { get }
    /// What must vanish in the interior.
    func residuals(_ u: Fields, at p: Point) throws -> [Residual]
    /// The solution, if it is known.
    var reference: Reference? { get }
}

extension PDEProblem {
    public var fieldCount: Int { 1 }
    public var outputCount: Int { fieldCount }
    public func fields(of network: Fields, at p: Point) -> [Expression] { (0..<outputCount).map { network[$0] } }
    public var reference: Reference? { nil }
    public var unknowns: [UnknownCoefficient] { [] }
    public var isLinear: Bool { false }
}

/// A coefficient of an equation that is trained, and the value it starts from.
public struct UnknownCoefficient: Sendable, Hashable {
    public var name: String
    public var initial: Double

    public init(_ name: String, initial: Double) { (self.name, self.initial) = (name, initial) }
}

/// The known solution of a PDE and the points at which errors against it are measured.
public struct Reference: Sendable {
    /// The points at which errors are measured.
    public enum Sample: Sendable, Hashable {
        /// A grid of so many points an axis, both ends included.
        case grid([Int])
        /// So many independent uniform points of the domain, the same ones always: for dimensions in which a grid has too many.
        case scattered(Int)
    }

    /// The fields at a point (its coordinates in the order of the axes).
    public var values: @Sendable (_ point: [Double]) -> [Double]
    public var sample: Sample

    /// A solution of one field: in closed form, by quadrature, or interpolated from a computation.
    public static func closedForm(grid: [Int], _ value: @escaping @Sendable (_ point: [Double]) -> Double) -> Reference {
        Reference(grid: grid) { [value($0)] }
    }

    /// A solution of one field, compared at scattered points.
    public static func closedForm(scattered count: Int, _ value: @escaping @Sendable (_ point: [Double]) -> Double) -> Reference {
        Reference(at: .scattered(count)) { [value($0)] }
    }

    public init(grid: [Int], values: @escaping @Sendable (_ point: [Double]) -> [Double]) {
        self.init(at: .grid(grid), values: values)
    }

    public init(at sample: Sample, values: @escaping @Sendable (_ point: [Double]) -> [Double]) {
        (self.values, self.sample) = (values, sample)
    }
}
