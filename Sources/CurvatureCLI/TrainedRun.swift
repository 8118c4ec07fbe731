import Curvature

/// A run's problem and one of its points, from its folder: what is predicted and drawn.
struct TrainedRun {
    let problem: any Problem
    let point: StoredPoint

    init(folder: String, which: Which, registry: Registry) throws {
        let configuration = try RunConfiguration(try storedConfiguration(in: folder), registry: registry)
        let stored = try StoredRun(folder)
        defer { stored.close() }
        problem = try configuration.problem.makeProblem(seed: configuration.seed)
        point = try stored.point(which)
        try point.require(layoutOf: problem, path: folder)
    }

    /// At the best point, or the last where a run has found none yet.
    init(bestOf folder: String, registry: Registry) throws {
        let stored = try StoredRun(folder)
        defer { stored.close() }
        try self.init(folder: folder, which: (try? stored.point(.best)) == nil ? .last : .best, registry: registry)
    }
}
