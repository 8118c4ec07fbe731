import Differentiation
import LinearAlgebra
import OptimizationCore

/// One term of the loss: a traced residual, the points where it is taken, the data it reads there, and its weight.
///
/// Its share of the loss is ½ (weight / points) Σ r², or Σ w r² where its points are weighted.
struct LossTerm: Sendable {
    let name: String
    let domain: Domain
    let function: CompiledResidual
    /// The condition that the term imposes; nil for the equation.
    let condition: Condition?
    /// A row each.
    private(set) var points: Matrix
    /// Columns of as many entries as there are points.
    private(set) var data: [[Double]]
    var weight: Double
    /// w; nil where all points weigh alike.
    private(set) var pointWeights: PointWeights?
    /// √w at each point.
    private(set) var factors: [Double]?
    /// Whether the points are others than those that the problem was set up with.
    private(set) var isResampled = false

    private init(
        name: String, domain: Domain, function: CompiledResidual, condition: Condition?, points: Matrix, weight: Double
    ) throws {
        (self.name, self.domain, self.function, self.condition) = (name, domain, function, condition)
        (self.points, self.data, self.weight) = (points, [], weight)
        self.data = try Self.data(for: condition, at: points, on: domain, term: name)
    }

    private static func data(for condition: Condition?, at points: Matrix, on domain: Domain, term: String) throws -> [[Double]] {
        guard points.rows > 0 else { throw PhysicsError("term “\(term)” needs at least one point") }
        guard points.columns == domain.dimension else {
            throw PhysicsError("points of term “\(term)” have \(points.columns) coordinates, the domain has \(domain.dimension)")
        }
        for i in 0..<points.rows where !domain.contains(points.row(i)) {
            throw PhysicsError("point \(domain.axes.place(points.row(i))) of term “\(term)” lies outside the domain")
        }
        return try condition?.data(at: points, on: domain) ?? []
    }

    /// The term of the equation itself. Named after it where it is one equation, else “interior”.
    static func equation(of pde: any PDEProblem, at points: Matrix, weight: Double) throws -> LossTerm {
        let trace = try Trace.run(axes: pde.domain.axes, fields: pde.outputCount, trainables: pde.unknowns.map(\.name)) { network, p in
            try pde.residuals(try checkedFields(of: pde, network, p), at: p)
        }
        let name = trace.names.count == 1 ? trace.names[0] : "interior"
        return try LossTerm(
            name: name, domain: pde.domain, function: trace.compiled, condition: nil, points: points, weight: weight)
    }

    static func condition(_ condition: Condition, of pde: any PDEProblem, at points: Matrix, weight: Double) throws -> LossTerm {
        let axes = pde.domain.axes
        if condition.quantity == .timeDerivative, axes.time == nil {
            throw PhysicsError("condition “\(condition.name)” prescribes a rate, but no axis of the domain is time")
        }
        let trace = try Trace.run(
            axes: axes, fields: pde.outputCount, data: condition.dataNames, withNormal: condition.quantity == .normalDerivative,
            points: condition.pointsTogether
        ) { network, p in
            try condition.residuals(try checkedFields(of: pde, network, p), at: p, on: axes)
        }
        return try LossTerm(
            name: condition.name, domain: pde.domain, function: trace.compiled, condition: condition, points: points, weight: weight)
    }

    /// The fields themselves at some points, as residuals: what a prediction evaluates.
    static func prediction(of pde: any PDEProblem, at points: Matrix) throws -> LossTerm {
        let trace = try Trace.run(axes: pde.domain.axes, fields: pde.outputCount) { network, p in
            let fields = try checkedFields(of: pde, network, p)
            return (0..<fields.count).map { Residual("field \($0)", fields[$0]) }
        }
        return try LossTerm(name: "fields", domain: pde.domain, function: trace.compiled, condition: nil, points: points, weight: 1)
    }

