// swift-tools-version: 6.2
import PackageDescription

// An optimizer in a package of its own. Outside this repository the first dependency would be a `url:` instead of a `path:`.
let curvature = "curvature"

let package = Package(
    name: "custom-optimizer",
    products: [
        .library(name: "Lion", targets: ["Lion"]),
        .executable(name: "lion", targets: ["lion-tool"]),
    ],
    dependencies: [.package(name: curvature, path: "../..")],
    targets: [
        .target(name: "Lion", dependencies: [.product(name: "Curvature", package: curvature)]),
        .executableTarget(name: "lion-tool", dependencies: ["Lion", .product(name: "CurvatureCLI", package: curvature)]),
        .testTarget(name: "LionTests", dependencies: ["Lion", .product(name: "OptimizationTesting", package: curvature)]),
    ]
)
