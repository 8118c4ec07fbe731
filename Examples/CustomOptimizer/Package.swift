// swift-tools-version: 6.2
import PackageDescription

// An optimizer in a package of its own. Outside this repository the first dependency would be a `url:` instead of a `path:`.
let curvature = "curvature"

let package = Package(
    name: "custom-optimizer",
    products: [
        .library(name: "Signum", targets: ["Signum"]),
        .executable(name: "signum", targets: ["signum-tool"]),
    ],
    dependencies: [.package(name: curvature, path: "../..")],
    targets: [
        .target(name: "Signum", dependencies: [.product(name: "Curvature", package: curvature)]),
        .executableTarget(name: "signum-tool", dependencies: ["Signum", .product(name: "CurvatureCLI", package: curvature)]),
        .testTarget(name: "SignumTests", dependencies: ["Signum", .product(name: "OptimizationTesting", package: curvature)]),
    ]
)
