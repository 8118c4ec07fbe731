// The table of kernels that each instruction set fills.
#pragma once
#include "ckernels.h"

typedef struct {
    void (*activation)(int, int, size_t, const double *, double *);
    void (*forward)(const ck_jet *, int, size_t, size_t, const double *, double *, double *);
    void (*reverse)(const ck_jet *, int, size_t, size_t, const double *, const double *, double *);
    void (*tangent)(const ck_jet *, int, size_t, size_t, const double *, const double *, const double *, double *);
    void (*tangent_reverse)(const ck_jet *, int, size_t, size_t, const double *, const double *, const double *, double *, double *);
    void (*polynomial)(size_t, const ck_monomial *, size_t, const double *const *, const double *, double *);
    void (*add_constant)(size_t, double, double *);
    double (*sum)(size_t, const double *);
    double (*dot)(size_t, const double *, const double *);
    void (*axpy)(size_t, double, const double *, double *);
    void (*add_product)(size_t, double, const double *, const double *, double *);
    void (*jacobian_rows)(
        size_t, size_t, size_t, size_t, size_t, const double *, const double *, double *, size_t);
    void (*row_product)(
        size_t, size_t, size_t, const double *, size_t, const double *, size_t, size_t, int, double *, size_t);
    void (*row_product_pair)(
        size_t, size_t, size_t, const double *, const double *, size_t, const double *, const double *, size_t, size_t, int, double *,
        size_t);
    void (*inner_product)(size_t, size_t, size_t, const double *, const double *, size_t, double *, size_t);
    void (*pack_rows)(size_t, size_t, const double *, size_t, double *);
    void (*pack_columns)(size_t, size_t, const double *, size_t, double *);
    void (*transpose)(size_t, size_t, const double *, size_t, double *, size_t);
    void (*packed_product)(
        size_t, size_t, size_t, double, const double *, const double *, double, int, double *, size_t, const double *,
        const double *);
    void (*add_outer_products)(
        const ck_layer_rows *, const ck_layer_rows *, size_t, size_t, int, int, double *, size_t, const double *);
    void (*column_activation)(int, int, size_t, size_t, const double *, double *, double *, size_t);
    void (*column_shift)(size_t, size_t, const double *, double *, size_t);
    void (*column_reverse)(size_t, size_t, const double *, double *, size_t, double *);
    void (*column_misfit)(
        size_t, size_t, double, double, const double *, size_t, const double *, size_t, double *, size_t, double *);
    void (*solve_right)(size_t, size_t, const double *, size_t, double *, size_t);
} ck_kernels;

/// What a pass in single precision needs; where sums over points are added up, and what leaves the pass, is double.
typedef struct {
    void (*activation)(int, int, size_t, const float *, float *);
    void (*forward)(const ck_jet *, int, size_t, size_t, const float *, float *, float *);
    void (*reverse)(const ck_jet *, int, size_t, size_t, const float *, const float *, float *);
    void (*tangent)(const ck_jet *, int, size_t, size_t, const float *, const float *, const float *, float *);
    void (*tangent_reverse)(const ck_jet *, int, size_t, size_t, const float *, const float *, const float *, float *, float *);
    void (*polynomial)(size_t, const ck_monomial *, size_t, const float *const *, const float *, float *);
    void (*add_constant)(size_t, float, float *);
    double (*sum)(size_t, const float *);
    double (*dot)(size_t, const float *, const float *);
    void (*axpy)(size_t, float, const float *, float *);
    void (*add_product)(size_t, float, const float *, const float *, float *);
    void (*axpy_wide)(size_t, double, const float *, double *);
    void (*add_product_wide)(size_t, double, const float *, const float *, double *);
    void (*widen)(size_t, const float *, double *);
    void (*narrow)(size_t, const double *, float *);
    void (*jacobian_rows)(size_t, size_t, size_t, size_t, size_t, const float *, const float *, double *, size_t);
    void (*row_product)(size_t, size_t, size_t, const float *, size_t, const float *, size_t, size_t, int, float *, size_t);
    void (*row_product_pair)(
        size_t, size_t, size_t, const float *, const float *, size_t, const float *, const float *, size_t, size_t, int, float *, size_t);
    void (*inner_product)(size_t, size_t, size_t, const float *, const float *, size_t, double *, size_t);
} ck_single_kernels;

/// The level that the calling thread has asked for, −1 for none; a worker takes it over with a job, and gives it up after it.
int ck_own_simd_level(void);
void ck_adopt_simd_level(int level);

extern const ck_kernels ck_kernels_baseline;
extern const ck_single_kernels ck_kernels_single_baseline;
#if defined(__x86_64__)
extern const ck_kernels ck_kernels_avx2;
extern const ck_kernels ck_kernels_avx512;
extern const ck_single_kernels ck_kernels_single_avx2;
extern const ck_single_kernels ck_kernels_single_avx512;
#endif
