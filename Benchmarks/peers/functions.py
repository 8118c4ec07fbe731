"""The 35 functions of Moré, Garbow & Hillstrom (ACM TOMS 7:17–41, 1981) in NumPy, written from the paper: residuals that take complex numbers, so that
complex steps give exact Jacobians, and that JAX can trace when `np` is its own.

`FUNCTIONS` are tuples of name, n, residual, standard start and the known minima of ‖r‖², the least first; those that are not zero have 16 digits
from `Tests/Reference/more_garbow_hillstrom.py`.
"""

import math

import numpy as np

BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
GAUSSIAN = np.array([0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989, 0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044, 0.0009])
MEYER = np.array([34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0])
KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
OSBORNE_1 = np.array("""0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 0.628 0.603 0.580 0.558 0.538
0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 0.424 0.420 0.414 0.411 0.406""".split(), float)
OSBORNE_2 = np.array("""1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606 0.602 0.626 0.651
0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423 0.395 0.375 0.372 0.391 0.396 0.405 0.428 0.429 0.523
0.562 0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591 0.559 0.597 0.625 0.739 0.710 0.729 0.720 0.636 0.581 0.428 0.292 0.162
0.098 0.054""".split(), float)


def rosenbrock(x):
    return np.stack([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]]).ravel()


def powell_singular(x):
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    return np.stack([a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2]).ravel()


def wood(x):
    a, b, c, d = x
    return np.array([10 * (b - a**2), 1 - a, math.sqrt(90) * (d - c**2), 1 - c, math.sqrt(10) * (b + d - 2), (b - d) / math.sqrt(10)])


def beale(x):
    return np.array([y - x[0] * (1 - x[1] ** k) for k, y in ((1, 1.5), (2, 2.25), (3, 2.625))])


def biggs(x):
    t = 0.1 * np.arange(1, 14)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


def box(x):
    t = 0.1 * np.arange(1, 11)
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def variably_dimensioned(x):
    s = np.sum(np.arange(1, len(x) + 1) * (x - 1))
    return np.concatenate([x - 1, np.stack([s, s * s])])


def broyden_tridiagonal(x):
    padded = np.concatenate([np.zeros(1), x, np.zeros(1)])
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def discrete_boundary_value(x):
    n, h = len(x), 1 / (len(x) + 1)
    padded, t = np.concatenate([np.zeros(1), x, np.zeros(1)]), h * np.arange(1, n + 1)
    return 2 * x - padded[:-2] - padded[2:] + 0.5 * h * h * (x + t + 1) ** 3


def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def freudenstein_roth(x):
    return np.stack([x[0] - 13 + ((5 - x[1]) * x[1] - 2) * x[1], x[0] - 29 + ((x[1] + 1) * x[1] - 14) * x[1]])


def brown_badly_scaled(x):
    return np.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def jennrich_sampson(x):
    i = np.arange(1, 11)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x):
    turn = np.arctan(x[1] / x[0]) / (2 * math.pi) + np.where(np.real(x[0]) < 0, 0.5, 0.0)
    return np.stack([10 * (x[2] - 10 * turn), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


def bard(x):
    u = np.arange(1, 16)
    return BARD - (x[0] + u / ((16 - u) * x[1] + np.minimum(u, 16 - u) * x[2]))


def gaussian(x):
    t = (8 - np.arange(1, 16)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - GAUSSIAN


def meyer(x):
    return x[0] * np.exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2])) - MEYER


def gulf(x):
    t = np.arange(1, 100) / 100
    v = 25 + (-50 * np.log(t)) ** (2 / 3) - x[1]
    return np.exp(-(np.where(np.real(v) < 0, -v, v) ** x[2]) / x[0]) - t


def kowalik_osborne(x):
    u = KOWALIK_U
    return KOWALIK_Y - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3])


def brown_dennis(x):
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + np.sin(t) * x[3] - np.cos(t)) ** 2


