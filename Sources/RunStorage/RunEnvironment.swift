#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the bits of a run depend on besides its settings: the processor and the libraries. No name of the machine, no path.
public struct RunEnvironment: Sendable, Hashable {
    /// The processor's model, as it names itself.
    public var processor: String
    /// The widest instruction set that the kernels may choose: `avx512`, `avx2`, `baseline`, `neon`.
    public var instructionSet: String
    /// OpenBLAS's version and the kernel that it chose, as its caller reports them.
    public var openBLAS: String
    public var hdf5: String
    public var system: String
    public var threads: Int

    /// This process's environment. What only other modules can know is given by the caller.
    public static func current(openBLAS: String = "unknown", instructionSet: String? = nil, threads: Int = 1) -> RunEnvironment {
        let (model, widest) = processor()
        return RunEnvironment(
            processor: model, instructionSet: instructionSet ?? widest, openBLAS: openBLAS, hdf5: HDF5.version, system: system,
            threads: threads)
    }

    /// The attributes of a session in a run file, in order.
    var attributes: [(name: String, text: String)] {
        [
            ("processor", processor), ("instructionSet", instructionSet), ("openBLAS", openBLAS), ("hdf5", hdf5), ("system", system),
            ("threads", String(threads)),
        ]
    }

    private static func processor() -> (model: String, instructionSet: String) {
        #if canImport(Glibc)
            // The kernel's file has no size of its own, so it is read until it ends.
            guard let file = fopen("/proc/cpuinfo", "r") else { return ("unknown", "baseline") }
            defer { fclose(file) }
            var (model, flags) = ("unknown", Substring())
            var line = [CChar](repeating: 0, count: 1 << 14)
            while fgets(&line, CInt(line.count), file) != nil {
                let parts = zeroTerminated(line).split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else { continue }
                let value = parts[1].drop { $0 == " " }
                if parts[0].hasPrefix("model name"), model == "unknown" { model = String(value.prefix { !$0.isNewline }) }
                if parts[0].hasPrefix("flags"), flags.isEmpty { flags = value }
            }
            let names = Set(flags.split { $0 == " " || $0.isNewline })
            #if arch(arm64)
                let widest = "neon"
            #else
                let widest = names.contains("avx512f") ? "avx512" : names.isSuperset(of: ["avx2", "fma"]) ? "avx2" : "baseline"
            #endif
            return (model, widest)
        #else
            var size = 0
            guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0, size > 0 else { return ("unknown", "baseline") }
            var name = [CChar](repeating: 0, count: size)
            sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0)
            #if arch(arm64)
                return (zeroTerminated(name), "neon")
            #else
                return (zeroTerminated(name), "baseline")
            #endif
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
