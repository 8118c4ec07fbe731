import CHDF5
import Curvature
import Foundation

/// Changes the structure of a file through HDF5 itself: objects removed, moved, linked in circles, of another kind; attributes and
/// datasets of other types, shapes and extents; other values. What comes out is sound to HDF5 and nonsense to its reader.
///
/// A test may speak to HDF5 directly, which the library does in `RunStorage` only: what is made here is what `RunStorage` never writes.
struct StructureFuzzer {
    /// A run's file or a checkpoint, sealed and whole.
    enum Subject: Sendable {
        case run([UInt8])
        case checkpoint([UInt8])

        var bytes: [UInt8] {
            switch self {
            case .run(let bytes), .checkpoint(let bytes): bytes
            }
        }
    }

    private var random: RandomStream
    private var file: hid_t = -1

    init(number: Int, seed: Int) { random = Fuzzing.random("structure", number, seed: seed) }

    static func subjects(in scratch: ScratchFolder) throws -> [Subject] {
        let problem = try TestFunction("rosenbrock").problem()
        let folder = try RunFolder.create("\(scratch.path)/sound")
        let pipeline = Pipeline(minimizing: problem) {
            Stage("warm", Adam(), until: .iterations(5))
            Stage("only", LBFGS(), until: .iterations(20))
        }
        let recording = RecordTrajectory(in: folder, referenceErrorEvery: 3, snapshotEvery: 5)
        _ = try pipeline.start(seed: 1, callbacks: [recording, WriteCheckpoints(in: folder, every: .iterations(10))])
        try folder.writableFile().write(GridField([0, 1, 2, 3], on: .grid([FieldAxis("x", [0, 1, 2, 3])]), meaning: "u"), named: "u")
        let checkpoint = try folder.checkpoints.latest().entry.file
        try folder.close()
        func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }
        return [.run(try bytes(folder.runFilePath)), .checkpoint(try bytes(checkpoint))]
    }

    /// Writes a changed file to `path` and says what was done to it. Two of three get a new seal, so that they are read without a probe.
    mutating func write(_ subject: Subject, to path: String) throws -> String {
        // A new file, not new bytes in the old one: after a write that HDF5 has refused, the old one stays open, abandoned.
        try? FileManager.default.removeItem(atPath: path)
        try Data(subject.bytes.dropLast(64)).write(to: URL(fileURLWithPath: path))
        let access = H5Pcreate(ch5_class_file_access())
        // Closing the file closes what was left open in it.
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG)
        file = H5Fopen(path, ch5_read_write(), access)
        guard file >= 0 else { throw CocoaError(.fileReadCorruptFile, userInfo: [NSFilePathErrorKey: path]) }
        var what: [String] = []
        for _ in 0...random.index(below: 3) { what.append(change()) }
        H5Fclose(file)
        H5Pclose(access)
        if random.chance(0.67) {
            let image = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            func padded(_ digits: String) -> String { String(repeating: "0", count: 16 - digits.count) + digits }
            let seal = "\ncurvature-seal-1 xxh64=\(padded(String(XXH64.sum(image), radix: 16))) bytes=\(padded(String(image.count)))\n"
            try Data(image + Array(seal.utf8)).write(to: URL(fileURLWithPath: path))
            what.append("sealed")
        }
        return what.joined(separator: "; ")
    }

    // MARK: Changes

    private mutating func change() -> String {
        let paths = objects()
        let path = random.element(of: paths)
        let other = random.element(of: paths)
        switch random.index(below: 16) {
        case 0: return "remove \(path): \(H5Ldelete(file, path, ch5_default()))"
        case 1:
            let name = random.chance(0.5) ? "\(path) " : "\(other)/\(random.element(of: Self.names))"
            return "move \(path) to \(name): \(H5Lmove(file, path, file, name, ch5_default(), ch5_default()))"
        case 2:
            // A group below itself, a column that is another one, a table that is a stage.
            let name = random.chance(0.5) ? replaced(other) : "\(other)/\(random.element(of: Self.names))"
            return "link \(name) to \(path): \(H5Lcreate_hard(file, path, file, name, ch5_default(), ch5_default()))"
        case 3:
            let name = replaced(other)
            let target = random.element(of: [path, name, "/nowhere", ""])
            return "soft link \(name) to \(target): \(H5Lcreate_soft(target, file, name, ch5_default(), ch5_default()))"
        case 4:
            let name = replaced(path)
            return "external link \(name): \(H5Lcreate_external("/dev/null", "/x", file, name, ch5_default(), ch5_default()))"
        case 5:
            let name = random.chance(0.5) ? replaced(path) : "\(path)/\(random.element(of: Self.names))"
            let group = H5Gcreate2(file, name, ch5_default(), ch5_default(), ch5_default())
            defer { close(group) }
            return "group \(name): \(group)"
        case 6:
            let name = replaced(path)
            let (type, text) = self.type()
            defer { close(type) }
            return "named type \(name) \(text): \(H5Tcommit2(file, name, type, ch5_default(), ch5_default(), ch5_default()))"
        case 7, 8: return dataset(at: random.chance(0.8) ? replaced(path) : "\(path)/\(random.element(of: Self.names))")
        case 9, 10: return extent(of: path)
        case 11: return values(of: path)
        default: return attribute(of: path)
        }
    }

    /// Closes what HDF5 gave: moving an object while others are open under its name crashes HDF5 1.10.
    private func close(_ ids: hid_t...) { for id in ids where id >= 0 { H5Idec_ref(id) } }

    /// Removes what is at a path, and gives the path.
    private func replaced(_ path: String) -> String {
        H5Ldelete(file, path, ch5_default())
        return path
    }

    private static let names = ["loss", "iteration", "trajectory", "x", "formatVersion", "naïve 🙂", "", ".", "..", "0", "-1", "parameters"]

    private mutating func attribute(of path: String) -> String {
        let object = H5Oopen(file, path, ch5_default())
        guard object >= 0 else { return "no object \(path)" }
        defer { close(object) }
        var known: [String] = []
        for index in 0..<Swift.max(0, ch5_attribute_count(object)) {
            var name = [CChar](repeating: 0, count: 200)
            H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(index), &name, 200, ch5_default())
            known.append(String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        let name = known.isEmpty || random.chance(0.1) ? random.element(of: Self.attributes) : random.element(of: known)
        H5Adelete(object, name)
        if random.chance(0.2) { return "remove \(path)@\(name)" }
        let (type, text) = random.chance(0.5) ? plainType() : self.type()
        let (space, shape, count) = self.space(isSmall: true)
        let attribute = H5Acreate2(object, name, type, space, ch5_default(), ch5_default())
        defer { close(attribute, type, space) }
        var status: herr_t = -1
        withBytes(type, count) { status = H5Awrite(attribute, type, $0) }
        return "\(path)@\(name): \(text) \(shape), \(attribute < 0 ? "refused" : "\(status)")"
    }

    private static let attributes = [
        "kind", "unit", "meaning", "axes", "coordinates", "format", "formatVersion", "outcome", "iteration", "parameters", "terms", "seed",
    ]

    private mutating func dataset(at path: String) -> String {
        let (type, text) = random.chance(0.6) ? plainType() : self.type()
        let (space, shape, count) = self.space(isSmall: false)
        let set = H5Dcreate2(file, path, type, space, ch5_default(), ch5_default(), ch5_default())
        defer { close(set, type, space) }
        var status: herr_t = -1
        if set >= 0, count <= 4096, random.chance(0.8) {
            withBytes(type, count) { status = H5Dwrite(set, type, ch5_all(), ch5_all(), ch5_default(), $0) }
        }
        return "dataset \(path): \(text) \(shape), \(set < 0 ? "refused" : "\(status)")"
    }

    private mutating func extent(of path: String) -> String {
        let set = H5Dopen2(file, path, ch5_default())
        guard set >= 0 else { return "no dataset \(path)" }
        let space = H5Dget_space(set)
        defer { close(set, space) }
        let rank = Int(H5Sget_simple_extent_ndims(space))
        guard rank > 0 else { return "\(path) is a scalar" }
        var extent = [hsize_t](repeating: 0, count: rank)
        H5Sget_simple_extent_dims(space, &extent, nil)
        let axis = random.index(below: rank)
        extent[axis] = random.element(of: [
            0, 1, extent[axis] / 2, extent[axis] + 1, 2 * extent[axis] + 7, 1 << 20, 1 << 34, 1 << 50, .max / 2,
        ])
        return "extent of \(path): \(extent): \(H5Dset_extent(set, extent))"
    }

    /// Other numbers or bytes in a dataset as it is.
    private mutating func values(of path: String) -> String {
        let set = H5Dopen2(file, path, ch5_default())
        guard set >= 0 else { return "no dataset \(path)" }
        let (type, space) = (H5Dget_type(set), H5Dget_space(set))
        defer { close(set, type, space) }
        let count = H5Sget_simple_extent_npoints(space)
        guard count > 0, count <= 4096 else { return "\(path) has \(count) values" }
        var status: herr_t = -1
        withBytes(type, Int(count)) { status = H5Dwrite(set, type, ch5_all(), ch5_all(), ch5_default(), $0) }
        return "values of \(path): \(status)"
    }

    // MARK: Types, shapes, values

    /// A type that the format uses.
    private mutating func plainType() -> (type: hid_t, text: String) {
        switch random.index(below: 5) {
        case 0: return (H5Tcopy(ch5_file_double()), "float64")
        case 1: return (H5Tcopy(ch5_file_int64()), "int64")
        case 2: return (H5Tcopy(ch5_file_uint64()), "uint64")
        case 3:
            let type = H5Tcopy(ch5_c_string())
            H5Tset_size(type, random.element(of: [1, 8, 400]))
            H5Tset_cset(type, random.chance(0.8) ? H5T_CSET_UTF8 : H5T_CSET_ASCII)
            H5Tset_strpad(type, random.element(of: [H5T_STR_NULLTERM, H5T_STR_NULLPAD, H5T_STR_SPACEPAD]))
            return (type, "text")
        default:
            let type = H5Tcopy(ch5_c_string())
            H5Tset_size(type, ch5_variable())
            H5Tset_cset(type, H5T_CSET_UTF8)
            return (type, "variable text")
        }
    }

    /// A type that it does not use.
    private mutating func type() -> (type: hid_t, text: String) {
        let double = H5Tcopy(ch5_file_double())
        switch random.index(below: 9) {
        case 0:
            H5Tset_order(double, H5T_ORDER_BE)
            return (double, "big-endian float64")
        case 1:
            let small = H5Tcopy(ch5_file_int64())
            H5Tset_size(small, random.element(of: [1, 2, 4]))
            return (small, "a smaller integer")
        case 2:
            let opaque = H5Tcreate(H5T_OPAQUE, random.element(of: [1, 8, 1000]))
            H5Tset_tag(opaque, "opaque")
            return (opaque, "opaque")
        case 3:
            let compound = H5Tcreate(H5T_COMPOUND, 16)
            H5Tinsert(compound, "a", 0, double)
            H5Tinsert(compound, "b", 8, ch5_file_int64())
            close(double)
            return (compound, "compound")
        case 4:
            let truth = H5Tenum_create(ch5_native_int8())
            for (name, number) in [("FALSE", Int8(0)), ("TRUE", Int8(1)), ("MAYBE", Int8(7))].prefix(2 + random.index(below: 2)) {
                withUnsafePointer(to: number) { _ = H5Tenum_insert(truth, name, $0) }
            }
            return (truth, "enumeration")
        case 5:
            let extent: [hsize_t] = [random.element(of: [1, 2, 64])]
            return (H5Tarray_create2(double, 1, extent), "array of \(extent)")
        case 6: return (H5Tvlen_create(double), "sequence")
        case 7:
            H5Tset_size(double, 16)
            return (double, "a wider float")
        default:
            H5Tset_precision(double, 32)
            return (double, "a float of 32 of 64 bits")
        }
    }

    /// Shapes of no, one and many values; what is written stays small, so the large ones remain unwritten.
    private mutating func space(isSmall: Bool) -> (space: hid_t, shape: String, count: Int) {
        switch random.index(below: isSmall ? 5 : 7) {
        case 0: return (H5Screate(H5S_SCALAR), "scalar", 1)
        case 1: return (H5Screate(H5S_NULL), "null", 0)
        case 2: return (H5Screate_simple(1, [0], nil), "[0]", 0)
        case 3:
            let count = random.element(of: [1, 2, 3, 26, 100])
            return (H5Screate_simple(1, [hsize_t(count)], nil), "[\(count)]", count)
        case 4: return (H5Screate_simple(3, [2, 1, 3], nil), "[2, 1, 3]", 6)
        case 5: return (H5Screate_simple(2, [1 << 40, 1 << 20], nil), "[2⁴⁰, 2²⁰]", .max)
        default: return (H5Screate_simple(1, [1 << 30], nil), "[2³⁰]", .max)
        }
    }

    /// Memory for `count` values of a type, filled with numbers that no run has, or with bytes at random; none for pointers.
    private mutating func withBytes(_ type: hid_t, _ count: Int, _ body: (UnsafeRawPointer) -> Void) {
        let size = H5Tget_size(type)
        guard count > 0, count <= 4096, size > 0 else { return }
        if H5Tis_variable_str(type) > 0 {
            let texts = (0..<count).map { _ in strdup(random.element(of: Self.texts)) }
            texts.withUnsafeBytes { if let base = $0.baseAddress { body(base) } }
            texts.forEach { free($0) }
            return
        }
        // A sequence of no elements: length 0, no address.
        let isPointer = H5Tdetect_class(type, H5T_VLEN) > 0
        let special: [UInt64] = [
            0, 1, .max, 1 << 63, (1 << 63) - 1, Double.nan.bitPattern, Double.infinity.bitPattern, 1 << 40, 1_000_000,
            0x6161_6161_6161_6161,
        ]
        var bytes: [UInt8] = []
        while bytes.count < count * size {
            let word = isPointer ? 0 : random.chance(0.7) ? random.element(of: special) : random.next()
            withUnsafeBytes(of: word.littleEndian) { bytes += $0 }
        }
        bytes.withUnsafeBytes { if let base = $0.baseAddress { body(base) } }
    }

    private static let texts = ["", "table", "curvature run", "curvature checkpoint", "2×2", "naïve 🙂", "\u{1}", "-1", "converged", "s"]

    // MARK: What there is

    /// The paths of all objects, each once.
    private func objects() -> [String] {
        var paths: [String] = []
        func visit(_ path: String, _ depth: Int) {
            let group = H5Gopen2(file, path.isEmpty ? "/" : path, ch5_default())
            guard group >= 0 else { return }
            defer { H5Gclose(group) }
            var info = H5G_info_t()
            guard H5Gget_info(group, &info) >= 0 else { return }
            for index in 0..<info.nlinks {
                var name = [CChar](repeating: 0, count: 400)
                guard H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, index, &name, 400, ch5_default()) > 0 else { continue }
                let below = "\(path)/\(String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))"
                paths.append(below)
                if depth < 6, paths.count < 500 { visit(below, depth + 1) }
            }
        }
        visit("", 0)
        return paths.isEmpty ? ["/"] : paths
    }
}

