import CHDF5

/// What a dataset holds, learned without reading it.
public struct HDF5Layout: Sendable, Hashable {
    public enum Element: Sendable, Hashable { case double, integer, unsigned, byte, truth, text, other }
    public var element: Element
    public var shape: [Int]
}

// MARK: Whole datasets

extension HDF5File {
    /// Writes an array as a new contiguous dataset of the given shape, the last index running fastest; `[]` is a scalar.
    public func write<T: HDF5Element>(_ values: [T], shape: [Int], at path: String) throws {
        precondition(shape.reduce(1, *) == values.count, "\(values.count) values for the shape \(shape)")
        try locked { file in
            guard let type = Handle(T.fileType()), let memory = Handle(T.memoryType()),
                let creation = Handle(H5Pcreate(ch5_class_dataset_create()))
            else { throw error("no type", at: path) }
            // Every element is written right below: filling the space first would write it twice.
            guard H5Pset_fill_time(creation.id, H5D_FILL_TIME_NEVER) >= 0 else { throw error("no fill time", at: path) }
            let space = try dataspace(shape, at: path)
            let dataset = try newDataset(path, type.id, space.id, creation.id, bytes: MemoryLayout<T>.size * values.count, in: file)
            guard !values.isEmpty else { return }
            let status = values.withUnsafeBytes { H5Dwrite(dataset.id, memory.id, ch5_all(), ch5_all(), ch5_default(), $0.baseAddress) }
            guard status >= 0, dataset.close() else { throw writeFailure("the array could not be written", at: path) }
        }
    }

    /// Writes texts as a new dataset: UTF-8 of variable length.
    public func write(_ values: [String], shape: [Int], at path: String) throws {
        precondition(shape.reduce(1, *) == values.count, "\(values.count) texts for the shape \(shape)")
        try locked { file in
            try checkTexts(values, at: path)
            let type = try textType(at: path)
            let space = try dataspace(shape, at: path)
            let dataset = try newDataset(
                path, type.id, space.id, ch5_default(), bytes: values.reduce(1) { $0 + 32 + $1.utf8.count }, in: file)
            guard !values.isEmpty else { return }
            let status = withCStrings(values) { H5Dwrite(dataset.id, type.id, ch5_all(), ch5_all(), ch5_default(), $0) }
            guard status >= 0, dataset.close() else { throw writeFailure("the texts could not be written", at: path) }
        }
    }

    /// Reads a whole dataset and its shape.
    public func read<T: HDF5Element>(_ type: T.Type = T.self, at path: String) throws -> (values: [T], shape: [Int]) {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let stored = Handle(H5Dget_type(dataset.id)), let memory = Handle(T.memoryType()) else {
                throw error("no type", at: path, .damaged)
            }
            guard T.reads(stored.id) else {
                throw error(
                    "the dataset does not hold \(T.hdf5Name)", at: path, .mismatch, advice: "Read it as what it holds, or write it anew.")
            }
            let shape = try self.shape(of: dataset.id, at: path)
            let count = shape.reduce(1, *)
            try checkBytes(count, MemoryLayout<T>.size, at: path)
            guard count > 0 else { return ([], shape) }
            var status: herr_t = -1
            let values = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
                status = H5Dread(dataset.id, memory.id, ch5_all(), ch5_all(), ch5_default(), buffer.baseAddress)
                initialized = status >= 0 ? count : 0
            }
            guard status >= 0 else { throw error("the dataset could not be read", at: path, .damaged, advice: "Use a backup of the file.") }
            return (values, shape)
        }
    }

    /// Reads a whole dataset of texts and its shape.
    public func readTexts(at path: String) throws -> (values: [String], shape: [Int]) {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let stored = Handle(H5Dget_type(dataset.id)) else { throw error("no type", at: path, .damaged) }
            let shape = try self.shape(of: dataset.id, at: path)
            let count = shape.reduce(1, *)
            let values = try readTexts(count, stored.id, at: path) { H5Dread(dataset.id, $0, ch5_all(), ch5_all(), ch5_default(), $1) }
            return (values, shape)
        }
    }

    /// What the dataset at `path` holds and its shape.
    public func layout(of path: String) throws -> HDF5Layout {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let type = Handle(H5Dget_type(dataset.id)) else { throw error("no type", at: path, .damaged) }
            let element: HDF5Layout.Element =
                if Double.reads(type.id) { .double } else if Int64.reads(type.id) { .integer } else if UInt64.reads(type.id) {
                    .unsigned
                } else if UInt8.reads(type.id) { .byte } else if Truth.reads(type.id) { .truth } else if H5Tget_class(type.id) == H5T_STRING
                {
                    .text
                } else { .other }
            return HDF5Layout(element: element, shape: try shape(of: dataset.id, at: path))
        }
    }
}

// MARK: Datasets that grow

