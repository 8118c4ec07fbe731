/// The files that `curvature new` writes, with places to fill: «Type», «name», «dependency», «library».
enum PackageTemplate {
    static func files(of kind: ExternalPackage.Kind) -> [(path: String, text: String)] {
        let common = [("Package.swift", manifest), (".gitignore", ignored), ("Sources/«name»-tool/main.swift", executable)]
        return switch kind {
        case .optimizer:
            common + [
                ("Sources/«Type»/«Type».swift", optimizer), ("Tests/«Type»Tests/«Type»Tests.swift", optimizerTests),
                ("run.yaml", optimizerRun), ("README.md", optimizerGuide),
            ]
        case .problem:
            common + [
                ("Sources/«Type»/«Type».swift", problem), ("Tests/«Type»Tests/«Type»Tests.swift", problemTests),
                ("run.yaml", problemRun), ("README.md", problemGuide),
            ]
        }
    }

    // MARK: What both have

    private static let manifest = """
        // swift-tools-version: 6.2
        import PackageDescription

        let package = Package(
            name: "«name»",
            products: [
                .library(name: "«Type»", targets: ["«Type»"]),
                .executable(name: "«name»", targets: ["«name»-tool"]),
            ],
            dependencies: [
                «dependency»
            ],
            targets: [
                .target(name: "«Type»", dependencies: [.product(name: "Curvature", package: "«library»")]),
                .executableTarget(name: "«name»-tool", dependencies: ["«Type»", .product(name: "CurvatureCLI", package: "«library»")]),
                .testTarget(name: "«Type»Tests", dependencies: ["«Type»", .product(name: "OptimizationTesting", package: "«library»")]),
            ]
        )

        """

    private static let ignored = """
        .build/
        Package.resolved
        runs/

        """

    private static let executable = """
        import CurvatureCLI
        import «Type»

        await CurvatureCLI.main(installing: [«Type»Plugin.self])

        """

    // MARK: An optimizer

    private static let optimizer = """
        import Curvature

        /// Steps of a fixed length along a running mean of the gradient: a beginning, to be replaced by your own formula.
        ///
        /// With g = ∇L(θ):
        ///
        ///     m ← βm + (1 − β)g
        ///     θ ← θ − η·m/‖m‖₂
        ///
        /// θ, g, m ∈ ℝᴾ; η = `learningRate`; β = `momentum`. One gradient a step, 5P flops, one vector of memory.
        public struct «Type»: FirstOrderMethod, Configurable {
            /// η > 0.
            public var learningRate = 1e-2
            /// β ∈ [0, 1).
            public var momentum = 0.9

            public init() {}
            public init(learningRate: Double, momentum: Double = 0.9) { (self.learningRate, self.momentum) = (learningRate, momentum) }

            public static let identifier = "«name»"
            public static let summary = "Steps of a fixed length along a running mean of the gradient."
            public static var fields: [Field<Self>] {
                [
                    .number("learningRate", \\.learningRate, in: .positive, meaning: "η, the length of a step"),
                    .number("momentum", \\.momentum, in: .fraction, meaning: "β, the memory of the mean"),
                ]
            }

            /// What changes from step to step, besides the parameters: stored in every checkpoint.
            public struct Memory: Checkpointable {
                /// m ∈ ℝᴾ.
                public var mean: Vector

                init(mean: Vector) { self.mean = mean }
                public func encode(into archive: inout Archive) { archive.set("mean", mean) }
                public init(from archive: Archive) throws { mean = try archive.vector("mean") }
            }

            public func start(count n: Int) -> Memory { Memory(mean: .zeros(n)) }

            /// Replaces the gradient g by the update; the step is θ ← θ − g.
            public func update(_ g: inout Vector, at θ: Vector, step: Int, memory: inout Memory) {
                memory.mean.scale(by: momentum)
                memory.mean.add(g, scaledBy: 1 - momentum)
                let length = memory.mean.norm
                g = (length > 0 ? learningRate / length : 0) * memory.mean
            }
        }

        /// Registers the optimizer `«name»`.
        public enum «Type»Plugin: Plugin {
            public static let identifier = "«name»"
            public static func register(in registry: inout Registry) throws { try registry.register(optimizer: «Type».self) }
        }

        """

