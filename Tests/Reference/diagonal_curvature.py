"""Trajectories of AdaHessian and Sophia-H by pytorch_optimizer in float64, fed the signs that Curvature draws.

    python Tests/Reference/diagonal_curvature.py > Tests/Reference/diagonal_curvature.json

The loss is L(W, b) = ½ Σᵢ ‖tanh(Wᵀxᵢ + b) − yᵢ‖² of a layer with r inputs and c outputs, with dyadic x, y and start. The diagonal of its
Hessian is estimated by D = (1/s) Σⱼ zⱼ ⊙ Hzⱼ, with the signs zⱼ of the stream “adahessian/probes” or “sophia/probes” of the seed, which is
computed here anew (Philox 4×32 of ten rounds; a sign is the highest bit of a number), and handed to the method as its `hessian`. Of each method:
W and b (W by rows) after 10 and after 100 steps, and how far they move (‖·‖∞) when each step's are rounded up or down by one unit in the last
place, the largest of 20 such runs. Spatial averaging is done here: the library has none.
Needs numpy, torch and pytorch_optimizer.
"""

import json
import random

import numpy as np
import pytorch_optimizer as po
import torch
from random_stream import Stream
from tanh_layer import TanhLayer

rng = random.Random(5)


class Layer(TanhLayer):
    def gradient(self, p):
        w, b = super().gradient(p)
        return np.concatenate([w.ravel(), b])

    def product(self, p, v):
        (w, b), (vw, vb) = self.split(p), self.split(v)
        t = np.tanh(self.x @ w + b)
        s = 1 - t * t
        d = (s * s - 2 * (t - self.y) * t * s) * (self.x @ vw + vb)
        return np.concatenate([(self.x.T @ d).ravel(), d.sum(axis=0)])

    def averaged(self, d, b):
        """Means of b consecutive entries of the weights, and of the biases."""
        blocks = [d[: self.rows * self.columns], d[self.rows * self.columns:]]
        out = []
        for block in blocks:
            for i in range(0, len(block), b):
                out += [block[i:i + b].mean()] * len(block[i:i + b])
        return np.array(out)


LAYERS = {"square": Layer(rng, 4, 4), "wide": Layer(rng, 3, 5)}


def run(name, make, layer, steps, every=1, probes=1, seed=0, averaging=1, rounded=lambda p: p):
    stream, p = Stream(seed, f"{name}/probes"), layer.start
    θ = torch.nn.Parameter(torch.tensor(p.copy()))
    method = make(θ)
    for step in range(steps):
        p = rounded(p)
        θ.data = torch.tensor(p.copy())
        θ.grad = torch.tensor(layer.gradient(p))
        hessian = None
        if step % every == 0:
            d = np.zeros_like(p)
            for _ in range(probes):
                z = stream.signs(len(p))
                d += z * layer.product(p, z) / probes
            hessian = [torch.tensor(layer.averaged(d, averaging))]
        method.step(hessian=hessian)
        p = θ.detach().numpy().copy()
    return p


def adahessian(every=1, **settings):
    return lambda θ: po.AdaHessian([θ], update_period=every, **settings)


def sophia(every=10, **settings):
    return lambda θ: po.SophiaH([θ], update_period=every, **settings)


METHODS = {
    "adahessian": ({"learningRate": 0.05}, adahessian(lr=0.05, eps=1e-4), {}),
    "adahessian, seldom": (
        {"learningRate": 0.05, "refresh": 3, "probes": 2, "seed": 7, "weightDecay": 0.125, "hessianPower": 0.5,
         "curvatureMomentum": 0.99, "epsilon": 1e-3},
        adahessian(every=3, lr=0.05, betas=(0.9, 0.99), weight_decay=0.125, hessian_power=0.5, eps=1e-3),
        {"every": 3, "probes": 2, "seed": 7}),
    "adahessian, averaged": (
        {"learningRate": 0.05, "averaging": 3}, adahessian(lr=0.05, eps=1e-4), {"averaging": 3}),
    "sophia": (
        {"learningRate": 0.5, "curvatureScale": 1, "clip": 0.01}, sophia(lr=0.5, p=0.01), {"every": 10}),
    "sophia, paper": (
        {"learningRate": 0.005, "weightDecay": 0.125, "refresh": 4, "probes": 3, "seed": 3, "momentum": 0.9,
         "curvatureMomentum": 0.95},
        sophia(every=4, lr=0.5, p=0.01, eps=1e-10, betas=(0.9, 0.95), weight_decay=0.00125),
        {"every": 4, "probes": 3, "seed": 3}),
}

if __name__ == "__main__":
    cases = []
    for name, (settings, make, options) in METHODS.items():
        kind = name.split(",")[0]
        for shape, layer in LAYERS.items():
            last, moved = run(kind, make, layer, 100, **options), 0.0
            for _ in range(20):
                other = run(kind, make, layer, 100, **options,
                            rounded=lambda p: np.nextafter(p, [np.inf * rng.choice([-1, 1]) for _ in p]))
                moved = max(moved, float(np.max(np.abs(other - last))))
            cases.append({"method": name, "layer": shape, "settings": settings,
                          "after10": run(kind, make, layer, 10, **options).tolist(), "after100": last.tolist(),
                          "oneUlpMoves": moved})
    layers = {kind: {"rows": l.rows, "columns": l.columns, "x": l.x.tolist(), "y": l.y.tolist(), "start": l.start.tolist()}
              for kind, l in LAYERS.items()}
    print(json.dumps({"layers": layers, "cases": cases}, indent=1))
