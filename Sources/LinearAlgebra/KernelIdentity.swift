import CKernels
import COpenBLAS

/// Which kernels this process computes with: what a run's bits depend on, besides its settings.
public enum KernelIdentity {
    /// OpenBLAS's version, build and the kernel it chose, such as `OpenBLAS 0.3.21 NO_AFFINITY SkylakeX MAX_THREADS=64, kernel SkylakeX`.
    ///
    /// Asked once: OpenBLAS writes the text into one buffer, which another thread's question would change under the reader.
    public static let openBLAS: String = {
        let build = openblas_get_config().map { String(cString: $0) } ?? "OpenBLAS"
        return "\(build.split(separator: " ").joined(separator: " ")), kernel \(kernel)"
    }()

    private static var kernel: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

    /// The instruction set of the element-wise kernels: `baseline`, `avx2` or `avx512`.
    public static var instructionSet: String {
        let names = ["baseline", "avx2", "avx512"]
        let level = Int(ck_simd_level())
        return names.indices.contains(level) ? names[level] : "level \(level)"
    }
}
