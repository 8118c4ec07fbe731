/// The fields of the solution, as a residual sees them: `u[0]`, `u[1]`, …; those at a further point of the tuple: `u.at(1)[0]`.
public struct Fields: Sendable {
    public let count: Int
    let axes: Axes
    /// The fields at every point of the tuple.
    let expressions: [[Expression]]
    /// Which point's fields the subscript gives.
    let point: Int

    init(count: Int, axes: Axes, points: Int) {
        (self.count, self.axes, point) = (count, axes, 0)
        expressions = (0..<points).map { point in (0..<count).map { Expression(.field($0, point: point), axes: axes) } }
    }

    private init(_ expressions: [[Expression]], axes: Axes, point: Int) {
        (count, self.axes, self.expressions, self.point) = (expressions[0].count, axes, expressions, point)
    }

    /// Fields that are made of others: the outputs of a network so transformed that they meet a condition exactly. The expressions are
    /// asked for at every point of the tuple.
    public init(of network: Fields, at p: Point, _ expressions: (Fields, Point) -> [Expression]) {
        let made = network.expressions.indices.map { expressions(network.at($0), p.at($0)) }
        self.init(made, axes: network.axes, point: network.point)
    }

    /// The fields at point i of the tuple.
    public func at(_ i: Int) -> Fields {
        guard expressions.indices.contains(i) else {
            let error = TraceError("point \(i) is asked for, but \(expressions.count) belong together here (numbered from 0)")
            return Fields([Array(repeating: Expression(error, axes: axes), count: count)], axes: axes, point: 0)
        }
        return Fields(expressions, axes: axes, point: i)
    }

    /// Field i; an index beyond the fields makes an invalid expression, whose error `Trace.run` throws.
    public subscript(i: Int) -> Expression {
        guard (0..<count).contains(i) else {
            return Expression(TraceError("field \(i) is asked for, but there are \(count) (numbered from 0)"), axes: axes)
        }
        return expressions[point][i]
    }
}

/// The point at which a residual is taken: its coordinates and the data that come with it.
@dynamicMemberLookup
public struct Point: Sendable {
    let axes: Axes
    let data: [String]
    let normals: Range<Int>?
    let trainables: [String]
    /// Which point of the tuple it is, of how many.
    let index: Int
    let count: Int

    /// The coordinate of this name: `p.x`.
    public subscript(dynamicMember name: String) -> Expression { self[name] }

    /// The coordinate of this name: `p["theta"]`.
    public subscript(name: String) -> Expression {
        do {
            return Expression(.coordinate(try axes.position(of: name), point: index), axes: axes)
        } catch {
            return Expression(error, axes: axes)
        }
    }

    /// All coordinates, in the order of the axes.
    public var coordinates: [Expression] { axes.names.indices.map { Expression(.coordinate($0, point: index), axes: axes) } }

    /// Point i of the tuple.
    public func at(_ i: Int) -> Point {
        precondition((0..<count).contains(i), "point \(i) of \(count)")
        return Point(axes: axes, data: data, normals: normals, trainables: trainables, index: i, count: count)
    }

    /// The trained number of this name: an unknown coefficient, found together with the solution.
    public func trainable(_ name: String) -> Expression {
        guard let index = trainables.firstIndex(of: name) else {
            let known = trainables.isEmpty ? "none" : trainables.joined(separator: ", ")
            return Expression(TraceError("there is no trainable number named '\(name)' (there are: \(known))"), axes: axes)
        }
        return Expression(.trainable(index), axes: axes)
    }

    /// The column of the points' data with this name. Data are constants of their point: their coordinate derivatives are refused.
    public func data(_ name: String) -> Expression {
        guard let column = data.firstIndex(of: name) else {
            let known = data.isEmpty ? "none" : data.joined(separator: ", ")
            return Expression(TraceError("the points carry no data named '\(name)' (they carry: \(known))"), axes: axes)
        }
        return Expression(.data(column), axes: axes)
    }

    /// The outward unit normal, one component per axis; only points of a boundary have one.
    public var normal: [Expression] {
        guard let normals else {
            return axes.names.indices.map { _ in
                Expression(TraceError("these points have no normal: they do not lie on a boundary"), axes: axes)
            }
        }
        return normals.map { Expression(.data($0), axes: axes) }
    }
}

/// One equation: its name and the expression that must vanish.
public struct Residual: Sendable {
    public let name: String
    public let expression: Expression

    public init(_ name: String, _ expression: Expression) { (self.name, self.expression) = (name, expression) }
}

/// Residuals as written, resolved against the axes of a domain and simplified: what is lowered to a `CompiledResidual`.
public struct Trace: Sendable {
    public let axes: Axes
    public let fields: Int
    /// The names of the columns of data that come with each point; the components of the normal, if any, are the last ones.
    public let data: [String]
    /// The names of the residuals, in the order of the rows.
    public let names: [String]
    /// How many points a residual ties together.
    public let points: Int
    let graph: ExpressionGraph
    let roots: [Int]

    /// Writes down the residuals that `body` returns. `points` is how many points belong together, 1 but for residuals that tie some;
    /// `trainables` are the names of the trained numbers, in their order in θ.
    ///
    /// Throws the first error in what was written (an unknown axis, field or datum, a derivative of a datum), a residual without
    /// a name or two of one name, or no residual at all.
    public static func run(
        axes: Axes, fields: Int, data: [String] = [], withNormal: Bool = false, points: Int = 1, trainables: [String] = [],
        _ body: (Fields, Point) throws -> [Residual]
    ) throws -> Trace {
        precondition(fields > 0, "a model with \(fields) fields")
        let columns = data + (withNormal ? axes.names.map { "normal.\($0)" } : [])
        precondition(points > 0, "residuals of \(points) points")
        let point = Point(
            axes: axes, data: columns, normals: withNormal ? data.count..<columns.count : nil, trainables: trainables, index: 0,
            count: points)
        let residuals = try body(Fields(count: fields, axes: axes, points: points), point)
        guard !residuals.isEmpty else { throw TraceError("no residual was written") }
        var graph = ExpressionGraph(dimension: axes.count)
        var roots: [Int] = []
        var names: [String] = []
        for residual in residuals {
            guard !residual.name.isEmpty else { throw TraceError("a residual has an empty name") }
            guard !names.contains(residual.name) else { throw TraceError("two residuals are named '\(residual.name)'") }
            do {
                roots.append(try graph.insert(residual.expression))
            } catch {
                throw TraceError("residual '\(residual.name)': \(error)")
            }
            names.append(residual.name)
        }
        return Trace(axes: axes, fields: fields, data: columns, names: names, points: points, graph: graph, roots: roots)
    }
}
