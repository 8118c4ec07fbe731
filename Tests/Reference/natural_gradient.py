"""Trajectories of natural-gradient and Kronecker-factored methods on a Poisson network, written out in NumPy.

    python Tests/Reference/natural_gradient.py > Tests/Reference/natural_gradient.json

The network is u(x) = Σⱼ vⱼ tanh(wⱼᵀx + bⱼ) + c on the unit square, the loss ½(1/N) Σ (−Δu − f)² over N interior points plus ½(1/M) Σ u² over M
points of the boundary, f = 2π² sin πx sin πy. θ is W by rows (x, y, b) and then v, c, as a layered network stores it. All derivatives are
written out by hand here. Of each method: θ after 10 and after 100 steps, and how far the latter move (‖·‖∞) when each step's are rounded up or
down by one unit in the last place, the largest of 20 such runs. ENGD with a grid of steps has minimised the loss in its truncated space after some
30 steps, and is followed for 20.

ENGD is that of Müller & Zeinhofer, arXiv:2302.13163 (least squares with JᵀJ, a grid of steps), its average that of Dangel, Müller & Zeinhofer,
arXiv:2405.15603; ENGD-W and SPRING those of Guzmán-Cordero et al., arXiv:2505.12149; K-FAC with its two products and KFAC* again of
arXiv:2405.15603; Nielsen's damping of IMM-REP-1999-05.
"""

import json
import random

import numpy as np

WIDTH, INTERIOR, BOUNDARY = 6, 40, 16
rng = random.Random(4)

INNER = np.array([[rng.randint(1, 63) / 64, rng.randint(1, 63) / 64] for _ in range(INTERIOR)])
SIDE = [rng.randint(1, 63) / 64 for _ in range(BOUNDARY)]
EDGE = np.array([[[s, 0], [s, 1], [0, s], [1, s]][i % 4] for i, s in enumerate(SIDE)], dtype=float)
START = np.array([rng.randint(-96, 96) / 64 for _ in range(4 * WIDTH + 1)])
SOURCE = 2 * np.pi**2 * np.sin(np.pi * INNER[:, 0]) * np.sin(np.pi * INNER[:, 1])
# The square roots of the terms' weights over their points.
S1, S2 = 1 / np.sqrt(INTERIOR), 1 / np.sqrt(BOUNDARY)


class Point:
    """Residual r, Jacobian J and the layers' vectors at one θ."""

    def __init__(self, theta):
        w, v = theta[:3 * WIDTH].reshape(3, WIDTH), theta[3 * WIDTH:4 * WIDTH]
        square = w[0] ** 2 + w[1] ** 2
        self.w, self.v, self.square = w, v, square

        def tanh(x):
            t = np.tanh(np.hstack([x, np.ones((len(x), 1))]) @ w)
            d = 1 - t * t
            return t, d, -2 * t * d, d * (6 * t * t - 2)

        self.inner, self.edge = tanh(INNER), tanh(EDGE)
        self.r = np.concatenate([
            S1 * (-(self.inner[2] * square) @ v - SOURCE), S2 * (self.edge[0] @ v + theta[-1])])

    def loss(self):
        return 0.5 * self.r @ self.r

    def jacobian(self):
        (_, _, t2, t3), (e0, e1, _, _) = self.inner, self.edge
        w, v, square = self.w, self.v, self.square
        rows = [-S1 * v * (square * t3 * INNER[:, k:k + 1] + 2 * w[k] * t2) for k in range(2)]
        inner = np.hstack(rows + [-S1 * v * square * t3, -S1 * square * t2, np.zeros((INTERIOR, 1))])
        rows = [S2 * v * e1 * EDGE[:, k:k + 1] for k in range(2)]
        return np.vstack([inner, np.hstack(rows + [S2 * v * e1, S2 * e0, np.full((BOUNDARY, 1), S2)])])

    def factors(self):
        """For each layer, the pairs (A, B) of the equation and of the boundary."""
        (t, t1, t2, t3), (e, e1, _, _) = self.inner, self.edge
        w, v, square = self.w, self.v, self.square

        def pair(inputs, cotangents):
            x, g = np.vstack(inputs), np.vstack(cotangents)
            return x.T @ x / len(x), g.T @ g

        def constant(row):
            return np.tile(row, (INTERIOR, 1)).astype(float)

        def with_one(x):
            return np.hstack([x, np.ones((len(x), 1))])

        def with_zero(x):
            return np.hstack([x, np.zeros((len(x), 1))])

        first = [
            pair([with_one(INNER), constant([1, 0, 0]), constant([0, 1, 0]), constant([0, 0, 0])],
                 [-S1 * v * square * t3, -2 * S1 * v * w[0] * t2, -2 * S1 * v * w[1] * t2, -S1 * v * t1]),
            pair([with_one(EDGE)], [S2 * v * e1])]
        zero = np.zeros((INTERIOR, 1))
        second = [
            pair([with_one(t), with_zero(t1 * w[0]), with_zero(t1 * w[1]), with_zero(t2 * square)],
                 [zero, zero, zero, np.full((INTERIOR, 1), -S1)]),
            pair([with_one(e)], [np.full((BOUNDARY, 1), S2)])]
        return [first, second]


