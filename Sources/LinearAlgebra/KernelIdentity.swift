import CKernels
import COpenBLAS

/// Which kernels this process computes with: what a run's bits depend on, besides its settings.
public enum KernelIdentity {
    /// OpenBLAS's version, build and the kernel it chose, such as `OpenBLAS 0.3.21 NO_AFFINITY SkylakeX MAX_THREADS=64, kernel SkylakeX`.
    public static var openBLAS: String {
        let build = openblas_get_config().map { String(cString: $0) } ?? "OpenBLAS"
        return "\(build.split(separator: " ").joined(separator: " ")), kernel \(kernel)"
    }

    private static var kernel: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

    /// What to do where OpenBLAS does not know the processor and took kernels of a much older one, at a quarter of the speed or less.
    ///
    /// OpenBLAS chooses when it is loaded, before any code of this package runs, and results have other bits with other kernels: so this is
    /// advice, and nothing is changed behind the user's back.
    public static var advice: String? { advice(kernel: kernel, instructionSet: instructionSet) }

    package static func advice(kernel: String, instructionSet: String) -> String? {
        let old = ["prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "opteron", "barcelona", "generic"]
        guard let better = ["avx512": "SkylakeX", "avx2": "Haswell"][instructionSet], old.contains(kernel.lowercased()) else { return nil }
        return "OpenBLAS runs its kernels for \(kernel) and this processor has \(instructionSet): start with OPENBLAS_CORETYPE=\(better)"
    }

    /// The instruction set of the element-wise kernels: `baseline`, `avx2` or `avx512`.
    public static var instructionSet: String {
        let names = ["baseline", "avx2", "avx512"]
        let level = Int(ck_simd_level())
        return names.indices.contains(level) ? names[level] : "level \(level)"
    }
}
