import LinearAlgebra

// Products with several vectors at once: the forward pass of a block serves all of them. Sums need 8·K·P bytes a shard.

extension ProgramJacobian {
    /// J·V ∈ ℝᴺˣᴷ for V ∈ ℝᴾˣᴷ: one forward pass, and K with tangents.
    public func times(_ v: Matrix) -> Matrix {
        precondition(v.rows == columns, "a matrix of \(v.rows) rows for \(columns) parameters")
        let (n, p, count, first) = (rows, program.parameterCount, v.columns, layers.lowerBound)
        var product = Matrix.zeros(n, count)
        product.elements.withUnsafeMutableBufferPointer { product in
            parameters.withUnsafeBufferPointer { θ in
                program.withDirections(v.elements, count, on: block) { v in
                    guard let θ = θ.baseAddress, let product = product.baseAddress else { return }
                    kept.product { place in
                        program.overBlocks(.tangent, at: place) { _, pass in
                            pass.forward(θ)
                            pass.evaluate(order: 1)
                            for d in 0..<count {
                                pass.tangent(θ, v + d * p, from: first)
                                pass.evaluateResidualTangents()
                                for k in 0..<pass.term.residuals {
                                    let (source, target) = (pass.residualTangent(k), product + d * n + pass.residualIndex(k))
                                    for i in 0..<pass.points { target[i] = pass.term.scale * source[i] }
                                }
                            }
                        }
                    }
                }
            }
        }
        return product
    }

    /// Jᵀ·W ∈ ℝᴾˣᴷ for W ∈ ℝᴺˣᴷ: one forward pass, and K reverse ones.
    public func transposedTimes(_ w: Matrix) -> Matrix {
        precondition(w.rows == rows, "a matrix of \(w.rows) rows for \(rows) residuals")
        let (n, p, count, layers) = (rows, program.parameterCount, w.columns, layers)
        let product = program.collecting(count, on: block) { product in
            parameters.withUnsafeBufferPointer { θ in
                w.elements.withUnsafeBufferPointer { w in
                    guard let θ = θ.baseAddress, let w = w.baseAddress else { return product.update(repeating: 0) }
                    kept.product { place in
                        _ = program.accumulating(.reverse, columns: count, at: place, into: product) { pass, sums in
                            pass.forward(θ)
                            pass.evaluate(order: 1)
                            for d in 0..<count {
                                pass.seed(weights: w + d * n)
                                pass.reverse(θ, gradient: sums + d * p, layers: layers)
                            }
                            return 0
                        }
                    }
                }
            }
        }
        return Matrix(rows: columns, columns: count, elements: product)
    }

    /// diag(JᵀJ) ∈ ℝᴾ: the squared norms of J's columns, from row panels of J.
    public func normalDiagonal() -> Vector {
        var squares = Vector.zeros(columns)
        overRowPanels { panel, rows in
            for p in 0..<columns { squares[p] += squaredNorm(of: panel + p * rows.count, count: rows.count) }
        }
        return squares
    }

    /// ‖∇½rᵢ²‖ = |rᵢ|·‖Jᵢ‖ for every residual: how much each sample pulls. From row panels of J.
    public func sampleGradientNorms() -> Vector {
        let r = program.residuals(at: parameters)
        var norms = Vector.zeros(rows)
        overRowPanels { panel, rows in
            for (i, row) in rows.enumerated() {
                var sum = 0.0
                for p in 0..<columns {
                    let entry = panel[i + p * rows.count]
                    sum += entry * entry
                }
                norms[row] = abs(r[row]) * sum.squareRoot()
            }
        }
        return norms
    }

    /// A block J_a J_bᵀ of the tangent kernel: the rows of one term against those of another. From row panels of both, so that no more of J is
    /// held than two of them; the panels of the second term are formed once for every panel of the first.
    public func kernelBlock(_ first: Int, _ second: Int) -> Matrix {
        let (a, b) = (program.residualRange(ofTerm: first), program.residualRange(ofTerm: second))
        return Matrix(rows: a.count, columns: b.count) { kernel in
            guard let kernel = kernel.baseAddress else { return }
            overRowPanels(of: a) { left, i in
                overRowPanels(of: b) { right, j in
                    TiledProducts.gemm(
                        false, true, i.count, j.count, columns, left, i.count, right, j.count, beta: 0,
                        kernel + (i.lowerBound - a.lowerBound) + (j.lowerBound - b.lowerBound) * a.count, a.count)
                }
            }
        }
    }

