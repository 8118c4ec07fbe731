import ArgumentParser
import Curvature

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The command line, with the built-in plugins and any others.
///
///     @main struct Main { static func main() async { await CurvatureCLI.main(installing: [MyPlugin.self]) } }
public enum CurvatureCLI {
    /// Parses the process's arguments, runs the command, and exits: 0 done, 1 `evaluate --below` is not met, 2 bad usage or input, 3 broke
    /// down, 130 interrupted.
    public static func main(installing plugins: [any Plugin.Type] = []) async {
        // A limit on the size of files (ulimit -f) is then an error like that of a full disk, not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
        // And a program that reads no longer, as gnuplot where there is none, is an error of the write.
        signal(SIGPIPE, SIG_IGN)
        do {
            var registry = try Registry.withBuiltIns()
            for plugin in plugins { try registry.install(plugin) }
            let command = try Root.parseAsRoot()
            if var command = command as? any RegistryCommand {
                try command.run(with: registry)
            } else {
                var command = command
                try command.run()
            }
        } catch {
            ExitStatus.end(with: error)
        }
    }
}

/// A command that chooses from the registry.
protocol RegistryCommand: ParsableCommand {
    mutating func run(with registry: Registry) throws
}

struct Root: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "curvature",
        abstract: "Trains scientific machine-learning models with the optimizer that their structure calls for.",
        version: "0.1.0",
        subcommands: [
            RunCommand.self, ResumeCommand.self, ListCommand.self, InspectCommand.self, EvaluateCommand.self, PredictCommand.self,
            PlotCommand.self, CompareCommand.self, SpectrumCommand.self, ProfileCommand.self, BenchCommand.self, NewCommand.self,
        ])
}
