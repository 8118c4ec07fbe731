// Products with, and rank-two updates of, a symmetric matrix held as its lower triangle packed by columns: what a dense
// quasi-Newton method does once an iteration to n²/2 doubles. Sharded by columns over ck_parallel_for; the shards and the order
// in which they are summed depend on n alone, so the bits do not depend on the number of threads.
#pragma once
#include <stddef.h>

/// How many shards a matrix of order n is cut into.
size_t ck_symmetric_shards(size_t n);

/// y ← H·x. `workspace` holds ck_symmetric_shards(n)·n doubles.
void ck_symmetric_multiply(size_t n, const double *h, const double *x, double *y, double *workspace);

/// H ← scale·H + s·uᵀ + q·wᵀ, lower triangle only; the caller chooses u and w so that the sum is symmetric.
void ck_symmetric_update(size_t n, double *h, double scale, const double *s, const double *u, const double *q, const double *w);
