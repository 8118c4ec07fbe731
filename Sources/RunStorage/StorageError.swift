/// What went wrong with a file of a run: what was attempted, where, what to do, and what the libraries underneath said.
public struct StorageError: Error, Sendable, CustomStringConvertible {
    /// The kinds that a program may want to tell apart.
    public enum Kind: Sendable, Hashable {
        /// The file or folder is not there.
        case missing
        /// The operating system refused: permissions, a file where a folder should be, an input/output error.
        case refused
        /// No space is left, or a quota or a limit on file sizes was reached.
        case full
        /// The file is truncated, garbled, or of another kind altogether.
        case damaged
        /// The file is sound but holds something else than was asked for: a missing object, another type or shape, a newer format.
        case mismatch
        /// Something is there that would be overwritten.
        case exists
    }

    public var kind: Kind
    /// What was attempted and what came of it, one sentence.
    public var what: String
    /// The file or folder.
    public var file: String
    /// The object inside the file, such as `/trajectory/loss`.
    public var object: String?
    /// What the user can do about it, one sentence.
    public var advice: String
    /// What HDF5 or the operating system said, outermost first.
    public var causes: [String]

    public init(
        _ kind: Kind, _ what: String, file: String, object: String? = nil, advice: String, causes: [String] = []
    ) {
        (self.kind, self.what, self.file, self.object, self.advice, self.causes) = (kind, what, file, object, advice, causes)
    }

    public var description: String {
        var text = "\(file)\(object.map { " at \($0)" } ?? ""): \(what)."
        if !causes.isEmpty { text += " (\(causes.joined(separator: "; ")))" }
        return advice.isEmpty ? text : text + " " + advice
    }
}
