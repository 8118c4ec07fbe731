import Curvature
import CurvatureCLI
import Foundation
import Testing

@Suite struct NewCommandTests {
    private let library = LibraryLocation.url("https://example.org/numerics/curvature.git")

    private let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func name(_ text: String, _ kind: ExternalPackage.Kind = .optimizer) throws -> ExternalPackage.Name {
        try ExternalPackage.Name(text, kind: kind, registry: try .withBuiltIns())
    }

    @Test func bothFormsOfAName() throws {
        for text in ["my-descent", "MyDescent", "myDescent"] {
            let name = try name(text)
            #expect(name.type == "MyDescent" && name.identifier == "my-descent", "\(name)")
        }
        #expect(try name("SR1").identifier == "sr1")
        #expect(try name("heat2d").type == "Heat2d")
    }

    @Test(arguments: ["", "-ball", "ball-", "heavy--ball", "2nd", "héavy", "heavy ball", "../up", "a/b", String(repeating: "a", count: 61)])
    func whatIsNoName(text: String) {
        #expect(throws: ConfigurationError.self) { try name(text) }
    }

    /// Registered already, modules of the library and its dependencies, types that the text of the package uses.
    @Test(arguments: ["adam", "Adam", "curvature", "LeastSquares", "yams", "vector", "Self"]) func takenNames(text: String) {
        #expect(throws: ConfigurationError.self) { try name(text) }
    }

    /// Every row of the manifest's table is a module; a package of that name would not build.
    @Test func modulesOfTheLibraryAreTaken() throws {
        let manifest = try String(contentsOf: checkout.appendingPathComponent("Package.swift"), encoding: .utf8)
        let modules = manifest.matches(of: /Row\(\s*"(\w+)"/).map { String($0.output.1) }
        #expect(modules.count > 15)
        for module in modules {
            #expect(throws: ConfigurationError.self, "\(module)") { try name(module) }
        }
    }

    @Test func aProblemMayNotBeCalledLikeAnother() throws {
        #expect(throws: ConfigurationError.self) { try name("poisson-2d", .problem) }
        #expect(try name("poisson-2d", .optimizer).type == "Poisson2d")
    }

    @Test(arguments: ExternalPackage.Kind.allCases) func writesEveryFile(kind: ExternalPackage.Kind) throws {
        let scratch = try ScratchFolder()
        let package = ExternalPackage(kind: kind, name: try name("my-descent", kind), library: library)
        let folder = "\(scratch.path)/made"
        try package.write(to: folder)
        let found = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(folder)/\(path)", isDirectory: &isFolder) && !isFolder.boolValue
        }
        #expect(
            found.sorted() == [
                ".gitignore", "Package.swift", "README.md", "Sources/MyDescent/MyDescent.swift", "Sources/my-descent-tool/main.swift",
                "Tests/MyDescentTests/MyDescentTests.swift", "run.yaml",
            ])
        for file in package.files {
            #expect(try String(contentsOfFile: "\(folder)/\(file.path)", encoding: .utf8) == file.text)
            #expect(!file.text.contains("«") && !file.text.contains("»"), "a place of \(file.path) is not filled")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["made"], "nothing is left beside the package")
    }

    @Test func dependsOnTheLibrary() throws {
        func manifest(_ library: LibraryLocation) throws -> String {
            let files = ExternalPackage(kind: .optimizer, name: try name("my-descent"), library: library).files
            return try #require(files.first { $0.path == "Package.swift" }).text
        }
        let remote = try manifest(.url("git@example.org:numerics/curvature-fork.git"))
        #expect(remote.contains(#".package(url: "git@example.org:numerics/curvature-fork.git", branch: "main")"#))
        #expect(remote.contains(#"package: "curvature-fork""#))
        let local = try manifest(.folder(#"/home/a "quoted" name"#))
        #expect(local.contains(#".package(name: "curvature", path: "/home/a \"quoted\" name")"#))
        #expect(local.contains(#"package: "curvature""#))
    }

    @Test func overwritesNothing() throws {
        let scratch = try ScratchFolder()
        let package = ExternalPackage(kind: .optimizer, name: try name("my-descent"), library: library)
        let file = try scratch.write("mine", to: "file")
        #expect(throws: ConfigurationError.self) { try package.write(to: file) }
        #expect(throws: ConfigurationError.self) { try package.write(to: scratch.path) }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["file"])
        // An empty folder is taken.
        try FileManager.default.createDirectory(atPath: "\(scratch.path)/empty", withIntermediateDirectories: false)
        try package.write(to: "\(scratch.path)/empty")
        #expect(FileManager.default.fileExists(atPath: "\(scratch.path)/empty/Package.swift"))
    }

    @Test func whereTheLibraryIs() throws {
        let scratch = try ScratchFolder()
        #expect(throws: ConfigurationError.self) { try LibraryLocation(scratch.path) }
        #expect(throws: ConfigurationError.self) { try LibraryLocation("\(scratch.path)/missing") }
        #expect(try LibraryLocation(checkout.path) == .folder(checkout.path))
        #expect(try LibraryLocation("https://example.org/x") == .url("https://example.org/x"))
    }

    @Test func byTheCommandLine() throws {
        let (tool, scratch) = (try CommandLineTool(), try ScratchFolder())
        let made = try tool.run(["new", "problem", "Ripple", "-o", "\(scratch.path)/ripple"])
        #expect(made.status == 0, "\(made.errors)")
        #expect(FileManager.default.fileExists(atPath: "\(scratch.path)/ripple/Sources/Ripple/Ripple.swift"))
        let again = try tool.run(["new", "problem", "Ripple", "-o", "\(scratch.path)/ripple"])
        #expect(again.status != 0 && again.errors.contains("nothing is overwritten"), "\(again.errors)")
        let taken = try tool.run(["new", "optimizer", "adam", "-o", "\(scratch.path)/adam"])
        #expect(taken.status != 0 && taken.errors.contains("adam"), "\(taken.errors)")
    }
}
