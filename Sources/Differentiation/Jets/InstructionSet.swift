import CKernels

/// The instruction set of the element-wise kernels. Results differ between levels by rounding, never between thread counts.
public enum InstructionSet: Int32, Sendable, CaseIterable {
    case baseline = 0
    case avx2 = 1
    case avx512 = 2

    /// The level in use: what the processor offers, or `CURVATURE_SIMD` (`baseline`, `avx2`, `avx512`) where that is less.
    public static var current: InstructionSet { InstructionSet(rawValue: ck_simd_level()) ?? .baseline }

    /// Asks for a level on this thread and in what it hands to the pool, for tests; returns the one then in use. Other threads keep theirs.
    @discardableResult
    public static func use(_ level: InstructionSet) -> InstructionSet {
        InstructionSet(rawValue: ck_set_simd_level(level.rawValue)) ?? .baseline
    }
}
