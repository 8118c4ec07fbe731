import LinearAlgebra

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the bits of a run depend on besides its settings: the processor and the libraries. No name of the machine, no path.
public struct RunEnvironment: Sendable, Hashable {
    /// The processor's model, as it names itself.
    public var processor: String
    /// The instruction set of the element-wise kernels: `avx512`, `avx2`, `baseline`.
    public var instructionSet: String
    /// OpenBLAS's version and the kernel that it chose.
    public var openBLAS: String
    public var hdf5: String
    public var system: String
    public var threads: Int

    private init(processor: String, instructionSet: String, openBLAS: String, hdf5: String, system: String, threads: Int) {
        (self.processor, self.instructionSet, self.openBLAS) = (processor, instructionSet, openBLAS)
        (self.hdf5, self.system, self.threads) = (hdf5, system, threads)
    }

    /// This process's environment.
    public static func current(threads: Int = 1) -> RunEnvironment {
        RunEnvironment(
            processor: processorModel, instructionSet: KernelIdentity.instructionSet, openBLAS: KernelIdentity.openBLAS,
            hdf5: HDF5.version, system: system, threads: threads)
    }

    /// What of another environment may change bits, a line each; empty where a resumed run goes on bit for bit.
    public func differences(from other: RunEnvironment) -> [String] {
        zip(attributes, other.attributes).compactMap { here, there in
            guard here.text != there.text, here.name == "instructionSet" || here.name == "openBLAS" || here.name == "system" else {
                return nil
            }
            return "\(here.name): \(here.text) here, \(there.text) there"
        }
    }

    /// The environment of the last session of a run; nil where none was recorded.
    public init?(lastSessionOf run: RunFile) throws {
        guard run.file.exists("/sessions"), let session = try run.file.members(of: "/sessions").last else { return nil }
        func text(_ name: String) throws -> String { try run.file.text(name, at: "/sessions/\(session)") ?? "unknown" }
        self.init(
            processor: try text("processor"), instructionSet: try text("instructionSet"), openBLAS: try text("openBLAS"),
            hdf5: try text("hdf5"), system: try text("system"), threads: Int(try text("threads")) ?? 1)
    }

    /// The attributes of a session in a run file, in order.
    var attributes: [(name: String, text: String)] {
        [
            ("processor", processor), ("instructionSet", instructionSet), ("openBLAS", openBLAS), ("hdf5", hdf5), ("system", system),
            ("threads", String(threads)),
        ]
    }

    private static var processorModel: String {
        #if canImport(Glibc)
            guard let file = fopen("/proc/cpuinfo", "r") else { return "unknown" }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 1 << 14)
            while fgets(&line, CInt(line.count), file) != nil {
                let parts = zeroTerminated(line).split(separator: ":", maxSplits: 1)
                guard parts.count == 2, parts[0].hasPrefix("model name") else { continue }
                return String(parts[1].drop { $0 == " " }.prefix { !$0.isNewline })
            }
            return "unknown"
        #else
            var size = 0
            guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0, size > 0 else { return "unknown" }
            var name = [CChar](repeating: 0, count: size)
            sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0)
            return zeroTerminated(name)
        #endif
    }

    private static var system: String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        func field<T>(_ tuple: T) -> String {
            withUnsafeBytes(of: tuple) { zeroTerminated($0.map { CChar(bitPattern: $0) }) }
        }
        return "\(field(names.sysname)) \(field(names.machine))"
    }
}
