/// A data set of the Statistical Reference Datasets for nonlinear regression, with its two starts and its certified answer.
///
/// Certified to 11 digits in multiple precision. Source: *NIST/ITL Statistical Reference Datasets: Nonlinear Regression*, U.S. National
/// Institute of Standards and Technology (public domain), https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml.
public struct NISTDataSet: Sendable {
    /// How hard NIST calls the fit.
    public enum Difficulty: String, Sendable, Hashable, CaseIterable { case lower, average, higher }

    /// NIST's name, in lower case.
    public let name: String
    public let difficulty: Difficulty
    /// Start 1, far from the answer, and Start 2, nearer.
    public let starts: [[Double]]
    /// b, the certified parameters.
    public let certified: [Double]
    /// The certified standard deviations of the parameters.
    public let standardDeviations: [Double]
    /// The certified ‖r‖².
    public let residualSumOfSquares: Double
    /// The parameters that enter the model linearly while the others are held.
    public let linearParameters: [Int]
    let residual: any ResidualFunction

    init<Model: RegressionModel>(
        _ name: String, _ difficulty: Difficulty, _ model: Model, starts: [[Double]], certified: [Double], standardDeviations: [Double],
        residualSumOfSquares: Double, response: [Double], predictors: [[Double]]
    ) {
        (self.name, self.difficulty, self.starts, self.certified) = (name, difficulty, starts, certified)
        (self.standardDeviations, self.residualSumOfSquares) = (standardDeviations, residualSumOfSquares)
        linearParameters = model.linear
        // Nelson's model is of log y.
        let response = model is LogarithmOfBreakdown ? response.map { Double.log($0) } : response
        let points = response.indices.map { i in predictors.map { $0[i] } }
        residual = RegressionResidual(model: model, response: response, predictors: points)
    }

    /// All 27, in NIST's order: lower, average, higher difficulty.
    public static let all: [NISTDataSet] = lower + average + higher

    public static func named(_ name: String) -> NISTDataSet? { all.first { $0.name == name } }
}
