// swift-tools-version: 6.2
import PackageDescription

// MARK: The table. One line a target: its name, what it may import, and where it lies.

/// A row of the table: a target of this package and the arrows that leave it.
struct Row {
    var name: String
    var imports: [Target.Dependency]
    var folder: String
    var tests: [Target.Dependency]?

    init(_ name: String, _ imports: [Target.Dependency] = [], in folder: String = "Sources", tests: [Target.Dependency]? = []) {
        (self.name, self.imports, self.folder, self.tests) = (name, imports, folder, tests)
    }
}

let openBLAS = Target.systemLibrary(
    name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])])
let hdf5 = Target.systemLibrary(
    name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"]), .brew(["hdf5"])])
// A loop that could not be unrolled, as under a sanitizer, is slower and no less right.
let kernels = Target.target(
    name: "CKernels", cSettings: [.treatAllWarnings(as: .error), .treatWarning("pass-failed", as: .warning)])

// HDF5's file driver with a journal. Its header needs none of HDF5's; its sources do.
let journal = Target.target(name: "CJournal", dependencies: ["CHDF5"], cSettings: [.treatAllWarnings(as: .error)])

let foundations = [
    Row("LinearAlgebra", ["COpenBLAS", "CKernels"]),
    Row("Differentiation", ["LinearAlgebra", "CKernels"]),
]

let core = [
    Row("OptimizationCore", ["LinearAlgebra"], tests: ["OptimizationTesting"]),
    Row("Globalization", ["OptimizationCore", "LinearAlgebra"], tests: ["OptimizationTesting"]),
]

let kits = [
    Row("NeuralModels", ["OptimizationCore", "Differentiation", "LinearAlgebra"]),
    Row(
        "PhysicsInformed", ["NeuralModels", "OptimizationCore", "Differentiation", "LinearAlgebra"], tests: ["OptimizationTesting"]),
    Row("RunStorage", ["OptimizationCore", "LinearAlgebra", "CHDF5", "CJournal"]),
    Row("OptimizationTesting", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation", "LinearAlgebra"]),
    Row("OperatorLearning", ["OptimizationCore", "Differentiation", "LinearAlgebra", "CKernels"]),
    Row("OperatorStorage", ["OperatorLearning", "RunStorage", "OptimizationCore"]),
]

let optimizers = [
    Row("StochasticGradient", ["OptimizationCore", "LinearAlgebra"], in: "Plugins/Optimizers", tests: ["OptimizationTesting"]),
    Row("QuasiNewton", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers", tests: ["OptimizationTesting"]),
    Row(
        "GradientMethods", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: ["OptimizationTesting"]),
    Row(
        "NewtonKrylov", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: ["OptimizationTesting", "NewtonFixtures", "Poisson", "PhysicsInformed"]),
    Row(
        "TrustRegion", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: ["OptimizationTesting", "NewtonFixtures", "Poisson", "PhysicsInformed"]),
    Row(
        "LeastSquares", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: ["OptimizationTesting", "QuasiNewton", "StochasticGradient"]),
    Row(
        "NaturalGradient", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: [
            "OptimizationTesting", "NewtonFixtures", "StochasticGradient", "LeastSquares", "PhysicsInformed", "NeuralModels", "Poisson",
        ]),
    Row(
        "MatrixPreconditioners", ["OptimizationCore", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: ["OptimizationTesting", "NewtonFixtures", "StochasticGradient", "PhysicsInformed", "NeuralModels", "Poisson"]),
    Row(
        "VarianceReduction", ["OptimizationCore", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: ["OptimizationTesting", "StochasticGradient", "QuasiNewton", "Classification"]),
    Row(
        "KroneckerCurvature", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: [
            "OptimizationTesting", "NewtonFixtures", "StochasticGradient", "PhysicsInformed", "NeuralModels", "Differentiation", "Poisson",
            "Heat", "Regression",
        ]),
    Row(
        "StochasticCurvature", ["OptimizationCore", "Globalization", "LinearAlgebra"], in: "Plugins/Optimizers",
        tests: [
            "OptimizationTesting", "NewtonFixtures", "StochasticGradient", "NewtonKrylov", "QuasiNewton", "Classification",
            "PhysicsInformed", "NeuralModels", "Poisson",
        ]),
]

let problems = [
    Row(
        "Poisson", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "LeastSquares", "StochasticGradient", "LinearAlgebra"]),
    Row(
        "Burgers", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting"]),
    Row(
        "Helmholtz", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting"]),
    Row(
        "AllenCahn", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting"]),
    Row(
        "Convection", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting"]),
    Row(
        "Reaction", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting"]),
    Row(
        "Wave", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting"]),
    Row(
        "Heat", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "LinearAlgebra"]),
    Row(
        "FokkerPlanck", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "LinearAlgebra"]),
    Row(
        "Classification", ["RunStorage", "OptimizationCore", "LinearAlgebra"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "StochasticGradient", "QuasiNewton"]),
    Row(
        "DeepRitz", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation", "LinearAlgebra"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "QuasiNewton", "StochasticGradient", "LeastSquares", "NaturalGradient", "Globalization"]),
    Row(
        "WeakForms", ["PhysicsInformed", "NeuralModels", "OptimizationCore", "Differentiation", "LinearAlgebra"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "LeastSquares"]),
    Row(
        "Regression", ["NeuralModels", "OptimizationCore", "Differentiation", "LinearAlgebra"], in: "Plugins/Problems",
        tests: ["OptimizationTesting", "QuasiNewton", "LeastSquares", "StochasticGradient", "VarianceReduction"]),
    Row("TestFunctions", ["OptimizationTesting", "OptimizationCore", "LinearAlgebra"], in: "Plugins/Problems"),
]

let zooTraining: [Target.Dependency] = ["LinearAlgebra", "OptimizationTesting", "StochasticGradient"]

let operators = [
    Row(
        "DeepONet", ["OperatorLearning", "OperatorStorage", "OptimizationCore", "Differentiation", "LinearAlgebra"],
        in: "Plugins/Operators", tests: ["OptimizationTesting", "StochasticGradient", "QuasiNewton", "LeastSquares"])
]

let callbacks = [
    Row(
        "Sampling", ["PhysicsInformed", "OptimizationCore", "LinearAlgebra"], in: "Plugins/Callbacks",
        tests: ["OptimizationTesting", "QuasiNewton", "StochasticGradient", "NeuralModels", "Differentiation"]),
    Row("RunControl", ["OptimizationCore"], in: "Plugins/Callbacks", tests: zooTraining),
    Row("Progress", ["OptimizationCore"], in: "Plugins/Callbacks", tests: zooTraining),
    Row(
        "Diagnostics", ["OptimizationCore", "LinearAlgebra"], in: "Plugins/Callbacks",
        tests: [
            "OptimizationTesting", "StochasticGradient", "LeastSquares", "PhysicsInformed", "NeuralModels", "Differentiation", "Convection",
        ]),
]

let plugins = optimizers + problems + operators + callbacks

let library = foundations + core + kits + plugins
let everything = library.map { Target.Dependency.byName(name: $0.name) }

let umbrella = [
    Row("Curvature", everything),
    Row(
        "CurvatureCLI",
        [
            "Curvature", "OptimizationTesting", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Yams", package: "Yams"), .product(name: "Logging", package: "swift-log"),
        ], tests: ["CHDF5"]),
]

// MARK: What the table means to SwiftPM.

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

func targets(of row: Row) -> [Target] {
    let path = row.folder == "Sources" ? "Sources/\(row.name)" : "\(row.folder)/\(row.name)"
    let target = Target.target(name: row.name, dependencies: row.imports, path: path, swiftSettings: strict)
    guard let extra = row.tests else { return [target] }
    let own = Target.Dependency.byName(name: row.name)
    return [
        target,
        .testTarget(
            name: "\(row.name)Tests", dependencies: [own] + row.imports + extra, path: "Tests/\(row.name)Tests", swiftSettings: strict),
    ]
}

let package = Package(
    name: "curvature",
    products: [
        .library(name: "Curvature", targets: ["Curvature"]),
        .library(name: "CurvatureCLI", targets: ["CurvatureCLI"]),
        .library(name: "OptimizationTesting", targets: ["OptimizationTesting"]),
        .executable(name: "curvature", targets: ["curvature-tool"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [openBLAS, hdf5, kernels, journal] + (library + umbrella).flatMap(targets(of:)) + [
        .executableTarget(name: "curvature-tool", dependencies: ["CurvatureCLI"], swiftSettings: strict),
        // What tests of several targets share; no product has it.
        .target(
            name: "NewtonFixtures", dependencies: ["PhysicsInformed", "Poisson", "NeuralModels", "OptimizationCore", "LinearAlgebra"],
            path: "Tests/NewtonFixtures", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
