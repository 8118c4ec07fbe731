"""Trajectories of methods that see matrices by pytorch_optimizer and Optax in float64.

    python Tests/Reference/matrix_preconditioners.py > Tests/Reference/matrix_preconditioners.json

The loss is L(W, b) = ½ Σᵢ ‖tanh(Wᵀxᵢ + b) − yᵢ‖² of a layer with r inputs and c outputs, with dyadic x, y and start. Of each method: W and b
(W by rows) after 10 and after 100 steps, and how far they move (‖·‖∞) when each step's are rounded up or down by one unit in the last place,
the largest of 20 such runs. SOAP's QR and Muon's iteration, which pytorch_optimizer does in float32 and bfloat16, are done in float64. SOAP's
layers are square: of a longer side's statistic one gradient leaves a null space, whose basis is whatever the library makes it. Its ε is
1e-3: its second gradient is the first again, diagonal in its basis but for rounding, which a small ε blows up. PSGD-Kron is fed the vectors that
Curvature draws, for W those of the stream “psgd-kron/probes/0”, after each step's draw for the balance.
Needs numpy, torch, optax and pytorch_optimizer.
"""

import functools
import json
import random
from unittest import mock

import jax
import numpy as np
import optax
import pytorch_optimizer as po
import torch
from pytorch_optimizer.optimizer.muon import base as muon_base
from pytorch_optimizer.optimizer.psgd import precondition_update_prob_schedule
from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting
from random_stream import Stream
from tanh_layer import TanhLayer

jax.config.update("jax_enable_x64", True)
rng = random.Random(2)

LAYERS = {"square": TanhLayer(rng, 4, 4), "wide": TanhLayer(rng, 3, 5), "tall": TanhLayer(rng, 5, 3)}
muon_in_double = functools.partial(muon_base.zero_power_via_newton_schulz_5, dtype=torch.float64)


def by_torch(make):
    """`make` takes the weights, c × r as PyTorch has them, and the biases."""

    def run(layer, steps, rounded=lambda p: p):
        w, b = layer.split(layer.start)
        w, b = torch.nn.Parameter(torch.tensor(w.T.copy())), torch.nn.Parameter(torch.tensor(b.copy()))
        method = make(w, b)
        p = layer.start
        with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(
                muon_base, "zero_power_via_newton_schulz_5", muon_in_double):
            for _ in range(steps):
                p = rounded(p)
                pw, pb = layer.split(p)
                w.data, b.data = torch.tensor(pw.T.copy()), torch.tensor(pb.copy())
                gw, gb = layer.gradient(p)
                w.grad, b.grad = torch.tensor(gw.T.copy()), torch.tensor(gb.copy())
                method.step()
                p = np.concatenate([w.detach().numpy().T.ravel(), b.detach().numpy()])
        return p

    return run


def by_optax(method):
    step = jax.jit(method.update)

    def run(layer, steps, rounded=lambda p: p):
        p = layer.start
        state = method.init(layer.split(p))
        for _ in range(steps):
            p = rounded(p)
            update, state = step(layer.gradient(p), state, layer.split(p))
            w, b = optax.apply_updates(layer.split(p), update)
            p = np.concatenate([np.asarray(w).ravel(), np.asarray(b)])
        return p

    return run


def muon(w, b, **settings):
    return po.Muon([{"params": [w], "use_muon": True, **settings}, {"params": [b], "use_muon": False, "lr": 0.01}])


def shampoo(graft, every=1, **settings):
    return by_torch(lambda w, b: po.ScalableShampoo(
        [w, b], shape_interpretation=False, use_svd=True, preconditioning_compute_steps=every, start_preconditioning_step=5,
        graft_type=graft, **settings))


def kron(seed=0, **settings):
    """PSGD-Kron in float64 with the draws of Curvature's streams."""

    def run(layer, steps, rounded=lambda p: p):
        matrix, vector = (Stream(seed, f"psgd-kron/probes/{offset}") for offset in (0, layer.rows * layer.columns))

        def normals(x, **_):
            if x.ndim == 1:
                return torch.tensor(vector.normals(len(x)))
            return torch.tensor(matrix.normals(x.numel()).reshape(layer.rows, layer.columns).T.copy())

        with mock.patch.object(torch, "randn_like", normals), mock.patch.object(np.random, "random", matrix.uniform):
            return by_torch(lambda w, b: po.Kron([w, b], precondition_dtype=None, **settings))(layer, steps, rounded)

    return run


