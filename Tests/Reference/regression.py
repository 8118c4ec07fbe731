"""A fit of a network to a sum of sines by NumPy, for the regression problems.

    python Tests/Reference/regression.py > Tests/Reference/regression.json

One hidden layer of 6 tanh units on 11 midpoints of [0, 1], f(x) = sin 2πx + ½ sin 6πx and θₖ = sin 0.7(k + 1): loss and gradient, and the least
loss over the last layer alone, which enters linearly, by numpy.linalg.lstsq.
"""

import json

import numpy as np

n, width = 11, 6
x = (np.arange(n) + 0.5) / n
y = np.sin(2 * np.pi * x) + 0.5 * np.sin(6 * np.pi * x)
theta = np.sin(0.7 * (np.arange(3 * width + 1) + 1))
w, b, v, c = theta[:width], theta[width : 2 * width], theta[2 * width : 3 * width], theta[-1]
hidden = np.tanh(np.outer(x, w) + b)
r = hidden @ v + c - y
slope = (1 - hidden**2) * v
gradient = np.concatenate([(r * x) @ slope, r @ slope, r @ hidden, [r.sum()]]) / n
columns = np.hstack([hidden, np.ones((n, 1))])
last, *_ = np.linalg.lstsq(columns, y, rcond=None)
least = 0.5 * np.mean((columns @ last - y) ** 2)
print(json.dumps(dict(loss=0.5 * np.mean(r**2), gradient=gradient.tolist(), leastOverLastLayer=least, lastLayer=last.tolist()), indent=1))
