"""SciPy's, Optimistix's and Optax's methods beside Curvature's on all functions of Moré, Garbow and Hillstrom: how many are solved, at what cost.

    python Benchmarks/peers/collection.py                    # the curvature of .build/release; needs what PEERS/requirements.txt lists, and h5py
    python Benchmarks/peers/collection.py --json

Every method begins at the standard start with exact derivatives (SciPy's gradients and Jacobians by complex steps, its Hessians by differences of
those, as in newton.py) and runs until it ends of its own accord, its tolerances at the least it takes, or until 2 000 steps. A function is solved to a
gap once L − L* ≤ gap·(L₀ − L*) for a known minimum L* that the run does not leave again. Costs: values with gradients, and products with the Hessian (n for
a whole one); of methods for residuals residuals at new points, and Jacobians.

By family: the fraction solved, the profile of Dolan and Moré, doi:10.1007/s101070100263 (the fraction solved at no more than τ times the least cost
in the family), whether ours is at or above each of the others' for every τ ≥ 3, and the geometric mean of the ratios of costs where both arrive.
"""

import argparse
import json
import math
import tempfile

import h5py
import jax
import numpy as np
import optax
import scipy.optimize

import functions
import least_squares
import newton
import quasi_newton
from quasi_newton import ROOT

STEPS = 2000
GAPS = (1e-6, 1e-10)

# Ours, and their counterparts.
FAMILIES = {
    "BFGS": (["bfgs", "self-scaled-broyden"], ["BFGS"]),
    "limited memory": (["l-bfgs", "l-bfgs-b"], ["L-BFGS-B", "Optax L-BFGS"]),
    "conjugate gradients": (["nonlinear-cg"], ["CG"]),
    "Newton–CG": (["newton-cg"], ["Newton-CG"]),
    "trust regions": (["steihaug-toint", "gltr", "exact", "dogleg "], ["trust-ncg", "trust-krylov", "trust-exact", "dogleg of SciPy"]),
    "least squares": (["levenberg-marquardt", "dogleg"], ["lm", "trf", "dogbox", "Optimistix LM", "Optimistix dogleg"]),
}
OURS = {
    **{name: quasi_newton.OURS[name] for name in ("bfgs", "self-scaled-broyden", "l-bfgs", "l-bfgs-b", "nonlinear-cg")},
    **{name: newton.OURS[name] for name in ("newton-cg", "steihaug-toint", "gltr", "exact", "dogleg ")},
    **{name: least_squares.OURS[name] for name in ("levenberg-marquardt", "dogleg")},
}
MINIMIZERS = {
    **quasi_newton.PEERS, **{name: options for name, options in newton.PEERS.items() if name != "dogleg"}, "dogleg of SciPy": newton.PEERS["dogleg"],
}


class History:
    """The losses of a run with what had been spent at each."""

    def __init__(self):
        self.cost, self.points = 0, []

    def add(self, loss):
        self.points.append((self.cost, loss if math.isfinite(loss) else math.inf))

    def costs(self, start, minima):
        """The cost to each gap, None where it is not reached."""
        if not self.points:
            return [None] * len(GAPS)
        least = min(loss for _, loss in self.points)
        # The greatest known minimum that the run is not below: where it ends, if it ends at one.
        reached = [m for m in minima if m <= least * (1 + 1e-12) + 1e-300]
        goal = max(reached) if reached else min(minima)
        costs = []
        for gap in GAPS:
            target = goal + gap * (start - goal)
            costs.append(next((cost for cost, loss in self.points if loss <= target), None))
        return costs


def quietly(residual, x):
    with np.errstate(all="ignore"):
        return residual(x)


def minimized(method, residual, start):
    """SciPy's minimize."""
    history, options = History(), {**MINIMIZERS[method], "maxiter": STEPS}

    def value(x):
        history.cost += 1
        r = quietly(residual, x)
        loss = 0.5 * float(r @ r)
        history.add(loss)
        with np.errstate(all="ignore"):
            return loss, newton.gradient(residual, x)

    def product(x, v):
        history.cost += 1
        with np.errstate(all="ignore"):
            return newton.derivative(residual, x, v)

    def hessian(x):
        H = np.column_stack([product(x, e) for e in np.eye(len(x))])
        return 0.5 * (H + H.T)

    by = {"hess": hessian} if method in ("trust-exact", "dogleg of SciPy") else {"hessp": product} if method in newton.PEERS else {}
    try:
        scipy.optimize.minimize(value, np.array(start, float), jac=True, method=method.split(" of ")[0], options=options, **by)
    except (ValueError, FloatingPointError, OverflowError, np.linalg.LinAlgError):
        pass
    return history


def squared(method, residual, start):
    """SciPy's least_squares."""
    history = History()

    def value(x):
        history.cost += 1
        r = quietly(residual, x)
        history.add(0.5 * float(r @ r))
        return r

    def jacobian(x):
        history.cost += 1
        with np.errstate(all="ignore"):
            return np.column_stack([residual(x + 1e-30j * e).imag / 1e-30 for e in np.eye(len(x))])

    try:
        scipy.optimize.least_squares(
            value, np.array(start, float), jac=jacobian, method=method, max_nfev=STEPS, **least_squares.SCIPY[method])
    except (ValueError, FloatingPointError, OverflowError, np.linalg.LinAlgError):
        pass
    return history


