import LinearAlgebra

/// Offers the values of its model at points of the caller's choice: for predictions. No method asks for it.
public protocol PredictingProblem: Problem {
    /// The names of a point's coordinates, in the order of the columns of points.
    var coordinateNames: [String] { get }

    /// The model's values at some points, a row each. Throws where a point does not fit, naming it.
    func prediction(at points: Matrix, parameters θ: Vector, including extras: PredictionExtras) throws -> Prediction
}

/// What a prediction may hold besides the values; what a problem does not have is left out.
public struct PredictionExtras: OptionSet, Sendable, Hashable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The first derivatives along every coordinate.
    public static let derivatives = PredictionExtras(rawValue: 1)
    /// The residuals of the equations, unweighted.
    public static let residuals = PredictionExtras(rawValue: 2)
}

/// Values at points: columns with names and meanings.
public struct Prediction: Sendable, Hashable {
    public struct Column: Sendable, Hashable {
        public var name: String
        public var meaning: String

        public init(_ name: String, meaning: String) { (self.name, self.meaning) = (name, meaning) }
    }

    public var columns: [Column]
    /// A row for each point.
    public var values: Matrix

    public init(_ columns: [Column], values: Matrix) {
        precondition(values.columns == columns.count, "\(values.columns) columns of values for \(columns.count) names")
        (self.columns, self.values) = (columns, values)
    }
}

/// Offers its model's fields on a grid, beside the reference where it is known: for pictures. No method asks for it.
public protocol PicturedProblem: Problem {
    /// None where the fields have too many coordinates for a picture.
    func picture(at θ: Vector) throws -> SolutionPicture?
}

/// The fields of a model on a grid of one or two axes, and what they should be.
public struct SolutionPicture: Sendable {
    public struct Axis: Sendable, Hashable {
        public var name: String
        public var coordinates: [Double]
        public var isTime: Bool

        public init(_ name: String, _ coordinates: [Double], isTime: Bool = false) {
            (self.name, self.coordinates, self.isTime) = (name, coordinates, isTime)
        }
    }

    /// The axes along which the picture extends; the last one runs fastest over the rows below.
    public var axes: [Axis]
    /// The other coordinates, which are the same at all points.
    public var fixed: [(name: String, value: Double)]
    public var fields: [String]
    /// A row for each point of the grid, a column for each field.
    public var values: Matrix
    /// The same of the reference; nil where there is none.
    public var reference: Matrix?

    public init(
        axes: [Axis], fixed: [(name: String, value: Double)] = [], fields: [String], values: Matrix, reference: Matrix? = nil
    ) {
        let count = axes.reduce(1) { $0 * $1.coordinates.count }
        precondition(1...2 ~= axes.count, "a picture with \(axes.count) axes")
        precondition(values.rows == count && values.columns == fields.count, "\(values.rows) rows of values on a grid of \(count) points")
        precondition(reference.map { $0.rows == count && $0.columns == fields.count } ?? true, "a reference of another shape")
        (self.axes, self.fixed, self.fields, self.values, self.reference) = (axes, fixed, fields, values, reference)
    }
}
