import COpenBLAS

/// A dense vector of doubles, v ∈ ℝⁿ, stored contiguously, with value semantics.
public struct Vector: Sendable, Hashable {
    /// The entries v₀ … vₙ₋₁.
    public var elements: [Double]

    public init(_ elements: some Sequence<Double>) { self.elements = Array(elements) }

    public init(repeating value: Double, count: Int) { elements = Array(repeating: value, count: count) }

    /// The zero vector of ℝⁿ.
    public static func zeros(_ count: Int) -> Vector { Vector(repeating: 0, count: count) }

    /// A vector whose entries `body` writes into uninitialised memory; it must write every one of them.
    public init(count: Int, filledBy body: (UnsafeMutableBufferPointer<Double>) throws -> Void) rethrows {
        elements = try Array(unsafeUninitializedCapacity: count) { buffer, initialized in
            try body(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            initialized = count
        }
    }
}

extension Vector: RandomAccessCollection, MutableCollection, ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: Double...) { self.elements = elements }
    public var startIndex: Int { 0 }
    public var endIndex: Int { elements.count }
    public subscript(position: Int) -> Double {
        get { elements[position] }
        set { elements[position] = newValue }
    }

    public func withUnsafeBufferPointer<R>(_ body: (UnsafeBufferPointer<Double>) throws -> R) rethrows -> R {
        try elements.withUnsafeBufferPointer(body)
    }

    public mutating func withUnsafeMutableBufferPointer<R>(
        _ body: (inout UnsafeMutableBufferPointer<Double>) throws -> R
    ) rethrows -> R {
        try elements.withUnsafeMutableBufferPointer(body)
    }
}

// MARK: Arithmetic

extension Vector {
    /// The inner product ⟨self, other⟩ = Σ vᵢwᵢ. 2n flops.
    public func dot(_ other: Vector) -> Double {
        precondition(count == other.count, "dot of vectors of different lengths: \(count) and \(other.count)")
        _ = BLASThreads.single
        return elements.withUnsafeBufferPointer { v in
            other.elements.withUnsafeBufferPointer { w in cblas_ddot(blasInt(count), v.baseAddress, 1, w.baseAddress, 1) }
        }
    }

    /// The Euclidean norm ‖v‖₂, free of overflow.
    public var norm: Double {
        _ = BLASThreads.single
        return elements.withUnsafeBufferPointer { cblas_dnrm2(blasInt(count), $0.baseAddress, 1) }
    }

    /// The largest magnitude, ‖v‖∞; zero for an empty vector, NaN where an entry is NaN.
    public var maximumNorm: Double {
        var largest = 0.0
        for value in elements {
            if value.isNaN { return .nan }
            largest = Swift.max(largest, abs(value))
        }
        return largest
    }

    /// Whether no entry is NaN or infinite.
    public var isFinite: Bool { allFinite(elements) }

    /// self ← self + α·other.
    public mutating func add(_ other: Vector, scaledBy α: Double = 1) {
        _ = BLASThreads.single
        precondition(count == other.count, "sum of vectors of different lengths: \(count) and \(other.count)")
        elements.withUnsafeMutableBufferPointer { v in
            other.elements.withUnsafeBufferPointer { w in
                cblas_daxpy(blasInt(v.count), α, w.baseAddress, 1, v.baseAddress, 1)
            }
        }
    }

    /// self ← α·self.
    public mutating func scale(by α: Double) {
        _ = BLASThreads.single
        elements.withUnsafeMutableBufferPointer { cblas_dscal(blasInt($0.count), α, $0.baseAddress, 1) }
    }

    /// self + α·direction: the point reached from `self` by a step of length α.
    public func adding(_ direction: Vector, scaledBy α: Double = 1) -> Vector {
        var sum = self
        sum.add(direction, scaledBy: α)
        return sum
    }

    public static func + (a: Vector, b: Vector) -> Vector { a.adding(b) }
    public static func - (a: Vector, b: Vector) -> Vector { a.adding(b, scaledBy: -1) }
    public static func * (α: Double, v: Vector) -> Vector {
        var product = v
        product.scale(by: α)
        return product
    }
    public static prefix func - (v: Vector) -> Vector { -1 * v }
}
