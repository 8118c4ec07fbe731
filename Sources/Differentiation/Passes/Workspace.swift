import CKernels
import LinearAlgebra

/// What a pass over a block keeps: more for the later ones.
enum PassKind: Int, CaseIterable {
    case values
    case reverse
    case tangent
    case tangentReverse
}

/// Where the matrices of a block lie in a workspace: first what is Double, in doubles from its start, then the layers' matrices and what
/// else is of the passes' precision, in numbers of that from `passes` on.
// Sendable: `init` alone writes.
final class BlockLayout: @unchecked Sendable {
    private(set) var coordinates = 0
    private(set) var coefficients = 0
    private(set) var data = 0
    /// A column each for the trained numbers that the term reads: the values, their tangents, their cotangents and those' tangents.
    private(set) var scalars = 0
    private(set) var scalarTangents = 0
    private(set) var scalarSeeds = 0
    private(set) var scalarSeedTangents = 0
    private(set) var residuals = 0
    private(set) var residualTangents = 0
    private(set) var partials = 0
    private(set) var secondPartials = 0
    private(set) var pointwiseScratch = 0
    /// Where the numbers of the passes' precision begin, in doubles.
    private(set) var passes = 0
    private(set) var layers: [LayerSlots]
    /// Where that lies which operators keep of the forward pass, in numbers of the passes' precision: a whole number of doubles.
    private(set) var kept = 0..<0
    private(set) var ruleScratch = 0
    /// What passes in single precision have beside it: in doubles the network's outputs, their tangents, cotangents and those' tangents, and a
    /// layer's input and cotangent; in single the parameters, a direction, and what is known of the points.
    private(set) var outputs = 0
    private(set) var outputTangents = 0
    private(set) var seeds = 0
    private(set) var seedTangents = 0
    private(set) var layerInput = 0
    private(set) var layerCotangent = 0
    private(set) var parameters = 0
    private(set) var direction = 0
    private(set) var passCoordinates = 0
    private(set) var passCoefficients = 0
    /// The whole, in doubles.
    private(set) var total = 0

    init(_ term: CompiledTerm, of network: CompiledNetwork, for kind: PassKind, keeping: ForwardKeeping) {
        let count = term.blockSize
        let points = term.arity * count
        let rows = term.rules.space.count * points
        let hasTangents = kind == .tangent || kind == .tangentReverse
        var (doubles, numbers) = (0, 0)
        func takeDoubles(_ number: Int) -> Int {
            defer { doubles += (number + 7) / 8 * 8 }
            return doubles
        }
        func take(_ number: Int) -> Int {
            defer { numbers += (number + 15) / 16 * 16 }
            return numbers
        }
        coordinates = takeDoubles(network.dimension * points)
        coefficients = takeDoubles(term.function.coefficientCount * points)
        data = takeDoubles(term.function.dataCount * count)
        scalars = takeDoubles(term.scalars.count * count)
        residuals = takeDoubles(term.residuals * count)
        pointwiseScratch = takeDoubles(term.function.scratchCount * count)
        ruleScratch = take(term.rules.scratchCount(points: points))
        layers = network.nodes.map { node in
            let slots = LayerSlots()
            slots.kept = keeping.part(of: node.layer, by: term.rules)
            slots.xdot = node.inputs.map { _ in 0 }
            slots.xbar = node.inputs.map { _ in nil }
            return slots
        }
        let lower = numbers
        for (l, node) in network.nodes.enumerated() {
            if layers[l].kept != .nothing { layers[l].z = take(node.layer.savedWidth * rows) }
            if layers[l].kept == .all { layers[l].h = take(node.layer.outputs * rows) }
        }
        kept = lower..<numbers
        for (l, node) in network.nodes.enumerated() {
            if layers[l].kept == .nothing { layers[l].z = take(node.layer.savedWidth * rows) }
            if layers[l].kept != .all { layers[l].h = take(node.layer.outputs * rows) }
            layers[l].x = node.inputs.map { layers[$0].h }
        }
        if hasTangents {
            for (l, node) in network.nodes.enumerated() {
                layers[l].zdot = take(node.layer.savedWidth * rows)
                layers[l].hdot = take(node.layer.outputs * rows)
                layers[l].xdot = node.inputs.map { layers[$0].hdot }
            }
        }
        if kind != .values {
            partials = takeDoubles(term.partials.count * count)
            scalarSeeds = takeDoubles(term.scalars.count * count)
            placeCotangents(network, width: network.greatestWidth * rows, hasTangents: kind == .tangentReverse, take)
        }
        if hasTangents {
            residualTangents = takeDoubles(term.residuals * count)
            scalarTangents = takeDoubles(term.scalars.count * count)
        }
        if kind == .tangentReverse {
            secondPartials = takeDoubles(term.secondPartials.count * count)
            scalarSeedTangents = takeDoubles(term.scalars.count * count)
        }
        switch term.precision {
        case .double:
            passes = doubles
            total = doubles + numbers
        case .single:
            outputs = takeDoubles(network.outputs * rows)
            passCoordinates = take(network.dimension * points)
            passCoefficients = take(term.function.coefficientCount * points)
            parameters = take(network.parameterCount)
            if kind != .values {
                seeds = takeDoubles(network.outputs * rows)
                layerInput = takeDoubles(network.greatestWidth * rows)
                layerCotangent = takeDoubles(network.greatestWidth * rows)
            }
            if hasTangents {
                outputTangents = takeDoubles(network.outputs * rows)
                direction = take(network.parameterCount)
            }
            if kind == .tangentReverse { seedTangents = takeDoubles(network.outputs * rows) }
            passes = doubles
            total = doubles + (numbers + 1) / 2
        }
    }

