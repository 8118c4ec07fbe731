/// A map from jets to jets, perhaps with parameters of its own: a node of a network.
///
/// A block's jets are a column-major matrix with R = C·count rows and a column for every feature. A layer reads the outputs x of the
/// layers before it, writes its output h, and may keep `savedWidth` columns z between the passes. Parameters, directions and
/// gradients are pointers to the layer's own part of θ. Bars are cotangents, dots tangents.
///
/// Every pass is stated here once; all products of a program (gradient, J·v, Jᵀ·w, rows of J, JᵀJ, JJᵀ, H·v) are sequences of them.
protocol JetLayer: Sendable {
    /// The features of h.
    var outputs: Int { get }
    var parameterCount: Int { get }
    /// How many columns the layer keeps from the forward for the other passes.
    var savedWidth: Int { get }
    /// Whether a matrix product is in the layer's forward pass, and between z and h, if there is a z, nothing but σ.
    var isProduct: Bool { get }
    /// The activation inside the layer; nil where it has none.
    var element: ActivationFunction? { get }

    /// What the layer is where it is a dense map, so that its θ̄ is Σ_c x_c g_cᵀ; nil where it is not.
    var denseShape: DenseShape? { get }

    // The passes, in both precisions: one method generic over `JetScalar` serves as both.

    /// h, z from x.
    func forward(_ pass: JetPass<Double>, _ θ: Numbers<Double>, _ m: LayerMemory<Double>)
    func forward(_ pass: JetPass<Float>, _ θ: Numbers<Float>, _ m: LayerMemory<Float>)

    /// θ̄ += …, x̄ ← … from h̄ = `m.g`, which ends as the cotangent that `jacobianRows` reads. No θ̄ where it is nil.
    func reverse(_ pass: JetPass<Double>, _ θ: Numbers<Double>, _ m: LayerMemory<Double>, gradient: MutableDoubles?)
    func reverse(_ pass: JetPass<Float>, _ θ: Numbers<Float>, _ m: LayerMemory<Float>, gradient: MutableDoubles?)

    /// θ̄ tuple by tuple, after `reverse`: entry `parameters.lowerBound` + p of tuple i to out[i + p·leading], for the first `points`
    /// tuples. `parameters` are the layer's own, and a whole number of `parameterStride`s.
    func jacobianRows(
        _ pass: JetPass<Double>, _ θ: Numbers<Double>, _ m: LayerMemory<Double>, points: Int, parameters: Range<Int>, out: MutableDoubles,
        leading: Int)
    func jacobianRows(
        _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ m: LayerMemory<Float>, points: Int, parameters: Range<Int>, out: MutableDoubles,
        leading: Int)
    /// In what portions `jacobianRows` can give the parameters.
    var parameterStride: Int { get }

    /// ḣ, ż from ẋ and the direction v.
    func tangent(_ pass: JetPass<Double>, _ θ: Numbers<Double>, _ v: Numbers<Double>, _ m: LayerMemory<Double>)
    func tangent(_ pass: JetPass<Float>, _ θ: Numbers<Float>, _ v: Numbers<Float>, _ m: LayerMemory<Float>)

    /// The tangent of `reverse`: θ̄'s tangent is added to `product`, x̄ and its tangent are written, from h̄ = `m.g` and its tangent.
    func tangentReverse(
        _ pass: JetPass<Double>, _ θ: Numbers<Double>, _ v: Numbers<Double>, _ m: LayerMemory<Double>, product: MutableDoubles)
    func tangentReverse(
        _ pass: JetPass<Float>, _ θ: Numbers<Float>, _ v: Numbers<Float>, _ m: LayerMemory<Float>, product: MutableDoubles)
}

extension JetLayer {
    var element: ActivationFunction? { nil }
    var denseShape: DenseShape? { nil }
    var isProduct: Bool { false }
}

/// The shape of a dense map: W ∈ ℝⁱⁿˣᵒᵘᵗ first in θ, and then, if there are, b ∈ ℝᵒᵘᵗ.
struct DenseShape: Sendable {
    var inputs: Int
    var outputs: Int
    var hasBias: Bool
}

/// A layer without parameters.
protocol ParameterFreeLayer: JetLayer {}

extension ParameterFreeLayer {
    var parameterCount: Int { 0 }
    var parameterStride: Int { 1 }
    func jacobianRows<S: JetScalar>(
        _ pass: JetPass<S>, _ θ: Numbers<S>, _ m: LayerMemory<S>, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int
    ) {}
}

/// A layer's matrices in the workspace of a thread.
struct LayerMemory<S: JetScalar> {
    let base: MutableNumbers<S>
    /// From where the slots `kept` count: `base`, unless an operator keeps its forward pass.
    let store: MutableNumbers<S>
    let kept: Range<Int>
    let slots: LayerSlots

    /// A matrix of the forward pass.
    private func forward(_ slot: Int) -> MutableNumbers<S> { (kept.contains(slot) ? store : base) + slot }

    func x(_ input: Int = 0) -> Numbers<S> { Numbers(forward(slots.x[input])) }
    func xdot(_ input: Int = 0) -> Numbers<S> { Numbers(base + slots.xdot[input]) }
    var z: MutableNumbers<S> { forward(slots.z) }
    var h: MutableNumbers<S> { forward(slots.h) }
    var zdot: MutableNumbers<S> { base + slots.zdot }
    var hdot: MutableNumbers<S> { base + slots.hdot }
    var g: MutableNumbers<S> { base + slots.g }
    var gdot: MutableNumbers<S> { base + slots.gdot }

    /// Where the cotangent of an input goes, and its tangent.
    func xbar(_ input: Int = 0) -> (value: MutableNumbers<S>, tangent: MutableNumbers<S>, accumulates: Bool)? {
        slots.xbar[input].map { (base + $0.value, base + $0.tangent, $0.accumulates) }
    }
}