    private static let optimizerTests = """
        import Curvature
        import OptimizationTesting
        import Testing
        import «Type»

        @Suite struct «Type»Tests {
            /// What is reached: at most this part of the loss above the minimum is left after so many steps; another where a function is
            /// named, 1 where the loss falls and no more is said.
            static let accuracy = DeclaredAccuracy(
                0.3, within: 2000,
                except: [
                    "gaussian": 1, "box-3d": 0.8, "penalty-1": 0.8, "brown-dennis": 0.7, "linear-full-rank": 0.6, "biggs-exp6": 0.4,
                ])

            /// The contract, on every test function that is smooth and not badly scaled.
            @Test(arguments: ZooProblem.smooth) func contract(problem: ZooProblem) throws {
                try OptimizerConformance.check(«Type»(learningRate: 1e-3), on: problem, reaching: Self.accuracy)
            }

            /// A run that is cut goes on in another process to the same bits.
            @Test func goesOnInAFreshProcess() async throws {
                let cut = try OptimizerConformance.interrupted(«Type»(), on: ZooProblem.wood)
                await #expect(processExitsWith: .success) { [cut = cut as InterruptedRun] in
                    try cut.finish(«Type»(), on: ZooProblem.wood)
                }
            }

            /// The method's own formula: two steps by hand. m = 0.1·(30, −40), then 0.9·(3, −4) + 0.1·(−57, 76) = (−3, 4).
            @Test func formula() {
                let method = «Type»(learningRate: 0.5, momentum: 0.9)
                var memory = method.start(count: 2)
                var update: Vector = [30, -40]
                method.update(&update, at: [0, 0], step: 1, memory: &memory)
                #expect((update - [0.3, -0.4]).norm < 1e-15)
                update = [-57, 76]
                method.update(&update, at: [0, 0], step: 2, memory: &memory)
                #expect((update - [-0.3, 0.4]).norm < 1e-14)
            }
        }

        """

    private static let optimizerRun = """
        # Burgers' equation by «name», then L-BFGS.
        # Run:    .build/release/«name» run run.yaml
        problem: {name: burgers}
        seed: 1
        stages:
          - stage: explore
            optimizer: {name: «name», learningRate: 1e-2}
            until: {iterations: 500}
          - stage: descend
            optimizer: {name: l-bfgs}
            until: {iterations: 500}
        callbacks:
          - {name: reference-error, every: 100}
        output: {folder: runs/first, checkpoints: {every: 500}, trajectory: {every: 10}}

        """

    private static let optimizerGuide = """
        # «name»

            swift test -c release                       # builds all; the contract and the formula
            .build/release/«name» list «name»           # its settings
            .build/release/«name» run run.yaml          # trains Burgers' equation

        `Sources/«Type»/«Type».swift` is the method: replace the formula in `update`, what it remembers in `Memory`, and its settings; then
        the formula's test. The contract's test stays as it is. The executable has the whole command line with your plugin in it.

        """

    // MARK: A problem

