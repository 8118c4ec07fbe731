// Which kernels are called: decided once, at the first call, from the processor and CURVATURE_SIMD, unless a thread asks for others.

#include "kernels.h"
#include "single.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int chosen_level = -1;
/// A level that this thread has asked for, or taken over with a job of the pool; −1 for none.
static _Thread_local int own_level = -1;

static int highest_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return CK_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return CK_AVX2;
#endif
    return CK_BASELINE;
}

static void decide(void) {
    int level = highest_level();
    const char *setting = getenv("CURVATURE_SIMD");
    if (setting && strcmp(setting, "baseline") == 0) level = CK_BASELINE;
    if (setting && strcmp(setting, "avx2") == 0 && level > CK_AVX2) level = CK_AVX2;
    atomic_store(&chosen_level, level);
}

int ck_simd_level(void) {
    if (own_level >= 0) return own_level;
    int level = atomic_load_explicit(&chosen_level, memory_order_relaxed);
    if (level >= 0) return level;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, decide);
    return atomic_load(&chosen_level);
}

int ck_set_simd_level(int level) {
    int highest = highest_level();
    own_level = level > highest ? highest : level;
    return own_level;
}

int ck_own_simd_level(void) { return own_level; }
void ck_adopt_simd_level(int level) { own_level = level; }

static const ck_kernels *kernels(void) {
    switch (ck_simd_level()) {
#if defined(__x86_64__)
        case CK_AVX512: return &ck_kernels_avx512;
        case CK_AVX2: return &ck_kernels_avx2;
#endif
        default: return &ck_kernels_baseline;
    }
}

static const ck_single_kernels *single_kernels(void) {
    switch (ck_simd_level()) {
#if defined(__x86_64__)
        case CK_AVX512: return &ck_kernels_single_avx512;
        case CK_AVX2: return &ck_kernels_single_avx2;
#endif
        default: return &ck_kernels_single_baseline;
    }
}

void ck_activation(int activation, int order, size_t count, const double *x, double *derivatives) {
    kernels()->activation(activation, order, count, x, derivatives);
}
void ck_jet_forward(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *bias, double *z, double *h) {
    kernels()->forward(jet, activation, count, features, bias, z, h);
}
void ck_jet_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *z, const double *h, double *g) {
    kernels()->reverse(jet, activation, count, features, z, h, g);
}
void ck_jet_tangent(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *z, const double *h, const double *zdot,
    double *hdot) {
    kernels()->tangent(jet, activation, count, features, z, h, zdot, hdot);
}
void ck_jet_tangent_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *z, const double *h, const double *zdot,
    double *g, double *gdot) {
    kernels()->tangent_reverse(jet, activation, count, features, z, h, zdot, g, gdot);
}
void ck_jet_polynomial(
    size_t count, const ck_monomial *monomials, size_t monomial_count, const double *const *columns, const double *sigma,
    double *outputs) {
    kernels()->polynomial(count, monomials, monomial_count, columns, sigma, outputs);
}
void ck_add_constant(size_t count, double value, double *x) { kernels()->add_constant(count, value, x); }
double ck_sum(size_t count, const double *x) { return kernels()->sum(count, x); }
double ck_dot(size_t count, const double *x, const double *y) { return kernels()->dot(count, x, y); }
void ck_axpy(size_t count, double a, const double *x, double *y) { kernels()->axpy(count, a, x, y); }
void ck_add_product(size_t count, double a, const double *x, const double *w, double *y) {
    kernels()->add_product(count, a, x, w, y);
}
void ck_jacobian_rows(
    size_t rows, size_t count, size_t channels, size_t inputs, size_t outputs, const double *h, const double *g, double *out,
    size_t leading) {
    kernels()->jacobian_rows(rows, count, channels, inputs, outputs, h, g, out, leading);
}
void ck_row_product(
    size_t m, size_t n, size_t k, const double *a, size_t lda, const double *b, size_t row, size_t column, int accumulate, double *c,
    size_t ldc) {
    kernels()->row_product(m, n, k, a, lda, b, row, column, accumulate, c, ldc);
}
void ck_row_product_pair(
    size_t m, size_t n, size_t k, const double *a, const double *a2, size_t lda, const double *b, const double *b2, size_t row,
    size_t column, int accumulate, double *c, size_t ldc) {
    kernels()->row_product_pair(m, n, k, a, a2, lda, b, b2, row, column, accumulate, c, ldc);
}
void ck_inner_product(
    size_t m, size_t n, size_t rows, const double *a, const double *b, size_t ld, double *c, size_t ldc) {
    kernels()->inner_product(m, n, rows, a, b, ld, c, ldc);
}
void ck_solve_right(size_t m, size_t n, const double *l, size_t ldl, double *x, size_t ldx) {
    kernels()->solve_right(m, n, l, ldl, x, ldx);
}
void ck_pack_rows(size_t m, size_t k, const double *a, size_t lda, double *packed) { kernels()->pack_rows(m, k, a, lda, packed); }
void ck_pack_columns(size_t m, size_t k, const double *a, size_t lda, double *packed) {
    kernels()->pack_columns(m, k, a, lda, packed);
}
void ck_transpose(size_t m, size_t n, const double *a, size_t lda, double *b, size_t ldb) {
    kernels()->transpose(m, n, a, lda, b, ldb);
}
void ck_packed_product(
    size_t m, size_t n, size_t k, double alpha, const double *a, const double *b, double beta, int lower, double *c, size_t ldc,
    const double *next_a, const double *next_b) {
    kernels()->packed_product(m, n, k, alpha, a, b, beta, lower, c, ldc, next_a, next_b);
}
void ck_add_outer_products(
    const ck_layer_rows *a, const ck_layer_rows *b, size_t inputs, size_t outputs, int has_bias, int lower, double *c, size_t ldc,
    const double *ahead) {
    kernels()->add_outer_products(a, b, inputs, outputs, has_bias, lower, c, ldc, ahead);
}
void ck_column_activation(int activation, int slopes, size_t m, size_t n, const double *bias, double *z, double *h, size_t ld) {
    kernels()->column_activation(activation, slopes, m, n, bias, z, h, ld);
}
void ck_column_shift(size_t m, size_t n, const double *bias, double *x, size_t ld) { kernels()->column_shift(m, n, bias, x, ld); }
void ck_column_reverse(size_t m, size_t n, const double *slopes, double *g, size_t ld, double *sums) {
    kernels()->column_reverse(m, n, slopes, g, ld, sums);
}
void ck_column_misfit(
    size_t m, size_t n, double shift, double scale, const double *values, size_t ldv, const double *targets, size_t ldt, double *r,
    size_t ldr, double *sums) {
    kernels()->column_misfit(m, n, shift, scale, values, ldv, targets, ldt, r, ldr, sums);
}

