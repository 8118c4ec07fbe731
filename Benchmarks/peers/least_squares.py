"""Evaluations of SciPy's least_squares (lm, trf, dogbox) and of Optimistix beside Curvature's, on functions of Moré, Garbow and Hillstrom.

    pip install scipy optimistix h5py
    python Benchmarks/peers/least_squares.py                 # the curvature of .build/release
    python Benchmarks/peers/least_squares.py --gap 1e-6 --curvature PATH

Counted are residuals at new points, and Jacobians, until L ≤ gap·L₀, L = ½‖r‖² and L* = 0 for all functions here. All begin at the standard start
with exact Jacobians: SciPy's by complex steps, Optimistix's by JAX in float64. Tolerances are zero, or 1e-15 where zero is not
allowed (SciPy's lm all three, trf and dogbox that of the step). Of Curvature's work a loss and a residual count as an evaluation, a linearisation as a Jacobian; its gradients are taken where a
trial was accepted, at a point that has been counted. Optimistix linearises at every trial; the Jacobians that it uses, one an accepted step, count.
"""

import argparse
import importlib.util
import json
import math
import tempfile

import equinox
import h5py
import jax
import numpy as np
import optimistix
import scipy.optimize

import functions
from quasi_newton import FUNCTIONS, ROOT, Reached, run_of_ours

jax.config.update("jax_enable_x64", True)

SCIPY = {
    "lm": {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15},
    "trf": {"ftol": None, "xtol": 1e-15, "gtol": None},
    "dogbox": {"ftol": None, "xtol": 1e-15, "gtol": None},
}

OPTIMISTIX = {"Optimistix LM": optimistix.LevenbergMarquardt, "Optimistix dogleg": optimistix.Dogleg}

OURS = {
    "levenberg-marquardt": "{name: levenberg-marquardt}",
    "without acceleration": "{name: levenberg-marquardt, geodesicAcceleration: 0}",
    "dogleg": "{name: dogleg}",
}

PAIRS = [
    ("lm", "levenberg-marquardt"), ("lm", "without acceleration"), ("trf", "levenberg-marquardt"), ("dogbox", "dogleg"),
    ("Optimistix LM", "levenberg-marquardt"), ("Optimistix dogleg", "dogleg"),
]

LIMIT = 5000


def traceable():
    """By name the residuals of functions.py, written in JAX."""
    spec = importlib.util.spec_from_file_location("traceable_functions", functions.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.np = jax.numpy
    return vars(module)


def scipys(method, residual, start, target):
    """Evaluations and Jacobians that SciPy's method takes to the target, or None."""
    counts = {"evaluations": 0, "jacobians": 0}

    def value(x):
        counts["evaluations"] += 1
        with np.errstate(all="ignore"):
            r = residual(x)
        if 0.5 * float(r @ r) <= target:
            raise Reached
        return r

    def jacobian(x):
        counts["jacobians"] += 1
        with np.errstate(all="ignore"):
            return np.column_stack([residual(x + 1e-30j * e).imag / 1e-30 for e in np.eye(len(x))])

    try:
        scipy.optimize.least_squares(value, np.array(start, float), jac=jacobian, method=method, max_nfev=LIMIT, **SCIPY[method])
    except Reached:
        return counts
    except (ValueError, FloatingPointError, np.linalg.LinAlgError):
        pass
    return None


def steps(solver, residual, start, limit):
    """An Optimistix solver driven step by step: after each, the steps, those accepted, and the loss. Ends where θ is not finite."""
    solver, tags = solver(rtol=0, atol=0), frozenset()
    fn = lambda x, _: (residual(x), None)
    y = jax.numpy.array(start, float)
    out, aux = jax.eval_shape(lambda: fn(y, None))
    state = solver.init(fn, y, None, {}, out, aux, tags)
    arrays, rest = equinox.partition(state, equinox.is_array)

    @jax.jit
    def step(y, arrays):
        y, state, _ = solver.step(fn, y, None, {}, equinox.combine(arrays, rest), tags)
        return y, equinox.partition(state, equinox.is_array)[0], 0.5 * jax.numpy.sum(residual(y) ** 2), state.num_accepted_steps

    for taken in range(1, limit + 1):
        y, arrays, loss, accepted = step(y, arrays)
        yield taken, int(accepted), float(loss)
        if not np.all(np.isfinite(y)):
            return


def optimistixs(solver, residual, start, target):
    """Evaluations and Jacobians that an Optimistix solver takes to the target, or None."""
    for taken, accepted, loss in steps(solver, residual, start, LIMIT):
        if loss <= target:
            return {"evaluations": taken, "jacobians": accepted - 1}
    return None


def ours(curvature, optimizer, name, dimension, target):
    with tempfile.TemporaryDirectory() as folder:
        _, reached = run_of_ours(curvature, optimizer, name, dimension, target, folder)
        if not reached:
            return None
        with h5py.File(f"{folder}/out/run.h5") as file:
            work = {key: float(value) for key, value in file["stages/0"].attrs.items() if key in ("losses", "residuals", "linearizations")}
    # The start is evaluated too.
    return {"evaluations": int(work["losses"] + work["residuals"]) + 1, "jacobians": int(work["linearizations"])}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--curvature", default=str(ROOT / ".build/release/curvature"))
    arguments.add_argument("--gap", type=float, default=1e-10)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    columns = list(SCIPY) + list(OPTIMISTIX) + list(OURS)
    traced = traceable()
    table = []
    for name, dimension, residual, start in FUNCTIONS:
        r = residual(np.array(start, float))
        target = options.gap * 0.5 * float(r @ r)
        counts = {method: scipys(method, residual, start, target) for method in SCIPY}
        counts |= {label: optimistixs(solver, traced[residual.__name__], start, target) for label, solver in OPTIMISTIX.items()}
        counts |= {label: ours(options.curvature, optimizer, name, dimension, target) for label, optimizer in OURS.items()}
        table.append({"function": name, "dimension": dimension, "counts": counts})
    versions = {"scipy": scipy.__version__, "optimistix": optimistix.__version__}
    if options.json:
        print(json.dumps({"gap": options.gap} | versions | {"functions": table}))
        return
    print(f"evaluations + Jacobians to a gap of {options.gap}, {versions}; – where it is not reached")
    print("| function | n |" + "".join(f" {column} |" for column in columns))
    print("|---|---|" + "---|" * len(columns))
    for row in table:
        cells = [row["counts"][column] for column in columns]
        texts = [f" {cell['evaluations']} + {cell['jacobians']} |" if cell else " – |" for cell in cells]
        print(f"| {row['function']} | {row['dimension']} |{''.join(texts)}")
    for other, mine in PAIRS:
        both = [(row["counts"][other], row["counts"][mine]) for row in table]
        solved = [sum(1 for pair in both if pair[side]) for side in (0, 1)]
        means = []
        for kind in ("evaluations", "jacobians"):
            ratios = [math.log(b[kind] / a[kind]) for a, b in both if a and b]
            means.append(math.exp(sum(ratios) / len(ratios)))
        print(
            f"{mine} / {other}: geometric means of the ratio where both arrive {means[0]:.2f} (evaluations), {means[1]:.2f} (Jacobians); "
            f"{solved[1]} and {solved[0]} of {len(both)} arrive"
        )


if __name__ == "__main__":
    main()
