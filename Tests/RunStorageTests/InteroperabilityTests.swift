import OptimizationCore
import RunStorage
import Testing

/// The files are plain HDF5: Python and HDF5's own tools open them.
///
/// `make test` installs both. Where they are missing the tests are skipped, and said to be; with CI=true they fail.
@Suite struct InteroperabilityTests {
    /// The system's Python with h5py, where there is one.
    static let pythonWithH5py = ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"].first { program in
        (try? output(of: program, ["-c", "import h5py"]))?.status == 0
    }
    static let h5dump = ["/usr/bin/h5dump", "/usr/local/bin/h5dump", "/opt/homebrew/bin/h5dump"].first { program in
        (try? output(of: program, ["--version"]))?.status == 0
    }

    static let needsH5py = ConditionTrait.enabled(
        if: pythonWithH5py != nil || isContinuousIntegration, "h5py is not installed: scripts/install-system-packages --tests")
    static let needsH5dump = ConditionTrait.enabled(
        if: h5dump != nil || isContinuousIntegration, "h5dump is not installed: scripts/install-system-packages --tests")

    static func python(_ script: String, _ arguments: [String]) throws -> String {
        let program = try #require(pythonWithH5py, "no Python of the system has h5py: scripts/install-system-packages --tests")
        let result = try #require(try output(of: program, ["-c", script] + arguments))
        #expect(result.status == 0, "\(result.text)")
        return result.text
    }

    static func run(_ scratch: Scratch) throws -> RunFolder {
        let folder = try RunFolder.create(scratch("run"))
        _ = try pipeline().start(seed: 7, callbacks: RunFolderTests.callbacks(folder))
        let grid = GridField(
            [0, 1, 2, 3, 4, 5], on: .grid([FieldAxis("t", [0, 1], unit: "s"), FieldAxis("x", [-1, 0, 1])]), meaning: "u")
        try folder.writableFile().write(grid, named: "solution")
        try folder.close()
        return folder
    }

    @Test(needsH5py) func h5pyReadsARun() throws {
        let scratch = try Scratch()
        let folder = try Self.run(scratch)
        let loss = try RunFile.open(folder.runFilePath).reals("loss", in: .trajectory)
        let script = """
            import h5py, sys
            with h5py.File(sys.argv[1], "r") as f:
                t = f["trajectory"]
                print(f.attrs["format"], f.attrs["seed"], list(f.attrs["terms"]), f.attrs["problem"])
                print(t["loss"][-1].hex(), t["iteration"][:].sum(), t["iteration"].dtype, t["seconds"].attrs["unit"], t["loss"].shape)
                print([s.decode() for s in f["events/event"][:2]], f["layout/shape"].asstr()[0], f["layout/offset"][1])
                print(f["fields/solution/values"][1, 2], list(f["fields/solution"].attrs["axes"]), f["fields/solution/axes/x"][0])
                print(f["result"].attrs["outcome"], f["result/parameters"].shape)
            """
        let text = try Self.python(script, [folder.runFilePath])
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines.first == "curvature run 7 ['even', 'odd'] {name: bowl, count: 5}")
        let last = try #require(loss.last)
        let second = lines[1].split(separator: " ")
        #expect(second.count == 5 || second.count == 6)
        // Python's float.hex and Swift's bits name the same number.
        #expect(
            try Self.python("import sys; print(float.fromhex(sys.argv[1]) == float(sys.argv[2]))", [String(second[0]), "\(last)"])
                == "True\n")
        #expect(lines[1].hasSuffix("1830 int64 s (60,)"))
        #expect(lines[2] == "['stage began', 'stage ended'] 2×2 4")
        #expect(lines[3] == "5.0 ['t', 'x'] -1.0")
        #expect(lines[4] == "budget spent (5,)")
    }

    @Test(needsH5py) func h5pyReadsACheckpointAndItsOddNumbers() throws {
        let scratch = try Scratch()
        var (archive, inner) = (Archive(), Archive())
        inner.set("odd", [-0.0, .infinity, Double(bitPattern: 0xfff8_0000_dead_beef)], unit: "m")
        inner.set("texts", ["", "‖∇L‖ ✓"])
        archive.set("inner", inner)
        archive.set("count", -5)
        let entry = try CheckpointFolder(scratch("c")).write(archive, iteration: 12, parameters: [1, 2])
        let script = """
            import h5py, sys
            with h5py.File(sys.argv[1], "r") as f:
                odd = f["run/inner/odd"]
                print(odd[:].tobytes().hex(), odd.attrs["unit"], f["run/count"][()], list(f["run/inner/texts"].asstr()), list(f["run"]))
                print(f["parameters"][:], f.attrs["iteration"], f.attrs["format"])
            """
        let text = try Self.python(script, [entry.file])
        #expect(
            text == """
                0000000000000080000000000000f07fefbeadde0000f8ff m -5 ['', '‖∇L‖ ✓'] ['inner', 'count']
                [1. 2.] 12 curvature checkpoint

                """)
    }

    @Test(needsH5dump) func h5dumpOpensBothFiles() throws {
        let program = try #require(Self.h5dump, "h5dump is not installed: scripts/install-system-packages --tests")
        let scratch = try Scratch()
        let folder = try Self.run(scratch)
        let checkpoint = try folder.checkpoints.latest().entry.file
        for (file, wanted) in [(folder.runFilePath, ["/trajectory/loss", "/result"]), (checkpoint, ["/run/optimizer", "/parameters"])] {
            let result = try #require(try output(of: program, ["-n", file]))
            #expect(result.status == 0, "\(result.text)")
            for name in wanted { #expect(result.text.contains(name)) }
            let whole = try #require(try output(of: program, [file]))
            #expect(whole.status == 0 && !whole.text.contains("unable"), "\(whole.text)")
        }
    }

    @Test func theSealIsXXH64() {
        // Published values of the algorithm, below and above its block of 32 bytes.
        #expect(XXH64.sum([]) == 0xef46_db37_51d8_e999)
        #expect(XXH64.sum(Array("a".utf8)) == 0xd24e_c4f1_a98c_6e5b)
        #expect(XXH64.sum(Array("abc".utf8)) == 0x44bc_2cf5_ad77_0999)
        #expect(XXH64.sum(Array("Nobody inspects the spammish repetition".utf8)) == 0xfbce_a83c_8a37_8bf1)
    }
}
