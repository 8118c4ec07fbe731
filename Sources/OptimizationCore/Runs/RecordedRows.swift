/// Rows that a callback adds to a table of its own in the run's file: what does not fit in one number, such as a spectrum.
///
/// Whoever keeps them puts a column `iteration` before the others, and cuts the rows past the checkpoint when a run goes on. Columns of one
/// table keep their kind.
public struct RecordedRows: Sendable, Hashable {
    /// A column's value in each of the rows. Texts have at most 64 bytes of UTF-8.
    public enum Values: Sendable, Hashable {
        case reals([Double])
        case integers([Int])
        case texts([String])

        public var count: Int {
            switch self {
            case .reals(let values): values.count
            case .integers(let values): values.count
            case .texts(let values): values.count
            }
        }
    }

    public struct Column: Sendable, Hashable {
        public var name: String
        /// What the values mean, in a sentence.
        public var meaning: String
        public var values: Values

        public init(_ name: String, _ values: Values, meaning: String) { (self.name, self.values, self.meaning) = (name, values, meaning) }
    }

    /// The table's name, such as `spectra`.
    public let table: String
    public let columns: [Column]

    public init(table: String, columns: [Column]) {
        precondition(!["", "trajectory", "events", "snapshots"].contains(table), "a callback has no rows for a table “\(table)”")
        precondition(Set(columns.map(\.values.count)).count == 1, "columns of different lengths, or none, for the table “\(table)”")
        (self.table, self.columns) = (table, columns)
    }

    /// The number of rows.
    public var count: Int { columns[0].values.count }
}
