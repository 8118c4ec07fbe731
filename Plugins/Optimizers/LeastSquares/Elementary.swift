#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

// The C library's functions that this target needs.

func cosine(_ x: Double) -> Double { cos(x) }
func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }
