#include "symmetric.h"
#include "ckernels.h"
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define AVX2 __attribute__((target("avx2,fma")))
#endif

typedef struct {
    size_t n, shards;
    double *h;
    const double *x;  // multiply
    double *partial;
    double scale;  // update
    const double *s, *u, *q, *w;
} job;

size_t ck_symmetric_shards(size_t n) {
    size_t shards = n * n / 65536;
    return shards < 1 ? 1 : shards > 16 ? 16 : shards;
}

// The first column of a shard: shards of equal area under the diagonal.
static size_t first_column(size_t n, size_t shards, size_t shard) {
    if (shard == 0) return 0;
    if (shard >= shards) return n;
    double left = 1.0 - (double)shard / (double)shards;
    size_t column = (size_t)((double)n * (1.0 - sqrt(left)));
    return column > n ? n : column;
}

static size_t column_start(size_t n, size_t j) { return j * n - j * (j - 1) / 2; }

// y[0..<count] += a·h, and the inner product of h and x; the sum is reassociated into vector lanes, always the same way.
#define COLUMN_PRODUCT                                                   \
    double sum = 0;                                                      \
    {                                                                    \
        _Pragma("clang fp reassociate(on) contract(fast)")               \
        for (size_t i = 0; i < count; i++) {                             \
            y[i] += a * h[i];                                            \
            sum += h[i] * x[i];                                          \
        }                                                                \
    }                                                                    \
    return sum;

#define COLUMN_UPDATE                                                    \
    {                                                                    \
        _Pragma("clang fp contract(fast)")                               \
        for (size_t i = 0; i < count; i++) h[i] = scale * h[i] + (s[i] * u + q[i] * w); \
    }

#define ARGUMENTS_PRODUCT size_t count, double a, const double *restrict h, const double *restrict x, double *restrict y
#define ARGUMENTS_UPDATE \
    size_t count, double scale, double *restrict h, const double *restrict s, double u, const double *restrict q, double w

static double product_baseline(ARGUMENTS_PRODUCT) { COLUMN_PRODUCT }
static void update_baseline(ARGUMENTS_UPDATE) { COLUMN_UPDATE }
#if defined(__x86_64__)
AVX2 static double product_avx2(ARGUMENTS_PRODUCT) { COLUMN_PRODUCT }
AVX2 static void update_avx2(ARGUMENTS_UPDATE) { COLUMN_UPDATE }
AVX512 static double product_avx512(ARGUMENTS_PRODUCT) { COLUMN_PRODUCT }
AVX512 static void update_avx512(ARGUMENTS_UPDATE) { COLUMN_UPDATE }
#endif

typedef double (*product_kernel)(ARGUMENTS_PRODUCT);
typedef void (*update_kernel)(ARGUMENTS_UPDATE);

static product_kernel choose_product(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return product_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return product_avx2;
#endif
    return product_baseline;
}

static update_kernel choose_update(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return update_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return update_avx2;
#endif
    return update_baseline;
}

static void multiply_shard(void *context, size_t shard, int worker) {
    (void)worker;
    const job *job_ = context;
    size_t n = job_->n, first = first_column(n, job_->shards, shard), end = first_column(n, job_->shards, shard + 1);
    double *y = job_->partial + shard * n;
    memset(y, 0, n * sizeof(double));
    product_kernel product = choose_product();
    for (size_t j = first; j < end; j++) {
        const double *column = job_->h + column_start(n, j);
        double below = product(n - j - 1, job_->x[j], column + 1, job_->x + j + 1, y + j + 1);
        y[j] += column[0] * job_->x[j] + below;
    }
}

static void update_shard(void *context, size_t shard, int worker) {
    (void)worker;
    const job *job_ = context;
    size_t n = job_->n, first = first_column(n, job_->shards, shard), end = first_column(n, job_->shards, shard + 1);
    update_kernel update = choose_update();
    for (size_t j = first; j < end; j++)
        update(n - j, job_->scale, job_->h + column_start(n, j), job_->s + j, job_->u[j], job_->q + j, job_->w[j]);
}

static void run(job *job_, void (*body)(void *, size_t, int)) {
    if (job_->shards == 1) body(job_, 0, 0);
    else ck_parallel_for(job_->shards, body, job_);
}

void ck_symmetric_multiply(size_t n, const double *h, const double *x, double *y, double *workspace) {
    job job_ = {.n = n, .shards = ck_symmetric_shards(n), .h = (double *)h, .x = x, .partial = workspace};
    run(&job_, multiply_shard);
    memcpy(y, workspace, n * sizeof(double));
    for (size_t shard = 1; shard < job_.shards; shard++)
        for (size_t i = first_column(n, job_.shards, shard); i < n; i++) y[i] += workspace[shard * n + i];
}

void ck_symmetric_update(size_t n, double *h, double scale, const double *s, const double *u, const double *q, const double *w) {
    job job_ = {.n = n, .shards = ck_symmetric_shards(n), .h = h, .scale = scale, .s = s, .u = u, .q = q, .w = w};
    run(&job_, update_shard);
}
