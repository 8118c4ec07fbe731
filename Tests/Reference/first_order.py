"""Trajectories of first-order methods by PyTorch, Optax and pytorch_optimizer in float64.

    python Tests/Reference/first_order.py > Tests/Reference/first_order.json

The loss is L(x) = ½ Σᵢ (tanh(Σⱼ aᵢⱼxⱼ) − bᵢ)², one layer of a network fitted to data, with dyadic a, b and x₀. Of each method: x after 10 and
after 100 steps, and how far x₁₀₀ moves (‖·‖∞) when each step's x is rounded up or down by one unit in the last place, the largest of 20 such
runs: what a second implementation may differ by. Needs torch, optax and pytorch_optimizer.
"""

import json
import random

import jax
import numpy as np
import optax
import pytorch_optimizer as po
import torch

jax.config.update("jax_enable_x64", True)
rng = random.Random(1)
ROWS, COLUMNS = 9, 5
A = np.array([[rng.randint(-16, 16) / 16 for _ in range(COLUMNS)] for _ in range(ROWS)])
B = np.array([rng.randint(-12, 12) / 16 for _ in range(ROWS)])
X0 = np.array([rng.randint(-16, 16) / 16 for _ in range(COLUMNS)])


def gradient(x):
    t = np.tanh(A @ x)
    return A.T @ ((t - B) * (1 - t * t))


def by_torch(make):
    def run(x, steps, rounded=lambda x: x):
        parameter = torch.nn.Parameter(torch.tensor(x, dtype=torch.float64))
        method = make([parameter])
        for _ in range(steps):
            parameter.data = torch.tensor(rounded(parameter.detach().numpy()))
            parameter.grad = torch.tensor(gradient(parameter.detach().numpy()))
            method.step()
        return parameter.detach().numpy().copy()

    return run


def by_schedule_free(make):
    """As by_torch; the rounded point is y, the result x."""

    def run(x, steps, rounded=lambda x: x):
        parameter = torch.nn.Parameter(torch.tensor(x, dtype=torch.float64))
        method = make([parameter])
        for _ in range(steps):
            parameter.data = torch.tensor(rounded(parameter.detach().numpy()))
            parameter.grad = torch.tensor(gradient(parameter.detach().numpy()))
            method.step()
        method.eval()
        return parameter.detach().numpy().copy()

    return run


def by_optax(method):
    def run(x, steps, rounded=lambda x: x):
        state = method.init(x)
        for _ in range(steps):
            x = rounded(x)
            update, state = method.update(gradient(x), state, x)
            x = np.asarray(optax.apply_updates(x, update))
        return x

    return run


METHODS = {
    "sgd": ({"learningRate": 0.05}, by_torch(lambda p: torch.optim.SGD(p, lr=0.05))),
    "sgd, momentum": (
        {"learningRate": 0.05, "momentum": 0.75}, by_torch(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.75))),
    "sgd, nesterov": (
        {"learningRate": 0.05, "momentum": 0.75, "nesterov": True},
        by_torch(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.75, nesterov=True))),
    "adagrad": ({"learningRate": 0.1}, by_torch(lambda p: torch.optim.Adagrad(p, lr=0.1))),
    "rmsprop": ({"learningRate": 0.01}, by_torch(lambda p: torch.optim.RMSprop(p, lr=0.01))),
    "rmsprop, momentum": (
        {"learningRate": 0.01, "momentum": 0.5, "squareMomentum": 0.9},
        by_torch(lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, alpha=0.9))),
    "adadelta": ({}, by_torch(lambda p: torch.optim.Adadelta(p))),
    "adam": ({"learningRate": 0.02}, by_torch(lambda p: torch.optim.Adam(p, lr=0.02))),
    "adamw": (
        {"learningRate": 0.02, "weightDecay": 0.125}, by_torch(lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.125))),
    "amsgrad": ({"learningRate": 0.02}, by_torch(lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True))),
    "nadam": ({"learningRate": 0.02}, by_optax(optax.nadam(0.02))),
    "radam": ({"learningRate": 0.02}, by_optax(optax.radam(0.02))),
    "adabelief": ({"learningRate": 0.02}, by_torch(lambda p: po.AdaBelief(p, lr=0.02, weight_decay=0, rectify=False))),
    "lion": ({"learningRate": 0.01, "weightDecay": 0.125}, by_optax(optax.lion(0.01, weight_decay=0.125))),
    "adan": (
        {"learningRate": 0.02, "weightDecay": 0.125},
        by_torch(lambda p: po.Adan(p, lr=0.02, weight_decay=0.125, weight_decouple=False))),
    "schedule-free-sgd": ({"learningRate": 0.25}, by_schedule_free(lambda p: po.ScheduleFreeSGD(p, lr=0.25))),
    "schedule-free-sgd, warm-up and decay": (
        {"learningRate": 0.25, "momentum": 0.75, "weightDecay": 0.125, "schedule": {"name": "warm-up", "steps": 8}},
        by_schedule_free(lambda p: po.ScheduleFreeSGD(p, lr=0.25, momentum=0.75, weight_decay=0.125, warmup_steps=8))),
    "schedule-free-adamw": ({"learningRate": 0.02}, by_schedule_free(lambda p: po.ScheduleFreeAdamW(p, lr=0.02))),
    "schedule-free-adamw, warm-up and decay": (
        {"learningRate": 0.02, "momentum": 0.75, "squareMomentum": 0.99, "weightDecay": 0.125,
         "schedule": {"name": "warm-up", "steps": 8}},
        by_schedule_free(
            lambda p: po.ScheduleFreeAdamW(p, lr=0.02, betas=(0.75, 0.99), weight_decay=0.125, warmup_steps=8))),
}

if __name__ == "__main__":
    cases = []
    for name, (settings, run) in METHODS.items():
        last, moved = run(X0, 100), 0.0
        for _ in range(20):
            other = run(X0, 100, lambda x: np.nextafter(x, [np.inf * rng.choice([-1, 1]) for _ in x]))
            moved = max(moved, float(np.max(np.abs(other - last))))
        cases.append({"method": name, "settings": settings, "after10": run(X0, 10).tolist(), "after100": last.tolist(),
                      "oneUlpMoves": moved})
    print(json.dumps({"a": A.tolist(), "b": B.tolist(), "start": X0.tolist(), "cases": cases}, indent=1))
