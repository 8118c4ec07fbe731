"""Evaluations of SciPy's Newton-CG, trust-ncg, trust-krylov, trust-exact and dogleg beside Curvature's, on functions of Moré, Garbow and Hillstrom.

    python Benchmarks/peers/newton.py                        # the curvature of .build/release; needs h5py
    python Benchmarks/peers/newton.py --gap 1e-6 --curvature PATH

Counted are values with gradients, and products with the Hessian, until L − L* ≤ gap·(L₀ − L*), L = ½‖r‖² and L* = 0 for all functions here. Both
sides begin at the standard start. SciPy gets gradients by complex steps, exact, and Hessians by fourth-order central differences of those, to
some 1e-11; a whole Hessian counts as n products. SciPy's gradient tolerances are set to zero. A value and a gradient of SciPy's at one point
count once, and so do ours where a search computes them together.
"""

import argparse
import json
import math
import tempfile

import h5py
import numpy as np
import scipy.optimize

from quasi_newton import FUNCTIONS, ROOT, Reached, run_of_ours

PEERS = {
    "Newton-CG": {"xtol": 0, "maxiter": 5000},
    "trust-ncg": {"gtol": 0, "maxiter": 5000},
    "trust-krylov": {"gtol": 0, "maxiter": 5000},
    "trust-exact": {"gtol": 0, "maxiter": 5000},
    "dogleg": {"gtol": 0, "maxiter": 5000},
}

OURS = {
    "newton-cg": "{name: newton-cg}",
    "steihaug-toint": "{name: trust-region, subproblem: steihaug-toint}",
    "gltr": "{name: trust-region, subproblem: gltr}",
    "exact": "{name: trust-region, subproblem: exact}",
    "dogleg ": "{name: trust-region, subproblem: dogleg}",
    "newton-minres": "{name: newton-minres}",
    "newton": "{name: newton}",
    "arc": "{name: cubic-regularization}",
    "saddle-free": "{name: saddle-free-newton}",
}

PAIRS = [
    ("Newton-CG", "newton-cg"), ("trust-ncg", "steihaug-toint"), ("trust-krylov", "gltr"), ("trust-exact", "exact"), ("dogleg", "dogleg "),
]


def gradient(residual, x):
    r = residual(x)
    jacobian = np.column_stack([residual(x + 1e-30j * e).imag / 1e-30 for e in np.eye(len(x))])
    return jacobian.T @ r


def derivative(residual, x, v):
    """∇²L·v."""
    length = np.linalg.norm(v)
    if length == 0:
        return np.zeros_like(x)
    h = 1e-3 * max(1, np.max(np.abs(x))) / length
    at = lambda k: gradient(residual, x + k * h * v)
    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)


def peer(method, residual, start, target):
    """Evaluations and Hessian products that SciPy's method takes to the target, or None."""
    counts = {"evaluations": 0, "products": 0}

    def value(x):
        counts["evaluations"] += 1
        with np.errstate(all="ignore"):
            r = residual(x)
            loss = 0.5 * float(r @ r)
        if loss <= target:
            raise Reached
        with np.errstate(all="ignore"):
            return loss, gradient(residual, x)

    def product(x, v):
        counts["products"] += 1
        with np.errstate(all="ignore"):
            return derivative(residual, x, v)

    def hessian(x):
        H = np.column_stack([product(x, e) for e in np.eye(len(x))])
        return 0.5 * (H + H.T)

    by = {"hess": hessian} if method in ("trust-exact", "dogleg") else {"hessp": product}
    try:
        scipy.optimize.minimize(value, np.array(start, float), jac=True, method=method, options=PEERS[method], **by)
    except Reached:
        return counts
    except (ValueError, FloatingPointError, np.linalg.LinAlgError):
        pass
    return None


def ours(curvature, optimizer, name, dimension, target):
    with tempfile.TemporaryDirectory() as folder:
        stage, reached = run_of_ours(curvature, optimizer, name, dimension, target, folder)
        if not reached:
            return None
        with h5py.File(f"{folder}/out/run.h5") as file:
            products = float(file["stages/0"].attrs["hessianProducts"])
    return {"evaluations": int(stage["evaluations"]), "products": int(products)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--curvature", default=str(ROOT / ".build/release/curvature"))
    arguments.add_argument("--gap", type=float, default=1e-10)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    columns = list(PEERS) + list(OURS)
    table = []
    for name, dimension, residual, start in FUNCTIONS:
        r = residual(np.array(start, float))
        target = options.gap * 0.5 * float(r @ r)
        counts = {method: peer(method, residual, start, target) for method in PEERS}
        counts |= {label: ours(options.curvature, optimizer, name, dimension, target) for label, optimizer in OURS.items()}
        table.append({"function": name, "dimension": dimension, "counts": counts})
    if options.json:
        print(json.dumps({"gap": options.gap, "scipy": scipy.__version__, "functions": table}))
        return
    print(f"evaluations + Hessian products to a gap of {options.gap}, SciPy {scipy.__version__}; – where it is not reached")
    print("| function | n |" + "".join(f" {column} |" for column in columns))
    print("|---|---|" + "---|" * len(columns))
    for row in table:
        cells = [row["counts"][column] for column in columns]
        texts = [f" {cell['evaluations']} + {cell['products']} |" if cell else " – |" for cell in cells]
        print(f"| {row['function']} | {row['dimension']} |{''.join(texts)}")
    for other, mine in PAIRS:
        both = [(row["counts"][other], row["counts"][mine]) for row in table]
        solved = [sum(1 for pair in both if pair[side]) for side in (0, 1)]
        means = []
        for kind in ("evaluations", "products"):
            ratios = [math.log(b[kind] / a[kind]) for a, b in both if a and b]
            means.append(math.exp(sum(ratios) / len(ratios)))
        print(
            f"{mine.strip()} / {other}: geometric means of the ratio where both arrive {means[0]:.2f} (evaluations), {means[1]:.2f} (products); "
            f"{solved[1]} and {solved[0]} of {len(both)} arrive"
        )


if __name__ == "__main__":
    main()
