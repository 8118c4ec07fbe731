import Differentiation
import LinearAlgebra
import NeuralModels
import OptimizationCore
import PhysicsInformed
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct PhysicsInformedProblemTests {
    @Test func termsPointsAndWeights() throws {
        let p = try coupledWaves()
        #expect(p.terms == ["interior", "initial", "initial-rate", "dirichlet(x = 0.0)", "neumann(x = 2.0)"])
        #expect(p.sampleSets.map(\.count) == [60, 11, 10, 8, 7])
        #expect(p.residualCount == 2 * 60 + 11 + 10 + 8 + 7)
        #expect(try p.terms.map(p.weight) == [1, 3, 3, 0.5, 0.5])
        let (initial, wall) = (try p.points(of: "initial"), try p.points(of: "neumann(x = 2.0)"))
        #expect((0..<11).allSatisfy { initial[$0, 0] == 0 && initial[$0, 1] > 0 && initial[$0, 1] < 2 })
        #expect((0..<7).allSatisfy { wall[$0, 1] == 2 && wall[$0, 0] > 0 && wall[$0, 0] < 1 })
    }

    /// L = ½‖r‖², the loss of a term is its weight times half the mean of its squared residuals, and what the residuals are is
    /// recomputed here from the fields themselves: the initial condition by hand.
    @Test func theLossIsWhatItSays() throws {
        let p = try coupledWaves()
        let θ = start(p).values
        let (loss, r) = (try p.loss(at: θ), try p.residual(at: θ))
        #expect(r.count == p.residualCount)
        #expect(abs(0.5 * r.dot(r) - loss.total) <= 1e-14 * loss.total)
        let points = try p.points(of: "initial")
        let fields = try p.fields(at: points, parameters: θ)
        let mean = (0..<11).reduce(0.0) { $0 + pow(fields[$1, 0] - sin(points[$1, 1]), 2) } / 11
        #expect(abs(loss.terms[1] - 3 * mean / 2) <= 1e-13 * loss.terms[1])
        let magnitudes = try p.residualMagnitudes(of: "interior", at: p.points(of: "interior"), parameters: θ)
        #expect(abs(loss.terms[0] - magnitudes.dot(magnitudes) / 120) <= 1e-13 * loss.terms[0])
    }

    @Test func hardConditionsHoldWhateverTheNetworkSays() throws {
        let p = try problem(HardLine())
        #expect(p.terms == ["line"])
        for seed in 1...3 {
            let u = try p.fields(at: Matrix(rows: [[0], [0.25], [1]]), parameters: start(p, seed: UInt64(seed)).values)
            #expect(u[0, 0] == 1)
            #expect(u[2, 0] == 3)
            #expect(u[1, 0] != 1.5)
        }
        // With N = 0 the line is the solution: no error and no residual.
        let zero = Vector.zeros(p.layout.count)
        #expect(try p.loss(at: zero).total == 0)
        #expect(try p.referenceError(at: zero) == 0)
        let θ = start(p).values
        let comparison = try #require(try p.comparison(at: θ))
        #expect(comparison.axes[0].coordinates == (0...10).map { $0 == 10 ? 1 : Double($0) / 10 })
        #expect(comparison.reference[5, 0] == 2)
        #expect(comparison.maximumError > 1e-3)
        #expect(try p.referenceError(at: θ) == comparison.relativeL2)
    }

    @Test func pointsFollowTheSeedAndTheMonitorHasItsOwn() throws {
        let (a, b, c) = (try coupledWaves(seed: 1), try coupledWaves(seed: 1), try coupledWaves(seed: 2))
        #expect(try a.points(of: "interior") == b.points(of: "interior"))
        #expect(try a.points(of: "interior") != c.points(of: "interior"))
        let θ = start(a).values
        #expect(try a.monitorLoss(at: θ) == b.monitorLoss(at: θ))
        #expect(try a.monitorLoss(at: θ) != a.loss(at: θ).total)
        #expect(try coupledWaves(PointPlan(interior: 10, monitor: 0)).monitorLoss(at: θ) == nil)
        #expect(try a.referenceError(at: θ) == nil)
    }

    @Test func aBatchIsTheObjectiveOnItsPoints() throws {
        let p = try coupledWaves()
        let θ = start(p).values
        let counts = p.sampleSets.map(\.count)
        let whole = try p.restricted(to: Batch(counts.map { Array(0..<$0) }))
        #expect(try whole.lossAndGradient(at: θ) == p.lossAndGradient(at: θ))
        // The mean of the gradients over the single points of a term, the others whole, is the gradient.
        var mean = Vector.zeros(θ.count)
        for i in 0..<60 {
            var indices = counts.map { Array(0..<$0) }
            indices[0] = [i]
            mean.add(try p.restricted(to: Batch(indices)).lossAndGradient(at: θ).gradient, scaledBy: 1.0 / 60)
        }
        let gradient = try p.lossAndGradient(at: θ).gradient
        #expect((mean - gradient).norm <= 1e-13 * gradient.norm)
        #expect(throws: PhysicsError.self) { try p.restricted(to: Batch([[0]])) }
        #expect(throws: PhysicsError.self) { try p.restricted(to: Batch([[60], [0], [0], [0], [0]])) }
        #expect(throws: PhysicsError.self) { try p.restricted(to: Batch([[], [0], [0], [0], [0]])) }
    }

    /// A network of all zeros makes u = 0, and 1/u is not finite anywhere: the fault is the term's first point.
    @Test func aFaultNamesTermAndPoint() throws {
        let singular = AdHoc(conditions: [.dirichlet(at: .x(1), 0).named("wall")]) { u, _ in [Residual("pole", u[0].t + 1 / u[0])] }
        let p = try problem(singular)
        let zero = Vector.zeros(p.layout.count)
        #expect(try !p.loss(at: zero).isFinite)
        let fault = try #require(p.locateFault(at: zero))
        let first = try p.points(of: "pole")
        #expect(fault.term == "pole")
        #expect(fault.sample == "(t = \(first[0, 0]), x = \(first[0, 1]))")
        #expect(p.locateFault(at: start(p).values) == nil)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        func message(_ pde: any PDEProblem, _ plan: PointPlan = smallPlan) -> String {
            do {
                _ = try problem(pde, plan)
                return "nothing was thrown"
            } catch {
                return "\(error)"
            }
        }
        #expect(message(AdHoc(), PointPlan(interior: 0)).contains("0 interior points"))
        #expect(message(AdHoc(), PointPlan(interior: -3)).contains("-3 interior points"))
        #expect(message(CoupledWaves(), PointPlan(interior: 5, initial: 0)).contains("“initial” gets no points"))
        #expect(message(CoupledWaves(), PointPlan(interior: 5, boundary: 1)).contains("gets no points"))
        #expect(message(AdHoc(), PointPlan(interior: 5, interiorWeight: -1)).contains("interior weight is -1"))
        #expect(message(AdHoc(), PointPlan(interior: 5, boundaryWeight: .nan)).contains("nan"))
        #expect(message(AdHoc(domain: .timeSpace(t: 0...0, x: -1...1))).contains("axis 't'"))
        let still = AdHoc(domain: .box(x: 0...1), conditions: [.initial { $0 }]) { u, _ in [Residual("r", u[0].x)] }
        #expect(message(still).contains("no axis of the domain is time"))
        #expect(message(AdHoc(domain: .timeSpace(t: 0...1, x: 0...1, y: 0...1), conditions: [.initial { $0 }])).contains("one coordinate"))
        #expect(message(AdHoc(conditions: [.dirichlet(at: .x(0.5), 0)])).contains("x = 0.5 is no face"))
        #expect(message(AdHoc(conditions: [.dirichlet(at: .y(1), 0)])).contains("no axis 'y'"))
        #expect(message(AdHoc(conditions: [.initial { _ in .nan }])).contains("prescribes nan"))
        #expect(message(AdHoc(conditions: [.initial { $0 }, .initial { $0 }])).contains("are named “initial”"))
        #expect(message(AdHoc(equation: { u, _ in [Residual("r", u[0].y)] })).contains("no axis 'y'"))
        #expect(message(AdHoc(equation: { u, _ in [Residual("r", u[0].xxxxx)] })).contains("order 5"))
        #expect(message(AdHoc(reference: .closedForm(grid: [5, 5]) { _ in .infinity })).contains("inf"))
        #expect(message(AdHoc(reference: .closedForm(grid: [5]) { _ in 1 })).contains("reference grid"))
    }
}