def optimistixs(solver, traced, start):
    """Optimistix's solvers step by step; a linearisation counts where the step before was accepted."""
    history = History()
    for taken, accepted, loss in least_squares.steps(solver, traced, start, STEPS):
        history.cost = taken + accepted
        history.add(loss)
    return history


def optaxs(traced, start):
    """Optax's L-BFGS with 20 pairs and its own zoom search; each of the search's steps is a value with gradient."""
    loss = lambda x: 0.5 * jax.numpy.sum(traced(x) ** 2)
    method = optax.lbfgs(memory_size=20)
    both = optax.value_and_grad_from_state(loss)

    @jax.jit
    def step(x, state):
        value, gradient = both(x, state=state)
        updates, state = method.update(gradient, state, x, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(x, updates), state, optax.tree.get(state, "value"), optax.tree.get(state, "info").num_linesearch_steps

    x = jax.numpy.array(start, float)
    state, history = method.init(x), History()
    history.cost = 1
    least, since = math.inf, 0
    for _ in range(STEPS):
        x, state, value, searched = step(x, state)
        history.cost += int(searched)
        history.add(float(value))
        # It has no end of its own: none is what 50 steps without a lower loss are.
        since = 0 if float(value) < least else since + 1
        least = min(least, float(value))
        if since > 50 or not math.isfinite(float(value)):
            break
    return history


def ours(curvature, label, name, dimension):
    history = History()
    with tempfile.TemporaryDirectory() as folder:
        quasi_newton.run_of_ours(curvature, OURS[label], name, dimension, 0, folder, steps=STEPS, every=1)
        with h5py.File(f"{folder}/out/run.h5") as file:
            columns = {key: np.array(column) for key, column in file["trajectory"].items()}

    def count(name):
        """What had been counted at each step; NaN, or no column, where nothing of the kind had."""
        return np.nan_to_num(columns.get(name, 0))

    if label in least_squares.OURS:
        # The start is evaluated too.
        spent = count("losses") + count("residuals") + 1 + count("linearizations")
    else:
        spent = count("evaluations") + count("hessianProducts")
    for cost, loss in zip(spent, columns.get("loss", [])):
        history.cost = int(cost)
        history.add(float(loss))
    return history


def profile(costs, columns, method, taus):
    """The fraction of functions that a method solves within τ times the least cost of all columns, for each τ."""
    best = [min((row[c] for c in columns if row[c]), default=None) for row in costs]
    return [sum(1 for row, least in zip(costs, best) if row[method] and row[method] <= tau * least) / len(costs) for tau in taus]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--curvature", default=str(ROOT / ".build/release/curvature"))
    arguments.add_argument("--only", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    traced = least_squares.traceable()
    table = []
    for name, dimension, residual, start, minima in functions.FUNCTIONS:
        r = quietly(residual, np.array(start, float))
        begin = 0.5 * float(r @ r)
        row = {"function": name, "dimension": dimension, "costs": {}}
        for family in options.only:
            mine, theirs = FAMILIES[family]
            for label in mine + theirs:
                if label in OURS:
                    history = ours(options.curvature, label, name, dimension)
                elif label in MINIMIZERS:
                    history = minimized(label, residual, start)
                elif label in least_squares.SCIPY:
                    history = squared(label, residual, start)
                elif label in least_squares.OPTIMISTIX:
                    history = optimistixs(least_squares.OPTIMISTIX[label], traced[residual.__name__], start)
                else:
                    history = optaxs(traced[residual.__name__], start)
                row["costs"][label] = history.costs(begin, [m / 2 for m in minima])
        table.append(row)
    if options.json:
        print(json.dumps({"gaps": GAPS, "functions": table}))
        return
    taus = np.geomspace(3, 1e4, 200)
    for place, gap in enumerate(GAPS):
        print(f"\n{len(table)} cases to a gap of {gap}: solved; within 1, 3 and 10 times the family's least cost\n")
        print("| family | method | solved | τ = 1 | 3 | 10 |\n|---|---|---|---|---|---|")
        costs = [{label: both[place] for label, both in row["costs"].items()} for row in table]
        sentences = []
        for family in options.only:
            mine, theirs = FAMILIES[family]
            everyone = mine + theirs
            for label in everyone:
                cells = profile(costs, everyone, label, [1, 3, 10])
                print(f"| {family} | {label.strip()} | {sum(1 for c in costs if c[label])} |" + "".join(f" {100 * c:.0f} % |" for c in cells))
            for label in mine:
                for other in theirs:
                    ratios = [math.log(c[label] / c[other]) for c in costs if c[label] and c[other]]
                    a, b = profile(costs, everyone, label, taus), profile(costs, everyone, other, taus)
                    above = "at or above" if all(x >= y for x, y in zip(a, b)) else f"below at {sum(x < y for x, y in zip(a, b))} of {len(taus)} of"
                    sentences.append(
                        f"{label.strip()} / {other}: {math.exp(np.mean(ratios)):.2f} in the geometric mean of {len(ratios)}; {above} its profile from τ = 3")
        print("\n" + "\n".join(sentences))


if __name__ == "__main__":
    main()