extension HDF5File {
    /// Makes an empty dataset whose first dimension grows, stored in chunks of `chunkRows` rows; unwritten elements read as the fill value.
    public func makeExtensible<T: HDF5Element>(_ type: T.Type, rowShape: [Int], chunkRows: Int, rows: Int = 0, at path: String) throws {
        try locked { file in
            guard let type = Handle(T.fileType()), let memory = Handle(T.memoryType()),
                let creation = Handle(H5Pcreate(ch5_class_dataset_create()))
            else { throw error("no type", at: path) }
            var fill = T.fill
            let chunk = ([max(1, chunkRows)] + rowShape.map { max(1, $0) }).map(hsize_t.init)
            guard H5Pset_chunk(creation.id, CInt(chunk.count), chunk) >= 0, H5Pset_fill_value(creation.id, memory.id, &fill) >= 0 else {
                throw error("HDF5 refused the chunks", at: path)
            }
            let space = try dataspace([rows] + rowShape, growing: true, at: path)
            _ = try newDataset(path, type.id, space.id, creation.id, in: file)
        }
    }

    /// Writes rows from `row` on, growing the dataset to end behind them.
    public func write<T: HDF5Element>(rows values: [T], from row: Int, at path: String) throws {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let memory = Handle(T.memoryType()) else { throw error("no type", at: path) }
            let width = try shape(of: dataset.id, at: path).dropFirst().reduce(1, *)
            precondition(width > 0 && values.count % width == 0, "\(values.count) values are not whole rows of \(width)")
            try write(values, type: memory.id, count: values.count / width, from: row, in: dataset, at: path)
        }
    }

    private func write<T>(_ values: [T], type: hid_t, count: Int, from row: Int, in dataset: consuming Handle, at path: String)
        throws
    {
        guard count > 0 else { return }
        // New chunks are allocated whole.
        try requireWritable(MemoryLayout<T>.size * values.count + chunkBytes(of: dataset.id), at: path)
        var shape = try self.shape(of: dataset.id, at: path)
        shape[0] = row + count
        guard H5Dset_extent(dataset.id, shape.map { hsize_t($0) }) >= 0 else { throw writeFailure("the dataset could not grow", at: path) }
        guard let target = Handle(H5Dget_space(dataset.id)) else { throw error("no shape", at: path) }
        let start = shape.indices.map { hsize_t($0 == 0 ? row : 0) }
        let block = [count] + shape[1...]
        guard H5Sselect_hyperslab(target.id, H5S_SELECT_SET, start, nil, block.map { hsize_t($0) }, nil) >= 0 else {
            throw error("no such rows", at: path)
        }
        let source = try dataspace(block, at: path)
        let status = values.withUnsafeBytes { H5Dwrite(dataset.id, type, source.id, target.id, ch5_default(), $0.baseAddress) }
        guard status >= 0, dataset.close() else { throw writeFailure("rows \(row)..<\(row + count) could not be written", at: path) }
    }

    /// Makes an empty dataset of texts that grows, each cell `width` bytes of UTF-8, the rest zero.
    public func makeExtensibleTexts(width: Int, chunkRows: Int, rows: Int = 0, at path: String) throws {
        try locked { file in
            guard let creation = Handle(H5Pcreate(ch5_class_dataset_create())),
                H5Pset_chunk(creation.id, 1, [hsize_t(max(1, chunkRows))]) >= 0
            else { throw error("HDF5 refused the chunks", at: path) }
            let type = try cellType(width: width, at: path)
            let space = try dataspace([rows], growing: true, at: path)
            _ = try newDataset(path, type.id, space.id, creation.id, in: file)
        }
    }

    /// Writes texts from `row` on, cut where they exceed the width of a cell.
    public func write(texts: [String], from row: Int, at path: String) throws {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let type = Handle(H5Dget_type(dataset.id)) else { throw error("no type", at: path, .damaged) }
            let width = H5Tget_size(type.id)
            var cells: [UInt8] = []
            for value in texts {
                let bytes = fitting(value, width)
                cells += bytes + [UInt8](repeating: 0, count: width - bytes.count)
            }
            try write(cells, type: type.id, count: texts.count, from: row, in: dataset, at: path)
        }
    }

    /// The bytes that a cell of a dataset of texts takes.
    func textWidth(at path: String) throws -> Int {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let type = Handle(H5Dget_type(dataset.id)) else { throw error("no type", at: path, .damaged) }
            return H5Tget_size(type.id)
        }
    }

    private func cellType(width: Int, at path: String) throws -> Handle {
        guard let type = Handle(H5Tcopy(ch5_c_string())), H5Tset_size(type.id, width) >= 0, H5Tset_cset(type.id, H5T_CSET_UTF8) >= 0,
            H5Tset_strpad(type.id, H5T_STR_NULLPAD) >= 0
        else { throw error("HDF5 gave no type for text", at: path) }
        return type
    }

    /// Reads some rows of a dataset.
    public func read<T: HDF5Element>(_ type: T.Type, rows: Range<Int>, at path: String) throws -> [T] {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            guard let stored = Handle(H5Dget_type(dataset.id)), let memory = Handle(T.memoryType()), T.reads(stored.id) else {
                throw error("the dataset does not hold \(T.hdf5Name)", at: path, .mismatch)
            }
            let shape = try self.shape(of: dataset.id, at: path)
            guard let length = shape.first, rows.lowerBound >= 0, rows.upperBound <= length else {
                throw error("there are no rows \(rows) in the shape \(shape)", at: path, .mismatch)
            }
            let block = [rows.count] + shape[1...]
            let count = block.reduce(1, *)
            try checkBytes(count, MemoryLayout<T>.size, at: path)
            guard count > 0 else { return [] }
            guard let target = Handle(H5Dget_space(dataset.id)) else { throw error("no shape", at: path, .damaged) }
            let start = shape.indices.map { hsize_t($0 == 0 ? rows.lowerBound : 0) }
            guard H5Sselect_hyperslab(target.id, H5S_SELECT_SET, start, nil, block.map { hsize_t($0) }, nil) >= 0 else {
                throw error("no such rows", at: path, .damaged)
            }
            let source = try dataspace(block, at: path)
            var status: herr_t = -1
            let values = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
                status = H5Dread(dataset.id, memory.id, source.id, target.id, ch5_default(), buffer.baseAddress)
                initialized = status >= 0 ? count : 0
            }
            guard status >= 0 else { throw error("rows \(rows) could not be read", at: path, .damaged) }
            return values
        }
    }

    /// Cuts or extends the first dimension; new rows read as the fill value.
    public func setRows(_ rows: Int, at path: String) throws {
        try locked { file in
            let dataset = try openedDataset(path, in: file)
            var shape = try self.shape(of: dataset.id, at: path)
            guard !shape.isEmpty, shape[0] != rows else { return }
            try requireWritable(1, at: path)
            shape[0] = rows
            guard H5Dset_extent(dataset.id, shape.map { hsize_t($0) }) >= 0, dataset.close() else {
                throw writeFailure("the dataset could not be resized", at: path)
            }
        }
    }
}

