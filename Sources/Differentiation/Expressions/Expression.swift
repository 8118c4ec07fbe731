/// A pointwise expression in fields, their coordinate derivatives and the coordinates: what a residual is written in.
///
/// An expression is an immutable tree that only records what was written; `Trace` resolves it against the axes of a domain,
/// simplifies it and finds the derivatives of the fields that it needs. Any expression can be differentiated by a coordinate:
///
///     u.t + u * u.x - ν * u.xx        (u * u / 2).x        u.laplacian        u.d(0, 3)
///
/// A member that is not a known one is read as a derivative: the name of an axis, or a run of one-letter names. A name that is
/// no axis of the domain does not trap: it makes an invalid expression, and `Trace.run` throws its error.
///
/// Operators take `Expression` and `Double`; there are no literal conformances, so that long equations type-check fast.
///
/// Leaves are fields, coordinates, pointwise data and *trainable* numbers (``Point/trainable(_:)``). Where a residual ties several points
/// together (periodicity, interfaces, weak forms on an element), fields and coordinates are those of one of them (``Fields/at(_:)``,
/// ``Point/at(_:)``). ``stopGradient(_:)`` makes a factor that derivatives by θ leave alone.
@dynamicMemberLookup
public final class Expression: Sendable {
    let operation: Operation
    let operands: [Expression]
    /// The axes that the leaves below were traced with; nil below constants alone.
    let axes: Axes?

    init(_ operation: Operation, _ operands: [Expression] = [], axes: Axes? = nil) {
        // The first error below, from left to right, is the error of the whole.
        for operand in operands {
            if case .invalid(let error) = operand.operation {
                (self.operation, self.operands, self.axes) = (.invalid(error), [], operand.axes)
                return
            }
        }
        self.operation = operation
        self.operands = operands
        self.axes = axes ?? operands.lazy.compactMap(\.axes).first
    }

    /// The constant `value`.
    public convenience init(_ value: Double) { self.init(.constant(value)) }

    convenience init(_ error: TraceError, axes: Axes?) { self.init(.invalid(error), axes: axes) }
}

/// What a node of an expression does with its operands.
enum Operation: Sendable {
    case constant(Double)
    /// The value of field i of the model at a point of the tuple.
    case field(Int, point: Int)
    /// Coordinate i of a point of the tuple.
    case coordinate(Int, point: Int)
    /// Trained number i.
    case trainable(Int)
    /// Column i of the data that come with the points: boundary values, sources, normals.
    case data(Int)
    case sum, difference, product, quotient, negation
    case power(Int)
    case function(ElementaryFunction)
    /// The derivative by coordinate i.
    case derivative(Int)
    /// The operand as a constant of θ.
    case frozen
    case invalid(TraceError)
}

/// The functions that expressions may use, all with closed-form derivatives.
public enum ElementaryFunction: UInt8, Sendable, Hashable, CaseIterable {
    case exp, log, sin, cos, sinh, cosh, tanh, sqrt, atan
}

// MARK: Coordinate derivatives

extension Expression {
    /// The derivative that `member` spells: `u.x`, `u.tt`, `u.xxy`, or `u.theta` for an axis with a long name.
    public subscript(dynamicMember member: String) -> Expression {
        guard let axes else { return Expression(0) }
        do {
            return derivative(by: try axes.positions(spelledBy: member))
        } catch {
            return Expression(error, axes: axes)
        }
    }

    /// The derivative by the coordinates at these positions, one after the other: `u.d(0, 3)` is ∂²u/∂x₀∂x₃, `u.d(1, 1)` is ∂²u/∂x₁².
    public func d(_ positions: Int...) -> Expression { derivative(by: positions) }

    /// The derivative by the coordinates of these names: `u.d("theta", "theta")`.
    public func d(_ names: String...) -> Expression {
        guard let axes else { return Expression(0) }
        do {
            var positions: [Int] = []
            for name in names { positions.append(try axes.position(of: name)) }
            return derivative(by: positions)
        } catch {
            return Expression(error, axes: axes)
        }
    }

