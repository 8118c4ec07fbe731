import ArgumentParser

/// `curvature bench`: how fast the parts are on this machine.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure the speed of the parts on this machine.",
        subcommands: [
            BenchGradient.self, BenchProducts.self, BenchGaussNewton.self, BenchFactorization.self, BenchLBFGS.self, BenchTwoLoop.self,
            BenchUpdate.self, BenchStep.self, BenchDeepONet.self, BenchStartup.self,
        ])
}
