// BLAS through CBLAS, and the LAPACK routines that LinearAlgebra calls, in their Fortran form: not every
// distribution of OpenBLAS ships LAPACKE.
#pragma once

#if !__has_include(<cblas.h>)
#error "OpenBLAS's headers were not found. Install them: apt-get install libopenblas-dev, brew install openblas, or set PKG_CONFIG_PATH to the folder of openblas.pc."
#endif
#include <cblas.h>

void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda, double *b, const int *ldb, int *info);
void dtrtrs_(const char *uplo, const char *trans, const char *diag, const int *n, const int *nrhs, const double *a, const int *lda,
             double *b, const int *ldb, int *info);
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work, const int *lwork, int *info);
void dgeqrt3_(const int *m, const int *n, double *a, const int *lda, double *t, const int *ldt, int *info);
void dlarft_(const char *direct, const char *storev, const int *n, const int *k, double *v, const int *ldv, const double *tau, double *t,
             const int *ldt);
void dgeqp3_(const int *m, const int *n, double *a, const int *lda, int *jpvt, double *tau, double *work, const int *lwork, int *info);
void dormqr_(const char *side, const char *trans, const int *m, const int *n, const int *k, const double *a, const int *lda,
             const double *tau, double *c, const int *ldc, double *work, const int *lwork, int *info);
void dgesdd_(const char *jobz, const int *m, const int *n, double *a, const int *lda, double *s, double *u, const int *ldu, double *vt,
             const int *ldvt, double *work, const int *lwork, int *iwork, int *info);
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda, double *s, double *u,
             const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *info);
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work, const int *lwork,
             int *iwork, const int *liwork, int *info);
void dgelsd_(const int *m, const int *n, const int *nrhs, double *a, const int *lda, double *b, const int *ldb, double *s,
             const double *rcond, int *rank, double *work, const int *lwork, int *iwork, int *info);

// The same routines taking dimensions by value and returning `info`, so that a call in Swift reads like the call in the
// LAPACK manual. A negative `lwork` asks for the workspace: its size is left in work[0].

static inline int lapack_potrf_lower(int n, double *a, int lda) {
    int info = 0;
    dpotrf_("L", &n, a, &lda, &info);
    return info;
}
static inline int lapack_potrs_lower(int n, int columns, const double *a, int lda, double *b, int ldb) {
    int info = 0;
    dpotrs_("L", &n, &columns, a, &lda, b, &ldb, &info);
    return info;
}
static inline int lapack_trtrs(int upper, int transposed, int n, int columns, const double *a, int lda, double *b, int ldb) {
    int info = 0;
    dtrtrs_(upper ? "U" : "L", transposed ? "T" : "N", "N", &n, &columns, a, &lda, b, &ldb, &info);
    return info;
}
static inline int lapack_geqrf(int m, int n, double *a, int lda, double *tau, double *work, int lwork) {
    int info = 0;
    dgeqrf_(&m, &n, a, &lda, tau, work, &lwork, &info);
    return info;
}
static inline int lapack_geqrt3(int m, int n, double *a, int lda, double *t, int ldt) {
    int info = 0;
    dgeqrt3_(&m, &n, a, &lda, t, &ldt, &info);
    return info;
}
static inline void lapack_larft(int m, int n, double *v, int ldv, const double *tau, double *t, int ldt) {
    dlarft_("F", "C", &m, &n, v, &ldv, tau, t, &ldt);
}
static inline int lapack_geqp3(int m, int n, double *a, int lda, int *pivots, double *tau, double *work, int lwork) {
    int info = 0;
    dgeqp3_(&m, &n, a, &lda, pivots, tau, work, &lwork, &info);
    return info;
}
static inline int lapack_ormqr_left(int transposed, int m, int n, int k, const double *a, int lda, const double *tau, double *c,
                                    int ldc, double *work, int lwork) {
    int info = 0;
    dormqr_("L", transposed ? "T" : "N", &m, &n, &k, a, &lda, tau, c, &ldc, work, &lwork, &info);
    return info;
}
static inline int lapack_gesdd_thin(int m, int n, double *a, int lda, double *s, double *u, int ldu, double *vt, int ldvt,
                                    double *work, int lwork, int *iwork) {
    int info = 0;
    dgesdd_("S", &m, &n, a, &lda, s, u, &ldu, vt, &ldvt, work, &lwork, iwork, &info);
    return info;
}
static inline int lapack_gesvd_thin(int m, int n, double *a, int lda, double *s, double *u, int ldu, double *vt, int ldvt,
                                    double *work, int lwork) {
    int info = 0;
    dgesvd_("S", "S", &m, &n, a, &lda, s, u, &ldu, vt, &ldvt, work, &lwork, &info);
    return info;
}
static inline int lapack_gelsd(int m, int n, int columns, double *a, int lda, double *b, int ldb, double *s, double rcond, int *rank,
                               double *work, int lwork, int *iwork) {
    int info = 0;
    dgelsd_(&m, &n, &columns, a, &lda, b, &ldb, s, &rcond, rank, work, &lwork, iwork, &info);
    return info;
}
static inline int lapack_syevd_lower(int n, double *a, int lda, double *w, double *work, int lwork, int *iwork, int liwork) {
    int info = 0;
    dsyevd_("V", "L", &n, a, &lda, w, work, &lwork, iwork, &liwork, &info);
    return info;
}
