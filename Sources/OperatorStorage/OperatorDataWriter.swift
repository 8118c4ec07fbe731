import OperatorLearning
import OptimizationCore
import RunStorage

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Writes operator data block by block; the file has its name only once it is whole.
public struct OperatorDataWriter: Sendable {
    private let path: String
    private let aside: String
    private let file: HDF5File
    private let grid: OperatorGrid
    public private(set) var functionCount = 0

    /// Begins a file beside `path`. What `path` names before is replaced by ``finish()``.
    public init(_ path: String, grid: OperatorGrid, provenance: Setting) throws {
        (self.path, aside, self.grid) = (path, path + ".part", grid)
        unlink(aside)
        file = try HDF5File.create(aside)
        try file.setAttribute("format", OperatorDataFile.format, at: "/")
        try file.setAttribute("formatVersion", OperatorDataFile.formatVersion, at: "/")
        try file.write(grid.sensors, shape: [grid.sensorCount, grid.sensorDimension], at: "/sensors")
        try file.setAttribute("meaning", "coordinates of the sensors", at: "/sensors")
        try file.write(grid.points, shape: [grid.pointCount, grid.pointDimension], at: "/points")
        try file.setAttribute("meaning", "coordinates of the query points", at: "/points")
        try table("/inputs", width: grid.sensorCount, meaning: "input functions at the sensors, a row each")
        try table("/outputs", width: grid.pointCount, meaning: "output functions at the points, a row each")
        try file.makeGroup("/provenance")
        for (name, text) in provenance.flattened() where !name.isEmpty { try file.setAttribute(name, text, at: "/provenance") }
    }

    private func table(_ object: String, width: Int, meaning: String) throws {
        // Chunks of about 256 KiB: few enough to find, small enough for a batch's scattered rows.
        try file.makeExtensible(Double.self, rowShape: [width], chunkRows: max(1, (1 << 15) / width), at: object)
        try file.setAttribute("meaning", meaning, at: object)
    }

    /// Appends functions that live on the writer's grid.
    public mutating func append(_ data: OperatorData) throws {
        precondition(data.grid == grid, "functions on another grid than the file's")
        guard data.functionCount > 0 else { return }
        try file.write(rows: data.inputs, from: functionCount, at: "/inputs")
        try file.write(rows: data.outputs, from: functionCount, at: "/outputs")
        functionCount += data.functionCount
    }

    /// Closes the file and gives it its name.
    public func finish() throws {
        try file.close()
        guard rename(aside, path) == 0 else {
            let cause = String(cString: strerror(errno))
            unlink(aside)
            throw StorageError(
                .refused, "the finished file could not be given its name", file: path,
                advice: "Choose a folder that can be written.", causes: [cause])
        }
    }

    /// Closes the unfinished file and removes it.
    public func abandon() {
        try? file.close()
        unlink(aside)
    }
}

extension OperatorDataSource {
    /// Writes all functions to a file, a block at a time; leaves nothing behind where that fails.
    public func write(to path: String) throws {
        var writer = try OperatorDataWriter(path, grid: grid, provenance: provenance)
        do {
            var start = 0
            while start < functionCount {
                let end = min(functionCount, start + min(blockCount, 2048))
                try writer.append(try functions(start..<end))
                start = end
            }
            try writer.finish()
        } catch {
            writer.abandon()
            throw error
        }
    }
}
