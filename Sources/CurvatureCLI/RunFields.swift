import Curvature

/// The fields of a run as `run.h5` keeps them: `/fields/u`, and beside them `/fields/u_reference` and `/fields/u_error`.
extension RunFile {
    /// Writes the fields of a problem at a point, in place of those that are there. A problem without any writes none.
    func writeFields(of problem: any Problem, at parameters: Parameters) throws {
        guard let pictured = problem as? any PicturedProblem, let picture = try pictured.picture(at: parameters.values) else { return }
        let fixed = picture.fixedText.map { ", \($0)" } ?? ""
        let places = GridField.Places.grid(picture.axes.map { FieldAxis($0.name, $0.coordinates) })
        for (index, field) in picture.fields.enumerated() {
            let name = field.map { $0 == "/" ? "∕" : String($0) }.joined()
            let values = picture.values.column(index).elements
            try write(GridField(values, on: places, meaning: "the model's \(field) at the best point\(fixed)"), named: name)
            guard let reference = picture.reference?.column(index).elements else { continue }
            try write(GridField(reference, on: places, meaning: "the reference of \(field)\(fixed)"), named: "\(name)_reference")
            let error = GridField(
                zip(values, reference).map { $0 - $1 }, on: places, meaning: "\(field) less its reference\(fixed)")
            try write(error, named: "\(name)_error")
        }
    }
}

extension SolutionPicture {
    /// “t = 1, z = 0.5”: the coordinates that are the same everywhere.
    var fixedText: String? {
        fixed.isEmpty ? nil : fixed.map { "\($0.name) = \(short($0.value))" }.joined(separator: ", ")
    }
}