    /// The points by coordinate, as a program takes them: of pairs, those of the second points after those of the first.
    func coordinateColumns() throws -> [[Double]] {
        var columns = (0..<points.columns).map { points.column($0).elements }
        guard let axis = try condition?.oppositeAxis(of: domain) else { return columns }
        columns += columns
        columns[points.columns + axis] = Array(repeating: domain.ranges[axis].upperBound, count: points.rows)
        return columns
    }

    /// The fields at some points and what is asked for besides, as residuals, with a name for each. `name` is given a field, and the
    /// axis along which its derivative is taken.
    static func predictions(
        of pde: any PDEProblem, at points: Matrix, including extras: PredictionExtras,
        name: (_ field: Int, _ axis: Int?) -> Prediction.Column
    ) throws -> (columns: [Prediction.Column], term: LossTerm) {
        var columns: [Prediction.Column] = []
        let trace = try Trace.run(axes: pde.domain.axes, fields: pde.outputCount, trainables: pde.unknowns.map(\.name)) { network, p in
            let fields = try checkedFields(of: pde, network, p)
            columns = []
            var values: [Residual] = []
            func add(_ column: Prediction.Column, _ value: Expression) {
                columns.append(column)
                values.append(Residual(column.name, value))
            }
            for field in 0..<fields.count { add(name(field, nil), fields[field]) }
            if extras.contains(.derivatives) {
                for field in 0..<fields.count {
                    for axis in 0..<pde.domain.dimension { add(name(field, axis), fields[field].d(axis)) }
                }
            }
            if extras.contains(.residuals) {
                for residual in try pde.residuals(fields, at: p) {
                    add(.init("residual_\(residual.name)", meaning: "the residual of the equation, unweighted"), residual.expression)
                }
            }
            return values
        }
        let term = try LossTerm(
            name: "prediction", domain: pde.domain, function: trace.compiled, condition: nil, points: points, weight: 1)
        return (columns, term)
    }

    /// The same term elsewhere. Weights that belong to points do not move with them; those that belong to places do.
    func at(_ points: Matrix) throws -> LossTerm {
        var term = self
        if case .each = pointWeights { term.pointWeights = nil }
        term.factors = try term.pointWeights?.factors(at: points, on: domain, term: name)
        term.data = try Self.data(for: condition, at: points, on: domain, term: name)
        term.points = points
        term.isResampled = true
        return term
    }

    /// The term with its points weighted.
    func weighted(by weights: PointWeights?) throws -> LossTerm {
        var term = self
        term.factors = try weights?.factors(at: points, on: domain, term: name)
        term.pointWeights = weights
        return term
    }

    /// The term as a sum of squares of the derivative engine.
    func programTerm() throws -> ProgramTerm {
        let scale = (weight / Double(points.rows)).squareRoot()
        guard let factors else {
            return ProgramTerm(name: name, function: function, points: try coordinateColumns(), data: data, scale: scale)
        }
        return ProgramTerm(
            name: name, function: FactoredResiduals(function), points: try coordinateColumns(), data: data + [factors], scale: scale)
    }

    /// The term on some of its points.
    func restricted(to indices: [Int]) throws -> LossTerm {
        guard !indices.isEmpty else { throw PhysicsError("the batch takes no point of term “\(name)”: it needs at least one of each") }
        if let bad = indices.first(where: { !(0..<points.rows).contains($0) }) {
            throw PhysicsError("the batch asks for point \(bad) of term “\(name)”, which has \(points.rows)")
        }
        var term = self
        term.points = Matrix(indices.count, points.columns) { points[indices[$0], $1] }
        term.data = data.map { column in indices.map { column[$0] } }
        term.factors = factors.map { factors in indices.map { factors[$0] } }
        return term
    }

    private static func checkedFields(of pde: any PDEProblem, _ network: Fields, _ p: Point) throws -> Fields {
        let count = pde.fields(of: network, at: p).count
        guard count == pde.fieldCount else {
            throw PhysicsError("\(pde.name) has \(pde.fieldCount) fields, but makes \(count) of its network's outputs")
        }
        return Fields(of: network, at: p) { pde.fields(of: $0, at: $1) }
    }
}