@Suite struct RevisionTests {
    @Test func newPointsRaiseTheVersionAndComeBackFromTheArchive() throws {
        let base = try coupledWaves()
        var random = RandomStream(seed: 5, name: "test")
        let fresh = try base.candidates(33, for: "interior", sampling: .uniform, random: &random)
        let wall = try base.candidates(9, for: "neumann(x = 2.0)", sampling: .sobol, random: &random)
        let revised = try base.revised(by: PointRevision(term: "interior", points: fresh))
            .revised(by: PointRevision(term: "neumann(x = 2.0)", points: wall))
            .revised(by: WeightRevision([("initial", 7), ("interior", 0.25)]))
        #expect(base.version == 0)
        #expect(revised.version == 3)
        #expect(try revised.points(of: "interior") == fresh)
        #expect(try revised.points(of: "initial") == base.points(of: "initial"))
        #expect(try revised.terms.map(revised.weight) == [0.25, 7, 3, 0.5, 0.5])

        var archive = Archive()
        revised.encodeRevisions(into: &archive)
        let restored = try coupledWaves().restoringRevisions(from: archive)
        let θ = start(base).values
        #expect(restored.version == 3)
        #expect(try restored.lossAndGradient(at: θ) == revised.lossAndGradient(at: θ))
        #expect(try restored.lossAndGradient(at: θ) != base.lossAndGradient(at: θ))
        #expect(try restored.monitorLoss(at: θ) == base.monitorLoss(at: θ))
        var again = Archive()
        restored.encodeRevisions(into: &again)
        #expect(again.differences(from: archive).isEmpty)
    }

