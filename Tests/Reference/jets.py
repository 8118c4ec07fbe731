"""Derivatives of random polynomials and compositions up to order 4, by SymPy, exact and then rounded to float64.

    python Tests/Reference/jets.py > Tests/Reference/jets.json

Each case is a list of layers in the words of NetworkBuilder; the test builds the network from them. Coefficients, parameters and
points are dyadic rationals, which float64 holds exactly: the values differ from exact arithmetic by the last rounding alone.
Needs SymPy 1.12 or later.
"""

import itertools
import json
import random

import mpmath
import sympy as sp

ACTIVATIONS = {
    "tanh": sp.tanh,
    "sin": sp.sin,
    "gelu": lambda x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + sp.exp(-x)),
    "softplus": lambda x: sp.log(1 + sp.exp(x)),
}
ORDER = 4


def dyadic(rng, bound=2, denominator=8):
    k = 0
    while k == 0:
        k = rng.randint(-bound * denominator, bound * denominator)
    return sp.Rational(k, denominator)


class Case:
    """Layers, and beside each the expressions of its features."""

    def __init__(self, name, dimension):
        self.name, self.dimension = name, dimension
        self.x = sp.symbols(f"x0:{dimension}")
        self.layers, self.features, self.parameters, self.values = [], [], [], []
        self.add("coordinates", list(self.x))

    def add(self, kind, expressions, **settings):
        self.layers.append({"kind": kind, **settings})
        self.features.append(expressions)
        return len(self.layers) - 1

    def selected(self, a, i):
        return self.add("selected", [self.features[a][i]], input=a, index=i)

    def sum(self, a, b, α, β, γ):
        values = [α * u + β * v + γ for u, v in zip(self.features[a], self.features[b])]
        return self.add("sum", values, input=a, other=b, factors=[float(α), float(β), float(γ)])

    def product(self, a, b):
        return self.add("product", [u * v for u, v in zip(self.features[a], self.features[b])], input=a, other=b)

    def activation(self, a, σ):
        return self.add("activation", [ACTIVATIONS[σ](u) for u in self.features[a]], input=a, activation=σ)

    def dense(self, a, outputs, σ, rng):
        inputs = len(self.features[a])
        symbols = sp.symbols(f"p{len(self.parameters)}:{len(self.parameters) + (inputs + 1) * outputs}")
        self.parameters += symbols
        self.values += [dyadic(rng, 1) for _ in symbols]
        z = [sum(self.features[a][i] * symbols[i * outputs + j] for i in range(inputs)) + symbols[inputs * outputs + j]
             for j in range(outputs)]
        return self.add("dense", [ACTIVATIONS[σ](u) for u in z] if σ else z, input=a, outputs=outputs, activation=σ or "")

    def record(self, rng, points=2):
        """The fields' derivatives, and where there are parameters their slopes with respect to each of them."""
        places = [[dyadic(rng, 1, 16) for _ in self.x] for _ in range(points)]
        indices = [m for m in itertools.product(range(ORDER + 1), repeat=self.dimension) if sum(m) <= ORDER]
        output, values, slopes = self.features[-1][0], [], []
        for m in indices:
            derivative = output
            for symbol, times in zip(self.x, m):
                if times:
                    derivative = sp.diff(derivative, symbol, times)
            by = [sp.diff(derivative, p) for p in self.parameters]
            evaluate = sp.lambdify(list(self.x) + self.parameters, [derivative] + by, "mpmath")
            rows = [[float(v) for v in evaluate(*map(exactly, place + self.values))] for place in places]
            values.append([row[0] for row in rows])
            slopes.append([row[1:] for row in rows])
        return {
            "name": self.name, "dimension": self.dimension, "layers": self.layers, "indices": [list(m) for m in indices],
            "points": [[float(c) for c in place] for place in places], "parameters": [float(v) for v in self.values],
            "derivatives": values, "slopes": slopes,
        }


def exactly(number):
    return mpmath.mpf(number.p) / number.q


def polynomial(seed, dimension):
    """Products and sums of coordinates: degree 6 at most."""
    rng = random.Random(seed)
    case = Case(f"polynomial {seed}", dimension)
    parts = [case.selected(0, i) for i in range(dimension)]
    for _ in range(3):
        a, b = rng.choice(parts), rng.choice(parts)
        if sp.Poly(case.features[a][0] * case.features[b][0], *case.x).total_degree() <= 6 and rng.random() < 0.8:
            parts.append(case.product(a, b))
        else:
            parts.append(case.sum(a, b, dyadic(rng), dyadic(rng), dyadic(rng)))
    last = parts[0]
    for part in parts[1:]:
        last = case.sum(last, part, dyadic(rng), dyadic(rng), dyadic(rng))
    return case.record(rng)


def composition(seed, dimension):
    """σ₂ of a product with σ₁ of an affine map."""
    rng = random.Random(seed)
    names = list(ACTIVATIONS)
    case = Case(f"composition {seed}", dimension)
    parts = [case.selected(0, i) for i in range(dimension)]
    inner = case.sum(parts[0], parts[-1], dyadic(rng, 1), dyadic(rng, 1), dyadic(rng, 1))
    bent = case.activation(inner, names[seed % 5])
    mixed = case.product(bent, rng.choice(parts))
    case.activation(case.sum(mixed, inner, dyadic(rng, 1), dyadic(rng, 1), dyadic(rng, 1)), names[(seed // 5 + seed + 1) % 5])
    return case.record(rng)


def network(seed, dimension, σ):
    rng = random.Random(seed)
    case = Case(f"network {seed}, {σ}", dimension)
    case.dense(case.dense(0, 2, σ, rng), 1, None, rng)
    return case.record(rng)


if __name__ == "__main__":
    mpmath.mp.dps = 60
    cases = [polynomial(seed, 1 + seed % 3) for seed in range(9)]
    cases += [composition(seed, 1 + seed % 2) for seed in range(10)]
    cases += [network(seed, 2, σ) for seed, σ in enumerate(ACTIVATIONS)]
    print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
