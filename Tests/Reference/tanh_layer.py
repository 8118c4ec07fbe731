"""The loss ½ Σᵢ ‖tanh(Wᵀxᵢ + b) − yᵢ‖² of a layer, with dyadic x, y and start: what trajectories of methods that see layers are taken on."""

import numpy as np

SAMPLES = 9


class TanhLayer:
    def __init__(self, rng, rows, columns):
        def draw(*shape):
            return np.array([rng.randint(-16, 16) / 16 for _ in range(int(np.prod(shape)))]).reshape(shape)

        self.rows, self.columns = rows, columns
        self.x, self.y = draw(SAMPLES, rows), 0.75 * draw(SAMPLES, columns)
        self.start = draw(rows * columns + columns)

    def split(self, p):
        """W by rows, and b."""
        n = self.rows * self.columns
        return p[:n].reshape(self.rows, self.columns), p[n:]

    def gradient(self, p):
        w, b = self.split(p)
        t = np.tanh(self.x @ w + b)
        d = (t - self.y) * (1 - t * t)
        return self.x.T @ d, d.sum(axis=0)
