import CKernels

typealias Numbers<Scalar> = UnsafePointer<Scalar>
typealias MutableNumbers<Scalar> = UnsafeMutablePointer<Scalar>
typealias Doubles = Numbers<Double>
typealias MutableDoubles = MutableNumbers<Double>

/// The precision in which jets pass through a network.
public enum JetPrecision: String, Sendable, Hashable, CaseIterable {
    case double
    /// Layers and their derivatives in `Float`: half the memory traffic and twice the lanes of a vector. Residuals, losses, sums over blocks
    /// of points, gradients and all products are Double, but no more accurate than the jets they are made of: some 1e-7 of the
    /// largest terms.
    case single

    /// What the points of a block are filled up to a multiple of.
    var padding: Int {
        switch self {
        case .double: Double.padding
        case .single: Float.padding
        }
    }
}

/// The numbers that jets are made of, with the kernels on them. A layer states its passes once, for any; sums over points and what
/// leaves a block are Double.
protocol JetScalar: BinaryFloatingPoint, Sendable {
    /// A block's points are filled up to a multiple of this: the lanes of the longest vector.
    static var padding: Int { get }

    // x ← x + value; Σxᵢ; Σxᵢyᵢ; y ← y + a·x; y ← y + a·x∘w, the last two also onto columns of Double.
    static func addConstant(_ count: Int, _ value: Self, _ x: MutableNumbers<Self>)
    static func sum(_ count: Int, _ x: Numbers<Self>) -> Double
    static func dot(_ count: Int, _ x: Numbers<Self>, _ y: Numbers<Self>) -> Double
    static func axpy(_ count: Int, _ a: Self, _ x: Numbers<Self>, _ y: MutableNumbers<Self>)
    static func addProduct(_ count: Int, _ a: Self, _ x: Numbers<Self>, _ w: Numbers<Self>, _ y: MutableNumbers<Self>)
    static func axpyWide(_ count: Int, _ a: Double, _ x: Numbers<Self>, _ y: MutableDoubles)
    static func addProductWide(_ count: Int, _ a: Double, _ x: Numbers<Self>, _ w: Numbers<Self>, _ y: MutableDoubles)

    // Double columns in this precision and back. The first three hand on what they are given where that is Double already.

    /// x, or the copy made of it.
    static func narrowed(_ x: Doubles, _ count: Int, copy: MutableNumbers<Self>) -> Numbers<Self>
    /// x, or the copy made of it before.
    static func kept(_ x: Doubles, copy: MutableNumbers<Self>) -> Numbers<Self>
    /// Columns of Double that stand for x: itself, or a copy that `widen` and `narrow` keep in step.
    static func shadow(_ x: MutableNumbers<Self>, copy: MutableDoubles) -> MutableDoubles
    /// From x to its shadow, and back; nothing where they are the same.
    static func widen(_ count: Int, _ x: MutableNumbers<Self>, _ shadow: MutableDoubles)
    static func narrow(_ count: Int, _ shadow: MutableDoubles, _ x: MutableNumbers<Self>)
    /// y ← x.
    static func copy(_ count: Int, _ x: Numbers<Self>, to y: MutableDoubles)
    /// Numbers that are not trained, in this precision.
    static func constants(_ constants: Constants) -> Numbers<Self>

    // The products of a dense layer (`BlockProducts`); its rows of J.
    static func forwardProduct(
        rows: Int, inputs: Int, outputs: Int, x: Numbers<Self>, w: Numbers<Self>, into y: MutableNumbers<Self>)
    static func forwardTangent(
        rows: Int, inputs: Int, outputs: Int, x: (Numbers<Self>, Numbers<Self>), w: (Numbers<Self>, Numbers<Self>),
        into y: MutableNumbers<Self>)
    static func backwardProduct(
        rows: Int, inputs: Int, outputs: Int, y: Numbers<Self>, w: Numbers<Self>, accumulating: Bool, into x: MutableNumbers<Self>)
    static func backwardTangent(
        rows: Int, inputs: Int, outputs: Int, y: (Numbers<Self>, Numbers<Self>), w: (Numbers<Self>, Numbers<Self>), accumulating: Bool,
        into x: MutableNumbers<Self>)
    static func weightProduct(rows: Int, inputs: Int, outputs: Int, x: Numbers<Self>, y: Numbers<Self>, into w: MutableDoubles)
    static func jacobianRows(
        _ rows: Int, _ count: Int, _ channels: Int, _ inputs: Int, _ outputs: Int, _ h: Numbers<Self>, _ g: Numbers<Self>,
        _ out: MutableDoubles, _ leading: Int)

    // Jets through an activation, by the kernels for order ≤ 2 and by tables.
    static func activate(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int, _ bias: Numbers<Self>?, _ z: MutableNumbers<Self>,
        _ h: MutableNumbers<Self>)
    static func activateReverse(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int, _ z: Numbers<Self>, _ h: Numbers<Self>,
        _ g: MutableNumbers<Self>)
    static func activateTangent(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int, _ z: Numbers<Self>, _ h: Numbers<Self>,
        _ zdot: Numbers<Self>, _ hdot: MutableNumbers<Self>)
    static func activateTangentReverse(
        _ jet: UnsafePointer<ck_jet>, _ code: Int32, _ count: Int, _ features: Int, _ z: Numbers<Self>, _ h: Numbers<Self>,
        _ zdot: Numbers<Self>, _ g: MutableNumbers<Self>, _ gdot: MutableNumbers<Self>)
    static func derivatives(
        of σ: ActivationFunction, upTo order: Int, count: Int, at x: Numbers<Self>, into derivatives: MutableNumbers<Self>)
    static func polynomial(
        _ count: Int, _ table: [ck_monomial], _ columns: UnsafePointer<Numbers<Self>?>?, _ sigma: Numbers<Self>,
        _ outputs: MutableNumbers<Self>)

    // A layer's passes in this precision.
    static func forward(_ layer: any JetLayer, _ pass: JetPass<Self>, _ θ: Numbers<Self>, _ m: LayerMemory<Self>)
    static func reverse(
        _ layer: any JetLayer, _ pass: JetPass<Self>, _ θ: Numbers<Self>, _ m: LayerMemory<Self>, gradient: MutableDoubles?)
    static func jacobianRows(
        _ layer: any JetLayer, _ pass: JetPass<Self>, _ θ: Numbers<Self>, _ m: LayerMemory<Self>, points: Int, parameters: Range<Int>,
        out: MutableDoubles, leading: Int)
    static func tangent(_ layer: any JetLayer, _ pass: JetPass<Self>, _ θ: Numbers<Self>, _ v: Numbers<Self>, _ m: LayerMemory<Self>)
    static func tangentReverse(
        _ layer: any JetLayer, _ pass: JetPass<Self>, _ θ: Numbers<Self>, _ v: Numbers<Self>, _ m: LayerMemory<Self>,
        product: MutableDoubles)
}

/// Numbers of a layer that are not trained, in both precisions.
struct Constants: Sendable {
    private let doubles: Columns<Double>
    private let floats: Columns<Float>

    init(_ numbers: [Double]) {
        doubles = Columns([numbers], count: numbers.count)
        floats = Columns([numbers.map { Float($0) }], count: numbers.count)
    }

    var asDouble: Numbers<Double> { doubles.column(0) }
    var asFloat: Numbers<Float> { floats.column(0) }
}
