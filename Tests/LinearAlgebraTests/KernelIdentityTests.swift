import Foundation
import LinearAlgebra
import Testing

@Suite struct KernelIdentityTests {
    /// A processor newer than OpenBLAS would otherwise get kernels without AVX (decision 0012).
    @Test(.enabled(if: ProcessInfo.processInfo.environment["OPENBLAS_CORETYPE"] == nil, "the user has chosen"))
    func openBLASUsesWhatTheProcessorHas() {
        guard KernelIdentity.instructionSet != "baseline" else { return }
        let kernel = KernelIdentity.openBLAS.components(separatedBy: "kernel ").last ?? ""
        #expect(!["Prescott", "Core2", "Penryn", "Nehalem", "Atom", "Barcelona"].contains(kernel))
    }
}
