/// The seconds a run and its stage have taken, those before a resume included.
struct Stopwatch {
    private var totalBefore: Double
    private var stageBefore: Double
    private var startedAt = ContinuousClock.now
    private var stageStartedAt = ContinuousClock.now

    init(total: Double = 0, stage: Double = 0) { (totalBefore, stageBefore) = (total, stage) }

    var total: Double { totalBefore + startedAt.secondsAgo }
    var stage: Double { stageBefore + stageStartedAt.secondsAgo }

    mutating func beginStage() { (stageBefore, stageStartedAt) = (0, .now) }
}

extension ContinuousClock.Instant {
    fileprivate var secondsAgo: Double {
        let (seconds, attoseconds) = duration(to: .now).components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
