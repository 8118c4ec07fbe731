// How reports, outcomes and summaries are stored.

extension StepReport {
    func encode(into archive: inout Archive) {
        archive.set("total", loss.total)
        archive.set("terms", loss.terms)
        if let gradientNorm { archive.set("gradientNorm", gradientNorm) }
        if let stepLength { archive.set("stepLength", stepLength) }
        archive.set("verdict", verdict.name)
        if case .brokeDown(let breakdown) = verdict { archive.set("breakdown", breakdown.archive) }
        if !coversAllSamples { archive.set("sampleFraction", sampleFraction) }
        if linearIterations > 0 { archive.set("linearIterations", linearIterations) }
        if !recoveries.isEmpty { archive.set("recoveries", recoveries) }
        if let floor {
            var finding = Archive()
            floor.encode(into: &finding)
            archive.set("floor", finding)
        }
        archive.set("detailNames", details.map(\.name))
        archive.set("detailValues", details.map(\.value))
    }

    init(from archive: Archive) throws {
        let name = try archive.string("verdict")
        let plain: [StepVerdict] = [.accepted, .rejected, .invalid, .stationary]
        let verdict: StepVerdict
        if let breakdown = try archive.groupIfPresent("breakdown") {
            verdict = .brokeDown(try Breakdown(from: breakdown))
        } else if let known = plain.first(where: { $0.name == name }) {
            verdict = known
        } else {
            throw ArchiveError(entry: "verdict", reason: "“\(name)” is not a verdict")
        }
        let details = zip(try archive.strings("detailNames"), try archive.doubles("detailValues")).map { Detail($0, $1) }
        self.init(
            loss: LossValue(total: try archive.double("total"), terms: try archive.doubles("terms")),
            gradientNorm: archive["gradientNorm"] == nil ? nil : try archive.double("gradientNorm"),
            stepLength: archive["stepLength"] == nil ? nil : try archive.double("stepLength"), verdict: verdict, details: details,
            floor: try archive.groupIfPresent("floor").map { try Finding(from: $0, meaning: .converged) },
            linearIterations: archive["linearIterations"] == nil ? 0 : try archive.count("linearIterations"),
            sampleFraction: archive["sampleFraction"] == nil ? 1 : try archive.double("sampleFraction"),
            recoveries: archive["recoveries"] == nil ? [] : try archive.strings("recoveries"))
    }
}

extension Breakdown {
    private static let reasons: [(Reason, String)] = [
        (.nonFinite, "non-finite"), (.lineSearch, "line search"), (.linearSolver, "linear solver"), (.regularization, "regularization"),
        (.other, "other"),
    ]

    var archive: Archive {
        var archive = Archive()
        archive.set("reason", Breakdown.reasons.first { $0.0 == reason }?.1 ?? "other")
        archive.set("detail", detail)
        if let fault {
            archive.set("term", fault.term)
            archive.set("sample", fault.sample)
        }
        return archive
    }

    init(from archive: Archive) throws {
        let text = try archive.string("reason")
        let fault = archive["term"] == nil ? nil : Fault(term: try archive.string("term"), sample: try archive.string("sample"))
        self.init(Breakdown.reasons.first { $0.1 == text }?.0 ?? .other, try archive.string("detail"), fault: fault)
    }
}

extension Finding {
    func encode(into archive: inout Archive) {
        archive.set("quantity", quantity)
        archive.set("measured", measured)
        archive.set("relation", relation)
        archive.set("threshold", threshold)
    }

    init(from archive: Archive, meaning: Meaning) throws {
        self.init(
            try archive.string("quantity"), try archive.double("measured"), try archive.string("relation"),
            try archive.double("threshold"), meaning: meaning)
    }
}

extension Outcome {
    var archive: Archive {
        var archive = Archive()
        archive.set("name", name)
        switch self {
        case .converged(let finding), .budgetSpent(let finding), .stalled(let finding): finding.encode(into: &archive)
        case .brokeDown(let breakdown): archive.set("breakdown", breakdown.archive)
        case .interrupted(let reason), .stopped(let reason): archive.set("reason", reason)
        }
        return archive
    }

    init(from archive: Archive) throws {
        func finding(_ meaning: Finding.Meaning) throws -> Finding { try Finding(from: archive, meaning: meaning) }
        switch try archive.string("name") {
        case "converged": self = .converged(try finding(.converged))
        case "budget spent": self = .budgetSpent(try finding(.budgetSpent))
        case "stalled": self = .stalled(try finding(.stalled))
        case "broke down": self = .brokeDown(try Breakdown(from: try archive.group("breakdown")))
        case "interrupted": self = .interrupted(try archive.string("reason"))
        case "stopped": self = .stopped(try archive.string("reason"))
        case let other: throw ArchiveError(entry: "name", reason: "“\(other)” is not an outcome")
        }
    }
}

extension StageSummary {
    func encode(into archive: inout Archive) {
        archive.set("name", name)
        archive.set("optimizer", optimizer)
        archive.set("outcome", outcome.archive)
        archive.set("iterations", iterations)
        archive.set("seconds", seconds, unit: "s")
        archive.set("work", work)
        if let loss { archive.set("loss", loss) }
        if let referenceError { archive.set("referenceError", referenceError) }
    }

    package init(from archive: Archive) throws {
        self.init(
            name: try archive.string("name"), optimizer: try archive.string("optimizer"),
            outcome: try Outcome(from: try archive.group("outcome")), iterations: try archive.count("iterations"),
            seconds: try archive.double("seconds"), work: try archive.value("work"),
            loss: archive["loss"] == nil ? nil : try archive.double("loss"),
            referenceError: archive["referenceError"] == nil ? nil : try archive.double("referenceError"))
    }
}
