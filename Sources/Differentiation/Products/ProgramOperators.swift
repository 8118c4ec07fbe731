import LinearAlgebra

extension Program {
    /// J = ∂r/∂θ ∈ ℝᴺˣᴾ at θ, or its columns of a block of θ, as an operator; nothing is computed yet. All terms must be sums of squares.
    public func jacobian(at parameters: Vector, block: Range<Int>? = nil) -> ProgramJacobian {
        requireResiduals(for: "the Jacobian")
        check(parameters)
        return ProgramJacobian(program: self, parameters: parameters, block: checked(block), kept: ForwardStore(self))
    }

    /// The Hessian of L at θ, or its square of a block of θ, as an operator; nothing is computed yet.
    public func hessian(at parameters: Vector, block: Range<Int>? = nil) -> ProgramHessian {
        check(parameters)
        return ProgramHessian(program: self, parameters: parameters, block: checked(block), kept: ForwardStore(self))
    }

    /// Jᵀ·diag(h)·J + Σᵢ wᵢ∇²rᵢ at θ as an operator: the Hessian of Σφᵢ(rᵢ) where w = φ′(r) and h = φ″(r). All terms must be sums of squares.
    public func curvature(at parameters: Vector, slopes w: Vector, bends h: Vector) -> ProgramHessian {
        requireResiduals(for: "the curvature of residuals")
        precondition(
            w.count == residualCount && h.count == residualCount, "\(w.count) slopes and \(h.count) bends for \(residualCount) residuals")
        var hessian = hessian(at: parameters)
        hessian.separable = ProgramHessian.Separable(slopes: w, bends: h)
        return hessian
    }

    private func checked(_ block: Range<Int>?) -> Range<Int> {
        let block = block ?? 0..<parameterCount
        precondition(
            block.lowerBound >= 0 && block.upperBound <= parameterCount, "the parameters \(block) of \(parameterCount)")
        return block
    }

    /// Calls `body` with `count` vectors of ℝᴾ that are `v` on `block` and zero beside it.
    func withDirections(_ v: [Double], _ count: Int, on block: Range<Int>, _ body: (Doubles) -> Void) {
        precondition(v.count == count * block.count, "\(v.count) numbers for \(count) directions in \(block.count) parameters")
        guard block.count < parameterCount else {
            v.withUnsafeBufferPointer { if let v = $0.baseAddress { body(v) } }
            return
        }
        var whole = [Double](repeating: 0, count: count * parameterCount)
        for d in 0..<count {
            for (i, p) in block.enumerated() { whole[d * parameterCount + p] = v[d * block.count + i] }
        }
        whole.withUnsafeBufferPointer { if let v = $0.baseAddress { body(v) } }
    }

    /// The entries of `block` of `count` vectors of ℝᴾ that `body` writes.
    func collecting(_ count: Int, on block: Range<Int>, _ body: (UnsafeMutableBufferPointer<Double>) -> Void) -> [Double] {
        let (p, entries) = (parameterCount, count * parameterCount)
        let whole = [Double](unsafeUninitializedCapacity: entries) { buffer, initialized in
            body(UnsafeMutableBufferPointer(rebasing: buffer[..<entries]))
            initialized = entries
        }
        return block.count == p ? whole : (0..<count).flatMap { d in whole[(d * p + block.lowerBound)..<(d * p + block.upperBound)] }
    }
}

/// The Jacobian J = ∂r/∂θ ∈ ℝᴺˣᴾ at a point, without storing it: every product passes over the blocks anew. From the third on products with
/// vectors find the forward pass kept where that is quicker and takes no more than `ProgramOptions.keptForwardBytes`.
///
/// Restricted to a block of θ it is J's columns J_b there, and every product is J_b's: passes with tangents begin, reverse passes end, at the
/// first layer that has parameters in the block.
public struct ProgramJacobian: Sendable {
    public let program: Program
    public let parameters: Vector
    /// The parameters whose columns these are: 0..<P, or a part of it.
    public let block: Range<Int>
    let kept: ForwardStore

    /// N
    public var rows: Int { program.residualCount }
    /// P, or the size of the block.
    public var columns: Int { block.count }
    /// The layers that the block reaches over.
    var layers: Range<Int> { program.layers.layers(of: block) }

    /// J·v: a forward pass with tangents.
    public func times(_ v: Vector) -> Vector { Vector(times(Matrix(rows: v.count, columns: 1, elements: v.elements)).elements) }

    /// Jᵀ·w: a forward and a reverse pass.
    public func transposedTimes(_ w: Vector) -> Vector {
        Vector(transposedTimes(Matrix(rows: w.count, columns: 1, elements: w.elements)).elements)
    }

    /// JᵀJ·v, the Gauss–Newton matrix times v, in one pass: a forward with tangents and a reverse.
    public func normalTimes(_ v: Vector) -> Vector {
        let layers = layers
        let product = program.collecting(1, on: block) { product in
            parameters.withUnsafeBufferPointer { θ in
                program.withDirections(v.elements, 1, on: block) { v in
                    guard let θ = θ.baseAddress else { return }
                    kept.product { place in
                        _ = program.accumulating(.tangent, at: place, into: product) { pass, vector in
                            pass.forward(θ)
                            pass.evaluate(order: 1)
                            pass.tangent(θ, v, from: layers.lowerBound)
                            pass.evaluateResidualTangents()
                            pass.seedResidualTangents()
                            pass.reverse(θ, gradient: vector, layers: layers)
                            return 0
                        }
                    }
                }
            }
        }
        return Vector(product)
    }
}

/// The exact Hessian of L ∈ ℝᴾˣᴾ at a point, without storing it: JᵀJ + Σₖ rₖ∇²rₖ of sums of squares, Σᵢ wᵢ∇²eᵢ of integrals; or that of
/// another separable function of the residuals. From the third
/// on products find the forward pass kept where that is quicker and takes no more than `ProgramOptions.keptForwardBytes`.
///
/// Restricted to a block of θ it is the square H_bb of the rows and columns there.
public struct ProgramHessian: Sendable {
    public let program: Program
    public let parameters: Vector
    /// The parameters whose rows and columns these are: 0..<P, or a part of it.
    public let block: Range<Int>
    let kept: ForwardStore
    /// What is differentiated where it is not L.
    var separable: Separable?

    /// w and h, an entry a residual.
    struct Separable: Sendable {
        let slopes: Vector
        let bends: Vector
    }

    /// H·v by forward over reverse: the reverse pass and its tangent together.
    public func times(_ v: Vector) -> Vector { Vector(times(Matrix(rows: v.count, columns: 1, elements: v.elements)).elements) }
}
