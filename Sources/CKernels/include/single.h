// The kernels of a pass in single precision: ckernels.h's of the same names, on `float`. `count` is a multiple of 16. What is added up over
// points, and what leaves the pass, is double.
#pragma once
#include "ckernels.h"

void ck_single_activation(int activation, int order, size_t count, const float *x, float *derivatives);
void ck_single_jet_forward(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *bias, float *z, float *h);
void ck_single_jet_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *z, const float *h, float *g);
void ck_single_jet_tangent(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *z, const float *h, const float *zdot, float *hdot);
void ck_single_jet_tangent_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *z, const float *h, const float *zdot, float *g,
    float *gdot);
void ck_single_jet_polynomial(
    size_t count, const ck_monomial *monomials, size_t monomial_count, const float *const *columns, const float *sigma, float *outputs);
void ck_single_add_constant(size_t count, float value, float *x);
/// Σ xᵢ, Σ xᵢyᵢ in double precision.
double ck_single_sum(size_t count, const float *x);
double ck_single_dot(size_t count, const float *x, const float *y);
void ck_single_axpy(size_t count, float a, const float *x, float *y);
void ck_single_add_product(size_t count, float a, const float *x, const float *w, float *y);
/// The same, added to columns of double precision.
void ck_single_axpy_wide(size_t count, double a, const float *x, double *y);
void ck_single_add_product_wide(size_t count, double a, const float *x, const float *w, double *y);
void ck_single_jacobian_rows(
    size_t rows, size_t count, size_t channels, size_t inputs, size_t outputs, const float *h, const float *g, double *out,
    size_t leading);
/// `m` is a multiple of 16.
void ck_single_row_product(
    size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t row, size_t column, int accumulate, float *c,
    size_t ldc);
void ck_single_row_product_pair(
    size_t m, size_t n, size_t k, const float *a, const float *a2, size_t lda, const float *b, const float *b2, size_t row,
    size_t column, int accumulate, float *c, size_t ldc);
/// C += AᵀB, in double precision from rows / 16 products in single: `rows` is a multiple of 16.
void ck_single_inner_product(
    size_t m, size_t n, size_t rows, const float *a, const float *b, size_t ld, double *c, size_t ldc);

/// y ← x in the other precision.
void ck_widen(size_t count, const float *x, double *y);
void ck_narrow(size_t count, const double *x, float *y);
