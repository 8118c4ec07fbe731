"""Evaluations of SciPy's BFGS, L-BFGS-B and CG beside Curvature's, on functions of Moré, Garbow and Hillstrom.

    python Benchmarks/peers/quasi_newton.py                  # the curvature of .build/release
    python Benchmarks/peers/quasi_newton.py --gap 1e-6 --curvature PATH

Counted are values with gradients until L − L* ≤ gap·(L₀ − L*), L = ½‖r‖² and L* = 0 for all functions here. Both sides begin at the standard
start and get exact gradients (SciPy by complex steps, counted once). SciPy's tolerances are set to zero, so that a method ends only where its
line search does; Curvature's methods have none. Losses at the start must agree.
"""

import argparse
import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np
import scipy.optimize

import functions

ROOT = pathlib.Path(__file__).resolve().parents[2]


FUNCTIONS = [
    ("rosenbrock", 2, functions.rosenbrock, [-1.2, 1]),
    ("extended-rosenbrock", 100, functions.rosenbrock, [-1.2, 1] * 50),
    ("powell-singular", 4, functions.powell_singular, [3, -1, 0, 1]),
    ("extended-powell-singular", 100, functions.powell_singular, [3, -1, 0, 1] * 25),
    ("wood", 4, functions.wood, [-3, -1, -3, -1]),
    ("beale", 2, functions.beale, [1, 1]),
    ("box-3d", 3, functions.box, [0, 10, 20]),
    ("biggs-exp6", 6, functions.biggs, [1, 2, 1, 1, 1, 1]),
    ("variably-dimensioned", 20, functions.variably_dimensioned, 1 - np.arange(1, 21) / 20),
    ("broyden-tridiagonal", 50, functions.broyden_tridiagonal, [-1] * 50),
    ("discrete-boundary-value", 30, functions.discrete_boundary_value, functions.grid_start(30)),
    ("powell-badly-scaled", 2, functions.powell_badly_scaled, [0, 1]),
]

PEERS = {
    "BFGS": {"gtol": 0, "maxiter": 5000},
    "L-BFGS-B": {"gtol": 0, "ftol": 0, "maxiter": 5000, "maxfun": 20000, "maxcor": 20},
    "CG": {"gtol": 0, "maxiter": 5000},
}

OURS = {
    "bfgs": "{name: bfgs}",
    "self-scaled-broyden": "{name: self-scaled-broyden}",
    "l-bfgs": "{name: l-bfgs, memory: 20}",
    "l-bfgs-b": "{name: l-bfgs-b, memory: 20}",
    "sr1": "{name: trust-region-quasi-newton}",
    "sr1, exact": "{name: trust-region, model: quasi-newton, subproblem: exact}",
    "damped-bfgs, exact": "{name: trust-region, model: quasi-newton, subproblem: exact, quasiNewton: {update: damped-bfgs}}",
    "sr1, exact, 20 pairs": "{name: trust-region, model: quasi-newton, subproblem: exact, quasiNewton: {memory: 20}}",
    "nonlinear-cg": "{name: nonlinear-cg}",
}


class Reached(Exception):
    pass


def peer(method, residual, start, target):
    """Evaluations that SciPy's method takes to the target, or None."""
    count = 0

    def value(x):
        nonlocal count
        count += 1
        with np.errstate(all="ignore"):
            r = residual(x)
            loss = 0.5 * float(r @ r)
            jacobian = np.column_stack([residual(x + 1e-30j * e).imag / 1e-30 for e in np.eye(len(x))])
        if loss <= target:
            raise Reached
        return loss, jacobian.T @ r

    try:
        scipy.optimize.minimize(value, np.array(start, float), jac=True, method=method, options=PEERS[method])
    except Reached:
        return count
    except (ValueError, FloatingPointError):
        pass
    return None


def run_of_ours(curvature, optimizer, name, dimension, target, folder, steps=5000, every=10):
    """The one stage of a run to the target as reported, and whether it got there."""
    run = pathlib.Path(folder) / "run.yaml"
    run.write_text(
        f"problem: {{name: test-function, function: {name}, dimension: {dimension}}}\nseed: 1\nstages:\n"
        f"  - {{stage: only, optimizer: {optimizer}, until: {{any: [{{loss: {{below: {target}}}}}, {{iterations: {steps}}}]}}}}\n"
        f"output: {{folder: {folder}/out, trajectory: {{every: {every}}}}}\n"
    )
    done = subprocess.run([curvature, "run", str(run), "--json", "--quiet"], capture_output=True, text=True)
    stage = json.loads(done.stdout.strip().splitlines()[-1])["stages"][0]
    return stage, stage["loss"] is not None and stage["loss"] <= target


def ours(curvature, optimizer, name, dimension, target):
    """Evaluations that Curvature's method takes to the target, or None."""
    with tempfile.TemporaryDirectory() as folder:
        stage, reached = run_of_ours(curvature, optimizer, name, dimension, target, folder)
    return stage["evaluations"] if reached else None


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
        table.append({"function": name, "dimension": dimension, "evaluations": counts})
    if options.json:
        print(json.dumps({"gap": options.gap, "scipy": scipy.__version__, "functions": table}))
        return
    print(f"evaluations to a gap of {options.gap}, SciPy {scipy.__version__}; – where it is not reached")
    print("| function | n |" + "".join(f" {column} |" for column in columns))
    print("|---|---|" + "---|" * len(columns))
    for row in table:
        cells = "".join(f" {row['evaluations'][column] or '–'} |" for column in columns)
        print(f"| {row['function']} | {row['dimension']} |{cells}")
    for other, mine in (("BFGS", "bfgs"), ("BFGS", "self-scaled-broyden"), ("L-BFGS-B", "l-bfgs"), ("L-BFGS-B", "l-bfgs-b"), ("CG", "nonlinear-cg")):
        both = [(row["evaluations"][other], row["evaluations"][mine]) for row in table]
        ratios = [math.log(b / a) for a, b in both if a and b]
        solved = [sum(1 for pair in both if pair[side]) for side in (0, 1)]
        print(
            f"{mine} / {other}: geometric mean of the ratio {math.exp(sum(ratios) / len(ratios)):.2f} where both arrive; "
            f"{solved[1]} and {solved[0]} of {len(both)} arrive"
        )


if __name__ == "__main__":
    main()
