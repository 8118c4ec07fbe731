"""Curvature's named random streams: Philox 4×32 of ten rounds, keyed by a seed and a name."""

import math

import numpy as np

M64, M32 = (1 << 64) - 1, (1 << 32) - 1


class Stream:
    """RandomStream(seed:name:)."""

    def __init__(self, seed, name):
        h = 0xCBF29CE484222325
        for byte in name.encode():
            h = ((h ^ byte) * 0x100000001B3) & M64
        z = ((h ^ ((seed * 0x9E3779B97F4A7C15) & M64)) + 0x9E3779B97F4A7C15) & M64
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
        self.key, self.position = z ^ (z >> 31), 0

    def next(self):
        block, half = divmod(self.position, 2)
        self.position += 1
        c = [block & M32, block >> 32, 0, 0]
        k = [self.key & M32, self.key >> 32]
        for i in range(10):
            if i > 0:
                k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & M32, (p0 >> 32) ^ c[3] ^ k[1], p0 & M32]
        return c[0] | c[1] << 32 if half == 0 else c[2] | c[3] << 32

    def signs(self, n):
        return np.array([-1.0 if self.next() >> 63 else 1.0 for _ in range(n)])

    def uniform(self):
        return (self.next() >> 11) * 2.0**-53

    def normals(self, n):
        """By Box and Muller's transformation, two draws a number."""
        def one():
            radius = math.sqrt(-2 * math.log(1 - self.uniform()))
            return radius * math.cos(2 * math.pi * self.uniform())
        return np.array([one() for _ in range(n)])
