import LinearAlgebra
import RunStorage

/// Samples of several classes in an HDF5 file, compressed or not:
///
///     /                attributes format = "curvature-labelled-samples", formatVersion = 1
///     /features        n × d    float64, a sample a row
///     /labels          n        int64, the classes 0, 1, …, each with a sample
///     /provenance      attributes: where the data come from, a text each
///
/// Such a file can be made by any program (`Tests/Reference/digits.py` is one); the attributes and `/provenance` may be missing then.
public enum ClassDataFile {
    public static let format = "curvature-labelled-samples"
    public static let formatVersion = 1

    /// Reads and checks a file. Throws a `StorageError` that says what is wrong, and where.
    public static func read(_ path: String) throws -> ClassSamples {
        let file = try HDF5File.open(path)
        func mismatch(_ what: String, at object: String) -> StorageError {
            StorageError(.mismatch, what, file: path, object: object, advice: "Give a file of samples, as ClassDataFile describes it.")
        }
        if let format = try file.text("format", at: "/"), format != Self.format {
            throw mismatch("the file holds “\(format)”, not labelled samples", at: "/")
        }
        if let version = try file.integer("formatVersion", at: "/"), version != formatVersion {
            throw mismatch("the file has format version \(version); this program reads \(formatVersion)", at: "/")
        }
        let (rows, shape) = try file.read(Double.self, at: "/features")
        guard shape.count == 2, shape.allSatisfy({ $0 > 0 }) else {
            throw mismatch("the features must be a table of samples × features, not of shape \(shape)", at: "/features")
        }
        let (n, d) = (shape[0], shape[1])
        let (labels, labelShape) = try file.read(Int64.self, at: "/labels")
        guard labelShape == [n] else { throw mismatch("there are \(n) samples and labels of shape \(labelShape)", at: "/labels") }
        if let i = rows.firstIndex(where: { !$0.isFinite }) {
            throw StorageError(
                .damaged, "feature \(i % d) of sample \(i / d) is not finite, \(rows[i])", file: path, object: "/features",
                advice: "Remove that sample or make the data anew.")
        }
        if let i = labels.firstIndex(where: { !(0..<Int64(n)).contains($0) }) {
            throw mismatch("the label of sample \(i) is \(labels[i]); labels count the classes from 0", at: "/labels")
        }
        let classCount = Int(labels.max() ?? 0) + 1
        let present = Set(labels)
        if let missing = (0..<classCount).first(where: { !present.contains(Int64($0)) }) {
            throw mismatch("no sample is of class \(missing), though labels go up to \(classCount - 1)", at: "/labels")
        }
        guard classCount > 1 else { throw mismatch("all samples are of one class", at: "/labels") }
        // A row of the table lies where a column of X does.
        return ClassSamples(features: Matrix(rows: d, columns: n, elements: rows), labels: labels.map { Int($0) }, classCount: classCount)
    }
}
