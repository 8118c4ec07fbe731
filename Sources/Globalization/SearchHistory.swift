import OptimizationCore

/// What a descent method remembers of the losses before its present one: for first trials and for searches that are not monotone.
public struct SearchHistory: Checkpointable, Equatable {
    /// The loss before the last step; nil before the first and after a revision.
    public var previousLoss: Double?
    /// The last losses, the oldest first, as many as the line search wants.
    public var recent: [Double] = []
    /// A weighted mean of all losses, and its weight: C and Q of Zhang and Hager.
    public var mean = 0.0
    public var weight = 0.0

    public init() {}

    public func encode(into archive: inout Archive) {
        archive.set("previousLoss", previousLoss.map { [$0] } ?? [])
        archive.set("recent", recent)
        archive.set("mean", mean)
        archive.set("weight", weight)
    }

    public init(from archive: Archive) throws {
        previousLoss = try archive.doubles("previousLoss").first
        recent = try archive.doubles("recent")
        (mean, weight) = (try archive.double("mean"), try archive.double("weight"))
    }
}
