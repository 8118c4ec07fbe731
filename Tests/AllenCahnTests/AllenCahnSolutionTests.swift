import AllenCahn
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct AllenCahnSolutionTests {
    /// Values at t = 0.5 by ETDRK4 on 4 096 nodes, stable to the digits shown under halving of the step and doubling of the nodes.
    @Test func certifiedValues() {
        let u = AllenCahnSolution()
        for (x, expected) in [(0, 0.001216445067), (0.25, 0.473832189308), (0.5, -0.003807962822), (0.75, -0.98244616163)] {
            #expect(abs(u(t: 0.5, x: x) - expected) < 1e-11, "\(u(t: 0.5, x: x)) against \(expected)")
        }
    }

    /// The method is of fourth order: the differences to the solution with a quarter of the step stand as (4⁴ − 1)/(2⁴ − 1) = 17.
    @Test func halvingTheStep() {
        let solutions = [1, 2, 4].map { AllenCahnSolution(modes: 256, stepsPerSnapshot: $0) }
        func distance(_ a: AllenCahnSolution, _ b: AllenCahnSolution) -> Double {
            (0...50).reduce(0) { max($0, abs(a(t: 1, x: Double($1) / 50) - b(t: 1, x: Double($1) / 50))) }
        }
        let (whole, half) = (distance(solutions[0], solutions[2]), distance(solutions[1], solutions[2]))
        #expect(whole / half > 14 && whole / half < 20, "\(whole), \(half)")
        // At the default of ten steps a snapshot that leaves half/5⁴.
        #expect(half / 625 < 1e-10, "\(half)")
    }

    /// The walls are resolved to rounding and the kink of the start at x = 1 aliases nowhere.
    @Test func doublingTheModes() {
        let (u, finer) = (AllenCahnSolution(), AllenCahnSolution(modes: 2048))
        for t in [0.1, 0.5, 1] {
            for n in 0...40 { #expect(abs(u(t: t, x: Double(n) / 40) - finer(t: t, x: Double(n) / 40)) < 2e-11) }
        }
    }

    @Test func startAndSymmetry() {
        let u = AllenCahnSolution()
        #expect(u(t: 0, x: 0.3) == 0.3 * 0.3 * cos(0.3 * Double.pi))
        // Continuous at the start: uₜ is below 2 there, and the series of the kink, cut off at K, still misses up to 4/(πK)² inside.
        #expect(abs(u(t: 1e-8, x: 0.3) - u(t: 0, x: 0.3)) < 2e-8 + 4 / pow(.pi * 1024, 2))
        for t in [0.013, 0.5, 1] {
            for x in [0.2, 0.77, 1] {
                #expect(abs(u(t: t, x: x) - u(t: t, x: -x)) < 1e-13)
                #expect(abs(u(t: t, x: x) - u(t: t, x: x - 2)) < 1e-11)
            }
        }
    }

    /// Between snapshots the solution goes on as it does at them: through one step more or less in number.
    @Test func timesBetweenSnapshots() {
        let (u, other) = (AllenCahnSolution(), AllenCahnSolution(stepsPerSnapshot: 7))
        for t in [0.1234, 0.5, 0.98765] { #expect(abs(u(t: t, x: 0.31) - other(t: t, x: 0.31)) < 1e-10) }
        #expect(abs(u(t: 0.5.nextUp, x: 0.31) - u(t: 0.5, x: 0.31)) < 1e-13)
    }

    /// An independent solution at D = 0.02: differences of order four on the half interval, mirrored at its ends, Runge–Kutta of order
    /// four in time. On half as many cells it differs by 4e-7 at these points.
    @Test func agreesWithFiniteDifferences() {
        let (d, cells, steps, end) = (0.02, 200, 2000, 0.5)
        let h = 1 / Double(cells)
        func rate(_ u: [Double]) -> [Double] {
            func at(_ j: Int) -> Double { u[j < 0 ? -j : j > cells ? 2 * cells - j : j] }
            return (0...cells).map { j in
                let second = (-at(j - 2) + 16 * at(j - 1) - 30 * at(j) + 16 * at(j + 1) - at(j + 2)) / (12 * h * h)
                return d * second + 5 * (u[j] - u[j] * u[j] * u[j])
            }
        }
        var u = (0...cells).map { j -> Double in
            let x = Double(j) * h
            return x * x * cos(.pi * x)
        }
        let dt = end / Double(steps)
        func moved(_ s: [Double], _ α: Double) -> [Double] { zip(u, s).map { $0 + α * $1 } }
        for _ in 0..<steps {
            let k1 = rate(u)
            let k2 = rate(moved(k1, dt / 2))
            let k3 = rate(moved(k2, dt / 2))
            let k4 = rate(moved(k3, dt))
            for i in u.indices { u[i] += dt / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) }
        }
        let exact = AllenCahnSolution(diffusivity: d)
        for n in 0...10 {
            let difference = u[n * cells / 10] - exact(t: end, x: Double(n) / 10)
            #expect(abs(difference) < 2e-6, "\(difference) at \(n)")
        }
    }
}
