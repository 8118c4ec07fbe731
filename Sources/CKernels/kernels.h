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

extern const ck_kernels ck_kernels_baseline;
#if defined(__x86_64__)
extern const ck_kernels ck_kernels_avx2;
extern const ck_kernels ck_kernels_avx512;
#endif
