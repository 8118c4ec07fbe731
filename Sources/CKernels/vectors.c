#include "vectors.h"
#include "ckernels.h"

#if defined(__x86_64__)
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define AVX2 __attribute__((target("avx2,fma")))
#endif

typedef struct {
    size_t n, shards;
    double c, a;
    double *y;
    const double *x, *z;
    double *partial;
} job;

size_t ck_vector_shards(size_t n) {
    size_t shards = n / 32768;
    return shards < 1 ? 1 : shards > 256 ? 256 : shards;
}

// The sums are reassociated into vector lanes, always the same way.
#define DOT                                                   \
    double sum = 0;                                           \
    {                                                         \
        _Pragma("clang fp reassociate(on) contract(fast)")    \
        for (size_t i = 0; i < n; i++) sum += x[i] * z[i];    \
    }                                                         \
    return sum;

#define UPDATE_DOT                                            \
    double sum = 0;                                           \
    {                                                         \
        _Pragma("clang fp reassociate(on) contract(fast)")    \
        for (size_t i = 0; i < n; i++) {                      \
            double value = c * y[i] + a * x[i];               \
            y[i] = value;                                     \
            sum += z[i] * value;                              \
        }                                                     \
    }                                                         \
    return sum;

#define MOMENTS                                                                         \
    for (size_t i = 0; i < n; i++) {                                                    \
        double mean = rule.keep1 * m[i] + (1 - rule.keep1) * g[i];                      \
        double square = rule.keep2 * v[i] + (1 - rule.keep2) * g[i] * g[i];             \
        double scale = __builtin_elementwise_sqrt(rule.square * square) + rule.epsilon; \
        double step = (rule.mean * mean + rule.gradient * g[i]) / scale;                \
        m[i] = mean;                                                                    \
        v[i] = square;                                                                  \
        g[i] = scale > 0 ? step : 0;                                                    \
    }

#define ARGUMENTS_DOT size_t n, const double *x, const double *z
#define ARGUMENTS_UPDATE size_t n, double c, double *restrict y, double a, const double *restrict x, const double *restrict z
#define ARGUMENTS_MOMENTS size_t n, ck_moments rule, double *restrict g, double *restrict m, double *restrict v

static double dot_baseline(ARGUMENTS_DOT) { DOT }
static double update_baseline(ARGUMENTS_UPDATE) { UPDATE_DOT }
static void moments_baseline(ARGUMENTS_MOMENTS) { MOMENTS }
#if defined(__x86_64__)
AVX2 static double dot_avx2(ARGUMENTS_DOT) { DOT }
AVX2 static double update_avx2(ARGUMENTS_UPDATE) { UPDATE_DOT }
AVX2 static void moments_avx2(ARGUMENTS_MOMENTS) { MOMENTS }
AVX512 static double dot_avx512(ARGUMENTS_DOT) { DOT }
AVX512 static double update_avx512(ARGUMENTS_UPDATE) { UPDATE_DOT }
AVX512 static void moments_avx512(ARGUMENTS_MOMENTS) { MOMENTS }
#endif

static double dot(ARGUMENTS_DOT) {
#if defined(__x86_64__)
    if (ck_simd_level() == CK_AVX512) return dot_avx512(n, x, z);
    if (ck_simd_level() == CK_AVX2) return dot_avx2(n, x, z);
#endif
    return dot_baseline(n, x, z);
}

static double update(ARGUMENTS_UPDATE) {
#if defined(__x86_64__)
    if (ck_simd_level() == CK_AVX512) return update_avx512(n, c, y, a, x, z);
    if (ck_simd_level() == CK_AVX2) return update_avx2(n, c, y, a, x, z);
#endif
    return update_baseline(n, c, y, a, x, z);
}

static void moments(ARGUMENTS_MOMENTS) {
#if defined(__x86_64__)
    if (ck_simd_level() == CK_AVX512) return moments_avx512(n, rule, g, m, v);
    if (ck_simd_level() == CK_AVX2) return moments_avx2(n, rule, g, m, v);
#endif
    moments_baseline(n, rule, g, m, v);
}

static size_t start(const job *job_, size_t shard) { return job_->n * shard / job_->shards; }

static void dot_shard(void *context, size_t shard, int worker) {
    (void)worker;
    const job *job_ = context;
    size_t first = start(job_, shard);
    job_->partial[shard] = dot(start(job_, shard + 1) - first, job_->x + first, job_->z + first);
}

static void update_shard(void *context, size_t shard, int worker) {
    (void)worker;
    const job *job_ = context;
    size_t first = start(job_, shard);
    job_->partial[shard] =
        update(start(job_, shard + 1) - first, job_->c, job_->y + first, job_->a, job_->x + first, job_->z + first);
}

static double run(job *job_, void (*body)(void *, size_t, int)) {
    if (job_->shards == 1) body(job_, 0, 0);
    else ck_parallel_for(job_->shards, body, job_);
    double sum = 0;
    for (size_t shard = 0; shard < job_->shards; shard++) sum += job_->partial[shard];
    return sum;
}

double ck_vector_dot(size_t n, const double *x, const double *z, double *partial) {
    job job_ = {.n = n, .shards = ck_vector_shards(n), .x = x, .z = z, .partial = partial};
    return run(&job_, dot_shard);
}

double ck_vector_update_dot(size_t n, double c, double *y, double a, const double *x, const double *z, double *partial) {
    job job_ = {.n = n, .shards = ck_vector_shards(n), .c = c, .a = a, .y = y, .x = x, .z = z, .partial = partial};
    return run(&job_, update_shard);
}

typedef struct {
    size_t n, shards;
    ck_moments rule;
    double *g, *m, *v;
} moments_job;

static void moments_shard(void *context, size_t shard, int worker) {
    (void)worker;
    const moments_job *job_ = context;
    size_t first = job_->n * shard / job_->shards, end = job_->n * (shard + 1) / job_->shards;
    moments(end - first, job_->rule, job_->g + first, job_->m + first, job_->v + first);
}

void ck_vector_moments(size_t n, ck_moments rule, double *g, double *m, double *v) {
    moments_job job_ = {.n = n, .shards = ck_vector_shards(n), .rule = rule, .g = g, .m = m, .v = v};
    if (job_.shards == 1) moments_shard(&job_, 0, 0);
    else ck_parallel_for(job_.shards, moments_shard, &job_);
}
