import OptimizationCore

// How the core's archive lies in an HDF5 file: a group a group, a dataset an entry (float64, int64 or UTF-8 text, little-endian) with
// the entry's shape, its unit as the attribute `unit`, and the order of entries as the order of creation. The bits of every number are kept.

extension HDF5File {
    /// Writes an archive as the group at `path`.
    public func write(_ archive: Archive, at path: String) throws {
        try HDF5.locked {
            try makeGroup(path)
            for entry in archive.entries {
                let place = path == "/" ? "/\(entry.name)" : "\(path)/\(entry.name)"
                guard entry.name != ".", !entry.name.utf8.contains(0) else {
                    throw StorageError(
                        .mismatch, "HDF5 cannot name an object “\(entry.name)”", file: self.path, object: path, advice: "Rename the entry.")
                }
                switch entry.content {
                case .doubles(let values): try write(values, shape: entry.shape, at: place)
                case .integers(let values): try write(values, shape: entry.shape, at: place)
                case .strings(let values): try write(values, shape: entry.shape, at: place)
                case .group(let group): try write(group, at: place)
                }
                if let unit = entry.unit { try setAttribute("unit", unit, at: place) }
            }
        }
    }

    /// Reads the group at `path` as an archive.
    public func archive(at path: String) throws -> Archive {
        var read: Set<ObjectIdentity> = []
        return try archive(at: path, depth: 0, read: &read)
    }

    /// `read` holds the groups that were met: in a file that someone else made, links may lead back to one or share it, and the paths
    /// be more than anyone can walk.
    private func archive(at path: String, depth: Int, read: inout Set<ObjectIdentity>) throws -> Archive {
        try HDF5.locked {
            guard depth < 64, read.insert(try identity(of: path)).inserted else {
                throw StorageError(
                    .damaged, depth < 64 ? "two links lead to one group" : "groups are nested too deeply", file: self.path, object: path,
                    advice: "Use a file that this program wrote.")
            }
            var archive = Archive()
            for name in try members(of: path) {
                let place = path == "/" ? "/\(name)" : "\(path)/\(name)"
                let unit = try text("unit", at: place)
                switch try kind(of: place) {
                case .group:
                    archive.set(
                        Archive.Entry(
                            name: name, content: .group(try self.archive(at: place, depth: depth + 1, read: &read)), shape: [], unit: unit))
                case .dataset: archive.set(try entry(named: name, at: place, unit: unit))
                case .other:
                    throw StorageError(
                        .mismatch, "an archive holds groups and datasets only", file: self.path, object: place,
                        advice: "Use a file that this program wrote.")
                }
            }
            return archive
        }
    }

    private func entry(named name: String, at path: String, unit: String?) throws -> Archive.Entry {
        switch try layout(of: path).element {
        case .double:
            let (values, shape) = try read(Double.self, at: path)
            return Archive.Entry(name: name, content: .doubles(values), shape: shape, unit: unit)
        case .integer:
            let (values, shape) = try read(Int64.self, at: path)
            return Archive.Entry(name: name, content: .integers(values), shape: shape, unit: unit)
        case .text:
            let (values, shape) = try readTexts(at: path)
            return Archive.Entry(name: name, content: .strings(values), shape: shape, unit: unit)
        default:
            throw StorageError(
                .mismatch, "an archive holds float64, int64 and text only", file: self.path, object: path,
                advice: "Use a file that this program wrote.")
        }
    }
}

extension Archive {
    /// About how many bytes the archive takes in a file: the numbers, and HDF5's headers around them.
    var approximateBytes: Int {
        entries.reduce(1024) { sum, entry in
            switch entry.content {
            case .doubles(let values): sum + 512 + 8 * values.count
            case .integers(let values): sum + 512 + 8 * values.count
            case .strings(let values): sum + 512 + values.reduce(0) { $0 + 32 + $1.utf8.count }
            case .group(let group): sum + group.approximateBytes
            }
        }
    }
}