    /// The weight is a factor of its term's loss.
    @Test func weightsScaleTheirTerms() throws {
        let base = try coupledWaves()
        let θ = start(base).values
        let before = try base.loss(at: θ).terms
        let after = try base.revised(by: WeightRevision([("initial", 12), ("interior", 0)])).loss(at: θ).terms
        #expect(after[0] == 0)
        #expect(abs(after[1] - 4 * before[1]) <= 1e-14 * after[1])
        #expect(after[2...] == before[2...])
    }

    @Test func revisionsThatDoNotFitAreRefused() throws {
        struct Unknown: Revision { var summary: String { "something else" } }
        let base = try coupledWaves()
        let archive = Archive()
        #expect(throws: PhysicsError.self) { try base.revised(by: Unknown()) }
        #expect(throws: PhysicsError.self) { try base.revised(by: PointRevision(term: "interor", points: Matrix(rows: [[0.5, 0.5]]))) }
        #expect(throws: PhysicsError.self) { try base.revised(by: PointRevision(term: "interior", points: Matrix(rows: [[0.5, 2.5]]))) }
        #expect(throws: PhysicsError.self) { try base.revised(by: PointRevision(term: "interior", points: Matrix(rows: [[0.5]]))) }
        #expect(throws: PhysicsError.self) { try base.revised(by: PointRevision(term: "interior", points: .zeros(0, 2))) }
        #expect(throws: PhysicsError.self) { try base.revised(by: PointRevision(term: "initial", points: Matrix(rows: [[0.5, 0.5]]))) }
        #expect(throws: PhysicsError.self) { try base.revised(by: WeightRevision([("initial", -1)])) }
        #expect(throws: PhysicsError.self) { try base.revised(by: WeightRevision([("initial", .infinity)])) }
        #expect(throws: ArchiveError.self) { try base.restoringRevisions(from: archive) }
    }