    private static let problem = """
        import Curvature
        import Foundation

        /// −u″ + u = (π² + 1) sin πx on (0, 1), u(0) = u(1) = 0, with the solution u = sin πx: a beginning, to be replaced by your own.
        public struct «Type»: PDEProblem {
            public init() {}

            public var name: String { "«name»" }
            public var domain: Domain { .box(x: 0...1) }
            public var conditions: [Condition] { [.dirichlet(0).named("boundary")] }
            public func residuals(_ u: Fields, at p: Point) -> [Residual] {
                let u = u[0]
                let source = (Double.pi * Double.pi + 1) * sin(.pi * p.x)
                return [Residual("equation", -u.xx + u - source)]
            }
            public var reference: Reference? { .closedForm(grid: [501]) { point in sin(.pi * point[0]) } }
        }

        /// The settings of `«name»`: network and points.
        public struct «Type»Setup: ProblemConfiguration {
            public var network = PerceptronSettings(width: 16, depth: 2)
            public var points = PointPlan(interior: 200, boundary: 2)

            public init() {}

            public static let identifier = "«name»"
            public static let summary = "−u″ + u = (π² + 1) sin πx on the unit interval with u = 0 at its ends"
            public static var fields: [Field<Self>] {
                [
                    .section("network", \\.network, meaning: "the network"),
                    .section("points", \\.points, meaning: "the points of the loss terms and their weights"),
                ]
            }

            public func makeProblem(seed: UInt64) throws -> any Problem {
                let pde = «Type»()
                return try PhysicsInformedProblem(
                    pde, model: try network.model(over: pde.domain.ranges, outputs: 1), points: points, seed: seed, identity: settings)
            }
        }

        /// Registers the problem `«name»`.
        public enum «Type»Plugin: Plugin {
            public static let identifier = "«name»"
            public static func register(in registry: inout Registry) throws { try registry.register(problem: «Type»Setup.self) }
        }

        """

    private static let problemTests = """
        import Curvature
        import OptimizationTesting
        import Testing
        import «Type»

        @Suite struct «Type»Tests {
            /// Every derivative that the problem offers agrees with its values: gradient, J·v, Jᵀ·w, H·v.
            @Test func derivatives() throws {
                let check = try DerivativeCheck(of: try «Type»Setup().makeProblem(seed: 1))
                #expect(check.passed, "\\(check)")
            }

            /// The reference solves the equation: what differences leave of it falls by 2⁶ with half the step (40 leaves room for the
            /// next order).
            @Test(arguments: [0.35, 0.5, 0.6]) func referenceSolvesTheEquation(x: Double) throws {
                let coarse = try «Type»().residualsOfReference(at: [x], step: 0.1)[0]
                let fine = try «Type»().residualsOfReference(at: [x], step: 0.05)[0]
                #expect(abs(fine) < abs(coarse) / 40, "\\(coarse), \\(fine)")
            }

            /// An optimizer conforms on this problem: determinism, storage and faults included.
            @Test func contract() throws {
                let made = try «Type»Setup().makeProblem(seed: 1)
                let problem = try #require(made as? PhysicsInformedProblem)
                try OptimizerConformance.check(LevenbergMarquardt(), on: problem, reaching: .descent(), steps: 10)
            }

            @Test func canBeSolved() throws {
                let made = try «Type»Setup().makeProblem(seed: 1)
                let problem = try #require(made as? PhysicsInformedProblem)
                let pipeline = Pipeline(minimizing: problem) {
                    Stage("solve", LevenbergMarquardt(), until: .iterations(200))
                }
                let result = try pipeline.start(seed: 1)
                let error = try #require(try problem.referenceError(at: result.parameters.values))
                #expect(error < 1e-4, "\\(result)")
            }
        }

        """

    private static let problemRun = """
        # «name» by L-BFGS, then Levenberg–Marquardt.
        # Run:    .build/release/«name» run run.yaml
        problem: {name: «name»}
        seed: 1
        stages:
          - stage: descend
            optimizer: {name: l-bfgs}
            until: {iterations: 200}
          - stage: polish
            optimizer: {name: levenberg-marquardt}
            until: {iterations: 200}
        callbacks:
          - {name: reference-error, every: 10}
        output: {folder: runs/first, checkpoints: {every: 100}, trajectory: {every: 1}}

        """

    private static let problemGuide = """
        # «name»

            swift test -c release                       # builds all; derivatives, reference, a first solution
            .build/release/«name» list «name»           # its settings
            .build/release/«name» run run.yaml          # trains it

        `Sources/«Type»/«Type».swift` is the problem: write your domain, conditions and equation into `«Type»`, and the solution, if you know
        one, into `reference`. The executable has the whole command line with your plugin in it, so every optimizer is at hand.

        """
}
