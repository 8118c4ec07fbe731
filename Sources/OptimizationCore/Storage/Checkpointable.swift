/// A value that can be stored in an archive and read back to the same bits.
///
/// What can be recomputed bit-identically need not be stored. `decode(encode(x)) == x`, bit for bit, is part of the
/// conformance suite.
public protocol Checkpointable: Sendable {
    /// Rises whenever the layout of the stored entries changes.
    static var formatVersion: Int { get }

    func encode(into archive: inout Archive)

    /// Throws an ``ArchiveError`` where an entry is missing or malformed.
    init(from archive: Archive) throws
}

extension Checkpointable {
    public static var formatVersion: Int { 1 }
}

/// The state of something that has none.
public struct Stateless: Checkpointable, Equatable {
    public init() {}
    public func encode(into archive: inout Archive) {}
    public init(from archive: Archive) throws {}
}
