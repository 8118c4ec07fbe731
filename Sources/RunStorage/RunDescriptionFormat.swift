import OptimizationCore

// How a run says in its file what it is and how it ended: attributes of the root, /layout, /sessions, /stages and /result.

extension RecordTrajectory {
    /// Says which run it is. The parts of the identity are YAML's flow style, on one line each.
    func describe(_ description: RunDescription, in run: RunFile) throws {
        let (file, identity) = (run.file, description.identity)
        try file.setAttribute("problem", identity["problem"]?.description ?? "", at: "/")
        try file.setAttribute("problemName", description.preflight.problem, at: "/")
        let stages: [String] =
            if case .list(let items)? = identity["stages"]?.value { items.map(\.description) } else { [] }
        try file.setAttribute("stages", stages, at: "/")
        try file.setAttribute("stopping", description.preflight.stages.map(\.until), at: "/")
        try file.setAttribute("callbacks", identity["callbacks"]?.description ?? "{}", at: "/")
        try file.setAttribute("runFormatVersion", identity["format"]?.text ?? "", at: "/")
        try file.setAttribute("seed", description.seed, at: "/")
        try file.setAttribute("terms", description.terms, at: "/")
        if file.exists("/layout") { try file.remove("/layout") }
        let blocks = description.layout.blocks
        try file.write(blocks.map(\.name), shape: [blocks.count], at: "/layout/name")
        try file.write(blocks.map { Int64($0.offset) }, shape: [blocks.count], at: "/layout/offset")
        try file.write(blocks.map { Int64($0.count) }, shape: [blocks.count], at: "/layout/count")
        try file.write(blocks.map { $0.shape.map(String.init).joined(separator: "×") }, shape: [blocks.count], at: "/layout/shape")
        try file.setAttribute("parameters", description.layout.count, at: "/layout")
        try run.flush()
    }

    /// A session: the process that takes the run on from an iteration.
    func beginSession(_ run: RunFile, _ observation: Observation) throws {
        let file = run.file
        let count = file.exists("/sessions") ? try file.members(of: "/sessions").count : 0
        let path = "/sessions/\(count)"
        try file.makeGroup(path)
        try file.setAttribute("iteration", observation.totalIteration, at: path)
        for (name, text) in environment.attributes { try file.setAttribute(name, text, at: path) }
        try run.flush()
    }

    /// Removes the results that were written past a checkpoint.
    func forgetResults(_ run: RunFile, from stage: Int) throws {
        let file = run.file
        if file.exists("/result") { try file.remove("/result") }
        guard file.exists("/stages") else { return }
        for name in try file.members(of: "/stages") {
            if let number = Int(name), number >= stage { try file.remove("/stages/\(name)") }
        }
    }

    func write(_ summary: StageSummary, at path: String, in run: RunFile) throws {
        let file = run.file
        if file.exists(path) { try file.remove(path) }
        try file.makeGroup(path)
        try file.setAttribute("name", summary.name, at: path)
        try file.setAttribute("optimizer", summary.optimizer, at: path)
        try write(summary.outcome, at: path, in: file)
        try file.setAttribute("iterations", summary.iterations, at: path)
        try file.setAttribute("seconds", summary.seconds, at: path)
        try file.setAttribute("evaluations", summary.work.evaluations, at: path)
        for work in Work.allCases { try file.setAttribute(work.name, summary.work[work], at: path) }
        if let loss = summary.loss { try file.setAttribute("loss", loss, at: path) }
        if let error = summary.referenceError { try file.setAttribute("referenceError", error, at: path) }
    }

    func write(_ result: RunResult, in run: RunFile) throws {
        let (file, path) = (run.file, "/result")
        if file.exists(path) { try file.remove(path) }
        try file.makeGroup(path)
        try write(result.outcome, at: path, in: file)
        try file.setAttribute("iterations", result.iterations, at: path)
        try file.setAttribute("seconds", result.seconds, at: path)
        try file.setAttribute("evaluations", result.work.evaluations, at: path)
        for work in Work.allCases { try file.setAttribute(work.name, result.work[work], at: path) }
        if let last = result.stages.last {
            if let loss = last.loss { try file.setAttribute("loss", loss, at: path) }
            if let error = last.referenceError { try file.setAttribute("referenceError", error, at: path) }
        }
        try file.write(result.parameters.values.elements, shape: [result.parameters.count], at: "\(path)/parameters")
        guard let best = result.best else { return }
        try file.write(best.parameters.values.elements, shape: [best.parameters.count], at: "\(path)/best")
        try file.setAttribute("value", best.value, at: "\(path)/best")
        try file.setAttribute("iteration", best.totalIteration, at: "\(path)/best")
        try file.setAttribute("stage", best.stage, at: "\(path)/best")
    }

    private func write(_ outcome: Outcome, at path: String, in file: HDF5File) throws {
        try file.setAttribute("outcome", outcome.name, at: path)
        try file.setAttribute("reason", outcome.description, at: path)
    }
}
