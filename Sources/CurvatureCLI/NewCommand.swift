import ArgumentParser
import Curvature
import Foundation

/// `curvature new`: a package of one's own, around the library.
struct NewCommand: RegistryCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Write a package with an optimizer or a problem of your own.",
        discussion: """
            The package builds as it is: a library with the optimizer or problem and its plugin, an executable with the whole command \
            line, and tests. Change the formula, keep the rest.

                curvature new optimizer my-descent
                cd MyDescent && swift test -c release && .build/release/my-descent run run.yaml
            """)

    @Argument(help: "What to begin: optimizer or problem.")
    var kind: ExternalPackage.Kind

    @Argument(help: "Its name: my-descent or MyDescent.")
    var name: String

    @Option(name: .shortAndLong, help: "The package's folder; by default one of the type's name, here.")
    var output: String?

    @Option(help: "Where the library is: a folder, or a repository's URL. By default the checkout that this executable was built in.")
    var curvature: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run(with registry: Registry) throws {
        let library = try curvature.map(LibraryLocation.init) ?? .ofThisExecutable()
        let name = try ExternalPackage.Name(name, kind: kind, registry: registry)
        let folder = output ?? name.type
        let package = ExternalPackage(kind: kind, name: name, library: library)
        try package.write(to: folder)
        let screen = Screen(json: json)
        screen.show("wrote \(folder):")
        for file in package.files { screen.show("  \(file.path)") }
        screen.show("next: cd \(folder) && swift test -c release && .build/release/\(name.identifier) list \(name.identifier)")
        guard json else { return }
        let report: JSONReport = [
            "outcome": "written", "directory": .text(folder), "type": .text(name.type), "name": .text(name.identifier),
            "files": .list(package.files.map { .text($0.path) }),
        ]
        report.show()
    }
}

/// A package outside this one that adds an optimizer or a problem to the library.
package struct ExternalPackage {
    package enum Kind: String, CaseIterable, Sendable, ExpressibleByArgument { case optimizer, problem }

    package struct File: Equatable, Sendable {
        /// Relative to the package's folder.
        package let path: String
        package let text: String
    }

    package let kind: Kind
    package let name: Name
    package let library: LibraryLocation

    package init(kind: Kind, name: Name, library: LibraryLocation) { (self.kind, self.name, self.library) = (kind, name, library) }

    package var files: [File] {
        PackageTemplate.files(of: kind).map { file in File(path: filled(file.path), text: filled(file.text)) }
    }

    private func filled(_ template: String) -> String {
        template.replacing("«Type»", with: name.type).replacing("«name»", with: name.identifier)
            .replacing("«dependency»", with: library.dependency).replacing("«library»", with: library.packageName)
    }

    /// Writes the files into a new folder: all of them, or none. A folder that is there already must be empty.
    package func write(to folder: String) throws {
        let files = FileManager.default
        let target = URL(fileURLWithPath: folder).standardizedFileURL
        var isFolder: ObjCBool = false
        let exists = files.fileExists(atPath: target.path, isDirectory: &isFolder)
        if exists {
            guard isFolder.boolValue, (try? files.contentsOfDirectory(atPath: target.path))?.isEmpty == true else {
                throw ConfigurationError(path: folder, reason: "is there already and nothing is overwritten; choose another folder with -o")
            }
        }
        let aside = target.deletingLastPathComponent().appendingPathComponent(".\(target.lastPathComponent)-\(UUID().uuidString)")
        do {
            for file in self.files {
                let place = aside.appendingPathComponent(file.path)
                try files.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
                try file.text.write(to: place, atomically: false, encoding: .utf8)
            }
            if exists { try files.removeItem(at: target) }
            try files.moveItem(at: aside, to: target)
        } catch {
            try? files.removeItem(at: aside)
            throw ConfigurationError(path: folder, reason: "cannot be written: \(error.localizedDescription)")
        }
    }
}

// MARK: Names

extension ExternalPackage {
    /// A name in its two forms: that of a Swift type, and that of configurations and the executable.
    package struct Name: Equatable, Sendable {
        /// `MyDescent`.
        package let type: String
        /// `my-descent`.
        package let identifier: String

        /// Throws a ``ConfigurationError`` where the text is no name, or one that is taken.
        package init(_ text: String, kind: Kind, registry: Registry) throws {
            func refusal(_ reason: String) -> ConfigurationError { ConfigurationError(path: text, reason: reason) }
            let words = text.split(separator: "-", omittingEmptySubsequences: false)
            guard let first = text.unicodeScalars.first, "a"..."z" ~= first || "A"..."Z" ~= first, text.count <= 60,
                words.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(isLetterOrDigit) })
            else {
                throw refusal("is not a name: write my-descent or MyDescent, ASCII letters and digits, at most 60, a letter first")
            }
            type = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
            identifier = words.map(kebab).joined(separator: "-")
            let (type, identifier) = (type, identifier)
            let names = kind == .optimizer ? registry.optimizers.map(\.name) : registry.problems.map(\.name)
            guard !names.contains(identifier) else {
                throw refusal("there is a registered \(kind.rawValue) “\(identifier)” already; choose another name")
            }
            guard !takenTypes.contains(where: { $0.lowercased() == type.lowercased() }) else {
                throw refusal("\(type) is the name of a module or a type that the package uses; choose another name")
            }
        }
    }
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: false
    }
}