    /// In single precision the loss is another to some digits; what is looked at is the same to the bit; revisions keep the precision.
    @Test func singlePrecisionIsTheTrainedLossOnly() throws {
        let model = try MultilayerPerceptron(inputs: 2, hidden: [12, 12], outputs: 2)
        let pde = CoupledWaves()
        let (double, single) = try (
            PhysicsInformedProblem(pde, model: model, points: smallPlan, seed: 1, identity: .scalar(pde.name)),
            PhysicsInformedProblem(
                pde, model: ModelInSinglePrecision(base: model), points: smallPlan, seed: 1, identity: .scalar(pde.name))
        )
        let θ = start(double).values
        #expect(start(single).values == θ)
        func compare(_ a: PhysicsInformedProblem, _ b: PhysicsInformedProblem) throws {
            let (x, y) = (try a.lossAndGradient(at: θ), try b.lossAndGradient(at: θ))
            #expect(x.loss.total != y.loss.total && abs(x.loss.total / y.loss.total - 1) < 1e-5)
            #expect(x.gradient != y.gradient && (x.gradient - y.gradient).norm < 1e-5 * y.gradient.norm)
        }
        try compare(single, double)
        let revision = WeightRevision([(double.terms[0], 2)], reason: "a test")
        try compare(try single.revised(by: revision), try double.revised(by: revision))
        #expect(try single.monitorLoss(at: θ) == double.monitorLoss(at: θ))
        #expect(try single.referenceError(at: θ) == double.referenceError(at: θ))
    }

    /// The plan says which form of JJᵀ is taken and what it costs, a setting overrides it, and all forms give the same matrix.
    @Test func theFormOfTheKernelIsToldAndOverridable() throws {
        let model = try MultilayerPerceptron(inputs: 2, hidden: [40, 40], outputs: 2)
        let pde = CoupledWaves()
        let problems = try GramForm.allCases.map { form in
            try PhysicsInformedProblem(pde, model: model, points: smallPlan, seed: 1, identity: .scalar(pde.name), kernelForm: form)
        }
        let plans = problems.map { $0.plan(of: .kernel) }
        let kernels = try problems.map { try $0.linearization(at: start($0).values).kernel() }
        let largest = kernels[0].maximumNorm
        for (problem, (plan, kernel)) in zip(problems, zip(plans, kernels)) {
            #expect(zip(kernel.elements, kernels[0].elements).allSatisfy { abs($0 - $1) <= 1e-12 * largest })
            #expect(plan.square == .kernel && plans[0].flops <= plan.flops)
            // Revisions keep the setting.
            let revised = try problem.revised(by: WeightRevision([(problem.terms[0], 2)], reason: "a test"))
            #expect(revised.plan(of: .kernel) == plan)
        }
        let explicit = SquarePlan.fromJacobian(.kernel, residuals: problems[0].residualCount, parameters: model.layout.count)
        let place = try #require(GramForm.allCases.firstIndex(of: .explicit))
        #expect(plans[place].flops == explicit.flops && plans[place].form == "from columns of J")
        #expect(Set(plans.map(\.form)).count > 1)
        let gramian = problems[0].plan(of: .gramian)
        // J is small enough to be held whole; inputs and cotangents of the layers take other memory.
        let whole = 8 * problems[0].residualCount * model.layout.count
        #expect(plans[place].bytes == whole && gramian.bytes == whole && plans.contains { $0.bytes != whole && $0.bytes > 0 })
        #expect(
            gramian.flops == SquarePlan.fromJacobian(.gramian, residuals: problems[0].residualCount, parameters: model.layout.count).flops)
    }
}
