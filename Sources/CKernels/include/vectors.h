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
