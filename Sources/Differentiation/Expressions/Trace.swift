/// The fields of the solution, as a residual sees them: `u[0]`, `u[1]`, ….
public struct Fields: Sendable {
    public let count: Int
    let axes: Axes
    let expressions: [Expression]

    init(count: Int, axes: Axes) {
        (self.count, self.axes) = (count, axes)
        expressions = (0..<count).map { Expression(.field($0), axes: axes) }
    }

    /// Fields that are made of others: the outputs of a network so transformed that they meet a condition exactly.
    public init(_ expressions: [Expression], of network: Fields) {
        (count, axes, self.expressions) = (expressions.count, network.axes, expressions)
    }

    /// Field i; an index beyond the fields makes an invalid expression, whose error `Trace.run` throws.
    public subscript(i: Int) -> Expression {
        guard (0..<count).contains(i) else {
            return Expression(TraceError("field \(i) is asked for, but there are \(count) (numbered from 0)"), axes: axes)
        }
        return expressions[i]
    }
}

/// The point at which a residual is taken: its coordinates and the data that come with it.
@dynamicMemberLookup
public struct Point: Sendable {
    let axes: Axes
    let data: [String]
    let normals: Range<Int>?

    /// The coordinate of this name: `p.x`.
    public subscript(dynamicMember name: String) -> Expression { self[name] }

    /// The coordinate of this name: `p["theta"]`.
    public subscript(name: String) -> Expression {
        do {
            return Expression(.coordinate(try axes.position(of: name)), axes: axes)
        } catch {
            return Expression(error, axes: axes)
        }
    }

    /// All coordinates, in the order of the axes.
    public var coordinates: [Expression] { axes.names.indices.map { Expression(.coordinate($0), axes: axes) } }

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
    let graph: ExpressionGraph
    let roots: [Int]

    /// Writes down the residuals that `body` returns.
    ///
    /// Throws the first error in what was written (an unknown axis, field or datum, a derivative of a datum), a residual without
    /// a name or two of one name, or no residual at all.
    public static func run(
        axes: Axes, fields: Int, data: [String] = [], withNormal: Bool = false,
        _ body: (Fields, Point) throws -> [Residual]
    ) throws -> Trace {
        precondition(fields > 0, "a model with \(fields) fields")
        let columns = data + (withNormal ? axes.names.map { "normal.\($0)" } : [])
        let point = Point(axes: axes, data: columns, normals: withNormal ? data.count..<columns.count : nil)
        let residuals = try body(Fields(count: fields, axes: axes), point)
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
        return Trace(axes: axes, fields: fields, data: columns, names: names, graph: graph, roots: roots)
    }
}