/// `MyDescent` → `my-descent`: a hyphen before a capital that follows a small letter or a digit.
private func kebab(_ word: Substring) -> String {
    var (text, previous) = ("", Character("A"))
    for letter in word {
        if letter.isUppercase && !previous.isUppercase { text += "-" }
        text += letter.lowercased()
        previous = letter
    }
    return text
}

/// Modules that the package is built with, and types that its text uses or that Swift keeps for itself.
private let takenTypes: [String] =
    builtInPlugins.compactMap { String(reflecting: $0).split(separator: ".").first.map(String.init) } + [
        "Curvature", "CurvatureCLI", "OptimizationTesting", "OptimizationCore", "LinearAlgebra", "Differentiation", "Globalization",
        "NeuralModels", "PhysicsInformed", "OperatorLearning", "RunStorage", "OperatorStorage", "Progress", "CHDF5", "COpenBLAS",
        "CKernels", "CJournal", "ArgumentParser", "Yams", "CYaml",
        "Logging", "Swift", "Foundation", "Testing", "Glibc", "Darwin", "Main", "Any", "Self", "Type", "Protocol",
        "FirstOrderMethod", "Configurable", "Field", "Checkpointable", "Vector", "Archive", "Memory", "Int", "Double", "String", "Bool",
        "Plugin", "Registry", "PDEProblem", "Domain", "Condition", "Fields", "Point", "Residual", "Reference", "ProblemConfiguration",
        "PerceptronSettings", "PointPlan", "Problem", "Optimizer", "UInt64", "PhysicsInformedProblem", "Pipeline", "Stage",
        "LevenbergMarquardt", "DerivativeCheck", "OptimizerConformance", "ZooProblem", "Suite", "Test",
    ]

// MARK: Where the library is

/// Where an external package finds the library.
package enum LibraryLocation: Equatable, Sendable {
    /// A checkout's absolute path.
    case folder(String)
    case url(String)

    /// A URL, or a folder that holds the library's manifest.
    package init(_ text: String) throws {
        if text.contains("://") || text.hasPrefix("git@") {
            self = .url(text)
            return
        }
        let folder = URL(fileURLWithPath: text).standardizedFileURL
        guard isCheckout(folder) else {
            throw ConfigurationError(path: "--curvature", reason: "\(text) holds no Package.swift of Curvature; give its folder or a URL")
        }
        self = .folder(folder.path)
    }

    /// The checkout that holds the executable's folder.
    static func ofThisExecutable() throws -> LibraryLocation {
        var folder = URL(fileURLWithPath: Bundle.main.executablePath ?? "/").resolvingSymlinksInPath()
        while folder.path != "/" {
            folder = folder.deletingLastPathComponent()
            if isCheckout(folder) { return .folder(folder.path) }
        }
        throw ConfigurationError(
            path: "--curvature", reason: "this executable lies in no checkout of Curvature; give the library's folder or a repository's URL"
        )
    }

    /// The dependency as it stands in a manifest.
    var dependency: String {
        switch self {
        case .folder(let path): ".package(name: \"curvature\", path: \(path.debugDescription))"
        // A release would be pinned by `from:`; a branch is what every repository has.
        case .url(let url): ".package(url: \(url.debugDescription), branch: \"main\")"
        }
    }

    /// What targets call the package: its name, or for a URL its last component.
    var packageName: String {
        switch self {
        case .folder: return "curvature"
        case .url(let url):
            let last = url.split(whereSeparator: { $0 == "/" || $0 == ":" }).last.map(String.init) ?? "curvature"
            return last.hasSuffix(".git") ? String(last.dropLast(4)) : last
        }
    }
}

/// Whether a folder's manifest is that of this library.
private func isCheckout(_ folder: URL) -> Bool {
    guard let manifest = try? String(contentsOf: folder.appendingPathComponent("Package.swift"), encoding: .utf8) else { return false }
    return manifest.contains("    name: \"curvature\",")
}