    /// Panels of J's rows, all of them or some.
    private func overRowPanels(of some: Range<Int>? = nil, _ body: (_ panel: UnsafeMutablePointer<Double>, _ rows: Range<Int>) -> Void) {
        let some = some ?? 0..<rows
        guard !some.isEmpty else { return }
        let height = min(some.count, max(Self.leastPanel, Self.panelBytes / (8 * max(columns, 1))))
        let panel = UnsafeMutablePointer<Double>.allocate(capacity: height * columns)
        defer { panel.deallocate() }
        for start in stride(from: some.lowerBound, to: some.upperBound, by: height) {
            let range = start..<min(some.upperBound, start + height)
            jacobian(rows: range, into: panel, leading: range.count)
            body(panel, range)
        }
    }
}

private func squaredNorm(of x: UnsafePointer<Double>, count: Int) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += x[i] * x[i] }
    return sum
}

extension ProgramHessian {
    /// H·V ∈ ℝᴾˣᴷ for V ∈ ℝᴾˣᴷ: one forward pass, and K of tangents forwards and backwards.
    public func times(_ v: Matrix) -> Matrix {
        precondition(v.rows == block.count, "a matrix of \(v.rows) rows for \(block.count) parameters")
        let (p, count, first) = (program.parameterCount, v.columns, program.layers.layers(of: block).lowerBound)
        let product = program.collecting(count, on: block) { product in
            parameters.withUnsafeBufferPointer { θ in
                program.withDirections(v.elements, count, on: block) { v in
                    guard let θ = θ.baseAddress else { return }
                    kept.product { place in
                        _ = program.accumulating(.tangentReverse, columns: count, at: place, into: product) { pass, sums in
                            pass.forward(θ)
                            for d in 0..<count {
                                // The tangents of the seeds spoil the second partials.
                                pass.evaluate(order: 2)
                                pass.tangent(θ, v + d * p, from: first)
                                pass.evaluateResidualTangents()
                                seed(pass)
                                pass.tangentReverse(θ, v + d * p, product: sums + d * p, downTo: first)
                            }
                            return 0
                        }
                    }
                }
            }
        }
        return Matrix(rows: block.count, columns: count, elements: product)
    }

    /// The seeds of what is differentiated, and their tangents.
    private func seed(_ pass: BlockPass) {
        guard let separable else {
            pass.seedLoss()
            return pass.seedLossTangent()
        }
        separable.slopes.withUnsafeBufferPointer { w in
            separable.bends.withUnsafeBufferPointer { h in
                guard let w = w.baseAddress, let h = h.baseAddress else { return }
                pass.seed(weights: w)
                pass.seedTangent(weights: w, bends: h)
            }
        }
    }
}

extension Program {
    /// ∇Lₜ ∈ ℝᴾ of every term: one forward and one reverse pass, as ∇L takes.
    public func termGradients(at parameters: Vector) -> [Vector] {
        check(parameters)
        let p = parameterCount
        var gradients = Matrix.zeros(p, terms.count)
        gradients.elements.withUnsafeMutableBufferPointer { gradients in
            parameters.withUnsafeBufferPointer { θ in
                guard let θ = θ.baseAddress else { return }
                _ = accumulating(.reverse, columns: terms.count, into: gradients) { pass, sums in
                    pass.forward(θ)
                    pass.evaluate(order: 1)
                    pass.seedLoss()
                    pass.reverse(θ, gradient: sums + pass.index * p)
                    return 0
                }
            }
        }
        return terms.indices.map { gradients.column($0) }
    }

    /// The program with some of its terms only, in the order given: what a product restricted to them is taken from.
    public func restricted(toTerms indices: [Int]) -> Program {
        precondition(indices.allSatisfy(terms.indices.contains), "terms \(indices) of \(terms.count)")
        return Program(network: network, terms: indices.map { terms[$0] }, options: options)
    }

    /// The program on some points of each term; the terms' scales are kept.
    public func restricted(toPoints indices: [[Int]]) -> Program {
        precondition(indices.count == terms.count, "points for \(indices.count) of \(terms.count) terms")
        let restricted = zip(terms, indices).map { term, points in
            var copy = term
            copy.points = term.points.map { column in points.map { column[$0] } }
            copy.data = term.data.map { column in points.map { column[$0] } }
            copy.weights = term.weights.map { weights in points.map { weights[$0] } }
            return copy
        }
        return Program(network: network, terms: restricted, options: options)
    }
}
