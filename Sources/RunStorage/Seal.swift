import CJournal

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The last 64 bytes of a file of ours: how long the HDF5 image before them is, and its XXH64 sum.
///
/// HDF5 ignores what follows a file's end, so every reader opens a sealed file; but a file that was cut short or changed is recognised
/// before HDF5 is asked to make sense of it, which it may not survive.
enum Seal {
    static let count = 64

    /// `\ncurvature-seal-1 xxh64=<16 hexadecimal digits> bytes=<16 digits>\n`
    static func bytes(for image: UnsafeRawBufferPointer) -> [UInt8] {
        let sum = padded(String(XXH64.sum(image), radix: 16), to: 16)
        return Array("\(opening)\(sum) bytes=\(padded(String(image.count), to: 16))\n".utf8)
    }

    static func bytes(for image: [UInt8]) -> [UInt8] { image.withUnsafeBytes { bytes(for: $0) } }

    private static let opening = "\ncurvature-seal-1 xxh64="

    enum Finding: Equatable { case whole, unsealed, shortened(expected: Int), changed }

    /// Whether a file's bytes are an image followed by its seal.
    static func check(_ file: UnsafeRawBufferPointer) -> Finding {
        guard file.count >= count else { return .unsealed }
        let seal = Array(file.suffix(count))
        guard seal.starts(with: opening.utf8) else { return .unsealed }
        let image = UnsafeRawBufferPointer(rebasing: file.dropLast(count))
        if seal == bytes(for: image) { return .whole }
        let digits = String(decoding: seal.dropFirst(opening.utf8.count + 16 + " bytes=".utf8.count).dropLast(), as: UTF8.self)
        if let expected = Int(digits), expected != image.count { return .shortened(expected: expected) }
        return .changed
    }

    /// Checks the seal of a file on disk without reading it into memory.
    static func check(file path: String) throws -> Finding { try Files.withMapped(path) { check($0) } }

    /// Seals a file that is complete.
    static func seal(file path: String) throws {
        let seal = try Files.withMapped(path) { bytes(for: $0) }
        try Files.append(seal, to: path)
    }

    /// Takes the seal off a file that is about to change.
    static func unseal(file path: String) throws {
        guard let bytes = FileStatus(of: path)?.bytes, bytes >= count else { return }
        guard truncate(path, off_t(bytes - count)) == 0 else { throw Files.failure("the file could not be opened for writing", path) }
    }

    /// What a finding means for the user; nil where the file is whole or was never sealed.
    static func complaint(_ finding: Finding, bytes: Int) -> String? {
        switch finding {
        case .whole, .unsealed: nil
        case .shortened(let expected): "the file has \(bytes - count) bytes before its seal and should have \(expected)"
        case .changed: "the file was changed after it was written: its sum differs"
        }
    }

    private static func padded(_ digits: String, to width: Int) -> String {
        String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

/// The 64-bit sum of Y. Collet's xxHash, with seed 0.
package enum XXH64 {
    package static func sum(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { sum($0) } }

    static func sum(_ buffer: UnsafeRawBufferPointer) -> UInt64 { cj_xxh64(buffer.baseAddress, buffer.count, 0) }
}
