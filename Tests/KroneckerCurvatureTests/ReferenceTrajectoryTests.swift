import KroneckerCurvature
import NewtonFixtures
import OptimizationCore
import Testing

/// Trajectories written out in NumPy (`Tests/Reference/natural_gradient.py`): factors from hand-written derivatives, whole blocks inverted.
@Suite struct ReferenceTrajectoryTests {
    @Test func kfacFollowsItsReference() throws {
        let reference = try PoissonTrajectories.read()
        var registry = Registry()
        try registry.install(KroneckerCurvaturePlugin.self)
        var followed: [String] = []
        for expected in reference.cases where expected.settings.setting["name"]?.text == KFAC.identifier {
            let distance = try reference.distances(try registry.optimizer(expected.settings.setting), expected)
            #expect(distance.after10 <= distance.bound10, "\(expected.method) after 10 steps: \(distance.after10)")
            #expect(distance.atEnd <= distance.bound, "\(expected.method) at its end: \(distance.atEnd), not \(distance.bound)")
            followed.append(expected.method)
        }
        #expect(followed == ["kfac", "kfac*"])
    }
}
