import Foundation
import OperatorLearning
import OperatorStorage
import OptimizationCore
import RunStorage
import Testing

@Suite struct OperatorDataFileTests {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("operators-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func data(_ count: Int = 5000) throws -> AntiderivativeData {
        AntiderivativeData(field: try GaussianRandomField(nodeCount: 32), functions: count, sensors: 9, points: 4, seed: 8)
    }

    /// More functions than a block, so that the file is written and read in parts.
    @Test func whatIsWrittenIsReadBack() throws {
        let (data, path) = (try data(), "\(folder)/data.h5")
        try data.write(to: path)
        let file = try OperatorDataFile(path)
        #expect(file.grid == data.grid)
        #expect(file.functionCount == 5000)
        #expect(file.provenance.differences(from: data.provenance) == [])
        #expect(file.provenance["lengthScale"]?.text == "0.2")
        let (read, made) = (try file.loaded(), try data.loaded())
        #expect(read.inputs == made.inputs)
        #expect(read.outputs == made.outputs)
        let some = [4999, 3, 4, 5, 2047, 2048, 3]
        #expect(try file.functions(at: some).outputs == made.functions(at: some).outputs)
        #expect(!FileManager.default.fileExists(atPath: path + ".part"))
    }

    /// A source that fails on its way, as a full disk or a broken input would.
    private struct Failing: OperatorDataSource {
        struct Failure: Error {}
        var base: AntiderivativeData
        var grid: OperatorGrid { base.grid }
        var functionCount: Int { base.functionCount }
        var provenance: Setting { base.provenance }
        func functions(_ range: Range<Int>) throws -> OperatorData {
            guard range.upperBound < 4000 else { throw Failure() }
            return base.functions(range)
        }
    }

    @Test func aFailedWriteLeavesWhatWasThere() throws {
        let path = "\(folder)/data.h5"
        try data(10).write(to: path)
        #expect(throws: Failing.Failure.self) { try Failing(base: try data()).write(to: path) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["data.h5"])
        #expect(try OperatorDataFile(path).functionCount == 10)
    }

    @Test func aFileOfAnotherProgramNeedsOnlyTheTables() throws {
        let path = "\(folder)/foreign.h5"
        let file = try HDF5File.create(path)
        try file.write([0.0, 0.5, 1.0], shape: [3], at: "/sensors")
        try file.write([0.0, 0.1, 0.2, 0.3], shape: [2, 2], at: "/points")
        try file.write((0..<6).map(Double.init), shape: [2, 3], at: "/inputs")
        try file.write([1.0, 2.0, 3.0, 4.0], shape: [2, 2], at: "/outputs")
        try file.close()
        let data = try OperatorDataFile(path)
        #expect(data.grid.sensorCount == 3 && data.grid.pointCount == 2 && data.grid.pointDimension == 2)
        #expect(try data.functions(1..<2).inputs == [3, 4, 5])
    }

    @Test func wrongFilesAreRefusedWithReasons() throws {
        #expect(throws: StorageError.self) { try OperatorDataFile("\(folder)/missing.h5") }
        func check(_ name: String, _ mention: String, _ fill: (HDF5File) throws -> Void) throws {
            let path = "\(folder)/\(name).h5"
            let file = try HDF5File.create(path)
            try file.write([0.0, 1.0], shape: [2, 1], at: "/sensors")
            try file.write([0.0], shape: [1, 1], at: "/points")
            try fill(file)
            try file.close()
            let error = #expect(throws: StorageError.self, "\(name)") { _ = try OperatorDataFile(path).loaded() }
            #expect(error.map { "\($0)".contains(mention) } ?? false, "\(String(describing: error))")
        }
        try check("format", "checkpoint") { try $0.setAttribute("format", "checkpoint", at: "/") }
        try check("version", "version 9") { try $0.setAttribute("formatVersion", 9, at: "/") }
        try check("width", "functions × 2 sensors") { try $0.write([1.0, 2, 3], shape: [1, 3], at: "/inputs") }
        try check("count", "2 input functions and 1 output") {
            try $0.write([1.0, 2, 3, 4], shape: [2, 2], at: "/inputs")
            try $0.write([1.0], shape: [1, 1], at: "/outputs")
        }
        try check("nan", "function 1") {
            try $0.write([1.0, 2, .nan, 4], shape: [2, 2], at: "/inputs")
            try $0.write([1.0, 2], shape: [2, 1], at: "/outputs")
        }
    }
}