def osborne_1(x):
    t = 10 * np.arange(33)
    return OSBORNE_1 - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def osborne_2(x):
    t = np.arange(65) / 10
    peaks = sum(x[k] * np.exp(-((t - x[7 + k]) ** 2) * x[4 + k]) for k in (1, 2, 3))
    return OSBORNE_2 - x[0] * np.exp(-t * x[4]) - peaks


def watson(x):
    t, j = np.arange(1, 30)[:, None] / 29, np.arange(len(x))
    slope = (t ** np.maximum(j - 1, 0) * j) @ x
    return np.concatenate([slope - (t**j @ x) ** 2 - 1, np.stack([x[0], x[1] - x[0] ** 2 - 1])])


def penalty_1(x):
    return np.concatenate([math.sqrt(1e-5) * (x - 1), np.stack([np.sum(x * x) - 0.25])])


def penalty_2(x):
    n, root = len(x), math.sqrt(1e-5)
    i = np.arange(2, n + 1)
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    pairs = root * (np.exp(x[1:] / 10) + np.exp(x[:-1] / 10) - y)
    last = np.sum((n - np.arange(n)) * x * x) - 1
    return np.concatenate([np.stack([x[0] - 0.2]), pairs, root * (np.exp(x[1:] / 10) - math.exp(-0.1)), np.stack([last])])


def trigonometric(x):
    i = np.arange(1, len(x) + 1)
    return len(x) - np.sum(np.cos(x)) + i * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):
    return np.concatenate([x[:-1] + np.sum(x) - (len(x) + 1), np.stack([np.prod(x) - 1])])


def discrete_integral(x):
    n = len(x)
    h = 1 / (n + 1)
    t = h * np.arange(1, n + 1)
    kernel = np.where(t[None, :] <= t[:, None], (1 - t[:, None]) * t[None, :], t[:, None] * (1 - t[None, :]))
    return x + h / 2 * (kernel @ (x + t + 1) ** 3)


def broyden_banded(x):
    n = len(x)
    near = np.array([[1.0 if j != i and i - 5 <= j <= i + 1 else 0.0 for j in range(n)] for i in range(n)])
    return x * (2 + 5 * x * x) + 1 - near @ (x * (1 + x))


def linear_full_rank(x):
    m = 2 * len(x)
    mean = 2 / m * np.sum(x) + 1
    return np.concatenate([x - mean, np.zeros(m - len(x)) - mean])


def linear_rank_one(x):
    n = len(x)
    return np.arange(1, 2 * n + 1) * np.sum(np.arange(1, n + 1) * x) - 1


def linear_rank_one_with_zeros(x):
    n = len(x)
    inner = np.arange(1, 2 * n - 1) * np.sum(np.arange(2, n) * x[1:-1]) - 1
    return np.concatenate([np.zeros(1) - 1, inner, np.zeros(1) - 1])


def chebyquad(x):
    n = len(x)
    before, now, sums = np.ones(n), 2 * x - 1, []
    for i in range(1, n + 1):
        sums.append(np.sum(now) / n + (1 / (i * i - 1) if i % 2 == 0 else 0))
        before, now = now, 2 * (2 * x - 1) * now - before
    return np.stack(sums)


def grid_start(n):
    t = np.arange(1, n + 1) / (n + 1)
    return t * (t - 1)


