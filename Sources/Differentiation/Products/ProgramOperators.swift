import LinearAlgebra

extension Program {
    /// J = ∂r/∂θ ∈ ℝᴺˣᴾ at θ, as an operator; nothing is computed yet. All terms must be sums of squares.
    public func jacobian(at parameters: Vector) -> ProgramJacobian {
        requireResiduals(for: "the Jacobian")
        check(parameters)
        return ProgramJacobian(program: self, parameters: parameters)
    }

    /// The Hessian of L at θ, as an operator; nothing is computed yet.
    public func hessian(at parameters: Vector) -> ProgramHessian {
        check(parameters)
        return ProgramHessian(program: self, parameters: parameters)
    }
}

/// The Jacobian J = ∂r/∂θ ∈ ℝᴺˣᴾ at a point, without storing it: every product passes over the blocks anew.
public struct ProgramJacobian: Sendable {
    public let program: Program
    public let parameters: Vector

    /// N
    public var rows: Int { program.residualCount }
    /// P
    public var columns: Int { program.parameterCount }

    /// J·v: a forward pass with tangents.
    public func times(_ v: Vector) -> Vector {
        program.check(v)
        return Vector(count: rows) { product in
            parameters.withUnsafeBufferPointer { θ in
                v.withUnsafeBufferPointer { v in
                    guard let θ = θ.baseAddress, let v = v.baseAddress, let product = product.baseAddress else { return }
                    program.overBlocks(.tangent) { _, pass in
                        pass.forward(θ)
                        pass.evaluate(order: 1)
                        pass.tangent(θ, v)
                        pass.evaluateResidualTangents()
                        for k in 0..<pass.term.residuals {
                            let (source, target) = (pass.residualTangent(k), product + pass.residualIndex(k))
                            for i in 0..<pass.points { target[i] = pass.term.scale * source[i] }
                        }
                    }
                }
            }
        }
    }

    /// Jᵀ·w: a forward and a reverse pass.
    public func transposedTimes(_ w: Vector) -> Vector {
        precondition(w.count == rows, "a vector of \(w.count) for \(rows) residuals")
        return Vector(count: columns) { product in
            parameters.withUnsafeBufferPointer { θ in
                w.withUnsafeBufferPointer { w in
                    guard let θ = θ.baseAddress, let w = w.baseAddress else { return product.update(repeating: 0) }
                    _ = program.accumulating(.reverse, into: product) { pass, vector in
                        pass.forward(θ)
                        pass.evaluate(order: 1)
                        pass.seed(weights: w)
                        pass.reverse(θ, gradient: vector)
                        return 0
                    }
                }
            }
        }
    }

    /// JᵀJ·v, the Gauss–Newton matrix times v, in one pass: a forward with tangents and a reverse.
    public func normalTimes(_ v: Vector) -> Vector {
        program.check(v)
        return Vector(count: columns) { product in
            parameters.withUnsafeBufferPointer { θ in
                v.withUnsafeBufferPointer { v in
                    guard let θ = θ.baseAddress, let v = v.baseAddress else { return }
                    _ = program.accumulating(.tangent, into: product) { pass, vector in
                        pass.forward(θ)
                        pass.evaluate(order: 1)
                        pass.tangent(θ, v)
                        pass.evaluateResidualTangents()
                        pass.seedResidualTangents()
                        pass.reverse(θ, gradient: vector)
                        return 0
                    }
                }
            }
        }
    }
}

/// The exact Hessian of L ∈ ℝᴾˣᴾ at a point, without storing it: JᵀJ + Σₖ rₖ∇²rₖ of sums of squares, Σᵢ wᵢ∇²eᵢ of integrals.
public struct ProgramHessian: Sendable {
    public let program: Program
    public let parameters: Vector

    /// H·v by forward over reverse: the reverse pass and its tangent together.
    public func times(_ v: Vector) -> Vector {
        program.check(v)
        return Vector(count: program.parameterCount) { product in
            parameters.withUnsafeBufferPointer { θ in
                v.withUnsafeBufferPointer { v in
                    guard let θ = θ.baseAddress, let v = v.baseAddress else { return }
                    _ = program.accumulating(.tangentReverse, into: product) { pass, vector in
                        pass.forward(θ)
                        pass.evaluate(order: 2)
                        pass.tangent(θ, v)
                        pass.evaluateResidualTangents()
                        pass.seedLoss()
                        pass.seedLossTangent()
                        pass.tangentReverse(θ, v, product: vector)
                        return 0
                    }
                }
            }
        }
    }
}
