import CHDF5

/// An HDF5 identifier that is released when it goes out of scope.
struct Handle: ~Copyable {
    let id: hid_t

    /// Takes ownership of `id`; a negative one (HDF5's sign of failure) is nil.
    init?(_ id: hid_t) {
        guard id >= 0 else { return nil }
        self.id = id
    }

    deinit { _ = HDF5.locked { H5Idec_ref(id) } }

    /// Releases the identifier now, and says whether what HDF5 still held back for it could be written.
    consuming func close() -> Bool {
        let isClosed = HDF5.locked { H5Idec_ref(id) >= 0 }
        discard self
        return isClosed
    }
}

/// A type of elements that HDF5 datasets and attributes hold here, stored at fixed width and little-endian.
///
/// The bits in memory are the bits in the file: NaN payloads and negative zeros survive.
public protocol HDF5Element: Sendable, BitwiseCopyable {
    /// What an element that was never written reads as.
    static var fill: Self { get }
    /// The type's name in messages.
    static var hdf5Name: String { get }
    /// The HDF5 type in memory. The caller owns the identifier.
    static func memoryType() -> hid_t
    /// The HDF5 type in the file. The caller owns the identifier.
    static func fileType() -> hid_t
    /// Whether a stored type may be read as this one: the class, the size and the sign agree.
    static func reads(_ type: hid_t) -> Bool
}

extension Double: HDF5Element {
    public static var fill: Double { .nan }
    public static var hdf5Name: String { "float64" }
    public static func memoryType() -> hid_t { H5Tcopy(ch5_native_double()) }
    public static func fileType() -> hid_t { H5Tcopy(ch5_file_double()) }
    public static func reads(_ type: hid_t) -> Bool { H5Tequal(type, ch5_file_double()) > 0 }
}

extension Int64: HDF5Element {
    public static var fill: Int64 { .min }
    public static var hdf5Name: String { "int64" }
    public static func memoryType() -> hid_t { H5Tcopy(ch5_native_int64()) }
    public static func fileType() -> hid_t { H5Tcopy(ch5_file_int64()) }
    public static func reads(_ type: hid_t) -> Bool { H5Tequal(type, ch5_file_int64()) > 0 }
}

extension UInt64: HDF5Element {
    public static var fill: UInt64 { 0 }
    public static var hdf5Name: String { "uint64" }
    public static func memoryType() -> hid_t { H5Tcopy(ch5_native_uint64()) }
    public static func fileType() -> hid_t { H5Tcopy(ch5_file_uint64()) }
    public static func reads(_ type: hid_t) -> Bool { H5Tequal(type, ch5_file_uint64()) > 0 }
}

extension UInt8: HDF5Element {
    public static var fill: UInt8 { 0 }
    public static var hdf5Name: String { "uint8" }
    public static func memoryType() -> hid_t { H5Tcopy(ch5_native_uint8()) }
    public static func fileType() -> hid_t { H5Tcopy(ch5_file_uint8()) }
    public static func reads(_ type: hid_t) -> Bool { H5Tequal(type, ch5_file_uint8()) > 0 }
}

/// A truth value, stored as the enumeration FALSE = 0, TRUE = 1 over one byte, which h5py reads as a boolean.
struct Truth: HDF5Element, Hashable {
    var byte: Int8

    init(_ value: Bool) { byte = value ? 1 : 0 }
    var value: Bool { byte != 0 }

    static var fill: Truth { Truth(false) }
    static var hdf5Name: String { "bool" }
    static func memoryType() -> hid_t { fileType() }
    static func fileType() -> hid_t {
        let type = H5Tenum_create(ch5_native_int8())
        var (no, yes): (Int8, Int8) = (0, 1)
        guard type >= 0, H5Tenum_insert(type, "FALSE", &no) >= 0, H5Tenum_insert(type, "TRUE", &yes) >= 0 else { return -1 }
        return type
    }
    static func reads(_ type: hid_t) -> Bool {
        guard let own = Handle(fileType()) else { return false }
        return H5Tequal(type, own.id) > 0
    }
}
