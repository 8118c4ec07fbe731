/// What the rules of a layer see of a block of points: the channels, and where scratch is.
struct JetPass {
    let rule: ActivationRule
    /// The points of the block, padded to a multiple of 8.
    let count: Int
    /// The points' coordinates, a column of `count` each.
    let coordinates: Doubles
    let scratch: MutableDoubles

    var space: JetSpace { rule.space }
    /// The rows R = C·count of the block's matrices: channels one after another, points contiguous in each.
    var rows: Int { space.count * count }
}

/// A map from jets to jets with parameters of its own: what a network is a sequence of.
///
/// A block's jets are a column-major matrix with R = C·count rows and a column for every feature. A layer reads its input x,
/// writes its output h, and may keep `savedWidth` columns z between the passes. Parameters, directions and gradients are
/// pointers to the layer's own part of θ. Bars are cotangents, dots tangents.
protocol JetLayer: Sendable {
    var inputs: Int { get }
    var outputs: Int { get }
    /// Where the layer's parameters begin in θ, and how many they are.
    var parameterOffset: Int { get }
    var parameterCount: Int { get }
    /// How many columns the layer keeps from the forward for the other passes.
    var savedWidth: Int { get }

    /// h, z from x.
    func forward(_ pass: JetPass, _ θ: Doubles, x: Doubles, z: MutableDoubles, h: MutableDoubles)

    /// θ̄ += …, x̄ ← … from h̄ = `g`, which ends as z̄, the cotangent that `jacobianRows` reads. No x̄ where it is nil, no θ̄ likewise.
    func reverse(
        _ pass: JetPass, _ θ: Doubles, x: Doubles, z: Doubles, h: Doubles, g: MutableDoubles, xbar: MutableDoubles?,
        gradient: MutableDoubles?)

    /// θ̄ point by point, after `reverse`: entry `parameters.lowerBound` + p of point i to out[i + p·leading], for the first
    /// `points` points. `parameters` are the layer's own, and a whole number of `parameterStride`s.
    func jacobianRows(_ pass: JetPass, x: Doubles, g: Doubles, points: Int, parameters: Range<Int>, out: MutableDoubles, leading: Int)
    /// In what portions `jacobianRows` can give the parameters.
    var parameterStride: Int { get }

    /// ḣ, ż from ẋ and the direction v.
    func tangent(
        _ pass: JetPass, _ θ: Doubles, _ v: Doubles, x: Doubles, xdot: Doubles, z: Doubles, h: Doubles, zdot: MutableDoubles,
        hdot: MutableDoubles)

    /// The tangent of `reverse`: θ̄'s tangent is added to `product`, x̄ and its tangent are written, from h̄ = `g` and its tangent.
    func tangentReverse(
        _ pass: JetPass, _ θ: Doubles, _ v: Doubles, x: Doubles, xdot: Doubles, z: Doubles, h: Doubles, zdot: Doubles,
        g: MutableDoubles, gdot: MutableDoubles, xbar: MutableDoubles?, xbardot: MutableDoubles?, product: MutableDoubles)
}