def loss(theta):
    return Point(theta).loss()


def grid(theta, p):
    """The best of the steps 1, ½, …, 2⁻³⁰."""
    steps = 0.5 ** np.arange(31)
    return theta + steps[np.argmin([loss(theta + a * p) for a in steps])] * p


def engd(theta, state, rcond, rate=None):
    here = Point(theta)
    j = here.jacobian()
    p = -np.linalg.lstsq(j.T @ j, j.T @ here.r, rcond=rcond)[0]
    return theta + rate * p if rate else grid(theta, p), state


def averaged_engd(theta, state, damping, beta, start):
    here = Point(theta)
    j = here.jacobian()
    n = len(theta)
    mean = (start * np.eye(n) if state is None else state) * beta + (1 - beta) * (j.T @ j)
    return grid(theta, -np.linalg.solve(mean + damping * np.eye(n), j.T @ here.r)), mean


def kernel_engd(theta, state, damping):
    here = Point(theta)
    j = here.jacobian()
    return grid(theta, -j.T @ np.linalg.solve(j @ j.T + damping * np.eye(len(j)), here.r)), state


def spring(theta, state, damping, decay, rate, bound):
    here = Point(theta)
    j = here.jacobian()
    phi, k = state or (np.zeros_like(theta), 0)
    zeta = -here.r - decay * (j @ phi)
    phi, k = decay * phi + j.T @ np.linalg.solve(j @ j.T + damping * np.eye(len(j)), zeta), k + 1
    p = phi / np.sqrt(1 - decay ** (2 * k))
    return theta + min(rate, np.sqrt(bound) / np.linalg.norm(p)) * p, (phi, k)


def nielsen(theta, state, initial, least):
    """Full steps whose λ follows the gain ratio, until one is taken; λ stays above `least` times the smallest greatest diagonal entry so far."""
    here = Point(theta)
    j = here.jacobian()
    gram, g = j.T @ j, j.T @ here.r
    scale = np.max(np.diag(gram))
    damping, growth, lowest = state or (initial * scale, 2.0, scale)
    lowest = min(lowest, scale)
    while True:
        d = -np.linalg.solve(gram + damping * np.eye(len(theta)), g)
        ratio = (here.loss() - loss(theta + d)) / (-g @ d - 0.5 * np.sum((j @ d) ** 2))
        if ratio > 0:
            return theta + d, (max(damping * max(1 / 3, 1 - (2 * ratio - 1) ** 3), least * lowest), 2.0, lowest)
        damping, growth = damping * growth, 2 * growth


def preconditioned(factors, g, damping):
    """[(A₁ + λI) ⊗ (B₁ + λI) + (A₂ + λI) ⊗ (B₂ + λI)]⁻¹g of each layer by the whole matrix."""
    parts, offset = [], 0
    for layer in factors:
        block = sum(np.kron(a + damping * np.eye(len(a)), b + damping * np.eye(len(b))) for a, b in layer)
        parts.append(np.linalg.solve(block, g[offset:offset + len(block)]))
        offset += len(block)
    return np.concatenate(parts)


def observed(here, mean, beta):
    """The running means of all factors from the identity."""
    fresh = here.factors()
    if mean is None:
        mean = [[(np.eye(len(a)), np.eye(len(b))) for a, b in layer] for layer in fresh]
    return [[tuple(beta * m + (1 - beta) * f for m, f in zip(*pairs)) for pairs in zip(*layers)] for layers in zip(mean, fresh)]


