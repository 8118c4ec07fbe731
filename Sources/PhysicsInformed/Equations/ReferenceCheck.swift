import Differentiation

extension PDEProblem {
    /// The equation's residuals of the reference itself at an inner point, its derivatives taken by central differences of order six
    /// with step `h`: nearly zero, and smaller by 2⁶ for half the step until rounding sets in, if the reference solves the equation.
    ///
    /// Throws where there is no reference, or the equation has derivatives above order two along one axis.
    public func residualsOfReference(at point: [Double], step h: Double) throws -> [Double] {
        guard let reference else { throw PhysicsError("\(name) has no reference to check") }
        // The check is of the fields themselves, so the network's outputs are taken to be the fields.
        let function = CompiledResidual(
            try Trace.run(axes: domain.axes, fields: fieldCount) { u, p in try residuals(u, at: p) }, collapsingOperators: false)
        let channels = try function.channels.map { channel -> Double in
            var stencil: [(shift: [Double], weight: Double)] = [(point.map { _ in 0 }, 1)]
            for (axis, order) in channel.derivative.orders.enumerated() where order > 0 {
                let weights: [Double]
                switch order {
                case 1: weights = firstStencil.map { $0 / (60 * h) }
                case 2: weights = secondStencil.map { $0 / (180 * h * h) }
                default: throw PhysicsError("differences of order \(order) along one axis are not offered")
                }
                stencil = stencil.flatMap { entry in
                    weights.enumerated().map { k, weight in
                        var shift = entry.shift
                        shift[axis] = Double(k - 3) * h
                        return (shift, entry.weight * weight)
                    }
                }
            }
            return stencil.reduce(0) { sum, entry in
                sum + entry.weight * reference.values(zip(point, entry.shift).map { $0 + $1 })[channel.field]
            }
        }
        return function.residuals(channels: channels, at: point)
    }
}

/// Central differences of order six on seven points: sixty times the first, 180 times the second derivative.
private let firstStencil: [Double] = [-1, 9, -45, 0, 45, -9, 1]
private let secondStencil: [Double] = [2, -27, 270, -490, 270, -27, 2]