// MARK: Reading what came out

extension StructureFuzzer {
    /// How many files, objects and attributes HDF5 holds open.
    static var openObjects: Int {
        let all = UInt32(H5F_OBJ_FILE | H5F_OBJ_DATASET | H5F_OBJ_GROUP | H5F_OBJ_DATATYPE | H5F_OBJ_ATTR)
        return H5Fget_obj_count(hid_t(all), all)
    }

    /// Reads all of the file.
    static func read(_ subject: Subject, at path: String) throws {
        switch subject {
        case .run: try FileFuzzer.readEverything(path)
        case .checkpoint: _ = try CheckpointFolder((path as NSString).deletingLastPathComponent).latest().archive
        }
    }

    /// Takes the file on as a resumed run would.
    static func goOn(_ subject: Subject, at path: String) throws {
        switch subject {
        case .run:
            let run = try RunFile.open(path, writing: true)
            defer { try? run.close() }
            let rows = run.rows(in: .trajectory)
            try run.truncate(.trajectory, toRow: min(rows, 9))
            try run.declare([Column("loss", meaning: "L"), Column("more", .integer, meaning: "more")], in: .trajectory)
            try run.append([("iteration", .integer(10)), ("loss", .real(1)), ("more", .integer(1))], to: .trajectory)
            _ = try run.amend([("loss", .real(2))], in: .trajectory)
            try run.flush()
            try run.close()
        case .checkpoint:
            let archive = try CheckpointFolder((path as NSString).deletingLastPathComponent).latest().archive
            let problem = try TestFunction("rosenbrock").problem()
            let pipeline = Pipeline(minimizing: problem) {
                Stage("warm", Adam(), until: .iterations(5))
                Stage("only", LBFGS(), until: .iterations(20))
            }
            let run = try pipeline.restore(from: archive)
            try run.advance()
            _ = run.snapshot()
        }
    }
}
