"""The digits as an HDF5 file, and the minimum of softmax regression on them.

    python Tests/Reference/digits.py

writes Examples/data/digits.h5 and Tests/Reference/digits.json. Needs NumPy, SciPy, h5py and scikit-learn.

The data are scikit-learn's `load_digits`: 1797 pictures of handwritten digits, 8 by 8 pixels of 0 to 16, the test set of E. Alpaydin and
C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, licence CC BY 4.0.

The minimum is found twice: by scikit-learn's LogisticRegression, and by Newton's method here, on nothing of scikit-learn's; they must agree.
"""

import json
import os

import h5py
import numpy as np
import sklearn
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "..", "Examples", "data", "digits.h5")


def write_data(features, labels):
    os.makedirs(os.path.dirname(DATA), exist_ok=True)
    packed = dict(compression="gzip", compression_opts=9, shuffle=True)
    with h5py.File(DATA, "w", track_order=False) as file:
        file.attrs["format"] = "curvature-labelled-samples"
        file.attrs["formatVersion"] = np.int64(1)
        file.create_dataset("features", data=features.astype("<f8"), chunks=(600, 64), **packed)
        file.create_dataset("labels", data=labels.astype("<i8"), chunks=(1797,), **packed)
        provenance = file.create_group("provenance")
        provenance.attrs["source"] = "scikit-learn load_digits: test set of Optical Recognition of Handwritten Digits, UCI"
        provenance.attrs["doi"] = "10.24432/C50P49"
        provenance.attrs["authors"] = "E. Alpaydin, C. Kaynak, 1998"
        provenance.attrs["licence"] = "CC BY 4.0"


def loss(x, y, weights, bias, strength):
    scores = x @ weights.T + bias
    return np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]) + 0.5 * strength * np.sum(weights**2)


def newton(x, y, classes, strength):
    """Full Newton steps with halving; the constant that may be added to all biases is held by a least-squares solve."""
    n, d = x.shape
    ones = np.hstack([x, np.ones((n, 1))])
    penalty = np.append(np.full(d, strength), 0.0)
    theta = np.zeros((classes, d + 1))
    hot = np.eye(classes)[y]

    def value(t):
        return loss(x, y, t[:, :d], t[:, d], strength)

    for _ in range(60):
        scores = ones @ theta.T
        p = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        gradient = (p - hot).T @ ones / n + theta * penalty
        norm = np.linalg.norm(gradient)
        if norm < 1e-15:
            break
        hessian = np.zeros((classes, d + 1, classes, d + 1))
        for a in range(classes):
            for b in range(classes):
                w = p[:, a] * ((a == b) - p[:, b]) / n
                hessian[a, :, b, :] = (ones * w[:, None]).T @ ones
            hessian[a, :, a, :] += np.diag(penalty)
        matrix = hessian.reshape(classes * (d + 1), -1)
        step = -np.linalg.lstsq(matrix, gradient.ravel(), rcond=1e-13)[0].reshape(theta.shape)
        length = 1.0
        while length > 1e-8 and value(theta + length * step) > value(theta) + 1e-15:
            length /= 2
        theta = theta + length * step
    return theta[:, :d], theta[:, d], norm


def main():
    digits = load_digits()
    write_data(digits.data, digits.target)
    n, d = digits.data.shape
    cases = []
    for name, strength in [("largest", 1e-2), ("largest", 1e-3), ("standard", 1e-2)]:
        if name == "largest":
            x = digits.data / 16.0
        else:
            deviation = digits.data.std(axis=0)
            x = (digits.data - digits.data.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        model = LogisticRegression(C=1 / (n * strength), solver="newton-cg", tol=1e-13, max_iter=10_000)
        model.fit(x, digits.target)
        theirs = loss(x, digits.target, model.coef_, model.intercept_, strength)
        weights, bias, norm = newton(x, digits.target, 10, strength)
        ours = loss(x, digits.target, weights, bias, strength)
        correct = int(np.sum(np.argmax(x @ weights.T + bias, axis=1) == digits.target))
        print(f"{name} {strength:g}: scikit-learn {theirs:.16f}, Newton {ours:.16f} with |gradient| = {norm:.1e}, {correct} right")
        assert abs(theirs - ours) < 1e-11, "the two minima differ"
        cases.append(
            dict(scaling=name, regularization=strength, minimum=ours, scikitLearn=theirs, correct=correct, squaredNorm=float(np.sum(weights**2)))
        )
    # A place that is no minimum, for the value and the gradient.
    theta = np.sin(0.7 * (np.arange(10 * d + 10) + 1))
    weights, bias = theta[: 10 * d].reshape(10, d), theta[10 * d :]
    x = digits.data / 16.0
    scores = x @ weights.T + bias
    p = np.exp(scores - logsumexp(scores, axis=1, keepdims=True)) - np.eye(10)[digits.target]
    gradient = np.concatenate([(p.T @ x / n + 1e-2 * weights).ravel(), p.sum(axis=0) / n])
    elsewhere = dict(
        scaling="largest", regularization=1e-2, loss=loss(x, digits.target, weights, bias, 1e-2), gradient=gradient.tolist()
    )
    out = dict(scikitLearn=sklearn.__version__, samples=n, features=d, minima=cases, elsewhere=elsewhere)
    with open(os.path.join(HERE, "digits.json"), "w") as file:
        json.dump(out, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
