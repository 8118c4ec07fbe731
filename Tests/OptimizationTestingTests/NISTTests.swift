import LinearAlgebra
import OptimizationCore
import OptimizationTesting
import Testing

@Suite struct NISTTests {
    @Test func thereAreTwentySevenWithTwoStarts() {
        #expect(NISTDataSet.all.count == 27 && NISTProblem.all.count == 54)
        #expect(Set(NISTDataSet.all.map(\.name)).count == 27)
        let levels = NISTDataSet.Difficulty.allCases.map { level in NISTDataSet.all.filter { $0.difficulty == level }.count }
        #expect(levels == [8, 11, 8])
        for data in NISTDataSet.all {
            let counts = [data.certified.count, data.standardDeviations.count] + data.starts.map(\.count)
            #expect(Set(counts).count == 1 && data.starts.count == 2)
        }
    }

    /// Certified parameters have eleven digits: they leave the certified ‖r‖² its ten, or, where that is zero but for rounding, what a
    /// relative change of 5e-11 makes of r.
    @Test(arguments: NISTDataSet.all.map(\.name)) func theAnswerHasTheCertifiedResidual(name: String) throws {
        let data = try #require(NISTDataSet.named(name))
        let problem = NISTProblem(data)
        let b = Vector(data.certified)
        let model = problem.linearization(at: b)
        let J = model.jacobian()
        let moved = Matrix(rows: J.rows, columns: J.columns, elements: J.elements.map(abs)).times(Vector(b.map { 5e-11 * abs($0) })).norm
        let found = 2 * problem.loss(at: b).total
        #expect(abs(found - data.residualSumOfSquares) <= 1e-10 * data.residualSumOfSquares + moved * moved)
        #expect(problem.logRelativeError(at: b) == 11 && problem.referenceError(at: b) == 0)

        // The certified deviations are those of the linear model at the answer: s·√((JᵀJ)⁻¹ₖₖ), s² = ‖r‖²/(N − P). By the factor R of J scaled
        // to columns of one size.
        let scale = Vector((0..<J.columns).map { 1 / J.column($0).norm })
        let r = try QR.factorize(J.scalingColumns(by: scale)).get().r
        let inverse = try r.solvingTriangle(.upper, Matrix.identity(J.columns)).get()
        let s = (data.residualSumOfSquares / Double(J.rows - J.columns)).squareRoot()
        for k in 0..<J.columns {
            let row = Vector((0..<J.columns).map { inverse[k, $0] })
            #expect(abs(s * scale[k] * row.norm - data.standardDeviations[k]) <= 1e-6 * data.standardDeviations[k], "b\(k + 1)")
        }
    }

    @Test(arguments: NISTDataSet.all.map(\.name)) func derivativesClimbTheLadder(name: String) throws {
        let data = try #require(NISTDataSet.named(name))
        for point in [data.certified, data.starts[1]] {
            let check = try DerivativeCheck(of: NISTProblem(data), at: Vector(point))
            #expect(check.passed, "\(check)")
        }
    }

    /// Along the parameters that are said to enter linearly, together, the residual is a line; with any other one beside them it is not.
    @Test(arguments: NISTDataSet.all.map(\.name)) func linearParametersEnterLinearly(name: String) throws {
        let data = try #require(NISTDataSet.named(name))
        let problem = NISTProblem(data)
        let b = Vector(data.certified)
        let r = problem.residual(at: b)
        func isLine(along parameters: [Int]) -> Bool {
            func change(_ h: Double) -> Vector {
                var moved = b
                for k in parameters { moved[k] += h * b[k] }
                return problem.residual(at: moved) - r
            }
            let (once, twice) = (change(0.125), change(0.25))
            return (twice - 2 * once).norm <= 1e-9 * (once.norm + r.norm)
        }
        #expect(isLine(along: data.linearParameters))
        for k in b.indices where !data.linearParameters.contains(k) {
            #expect(!isLine(along: data.linearParameters + [k]), "b\(k + 1)")
        }
    }
}
