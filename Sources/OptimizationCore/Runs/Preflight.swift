#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a run will take, told before its first step.
public struct Preflight: Sendable, Hashable {
    public struct Line: Sendable, Hashable {
        public var stage: String
        public var optimizer: String
        /// Bytes that the optimizer will hold; `nil` where it cannot say.
        public var bytes: Int?
        /// What a step costs as a rule; `nil` where the optimizer cannot say.
        public var cost: StepCost?
        /// How the square of J that a step takes is formed, and what the other would cost; `nil` where it takes none.
        public var square: SquareChoice?
        public var until: String
    }

    public var problem: String
    /// P.
    public var parameterCount: Int
    /// N, for a least-squares problem.
    public var residualCount: Int?
    public var stages: [Line]
    /// Bytes of memory that the machine has.
    public var memory: Int
}

extension Preflight: CustomStringConvertible {
    public var description: String {
        var text = "\(problem): P = \(parameterCount) parameters"
        if let residualCount { text += ", N = \(residualCount) residuals" }
        for line in stages {
            let bytes = line.bytes.map { ", holds \(megabytes($0))" } ?? ""
            let cost = line.cost.map { ", a step takes \($0)" } ?? ""
            let square = line.square.map { ", of which \($0)" } ?? ""
            text += "\n  \(line.stage): \(line.optimizer)\(bytes)\(cost)\(square), until \(line.until)"
        }
        return text
    }
}

/// A stage would need more memory than there is.
public struct MemoryError: Error, CustomStringConvertible {
    public var stage: String
    public var optimizer: String
    public var bytes: Int
    public var available: Int

    public var description: String {
        """
        stage “\(stage)”: \(optimizer) would hold \(megabytes(bytes)), and this machine has \(megabytes(available)). \
        Take a smaller network or fewer points, or a method that stores less (l-bfgs, adam).
        """
    }
}

/// Throws where `numbers` float64 are more than this machine's memory holds.
///
/// To be asked before arrays are made whose size a configuration decides: an allocation that fails ends the process.
public func requireMemory(forNumbers numbers: Double, as what: String, path: String, advice: String) throws {
    let (bytes, available) = (bytes(ofNumbers: numbers), physicalMemory())
    guard bytes <= available else {
        throw ConfigurationError(
            path: path, reason: "\(what) would take \(megabytes(bytes)), and this machine has \(megabytes(available)); \(advice)")
    }
}

/// The bytes of `numbers` float64, `Int.max` where they are more than an integer holds: for ``Optimizer/workingMemory(parameters:residuals:)``.
public func bytes(ofNumbers numbers: Double) -> Int { Int(exactly: (numbers * 8).rounded()) ?? .max }

func megabytes(_ bytes: Int) -> String {
    bytes < 1 << 20 ? "\(max(1, bytes >> 10)) KiB" : bytes < 1 << 30 ? "\(bytes >> 20) MiB" : "\(short(Double(bytes) / 0x1p30)) GiB"
}

/// The machine's physical memory in bytes.
func physicalMemory() -> Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    let size = sysconf(Int32(_SC_PAGESIZE))
    return pages > 0 && size > 0 ? pages * size : .max
}