// MARK: Types and shapes

extension HDF5File {
    private func newDataset(_ path: String, _ type: hid_t, _ space: hid_t, _ creation: hid_t, bytes: Int = 1, in file: hid_t) throws
        -> Handle
    {
        try requireWritable(bytes, at: path)
        guard !exists(path) else {
            throw StorageError(.exists, "the file already holds this object", file: self.path, object: path, advice: "Remove it first.")
        }
        let links = try intermediateGroups(at: path)
        guard let dataset = Handle(H5Dcreate2(file, path, type, space, links.id, creation, ch5_default())) else {
            throw writeFailure("the dataset could not be made", at: path)
        }
        return dataset
    }

    private func openedDataset(_ path: String, in file: hid_t) throws -> Handle {
        let object = try opened(path, in: file)
        guard H5Iget_type(object.id) == H5I_DATASET else { throw error("this is not a dataset", at: path, .mismatch) }
        return object
    }

    private func shape(of dataset: hid_t, at path: String) throws -> [Int] {
        guard let space = Handle(H5Dget_space(dataset)) else { throw error("the dataset has no shape", at: path, .damaged) }
        return try extent(of: space.id, at: path)
    }

    /// The bytes of one chunk of a dataset that grows.
    private func chunkBytes(of dataset: hid_t) -> Int {
        guard let type = Handle(H5Dget_type(dataset)), let creation = Handle(H5Dget_create_plist(dataset)) else { return 0 }
        var lengths = [hsize_t](repeating: 0, count: Int(H5S_MAX_RANK))
        let rank = H5Pget_chunk(creation.id, CInt(lengths.count), &lengths)
        return rank < 0 ? 0 : lengths.prefix(Int(rank)).reduce(H5Tget_size(type.id)) { $0 * Int($1) }
    }

    /// The shape of a dataspace; `[]` for a scalar. Throws where the product of the extents exceeds 2⁶², as in a garbled file.
    func extent(of space: hid_t, at path: String) throws -> [Int] {
        let rank = H5Sget_simple_extent_ndims(space)
        guard rank >= 0, H5Sget_simple_extent_type(space) != H5S_NULL else { throw error("the object has no shape", at: path, .mismatch) }
        var lengths = [hsize_t](repeating: 0, count: Int(rank))
        guard rank == 0 || H5Sget_simple_extent_dims(space, &lengths, nil) >= 0 else {
            throw error("the shape could not be read", at: path, .damaged)
        }
        var product: UInt64 = 1
        for length in lengths {
            let (next, overflow) = product.multipliedReportingOverflow(by: max(1, length))
            guard !overflow, next < 1 << 62 else { throw error("the shape \(lengths) cannot be", at: path, .damaged) }
            product = next
        }
        return lengths.map { Int($0) }
    }

