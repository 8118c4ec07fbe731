import CHDF5

/// What a path of an HDF5 file leads to.
public enum HDF5ObjectKind: Sendable, Hashable { case group, dataset, other }

/// Which object a path leads to: equal for two links that lead to one object.
struct ObjectIdentity: Hashable {
    var file: UInt
    var place: [UInt64]
}

// MARK: Groups

extension HDF5File {
    /// Makes a group and the groups above it that are missing; one that exists is left alone.
    public func makeGroup(_ path: String) throws {
        try locked { file in
            guard !exists(path) else { return }
            try requireWritable(1, at: path)
            let links = try intermediateGroups(at: path)
            guard let creation = Handle(H5Pcreate(ch5_class_group_create())),
                H5Pset_link_creation_order(creation.id, HDF5File.creationOrder) >= 0,
                Handle(H5Gcreate2(file, path, links.id, creation.id, ch5_default())) != nil
            else { throw writeFailure("the group could not be made", at: path) }
        }
    }

    /// Whether `path` leads to an object.
    public func exists(_ path: String) -> Bool {
        (try? locked { file in
            var prefix = ""
            for name in path.split(separator: "/") {
                prefix += "/\(name)"
                guard H5Lexists(file, prefix, ch5_default()) > 0, H5Oexists_by_name(file, prefix, ch5_default()) > 0 else {
                    H5Eclear2(ch5_error_stack())
                    return false
                }
            }
            return true
        }) ?? false
    }

    public func kind(of path: String) throws -> HDF5ObjectKind {
        try locked { file in
            let object = try opened(path, in: file)
            switch H5Iget_type(object.id) {
            case H5I_GROUP: return .group
            case H5I_DATASET: return .dataset
            default: return .other
            }
        }
    }

    func identity(of path: String) throws -> ObjectIdentity {
        try locked { file in
            let object = try opened(path, in: file)
            var identity = ch5_identity()
            guard ch5_identify(object.id, &identity) >= 0 else { throw error("the object has no place", at: path, .damaged) }
            return ObjectIdentity(file: UInt(identity.file), place: [UInt64(identity.place.0), UInt64(identity.place.1)])
        }
    }

    /// The names in a group, in the order in which they were made where the file recorded it, else sorted.
    public func members(of group: String) throws -> [String] {
        try locked { file in
            let object = try opened(group, in: file)
            var info = H5G_info_t()
            guard H5Gget_info(object.id, &info) >= 0 else { throw error("this is not a group", at: group, .mismatch) }
            return try (0..<info.nlinks).map { index in
                var name = try linkName(object.id, H5_INDEX_CRT_ORDER, index)
                if name == nil {
                    H5Eclear2(ch5_error_stack())
                    name = try linkName(object.id, H5_INDEX_NAME, index)
                }
                guard let name else { throw error("a member could not be named", at: group, .damaged) }
                return name
            }
        }
    }

    private func linkName(_ group: hid_t, _ index: H5_index_t, _ position: hsize_t) throws -> String? {
        let length = H5Lget_name_by_idx(group, ".", index, H5_ITER_INC, position, nil, 0, ch5_default())
        guard length >= 0, length < 1 << 16 else { return nil }
        var name = [CChar](repeating: 0, count: length + 1)
        guard H5Lget_name_by_idx(group, ".", index, H5_ITER_INC, position, &name, name.count, ch5_default()) >= 0 else { return nil }
        return zeroTerminated(name)
    }

    /// Removes a group or dataset. HDF5 reuses its space only while the file stays open.
    public func remove(_ path: String) throws {
        try locked { file in
            try requireWritable(1, at: path)
            guard H5Ldelete(file, path, ch5_default()) >= 0 else { throw writeFailure("the object could not be removed", at: path) }
        }
    }

    /// The object at `path`, opened.
    func opened(_ path: String, in file: hid_t) throws -> Handle {
        guard exists(path) else {
            throw StorageError(
                .mismatch, "there is no such object in the file", file: self.path, object: path,
                advice: "List what is there with `h5dump -n`, or write it with a program that stores it.")
        }
        guard let object = Handle(H5Oopen(file, path, ch5_default())) else {
            throw error("the object could not be opened", at: path, .damaged, advice: "Use a backup of the file.")
        }
        return object
    }

    func intermediateGroups(at path: String) throws -> Handle {
        guard let links = Handle(H5Pcreate(ch5_class_link_create())), H5Pset_create_intermediate_group(links.id, 1) >= 0 else {
            throw error("HDF5 refused the properties of links", at: path)
        }
        return links
    }
}

// MARK: Attributes

extension HDF5File {
    /// Sets a number, truth value or array as an attribute of the object at `path`, replacing one of that name.
    public func setAttribute<T: HDF5Element>(_ name: String, _ values: [T], at path: String, scalar: Bool = false) throws {
        try locked { file in
            guard let type = Handle(T.fileType()), let memory = Handle(T.memoryType()) else { throw error("no type", at: path) }
            let space = try dataspace(scalar ? [] : [values.count], at: path)
            let attribute = try attribute(name, type.id, space.id, at: path, in: file)
            guard values.isEmpty || values.withUnsafeBytes({ H5Awrite(attribute.id, memory.id, $0.baseAddress) }) >= 0 else {
                throw writeFailure("attribute “\(name)” could not be written", at: path)
            }
        }
    }

