import Globalization
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct ForcingTermTests {
    private func memory(forcing: Double = 0.2, before: Double = 8, residual: Double = 2) -> ForcingMemory {
        ForcingMemory(forcing: forcing, gradientNorm: before, residualNorm: residual)
    }

    @Test func theFirstIsTheInitialOne() {
        #expect(ForcingTerm().value(gradientNorm: 3, after: nil) == 0.25)
        #expect(ForcingTerm(.constant, initial: 0.01).value(gradientNorm: 3, after: memory()) == 0.01)
    }

    /// η = |‖g‖ − ‖r′‖|/‖g′‖.
    @Test func choiceOneIsTheModelsError() {
        let forcing = ForcingTerm(.modelAgreement)
        #expect(forcing.value(gradientNorm: 3, after: memory()) == 0.125)
        #expect(forcing.value(gradientNorm: 1, after: memory()) == 0.125)
        #expect(forcing.value(gradientNorm: 2, after: memory()) == 1e-10)
    }

    /// η = γ(‖g‖/‖g′‖)².
    @Test func choiceTwoIsTheDecreaseSquared() {
        let forcing = ForcingTerm()
        #expect(abs(forcing.value(gradientNorm: 2, after: memory()) - 0.9 / 16) <= 1e-15)
        #expect(forcing.value(gradientNorm: 80, after: memory()) == 0.25)
    }

    /// Where η was large it does not fall at once.
    @Test func theSafeguardKeepsItFromFallingAtOnce() {
        var forcing = ForcingTerm()
        forcing.maximum = 0.9
        #expect(abs(forcing.value(gradientNorm: 1e-6, after: memory(forcing: 0.8)) - 0.9 * 0.64) <= 1e-15)
        #expect(forcing.value(gradientNorm: 1e-6, after: memory(forcing: 0.3)) < 1e-9)
        forcing.rule = .modelAgreement
        // 0.8^((1 + √5)/2).
        #expect(abs(forcing.value(gradientNorm: 2, after: memory(forcing: 0.8)) - 0.6969414669) <= 1e-9)
    }

    @Test func scaleDoesNotMatter() {
        for rule in ForcingTerm.Rule.allCases {
            let forcing = ForcingTerm(rule)
            let scaled = ForcingMemory(forcing: 0.2, gradientNorm: 8 * 0x1p-40, residualNorm: 2 * 0x1p-40)
            #expect(forcing.value(gradientNorm: 3, after: memory()) == forcing.value(gradientNorm: 3 * 0x1p-40, after: scaled))
        }
    }

    @Test func memoriesAreStored() throws {
        #expect(try Archive(of: memory()).decoded(as: ForcingMemory.self) == memory())
        #expect(SettingsConformance.failures(of: ForcingTerm()) == [])
        var wrong = ForcingTerm()
        wrong.minimum = 0.5
        #expect(throws: ConfigurationError.self) { try wrong.validated() }
    }
}