    /// The derivatives by the coordinates of space, in the order of the axes; time is left out.
    public var gradient: [Expression] { (axes?.space ?? []).map { derivative(by: [$0]) } }

    /// Δ: the sum of the second derivatives by the coordinates of space; time is left out.
    public var laplacian: Expression {
        let seconds = (axes?.space ?? []).map { derivative(by: [$0, $0]) }
        guard let first = seconds.first else { return Expression(0) }
        return seconds.dropFirst().reduce(first, +)
    }

    private func derivative(by positions: [Int]) -> Expression {
        guard let axes else { return Expression(0) }
        var result = self
        for position in positions {
            guard axes.names.indices.contains(position) else {
                return Expression(
                    TraceError(
                        "a derivative by coordinate \(position), but the domain has \(axes.count): \(axes.names.joined(separator: ", "))"),
                    axes: axes)
            }
            result = Expression(.derivative(position), [result])
        }
        return result
    }
}

// MARK: Arithmetic

extension Expression {
    public static func + (a: Expression, b: Expression) -> Expression { Expression(.sum, [a, b]) }
    public static func + (a: Expression, b: Double) -> Expression { a + Expression(b) }
    public static func + (a: Double, b: Expression) -> Expression { Expression(a) + b }

    public static func - (a: Expression, b: Expression) -> Expression { Expression(.difference, [a, b]) }
    public static func - (a: Expression, b: Double) -> Expression { a - Expression(b) }
    public static func - (a: Double, b: Expression) -> Expression { Expression(a) - b }

    public static func * (a: Expression, b: Expression) -> Expression { Expression(.product, [a, b]) }
    public static func * (a: Expression, b: Double) -> Expression { a * Expression(b) }
    public static func * (a: Double, b: Expression) -> Expression { Expression(a) * b }

    public static func / (a: Expression, b: Expression) -> Expression { Expression(.quotient, [a, b]) }
    public static func / (a: Expression, b: Double) -> Expression { a / Expression(b) }
    public static func / (a: Double, b: Expression) -> Expression { Expression(a) / b }

    public static prefix func - (a: Expression) -> Expression { Expression(.negation, [a]) }
    public static prefix func + (a: Expression) -> Expression { a }

    public static func += (a: inout Expression, b: Expression) { a = a + b }
    public static func -= (a: inout Expression, b: Expression) { a = a - b }
    public static func *= (a: inout Expression, b: Expression) { a = a * b }
    public static func *= (a: inout Expression, b: Double) { a = a * b }
}

// MARK: Functions

public func exp(_ a: Expression) -> Expression { Expression(.function(.exp), [a]) }
public func log(_ a: Expression) -> Expression { Expression(.function(.log), [a]) }
public func sin(_ a: Expression) -> Expression { Expression(.function(.sin), [a]) }
public func cos(_ a: Expression) -> Expression { Expression(.function(.cos), [a]) }
public func sinh(_ a: Expression) -> Expression { Expression(.function(.sinh), [a]) }
public func cosh(_ a: Expression) -> Expression { Expression(.function(.cosh), [a]) }
public func tanh(_ a: Expression) -> Expression { Expression(.function(.tanh), [a]) }
public func sqrt(_ a: Expression) -> Expression { Expression(.function(.sqrt), [a]) }
public func atan(_ a: Expression) -> Expression { Expression(.function(.atan), [a]) }

/// aⁿ for a whole number n, negative ones included.
public func pow(_ a: Expression, _ n: Int) -> Expression { Expression(.power(n), [a]) }

/// The value of `a` without its dependence on θ: a factor that weighs a residual (causal weights, adaptive weights, Picard
/// linearisation) and that gradients and Jacobians take as a constant. Coordinate derivatives see through it.
public func stopGradient(_ a: Expression) -> Expression { Expression(.frozen, [a]) }
