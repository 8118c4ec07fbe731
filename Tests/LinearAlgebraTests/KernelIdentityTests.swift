import LinearAlgebra
import Testing

@Suite struct KernelIdentityTests {
    @Test func advisesWhereOpenBLASIsBehindTheProcessor() throws {
        let advice = try #require(KernelIdentity.advice(kernel: "Prescott", instructionSet: "avx512"))
        #expect(advice.hasSuffix("OPENBLAS_CORETYPE=SkylakeX"))
        #expect(KernelIdentity.advice(kernel: "Prescott", instructionSet: "avx2")?.hasSuffix("OPENBLAS_CORETYPE=Haswell") == true)
        #expect(KernelIdentity.advice(kernel: "SkylakeX", instructionSet: "avx512") == nil)
        #expect(KernelIdentity.advice(kernel: "Prescott", instructionSet: "baseline") == nil)
    }
}