    public func setAttribute(_ name: String, _ value: Double, at path: String) throws {
        try setAttribute(name, [value], at: path, scalar: true)
    }
    public func setAttribute(_ name: String, _ value: Int, at path: String) throws {
        try setAttribute(name, [Int64(value)], at: path, scalar: true)
    }
    public func setAttribute(_ name: String, _ value: UInt64, at path: String) throws {
        try setAttribute(name, [value], at: path, scalar: true)
    }
    public func setAttribute(_ name: String, _ value: Bool, at path: String) throws {
        try setAttribute(name, [Truth(value)], at: path, scalar: true)
    }

    /// Sets text as an attribute: UTF-8 of variable length, which h5py reads as `str`.
    public func setAttribute(_ name: String, _ value: String, at path: String) throws {
        try setAttribute(name, [value], at: path, shape: [])
    }

    /// Sets a list of texts as an attribute.
    public func setAttribute(_ name: String, _ values: [String], at path: String) throws {
        try setAttribute(name, values, at: path, shape: [values.count])
    }

    private func setAttribute(_ name: String, _ values: [String], at path: String, shape: [Int]) throws {
        try locked { file in
            try checkTexts(values, at: path)
            let type = try textType(at: path)
            let space = try dataspace(shape, at: path)
            let attribute = try attribute(name, type.id, space.id, at: path, in: file)
            guard values.isEmpty || withCStrings(values, { H5Awrite(attribute.id, type.id, $0) }) >= 0 else {
                throw writeFailure("attribute “\(name)” could not be written", at: path)
            }
        }
    }

    private func attribute(_ name: String, _ type: hid_t, _ space: hid_t, at path: String, in file: hid_t) throws -> Handle {
        try requireWritable(1, at: path)
        let object = try opened(path, in: file)
        if H5Aexists(object.id, name) > 0, H5Adelete(object.id, name) < 0 {
            throw error("attribute “\(name)” could not be replaced", at: path)
        }
        guard let attribute = Handle(H5Acreate2(object.id, name, type, space, ch5_default(), ch5_default())) else {
            throw error("attribute “\(name)” could not be made", at: path)
        }
        return attribute
    }

    /// The names of an object's attributes, sorted.
    public func attributes(of path: String) throws -> [String] {
        try locked { file in
            let object = try opened(path, in: file)
            let count = ch5_attribute_count(object.id)
            guard count >= 0 else { throw error("the attributes could not be counted", at: path, .damaged) }
            return try (0..<hsize_t(count)).map { index in
                let length = H5Aget_name_by_idx(object.id, ".", H5_INDEX_NAME, H5_ITER_INC, index, nil, 0, ch5_default())
                guard length >= 0, length < 1 << 16 else { throw error("an attribute could not be named", at: path, .damaged) }
                var name = [CChar](repeating: 0, count: length + 1)
                _ = H5Aget_name_by_idx(object.id, ".", H5_INDEX_NAME, H5_ITER_INC, index, &name, name.count, ch5_default())
                return zeroTerminated(name)
            }
        }
    }

    /// A number or array of an attribute; nil where there is no attribute of that name.
    public func attribute<T: HDF5Element>(_ name: String, as type: T.Type, at path: String) throws -> [T]? {
        try locked { file in
            guard let attribute = try openedAttribute(name, at: path, in: file) else { return nil }
            guard let stored = Handle(H5Aget_type(attribute.id)), let memory = Handle(T.memoryType()), T.reads(stored.id) else {
                throw error("attribute “\(name)” does not hold \(T.hdf5Name)", at: path, .mismatch)
            }
            guard let space = Handle(H5Aget_space(attribute.id)) else {
                throw error("attribute “\(name)” has no shape", at: path, .damaged)
            }
            let count = try extent(of: space.id, at: path).reduce(1, *)
            try checkBytes(count, MemoryLayout<T>.size, at: path)
            guard count > 0 else { return [] }
            var status: herr_t = -1
            let values = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
                status = H5Aread(attribute.id, memory.id, buffer.baseAddress)
                initialized = status >= 0 ? count : 0
            }
            guard status >= 0 else { throw error("attribute “\(name)” could not be read", at: path, .damaged) }
            return values
        }
    }

    public func double(_ name: String, at path: String) throws -> Double? { try attribute(name, as: Double.self, at: path)?.first }
    public func integer(_ name: String, at path: String) throws -> Int? {
        try attribute(name, as: Int64.self, at: path)?.first.map(Int.init)
    }
    public func unsigned(_ name: String, at path: String) throws -> UInt64? { try attribute(name, as: UInt64.self, at: path)?.first }
    public func truth(_ name: String, at path: String) throws -> Bool? { try attribute(name, as: Truth.self, at: path)?.first?.value }
    public func text(_ name: String, at path: String) throws -> String? { try texts(name, at: path)?.first }

    /// The texts of an attribute; nil where there is none of that name.
    public func texts(_ name: String, at path: String) throws -> [String]? {
        try locked { file in
            guard let attribute = try openedAttribute(name, at: path, in: file) else { return nil }
            guard let stored = Handle(H5Aget_type(attribute.id)), let space = Handle(H5Aget_space(attribute.id)) else {
                throw error("attribute “\(name)” could not be read", at: path, .damaged)
            }
            let count = try extent(of: space.id, at: path).reduce(1, *)
            return try readTexts(count, stored.id, at: path) { H5Aread(attribute.id, $0, $1) }
        }
    }

    private func openedAttribute(_ name: String, at path: String, in file: hid_t) throws -> Handle? {
        let object = try opened(path, in: file)
        guard H5Aexists(object.id, name) > 0 else {
            H5Eclear2(ch5_error_stack())
            return nil
        }
        guard let attribute = Handle(H5Aopen(object.id, name, ch5_default())) else {
            throw error("attribute “\(name)” could not be opened", at: path, .damaged)
        }
        return attribute
    }
}