FUNCTIONS = [
    ("rosenbrock", 2, rosenbrock, [-1.2, 1], [0]),
    ("freudenstein-roth", 2, freudenstein_roth, [0.5, -2], [0, 48.984253679240021]),
    ("powell-badly-scaled", 2, powell_badly_scaled, [0, 1], [0]),
    ("brown-badly-scaled", 2, brown_badly_scaled, [1, 1], [0]),
    ("beale", 2, beale, [1, 1], [0, 14.203125 - 192.515625 / 14]),
    ("jennrich-sampson", 2, jennrich_sampson, [0.3, 0.4], [124.36218235561485]),
    ("helical-valley", 3, helical_valley, [-1, 0, 0], [0]),
    ("bard", 3, bard, [1, 1, 1], [8.2148773065789748e-3, 17.428693333333333]),
    ("gaussian", 3, gaussian, [0.4, 1, 0], [1.127932769618648e-8]),
    ("meyer", 3, meyer, [0.02, 4000, 250], [87.945855170851121]),
    ("gulf", 3, gulf, [5, 2.5, 0.15], [0, 32.835]),
    ("box-3d", 3, box, [0, 10, 20], [0, 0.075588740754997403]),
    ("powell-singular", 4, powell_singular, [3, -1, 0, 1], [0]),
    ("wood", 4, wood, [-3, -1, -3, -1], [0]),
    ("kowalik-osborne", 4, kowalik_osborne, [0.25, 0.39, 0.415, 0.39], [3.0750560384923743e-4, 1.0273430486954578e-3]),
    ("brown-dennis", 4, brown_dennis, [25, 5, -5, -1], [85822.201626356345]),
    ("osborne-1", 5, osborne_1, [0.5, 1.5, -1, 0.01, 0.02], [5.4648946974829064e-5]),
    ("biggs-exp6", 6, biggs, [1, 2, 1, 1, 1, 1], [0, 5.655649925499931e-3]),
    ("osborne-2", 11, osborne_2, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], [0.040137736293547738, 1.789813587]),
    ("watson", 6, watson, [0] * 6, [2.2876700535524362e-3]),
    ("watson", 9, watson, [0] * 9, [1.3997601380990199e-6]),
    ("watson", 12, watson, [0] * 12, [4.7223811058917574e-10]),
    ("extended-rosenbrock", 10, rosenbrock, [-1.2, 1] * 5, [0]),
    ("extended-powell-singular", 12, powell_singular, [3, -1, 0, 1] * 3, [0]),
    ("penalty-1", 4, penalty_1, [1, 2, 3, 4], [2.249977500899937e-5]),
    ("penalty-1", 10, penalty_1, list(range(1, 11)), [7.0876514670903694e-5]),
    ("penalty-2", 4, penalty_2, [0.5] * 4, [9.3762930073554415e-6]),
    ("penalty-2", 10, penalty_2, [0.5] * 10, [2.9366053745674594e-4]),
    ("variably-dimensioned", 10, variably_dimensioned, [1 - i / 10 for i in range(1, 11)], [0]),
    ("trigonometric", 10, trigonometric, [0.1] * 10, [0, 2.7950561218794563e-5, 4.2186338879237259e-5]),
    ("brown-almost-linear", 10, brown_almost_linear, [0.5] * 10, [0, 1]),
    ("discrete-boundary-value", 10, discrete_boundary_value, grid_start(10), [0]),
    ("discrete-integral", 10, discrete_integral, grid_start(10), [0]),
    ("broyden-tridiagonal", 10, broyden_tridiagonal, [-1] * 10, [0]),
    ("broyden-banded", 10, broyden_banded, [-1] * 10, [0]),
    ("linear-full-rank", 10, linear_full_rank, [1] * 10, [10]),
    ("linear-rank-one", 10, linear_rank_one, [1] * 10, [20 * 19 / (2 * 41)]),
    ("linear-rank-one-with-zeros", 10, linear_rank_one_with_zeros, [1] * 10, [(400 + 60 - 6) / (2 * 37)]),
    ("chebyquad", 8, chebyquad, [i / 9 for i in range(1, 9)], [3.5168737256779317e-3]),
    ("chebyquad", 9, chebyquad, [i / 10 for i in range(1, 10)], [0]),
    ("chebyquad", 10, chebyquad, [i / 11 for i in range(1, 11)], [4.772713696375349e-3, 6.5039548008823061e-3]),
]
