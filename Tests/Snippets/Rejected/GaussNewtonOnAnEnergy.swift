// expected-error: requires that 'LogisticRegression' conform to 'LeastSquaresProblem'
import Curvature

// A logistic regression is no least-squares problem, so Gauss–Newton cannot be paired with it.
func pair(_ problem: LogisticRegression) -> Pipeline<LogisticRegression> {
    Pipeline(minimizing: problem) {
        Stage("solve", GaussNewton(), until: .iterations(10))
    }
}
