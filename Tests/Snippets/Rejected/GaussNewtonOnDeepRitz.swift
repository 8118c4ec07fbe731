// expected-error: requires that 'PoissonEnergy' conform to 'LeastSquaresProblem'
import Curvature

// The deep Ritz energy has no residuals, so Gauss–Newton cannot be paired with it.
func pair(_ problem: PoissonEnergy) -> Pipeline<PoissonEnergy> {
    Pipeline(minimizing: problem) {
        Stage("solve", GaussNewton(), until: .iterations(10))
    }
}
