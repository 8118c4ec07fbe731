import Curvature
import Foundation

/// Writes a file aside and renames it, so that its name never stands for half a file. `body` is given the path to write to.
func writeAside(_ path: String, _ body: (_ aside: String) throws -> Void) throws {
    let aside = path + ".part"
    guard FileManager.default.createFile(atPath: aside, contents: nil) else {
        throw ConfigurationError(path: path, reason: "cannot be written; choose a folder that exists and can be written")
    }
    defer { try? FileManager.default.removeItem(atPath: aside) }
    try body(aside)
    guard rename(aside, path) == 0 else {
        throw ConfigurationError(path: path, reason: "cannot be written: \(String(cString: strerror(errno)))")
    }
}

/// The format that a file's ending names, among those that a command writes or reads.
func format<Format: CaseIterable & RawRepresentable<String>>(of path: String, option: String) throws -> Format {
    let ending = URL(fileURLWithPath: path).pathExtension.lowercased()
    guard let format = Format(rawValue: ending) else {
        let known = Format.allCases.map { ".\($0.rawValue)" }.joined(separator: ", ")
        let what = ending.isEmpty ? "has no ending" : "ends in .\(ending)"
        throw ConfigurationError(path: option, reason: "\(path) \(what); the format follows the ending, which must be one of: \(known)")
    }
    return format
}