// MARK: Single precision

void ck_single_activation(int activation, int order, size_t count, const float *x, float *derivatives) {
    single_kernels()->activation(activation, order, count, x, derivatives);
}
void ck_single_jet_forward(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *bias, float *z, float *h) {
    single_kernels()->forward(jet, activation, count, features, bias, z, h);
}
void ck_single_jet_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *z, const float *h, float *g) {
    single_kernels()->reverse(jet, activation, count, features, z, h, g);
}
void ck_single_jet_tangent(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *z, const float *h, const float *zdot, float *hdot) {
    single_kernels()->tangent(jet, activation, count, features, z, h, zdot, hdot);
}
void ck_single_jet_tangent_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const float *z, const float *h, const float *zdot, float *g,
    float *gdot) {
    single_kernels()->tangent_reverse(jet, activation, count, features, z, h, zdot, g, gdot);
}
void ck_single_jet_polynomial(
    size_t count, const ck_monomial *monomials, size_t monomial_count, const float *const *columns, const float *sigma,
    float *outputs) {
    single_kernels()->polynomial(count, monomials, monomial_count, columns, sigma, outputs);
}
void ck_single_add_constant(size_t count, float value, float *x) { single_kernels()->add_constant(count, value, x); }
double ck_single_sum(size_t count, const float *x) { return single_kernels()->sum(count, x); }
double ck_single_dot(size_t count, const float *x, const float *y) { return single_kernels()->dot(count, x, y); }
void ck_single_axpy(size_t count, float a, const float *x, float *y) { single_kernels()->axpy(count, a, x, y); }
void ck_single_add_product(size_t count, float a, const float *x, const float *w, float *y) {
    single_kernels()->add_product(count, a, x, w, y);
}
void ck_single_axpy_wide(size_t count, double a, const float *x, double *y) { single_kernels()->axpy_wide(count, a, x, y); }
void ck_single_add_product_wide(size_t count, double a, const float *x, const float *w, double *y) {
    single_kernels()->add_product_wide(count, a, x, w, y);
}
void ck_widen(size_t count, const float *x, double *y) { single_kernels()->widen(count, x, y); }
void ck_narrow(size_t count, const double *x, float *y) { single_kernels()->narrow(count, x, y); }
void ck_single_jacobian_rows(
    size_t rows, size_t count, size_t channels, size_t inputs, size_t outputs, const float *h, const float *g, double *out,
    size_t leading) {
    single_kernels()->jacobian_rows(rows, count, channels, inputs, outputs, h, g, out, leading);
}
void ck_single_row_product(
    size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t row, size_t column, int accumulate, float *c,
    size_t ldc) {
    single_kernels()->row_product(m, n, k, a, lda, b, row, column, accumulate, c, ldc);
}
void ck_single_row_product_pair(
    size_t m, size_t n, size_t k, const float *a, const float *a2, size_t lda, const float *b, const float *b2, size_t row,
    size_t column, int accumulate, float *c, size_t ldc) {
    single_kernels()->row_product_pair(m, n, k, a, a2, lda, b, b2, row, column, accumulate, c, ldc);
}
void ck_single_inner_product(
    size_t m, size_t n, size_t rows, const float *a, const float *b, size_t ld, double *c, size_t ldc) {
    single_kernels()->inner_product(m, n, rows, a, b, ld, c, ldc);
}