    func dataspace(_ shape: [Int], growing: Bool = false, at path: String) throws -> Handle {
        let lengths = shape.map(hsize_t.init)
        var limits = lengths
        if growing { limits[0] = ch5_unlimited() }
        guard let space = Handle(shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(CInt(shape.count), lengths, limits)) else {
            throw error("HDF5 refused the shape \(shape)", at: path)
        }
        return space
    }

    /// Throws where a dataset claims far more bytes than the file could hold, as a garbled one may.
    func checkBytes(_ count: Int, _ size: Int, at path: String) throws {
        let file = bytes
        let limit = max(1 << 28, 16 * min(file, 1 << 56))
        guard count <= limit / size else {
            throw error("\(count) elements are claimed, more than a file of \(file) bytes can hold", at: path, .damaged)
        }
    }

    // MARK: Texts

    func textType(at path: String) throws -> Handle {
        guard let type = Handle(H5Tcopy(ch5_c_string())), H5Tset_size(type.id, ch5_variable()) >= 0,
            H5Tset_cset(type.id, H5T_CSET_UTF8) >= 0
        else {
            throw error("HDF5 gave no type for text", at: path)
        }
        return type
    }

    /// HDF5's texts end at the first zero byte, so one that contains it cannot be kept.
    func checkTexts(_ values: [String], at path: String) throws {
        guard !values.contains(where: { $0.utf8.contains(0) }) else {
            throw StorageError(
                .mismatch, "a text contains the character NUL", file: self.path, object: path, advice: "Remove it from the text.")
        }
    }

    func readTexts(_ count: Int, _ stored: hid_t, at path: String, _ read: (hid_t, UnsafeMutableRawPointer) -> herr_t) throws -> [String] {
        guard H5Tget_class(stored) == H5T_STRING else { throw error("text was expected", at: path, .mismatch) }
        guard count > 0 else { return [] }
        guard H5Tis_variable_str(stored) > 0 else { return try readFixedTexts(count, stored, at: path, read) }
        try checkBytes(count, MemoryLayout<UnsafeMutablePointer<CChar>?>.stride, at: path)
        let type = try textType(at: path)
        _ = H5Tset_cset(type.id, H5Tget_cset(stored))
        var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
        let status = pointers.withUnsafeMutableBytes { buffer in buffer.baseAddress.map { read(type.id, $0) } ?? -1 }
        defer { for pointer in pointers where pointer != nil { _ = H5free_memory(pointer) } }
        guard status >= 0 else { throw error("the texts could not be read", at: path, .damaged) }
        return pointers.map { $0.map { String(cString: $0) } ?? "" }
    }

    private func readFixedTexts(_ count: Int, _ stored: hid_t, at path: String, _ read: (hid_t, UnsafeMutableRawPointer) -> herr_t) throws
        -> [String]
    {
        let size = H5Tget_size(stored)
        guard size > 0, size < 1 << 31 else { throw error("the texts have no length", at: path, .damaged) }
        try checkBytes(count, size, at: path)
        var bytes = [CChar](repeating: 0, count: count * size)
        let status = bytes.withUnsafeMutableBytes { buffer in buffer.baseAddress.map { read(stored, $0) } ?? -1 }
        guard status >= 0 else { throw error("the texts could not be read", at: path, .damaged) }
        return (0..<count).map { zeroTerminated(bytes[($0 * size)..<(($0 + 1) * size)]) }
    }
}

/// The text of a buffer, up to its first zero byte.
func zeroTerminated(_ bytes: some Sequence<CChar>) -> String {
    String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The bytes of a text's longest prefix of whole characters that fits in `width` bytes; a NUL reads as a space.
func fitting(_ text: String, _ width: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for character in text {
        let more = character.utf8.map { $0 == 0 ? 0x20 : $0 }
        guard bytes.count + more.count <= width else { break }
        bytes += more
    }
    return bytes
}

/// Runs `body` on an array of pointers to C strings of the values; nil where there are none.
func withCStrings<R>(_ values: [String], _ body: (UnsafeRawPointer?) -> R) -> R {
    var bytes: [CChar] = []
    var starts: [Int] = []
    for value in values {
        starts.append(bytes.count)
        bytes.append(contentsOf: value.utf8.map { CChar(bitPattern: $0) })
        bytes.append(0)
    }
    return bytes.withUnsafeBufferPointer { buffer in
        let pointers = starts.map { start in buffer.baseAddress.map { $0 + start } }
        return pointers.withUnsafeBytes { body($0.baseAddress) }
    }
}
