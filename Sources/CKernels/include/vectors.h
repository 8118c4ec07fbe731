// Passes over long vectors that do more than one thing on the way, for methods bound by memory. Sharded over ck_parallel_for;
// the shards and the order in which they are summed depend on n alone, so the bits do not depend on the number of threads.
#pragma once
#include <stddef.h>

/// How many shards a vector of length n is cut into.
size_t ck_vector_shards(size_t n);

/// Σ xᵢzᵢ. `partial` holds ck_vector_shards(n) doubles.
double ck_vector_dot(size_t n, const double *x, const double *z, double *partial);

/// y ← c·y + a·x and Σ zᵢyᵢ of the new y, in one pass.
double ck_vector_update_dot(size_t n, double c, double *y, double a, const double *x, const double *z, double *partial);

/// m ← keep1·m + (1 − keep1)·g, v ← keep2·v + (1 − keep2)·g², g ← (mean·m + gradient·g)/(√(square·v) + epsilon), and 0 for 0/0.
typedef struct {
    double keep1, keep2, mean, gradient, square, epsilon;
} ck_moments;
void ck_vector_moments(size_t n, ck_moments rule, double *g, double *m, double *v);