def kfac(theta, state, damping, beta, momentum):
    here = Point(theta)
    mean, memory = state or (None, np.zeros_like(theta))
    mean = observed(here, mean, beta)
    memory = momentum * memory - preconditioned(mean, here.jacobian().T @ here.r, damping)
    return grid(theta, memory), (mean, memory)


def kfac_star(theta, state, damping, beta):
    here = Point(theta)
    j = here.jacobian()
    mean, last = state or (None, None)
    mean, g = observed(here, mean, beta), j.T @ here.r
    delta = -preconditioned(mean, g, damping)
    if last is None:
        step = 1e-6 * delta
    else:
        both = np.column_stack([delta, last])
        curvature = (j @ both).T @ (j @ both) + damping * both.T @ both
        step = both @ np.linalg.solve(curvature, -both.T @ g)
    return theta + step, (mean, step)


CONSTANT = {"name": "constant"}
CASES = {
    "engd": (engd, {"rcond": 2e-3},
             {"space": "parameters", "damping": {**CONSTANT, "value": 1e-300}, "solver": {"name": "truncated", "relativeCutoff": 2e-3}}),
    "engd, a fixed rate": (
        engd, {"rcond": 2e-3, "rate": 0.05},
        {"space": "parameters", "damping": {**CONSTANT, "value": 1e-300}, "solver": {"name": "truncated", "relativeCutoff": 2e-3},
         "stepLength": {"name": "fixed", "learningRate": 0.05, "normBound": 1e300}}),
    "engd, averaged": (averaged_engd, {"damping": 1e-2, "beta": 0.5, "start": 0.0},
                       {"damping": {**CONSTANT, "value": 1e-2}, "solver": "exact", "averaging": 0.5}),
    "engd, averaged from the identity": (
        averaged_engd, {"damping": 1e-2, "beta": 0.9, "start": 1.0},
        {"damping": {**CONSTANT, "value": 1e-2}, "solver": "exact", "averaging": 0.9, "metricStart": "identity"}),
    "engd-w": (kernel_engd, {"damping": 1e-1}, {"space": "samples", "damping": {**CONSTANT, "value": 1e-1}, "solver": "exact"}),
    "spring": (spring, {"damping": 1e-1, "decay": 0.9, "rate": 0.05, "bound": 1e-2},
               {"space": "samples", "damping": {**CONSTANT, "value": 1e-1}, "solver": "exact",
                "momentum": {"name": "spring", "decay": 0.9},
                "stepLength": {"name": "fixed", "learningRate": 0.05, "normBound": 1e-2}}),
    "nielsen": (nielsen, {"initial": 1e-1, "least": 1e-2},
                {"space": "parameters", "damping": {"name": "nielsen", "initial": 1e-1, "minimum": 1e-2}, "solver": "exact",
                 "stepLength": {"name": "full", "geodesicAcceleration": 0}}),
    "kfac": (kfac, {"damping": 1e-2, "beta": 0.9, "momentum": 0.5},
             {"name": "kfac", "damping": 1e-2, "averaging": 0.9, "factorStart": "identity", "momentum": 0.5}),
    "kfac*": (kfac_star, {"damping": 3e-2, "beta": 0.5},
              {"name": "kfac", "damping": 3e-2, "averaging": 0.5, "factorStart": "identity",
               "stepLength": {"name": "automatic", "monotone": False}}),
}


def run(method, settings, steps, rounded=lambda theta: theta):
    theta, state = START, None
    for _ in range(steps):
        theta, state = method(rounded(theta), state, **settings)
    return theta


STEPS = {"engd": 20}


def moves(method, settings, steps, last):
    other = [run(method, settings, steps, lambda p: np.nextafter(p, [np.inf * rng.choice([-1, 1]) for _ in p])) for _ in range(20)]
    return max(float(np.max(np.abs(theta - last))) for theta in other)


if __name__ == "__main__":
    cases = []
    for name, (method, settings, configuration) in CASES.items():
        steps = STEPS.get(name, 100)
        last = run(method, settings, steps)
        cases.append({
            "method": name, "settings": {"name": "natural-gradient", **configuration}, "after10": run(method, settings, 10).tolist(),
            "steps": steps, "atEnd": last.tolist(), "oneUlpMoves": moves(method, settings, steps, last)})
    print(json.dumps({
        "width": WIDTH, "interior": INNER.tolist(), "boundary": EDGE.tolist(), "start": START.tolist(), "cases": cases}, indent=1))
