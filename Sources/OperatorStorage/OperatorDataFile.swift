import OperatorLearning
import OptimizationCore
import RunStorage

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Operator data in an HDF5 file, read in blocks as they are asked for.
///
/// The layout is plain; with F functions, S sensors, Q points:
///
///     /                attributes format = "curvature-operator-data", formatVersion = 1
///     /sensors         S × dₛ   coordinates of the sensors
///     /points          Q × d    coordinates of the points
///     /inputs          F × S    the input functions at the sensors
///     /outputs         F × Q    the output functions at the points
///     /provenance      attributes: where the data come from, a text each
///
/// Such a file can be made by any program; `formatVersion` and `/provenance` may be missing then.
public struct OperatorDataFile: OperatorDataSource {
    public static let format = "curvature-operator-data"
    public static let formatVersion = 1

    public let path: String
    public let grid: OperatorGrid
    public let functionCount: Int
    public let provenance: Setting
    private let file: HDF5File

    /// Opens a file and checks its layout; the functions are not yet read.
    public init(_ path: String) throws {
        let file = try HDF5File.open(path)
        if let format = try file.text("format", at: "/"), format != Self.format {
            throw Self.mismatch("the file holds “\(format)”, not operator data", path, at: "/")
        }
        if let version = try file.integer("formatVersion", at: "/"), version != Self.formatVersion {
            throw Self.mismatch("the file has format version \(version); this program reads \(Self.formatVersion)", path, at: "/")
        }
        let sensors = try Self.places("/sensors", in: file)
        let points = try Self.places("/points", in: file)
        let inputs = try Self.extents("/inputs", of: sensors.count, "sensors", in: file)
        let outputs = try Self.extents("/outputs", of: points.count, "points", in: file)
        guard inputs == outputs else {
            throw Self.mismatch("there are \(inputs) input functions and \(outputs) output functions", path, at: "/outputs")
        }
        (self.path, self.file, functionCount) = (path, file, inputs)
        grid = OperatorGrid(
            sensors: sensors.coordinates, sensorDimension: sensors.dimension, points: points.coordinates,
            pointDimension: points.dimension)
        var provenance = Setting.map([])
        if file.exists("/provenance") {
            for name in try file.attributes(of: "/provenance") {
                let text = try file.text(name, at: "/provenance") ?? ""
                provenance = provenance.setting(name.split(separator: ".").map(String.init), to: .scalar(text))
            }
        }
        self.provenance = provenance
    }

    /// Whether anything is at the path.
    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    public func functions(_ range: Range<Int>) throws -> OperatorData {
        let inputs = try rows(range, of: "/inputs", width: grid.sensorCount)
        let outputs = try rows(range, of: "/outputs", width: grid.pointCount)
        return OperatorData(grid: grid, inputs: inputs, outputs: outputs, provenance: provenance)
    }

    private func rows(_ range: Range<Int>, of object: String, width: Int) throws -> [Double] {
        let values = try file.read(Double.self, rows: range, at: object)
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw StorageError(
                .damaged, "function \(range.lowerBound + index / width) holds a value that is not finite, \(values[index])", file: path,
                object: object, advice: "Remove that function or make the data anew.")
        }
        return values
    }

    // MARK: Checks

    private static func places(_ object: String, in file: HDF5File) throws -> (coordinates: [Double], count: Int, dimension: Int) {
        let (values, shape) = try file.read(Double.self, at: object)
        guard shape.count == 1 || shape.count == 2, shape.allSatisfy({ $0 > 0 }), values.allSatisfy(\.isFinite) else {
            throw mismatch(
                "the coordinates must be finite numbers in a table of points × dimensions, not of shape \(shape)", file.path, at: object)
        }
        return (values, shape[0], shape.count == 2 ? shape[1] : 1)
    }

    private static func extents(_ object: String, of width: Int, _ what: String, in file: HDF5File) throws -> Int {
        let layout = try file.layout(of: object)
        guard layout.element == .double, layout.shape.count == 2, layout.shape[1] == width else {
            throw mismatch(
                "the dataset must hold doubles in a table of functions × \(width) \(what), not \(layout.element) of shape \(layout.shape)",
                file.path, at: object)
        }
        return layout.shape[0]
    }

    private static func mismatch(_ what: String, _ path: String, at object: String) -> StorageError {
        StorageError(.mismatch, what, file: path, object: object, advice: "Give a file of operator data, as OperatorDataFile describes it.")
    }
}
