import Burgers
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct ColeHopfTests {
    /// Values by the trapezoid rule on 2 001 and on 4 001 nodes, which agree to 18 digits. In double precision the exponents, up to
    /// 1/(2πν) = 50 here, carry the rounding 50·1.1e-16, and the solution inherits a few times that.
    @Test(arguments: [
        (0.01 / .pi, 0.5, 0.5, -0.592769534402051082), (0.01 / .pi, 1, -0.1, 0.665481567663996188),
        (0.01 / .pi, 0.5, 0.01, -0.898049642252827871), (0.01 / .pi, 1, 0.05, -0.700027080879358867),
        (0.01 / .pi, 0.25, 0.25, -0.992081561622522064), (0.01, 0.5, 0.5, -0.588695773502252247),
        (0.01, 1, -0.1, 0.660019397463445824), (0.01, 0.5, 0.01, -0.409912939773559758), (0.01, 1, 0.05, -0.657773710662559054),
    ]) func certifiedValues(viscosity: Double, t: Double, x: Double, expected: Double) {
        let u = ColeHopf(viscosity: viscosity)(t: t, x: x)
        #expect(abs(u - expected) <= 1e-13 * abs(expected), "\(u) against \(expected)")
    }

    /// uₓ(0, 1.6037/π) = −152.00516 (Basdevant et al. 1986), by a central difference whose error is h²/6·|uₓₓₓ|, with
    /// uₓₓₓ ≈ 2·152³ across the layer: 1.2e-4 relative to 152 is 8e-7.
    @Test func steepestSlope() {
        let (u, h) = (ColeHopf(viscosity: 0.01 / .pi), 1e-5)
        let t = 1.6037 / Double.pi
        let slope = (u(t: t, x: h) - u(t: t, x: -h)) / (2 * h)
        #expect(abs(slope + 152.00516) < 5e-4)
    }

    @Test func startAndSymmetry() {
        let u = ColeHopf(viscosity: 0.01 / .pi)
        #expect(u(t: 0, x: 0.3) == -sin(0.3 * Double.pi))
        // Continuous at the start: uₜ is at most π/2 + νπ² in magnitude there.
        #expect(abs(u(t: 1e-8, x: 0.3) - u(t: 0, x: 0.3)) < 2e-8)
        for t in [0.1, 0.5, 1] {
            #expect(abs(u(t: t, x: 1)) < 1e-14)
            #expect(abs(u(t: t, x: 0.2) + u(t: t, x: -0.2)) < 1e-13)
        }
    }

    /// An independent solution up to t = 0.2, before the layer forms: u = Σ bₖ sin kπx by a Galerkin method, u² being evaluated on
    /// twice as many points as there are modes (no aliasing), fourth-order Runge–Kutta in time. Halving the step changes the
    /// solution by 1.5e-12, doubling the modes by 5e-15.
    @Test func agreesWithASpectralSolution() {
        let (ν, modes, steps, end) = (0.01 / Double.pi, 96, 400, 0.2)
        let nodes = 2 * modes
        let x = (0..<nodes).map { (Double($0) + 0.5) / Double(nodes) }
        let sine = (1...modes).map { k in x.map { sin(Double(k) * .pi * $0) } }
        let cosine = (1...modes).map { k in x.map { cos(Double(k) * .pi * $0) } }
        func rate(_ b: [Double]) -> [Double] {
            var u = Array(repeating: 0.0, count: nodes)
            for k in 0..<modes { for j in 0..<nodes { u[j] += b[k] * sine[k][j] } }
            return (0..<modes).map { k in
                // u²/2 = Σ aₖ cos kπx, so −(u²/2)ₓ = Σ kπ aₖ sin kπx.
                var a = 0.0
                for j in 0..<nodes { a += u[j] * u[j] * cosine[k][j] }
                a /= Double(nodes)
                let κ = Double(k + 1) * .pi
                return κ * a - ν * κ * κ * b[k]
            }
        }
        var b = Array(repeating: 0.0, count: modes)
        b[0] = -1
        let h = end / Double(steps)
        func moved(_ s: [Double], _ α: Double) -> [Double] { zip(b, s).map { $0 + α * $1 } }
        for _ in 0..<steps {
            let k1 = rate(b)
            let k2 = rate(moved(k1, h / 2))
            let k3 = rate(moved(k2, h / 2))
            let k4 = rate(moved(k3, h))
            for i in b.indices { b[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) }
        }
        let exact = ColeHopf(viscosity: ν)
        var largest = 0.0
        for n in 0...40 {
            let point = Double(n) / 40
            var u = 0.0
            for k in 0..<modes { u += b[k] * sin(Double(k + 1) * .pi * point) }
            largest = max(largest, abs(u - exact(t: end, x: point)))
        }
        #expect(largest < 5e-12, "\(largest)")
    }
}
