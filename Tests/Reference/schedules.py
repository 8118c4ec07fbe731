"""Factors of PyTorch's learning-rate schedules, step by step, for Tests/OptimizationCoreTests/ScheduleTests.swift.

    python schedules.py > schedules.json
"""

import json

import torch

STEPS = 24


def factors(make):
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = make(optimizer)
    values = []
    for _ in range(STEPS):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(values) < STEPS:
            schedule.step()
    return values


lr = torch.optim.lr_scheduler

# Losses that fall, stall, rise and are better by less and by more than the thresholds: dyadic, so that no comparison hangs on a rounding.
LOSSES = [8, 4, 4, 3.9375, 3.875, 4.25, 3.5, 3.5, 3.75, 3.5, 3.4375, 3.5, 3.5, 3.5, 3.5, 2, 2.5, 2.5, 2.5, 2.5, 2.25, 1.75, 1.75, 1.8125] + [1.75] * 16


def plateau(**settings):
    """The factor of the rate after each loss."""
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = lr.ReduceLROnPlateau(optimizer, eps=0, **settings)
    values = []
    for loss in LOSSES:
        optimizer.step()
        schedule.step(loss)
        values.append(optimizer.param_groups[0]["lr"])
    return values


print(
    json.dumps(
        {
            "torch": torch.__version__,
            "polynomial": factors(lambda o: lr.PolynomialLR(o, total_iters=17, power=1.5)),
            "exponential": factors(lambda o: lr.ExponentialLR(o, gamma=0.9)),
            "staircase": factors(lambda o: lr.StepLR(o, step_size=5, gamma=0.5)),
            "cosine": factors(lambda o: lr.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.1)),
            "one-cycle": factors(
                lambda o: lr.OneCycleLR(o, max_lr=1.0, total_steps=STEPS, pct_start=0.25, div_factor=20.0, final_div_factor=50.0)
            ),
            "losses": LOSSES,
            "plateau, relative": plateau(factor=0.5, patience=2, threshold=0.03125, cooldown=0),
            "plateau, absolute": plateau(factor=0.25, patience=1, threshold=0.25, threshold_mode="abs", cooldown=3, min_lr=0.01),
            "plateau, impatient": plateau(factor=0.7, patience=0, threshold=0, cooldown=1),
            "join": factors(
                lambda o: lr.SequentialLR(o, [lr.ConstantLR(o, factor=1.0), lr.ExponentialLR(o, gamma=0.8)], milestones=[6])
            ),
        },
        indent=1,
    )
)
