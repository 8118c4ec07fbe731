import LinearAlgebra
import OptimizationCore
import Testing

@Suite struct ArchiveTests {
    private var sample: Archive {
        var archive = Archive()
        archive.set("double", -0.0)
        archive.set("nan", Double(nan: 0x123, signaling: false))
        archive.set("integer", Int.min)
        archive.set("unsigned", UInt64.max)
        archive.set("flag", true)
        archive.set("text", "ν = 0.01/π")
        archive.set("doubles", [1.5, .infinity], unit: "s")
        archive.set("integers", [3, -4])
        archive.set("strings", ["a", ""])
        archive.set("matrix", Matrix(rows: [[1, 2, 3], [4, 5, 6]]))
        archive.set("vectors", [Vector([1, 2]), [3, 4], [5, 6]])
        archive.set("nothing", [Double]())
        archive.set("parameters", Parameters(layout: ParameterLayout([("W", [2, 2]), ("b", [1])]), values: [1, 2, 3, 4, 5]))
        return archive
    }

    @Test func everyKindOfValueIsReadBack() throws {
        let archive = sample
        #expect(try archive.double("double").sign == .minus)
        #expect(try archive.double("nan").bitPattern == Double(nan: 0x123, signaling: false).bitPattern)
        #expect(try archive.integer("integer") == .min)
        #expect(try archive.unsigned("unsigned") == .max)
        #expect(try archive.bool("flag"))
        #expect(try archive.string("text") == "ν = 0.01/π")
        #expect(try archive.doubles("doubles") == [1.5, .infinity])
        #expect(archive["doubles"]?.unit == "s" && archive["doubles"]?.shape == [2])
        #expect(try archive.integers("integers") == [3, -4])
        #expect(try archive.strings("strings") == ["a", ""])
        #expect(try archive.matrix("matrix") == Matrix(rows: [[1, 2, 3], [4, 5, 6]]))
        #expect(archive["matrix"]?.shape == [3, 2])
        #expect(try archive.vectors("vectors") == [[1, 2], [3, 4], [5, 6]])
        #expect(try archive.doubles("nothing").isEmpty)
        let parameters: Parameters = try archive.value("parameters")
        #expect(parameters.block("W") == [1, 2, 3, 4] && parameters.block("b") == [5])
        #expect(try archive.groupIfPresent("absent") == nil)
    }

    @Test func equalityIsBitByBit() {
        var (a, b) = (Archive(), Archive())
        a.set("x", Double.nan)
        b.set("x", Double.nan)
        #expect(a == b)
        a.set("x", 0.0)
        b.set("x", -0.0)
        #expect(a != b)
        #expect(a.differences(from: b) == ["x"])
        var (inner, outer) = (Archive(), sample)
        inner.set("deep", 1)
        outer.set("group", inner)
        var other = outer
        inner.set("deep", 2)
        other.set("group", inner)
        other.remove("flag")
        #expect(outer.differences(from: other) == ["flag", "group/deep"])
    }

    @Test func settingAnEntryAgainReplacesItInPlace() throws {
        var archive = sample
        let order = archive.entries.map(\.name)
        archive.set("integer", 7)
        #expect(archive.entries.map(\.name) == order)
        #expect(try archive.integer("integer") == 7)
    }

    @Test func whatIsMissingOrMalformedIsNamed() {
        let archive = sample
        let missing = #expect(throws: ArchiveError.self) { try archive.double("dubble") }
        #expect(missing?.entry == "dubble" && missing?.reason.contains("double, nan") == true)
        let kind = #expect(throws: ArchiveError.self) { try archive.doubles("text") }
        #expect(kind?.reason.contains("array of doubles") == true)
        #expect(throws: ArchiveError.self) { try archive.double("doubles") }
        #expect(throws: ArchiveError.self) { try archive.matrix("doubles") }
        #expect(throws: ArchiveError.self) { try archive.vectors("integers") }
        #expect(throws: ArchiveError.self) { try archive.group("flag") }
    }

    @Test func anotherFormatVersionIsRefused() {
        struct Old: Checkpointable {
            init() {}
            func encode(into archive: inout Archive) { archive.set("x", 1) }
            init(from archive: Archive) throws {}
        }
        struct New: Checkpointable {
            static var formatVersion: Int { 2 }
            func encode(into archive: inout Archive) {}
            init(from archive: Archive) throws {}
        }
        let error = #expect(throws: ArchiveError.self) { try Archive(of: Old()).decoded(as: New.self) }
        #expect(error?.description.contains("format 1; this program reads format 2") == true)
    }

    @Test func damagedParametersAreRefused() throws {
        let good = try sample.group("parameters")
        var damaged: [Archive] = []
        for change: (inout Archive) -> Void in [
            { $0.set("values", [1.0]) }, { $0.set("shapes", ["2×x", "1"]) }, { $0.set("shapes", ["5"]) }, { $0.set("blocks", ["W", "W"]) },
            { $0.remove("values") },
        ] {
            var copy = good
            change(&copy)
            damaged.append(copy)
        }
        for archive in damaged { #expect(throws: ArchiveError.self) { try archive.decoded(as: Parameters.self) } }
        #expect(try good.decoded(as: Parameters.self).count == 5)
    }
}