    /// How many doubles `kept` takes.
    func keptSize(in precision: JetPrecision) -> Int { precision == .double ? kept.count : kept.count / 2 }

    /// Gives every layer's cotangent a place from when a layer after it first writes it until the layer itself has read it: two
    /// places in a chain, as many more as there are branches.
    private func placeCotangents(_ network: CompiledNetwork, width: Int, hasTangents: Bool, _ take: (Int) -> Int) {
        typealias Place = (value: Int, tangent: Int)
        var free: [Place] = []
        func open() -> Place { free.popLast() ?? (take(width), hasTangents ? take(width) : 0) }
        var places: [Place?] = Array(repeating: nil, count: network.nodes.count)
        places[network.nodes.count - 1] = open()
        for index in network.nodes.indices.reversed() {
            guard let own = places[index] else { continue }
            (layers[index].g, layers[index].gdot) = own
            for (i, input) in network.nodes[index].inputs.enumerated() where network.isTrained[input] {
                let accumulates = places[input] != nil
                let place = places[input] ?? open()
                places[input] = place
                layers[index].xbar[i] = LayerSlots.Cotangent(value: place.value, tangent: place.tangent, accumulates: accumulates)
            }
            free.append(own)
        }
    }
}

/// Where a layer's matrices lie in a block's workspace, in numbers of the passes' precision from where these begin.
// Sendable: `BlockLayout.init` alone writes.
final class LayerSlots: @unchecked Sendable {
    /// The outputs of the layers it reads, and their tangents.
    fileprivate(set) var x: [Int] = []
    fileprivate(set) var xdot: [Int] = []
    fileprivate(set) var z = 0
    fileprivate(set) var h = 0
    fileprivate(set) var kept = ForwardKeeping.Part.nothing
    fileprivate(set) var zdot = 0
    fileprivate(set) var hdot = 0
    /// The cotangent of h, and its tangent.
    fileprivate(set) var g = 0
    fileprivate(set) var gdot = 0
    /// For each input, where its cotangent goes; nil where none is wanted, for nothing above it has parameters.
    fileprivate(set) var xbar: [Cotangent?] = []

    struct Cotangent: Sendable {
        var value: Int
        var tangent: Int
        /// Whether another layer has written there already.
        var accumulates: Bool
    }
}

/// A thread's memory for blocks: aligned doubles, and tables of pointers into them.
// Sendable: handed out by `WorkspacePool` to one user at a time.
final class Workspace: @unchecked Sendable {
    let base: MutableDoubles
    let capacity: Int
    let columns: UnsafeMutablePointer<Doubles>
    let results: UnsafeMutablePointer<MutableDoubles>
    private let columnCapacity: Int

    init(capacity: Int, columns columnCapacity: Int) {
        self.capacity = max(capacity, 8)
        self.columnCapacity = max(columnCapacity, 1)
        let raw = UnsafeMutableRawPointer.allocate(byteCount: self.capacity * MemoryLayout<Double>.stride, alignment: 64)
        ck_prefer_large_pages(raw, self.capacity * MemoryLayout<Double>.stride)
        base = raw.initializeMemory(as: Double.self, repeating: 0, count: self.capacity)
        columns = .allocate(capacity: self.columnCapacity)
        columns.initialize(repeating: Doubles(base), count: self.columnCapacity)
        results = .allocate(capacity: self.columnCapacity)
        results.initialize(repeating: base, count: self.columnCapacity)
    }

    deinit {
        UnsafeMutableRawPointer(base).deallocate()
        columns.deallocate()
        results.deallocate()
    }
}

/// The workspaces of a program that nobody uses at the moment: from the second call on, a pass allocates nothing large.
final class WorkspacePool: Sendable {
    private let free = Locked<[Workspace]>([])

    /// A workspace of at least the given capacity, until it is given back; those that are too small are let go.
    func take(capacity: Int) -> Workspace {
        let found = free.withLock { free in
            free.removeAll { $0.capacity < capacity }
            return free.popLast()
        }
        return found ?? Workspace(capacity: capacity, columns: 1)
    }

    func giveBack(_ workspace: Workspace) { free.withLock { $0.append(workspace) } }

    /// Calls `body` with `count` workspaces of at least the given capacities; a new one takes the place of one that is too small.
    func borrowing<R>(_ count: Int, capacity: Int, columns: Int, _ body: ([Workspace]) throws -> R) rethrows -> R {
        var borrowed = free.withLock { free in
            let fitting = free.indices.filter { free[$0].capacity >= capacity }.suffix(count)
            let taken = fitting.map { free[$0] }
            for index in fitting.reversed() { free.remove(at: index) }
            free.removeFirst(min(free.count, count - taken.count))
            return taken
        }
        while borrowed.count < count { borrowed.append(Workspace(capacity: capacity, columns: columns)) }
        defer { free.withLock { $0.append(contentsOf: borrowed) } }
        return try body(borrowed)
    }
}