METHODS = {
    "shampoo": ({"learningRate": 0.01}, shampoo(LayerWiseGrafting.RMSPROP, lr=0.01)),
    "shampoo, none": ({"learningRate": 0.01, "grafting": "none"}, shampoo(LayerWiseGrafting.NONE, lr=0.01)),
    "shampoo, sgd": (
        {"learningRate": 0.01, "grafting": "sgd", "nesterov": False},
        shampoo(LayerWiseGrafting.SGD, lr=0.01, nesterov=False)),
    "shampoo, adagrad": (
        {"learningRate": 0.05, "grafting": "adagrad", "refresh": 3, "squareMomentum": 0.99},
        shampoo(LayerWiseGrafting.ADAGRAD, every=3, lr=0.05, betas=(0.9, 0.99))),
    "soap": (
        {"learningRate": 0.01, "epsilon": 1e-3}, by_torch(lambda w, b: po.SOAP([w, b], lr=0.01, eps=1e-3, weight_decay=0.0))),
    "soap, often": (
        {"learningRate": 0.01, "refresh": 2, "squareMomentum": 0.99, "basisMomentum": 0.9, "epsilon": 1e-3,
         "weightDecay": 0.125},
        by_torch(lambda w, b: po.SOAP(
            [w, b], lr=0.01, betas=(0.95, 0.99), shampoo_beta=0.9, precondition_frequency=2, eps=1e-3, weight_decay=0.125))),
    "muon": ({"learningRate": 0.01, "vectorLearningRate": 0.01}, by_torch(lambda w, b: muon(w, b, lr=0.01))),
    "muon, plain": (
        {"learningRate": 0.01, "vectorLearningRate": 0.01, "nesterov": False, "momentum": 0.9, "weightDecay": 0.125},
        by_torch(lambda w, b: muon(w, b, lr=0.01, nesterov=False, momentum=0.9, weight_decay=0.125))),
    "muon, optax": (
        {"learningRate": 0.01, "vectorLearningRate": 0.01, "nesterov": False, "epsilon": 1e-30,
         "vectorEpsilon": 1e-30},
        by_optax(optax.contrib.muon(0.01, nesterov=False, eps=1e-30, adam_b1=0.9, adam_b2=0.95))),
    "psgd-kron": ({"learningRate": 0.01}, kron(lr=0.01)),
    "psgd-kron, seldom": (
        {"learningRate": 0.01, "triangles": "shorter", "weightDecay": 0.125, "balance": 0.5, "leastProbability": 0.25,
         "flatSteps": 20, "probabilityDecay": 0.05, "whitens": "gradient", "seed": 3},
        kron(3, lr=0.01, weight_decay=0.125, memory_save_mode="one_diag", momentum_into_precondition_update=False, balance_prob=0.5,
             pre_conditioner_update_probability=precondition_update_prob_schedule(min_prob=0.25, decay=0.05, flat_start=20))),
    "psgd-kron, diagonal": (
        {"learningRate": 0.01, "triangles": "none", "momentum": 0.5}, kron(lr=0.01, momentum=0.5, memory_save_mode="all_diag")),
}

if __name__ == "__main__":
    cases = []
    for name, (settings, run) in METHODS.items():
        for kind, layer in LAYERS.items():
            if "soap" in name and kind != "square":
                continue
            last, moved = run(layer, 100), 0.0
            for _ in range(20):
                other = run(layer, 100, lambda p: np.nextafter(p, [np.inf * rng.choice([-1, 1]) for _ in p]))
                moved = max(moved, float(np.max(np.abs(other - last))))
            cases.append({"method": name, "layer": kind, "settings": settings, "after10": run(layer, 10).tolist(),
                          "after100": last.tolist(), "oneUlpMoves": moved})
    layers = {kind: {"rows": l.rows, "columns": l.columns, "x": l.x.tolist(), "y": l.y.tolist(), "start": l.start.tolist()}
              for kind, l in LAYERS.items()}
    print(json.dumps({"layers": layers, "cases": cases}, indent=1))
