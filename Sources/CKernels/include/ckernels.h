// Element-wise kernels with run-time dispatch (dispatch.c) and the standing pool of threads (threads.c).
#pragma once
#include <stddef.h>
#include <stdint.h>

// MARK: Threads

/// Runs body(context, index, worker) for every index in 0..<count over the pool's threads; returns when all are done.
/// Which worker takes which index is not fixed: results must not depend on it. Nested calls, and calls made while another
/// thread's job has the pool, run on the calling thread (worker 0).
void ck_parallel_for(size_t count, void (*body)(void *context, size_t index, int worker), void *context);

/// The same with `worker` below `most_threads`, and with costs[i] ≥ 0 for what index i costs beside the others, by which threads share
/// the indices (NULL: all cost the same).
void ck_parallel_for_shared(
    size_t count, const double *costs, int most_threads, void (*body)(void *context, size_t index, int worker), void *context);

/// How many threads ck_parallel_for uses, the caller included: CURVATURE_NUM_THREADS, else the machine's cores.
int ck_thread_count(void);
void ck_set_thread_count(int count);

/// Tasks, some of which wait for others: task i may begin when `blockers[i]` others have been done, and its end releases
/// successors[first[i] ..< first[i + 1]], each of a higher number than i.
typedef struct {
    size_t count;
    const int32_t *rank;
    int32_t *blockers;  // used up
    const int32_t *first;
    const int32_t *successors;
    int32_t *ready;  // room for `count` numbers
} ck_tasks;

/// Runs body(context, task, worker) once for every task, on at most `most_threads` threads of the pool; returns when all are
/// done. Of the tasks that may begin, the one of the lowest rank (then the lowest number) goes first. What a task computes must
/// not depend on its worker, nor on the order of tasks that do not wait for each other.
void ck_run_tasks(ck_tasks *tasks, int most_threads, void (*body)(void *context, size_t task, int worker), void *context);

// MARK: Memory

/// Asks for pages of 2 MiB under an array that nobody has written to yet: fewer faults at first touch, fewer misses of the translation.
void ck_prefer_large_pages(void *memory, size_t bytes);

// MARK: Instruction sets

enum { CK_BASELINE = 0, CK_AVX2 = 1, CK_AVX512 = 2 };

/// The level of the kernels in use: what the processor offers, or CURVATURE_SIMD=baseline|avx2|avx512 where that is less.
int ck_simd_level(void);
/// Asks for a level on this thread and in the jobs that it gives to the pool, for tests; returns the one that is then in use there.
int ck_set_simd_level(int level);

// MARK: Activations and their jets

enum { CK_TANH = 0, CK_SIN = 1, CK_GELU = 2, CK_SILU = 3, CK_SOFTPLUS = 4, CK_ACTIVATIONS = 5 };
/// The highest derivative of an activation that is offered.
enum { CK_HIGHEST_DERIVATIVE = 6 };

/// σ⁽ᵏ⁾(x) for k = 0…order, one column of `count` after another. `count` may be anything.
void ck_activation(int activation, int order, size_t count, const double *x, double *derivatives);

/// A part w·∂ₚ∂_q of a channel of second order, p and q being channels of first derivatives. The factor is `weight` or, where `column`
/// is not negative, one number a point.
typedef struct {
    int32_t first;
    int32_t second;
    int32_t column;
    double weight;
} ck_pair;

/// What the channels of second order of a set are: one derivative each, one Laplacian over all first derivatives from channel
/// `pairs[0].first` on, or any sums of pairs.
enum { CK_DERIVATIVES = 0, CK_LAPLACIAN = 1, CK_OPERATORS = 2 };

/// A set of channels of order ≤ 2: the value, `firsts` first derivatives, `seconds` channels Σ w·∂ₚ∂_q, number s being made of the
/// pairs starts[s] ..< starts[s + 1]. Pointwise factors: column k at coefficients + k·count.
typedef struct {
    int32_t firsts;
    int32_t seconds;
    int32_t shape;
    const int32_t *starts;
    const ck_pair *pairs;
    const void *coefficients;  // of the kernels' precision
} ck_jet;

// Jets of `features` features at `count` points (a multiple of 8): channel c of feature j at j·C·count + c·count, with
// C = 1 + firsts + seconds. Letters: z before the activation, h = σ(z) after it, g a cotangent, a dot a tangent.

/// z₀ ← z₀ + bias, h ← jet of σ(z). Where `bias` is null, z is only read.
void ck_jet_forward(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *bias, double *z, double *h);
/// g: h̄ → z̄ in place.
void ck_jet_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *z, const double *h, double *g);
/// ḣ from ż.
void ck_jet_tangent(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *z, const double *h, const double *zdot,
    double *hdot);
/// (g, ġ): (h̄, its tangent) → (z̄, its tangent) in place.
void ck_jet_tangent_reverse(
    const ck_jet *jet, int activation, size_t count, size_t features, const double *z, const double *h, const double *zdot,
    double *g, double *gdot);

/// A monomial coefficient · σ⁽ᵏ⁾ · Π columns[factor] of the output `output`; a factor list ends with −1.
typedef struct {
    double coefficient;
    int32_t output;
    int32_t derivative;
    int32_t factors[8];
} ck_monomial;

/// outputs[o·count + i] ← Σ over the monomials of o, in their order, at the points i < count (a multiple of 8). The
/// monomials are sorted by output and every output below `outputs_count` has one; sigma holds σ⁽ᵏ⁾ at k·count.
void ck_jet_polynomial(
    size_t count, const ck_monomial *monomials, size_t monomial_count, const double *const *columns, const double *sigma,
    double *outputs);

// MARK: Sums and outer products over points

/// x ← x + value.
void ck_add_constant(size_t count, double value, double *x);
/// Σ xᵢ, Σ xᵢyᵢ: in eight interleaved partial sums, the same at every level but for fused multiply-adds.
double ck_sum(size_t count, const double *x);
double ck_dot(size_t count, const double *x, const double *y);
/// y ← y + a·x, y ← y + a·x∘w.
void ck_axpy(size_t count, double a, const double *x, double *y);
void ck_add_product(size_t count, double a, const double *x, const double *w, double *y);

/// Rows of a dense layer's Jacobian: out[i + (m·outputs + j)·leading] ← Σ_c g[c, i, j]·h[c, i, m] for the points i < rows,
/// of blocks of `count` points with `channels` channels.
void ck_jacobian_rows(
    size_t rows, size_t count, size_t channels, size_t inputs, size_t outputs, const double *h, const double *g, double *out,
    size_t leading);

// MARK: Matrix products of a block

/// C ← A·B, or C += A·B: C ∈ ℝᵐˣⁿ and A ∈ ℝᵐˣᵏ column-major with m a multiple of 8, B's entry (p, j) at p·row + j·column.
void ck_row_product(
    size_t m, size_t n, size_t k, const double *a, size_t lda, const double *b, size_t row, size_t column, int accumulate, double *c,
    size_t ldc);
/// C ← A·B + A₂·B₂, or C += …, the pairs of the same shapes: with one reading and writing of C.
void ck_row_product_pair(
    size_t m, size_t n, size_t k, const double *a, const double *a2, size_t lda, const double *b, const double *b2, size_t row,
    size_t column, int accumulate, double *c, size_t ldc);
/// C += AᵀB: C ∈ ℝᵐˣⁿ, A and B column-major with a multiple of 8 rows and the same leading dimension.
void ck_inner_product(
    size_t m, size_t n, size_t rows, const double *a, const double *b, size_t ld, double *c, size_t ldc);

// MARK: Networks of values, a sample a column

// Matrices are column-major, of m rows (a multiple of 8) and n columns that lie ld apart; b ∈ ℝᵐ.

/// h ← σ(z + b), and z ← σ′(z + b) with `slopes`.
void ck_column_activation(int activation, int slopes, size_t m, size_t n, const double *bias, double *z, double *h, size_t ld);
/// x ← x + b, column by column.
void ck_column_shift(size_t m, size_t n, const double *bias, double *x, size_t ld);
/// g ← g∘slopes unless they are null, and then sums += the sum of g's columns.
void ck_column_reverse(size_t m, size_t n, const double *slopes, double *g, size_t ld, double *sums);
/// r ← scale·(values + shift − targets), for any m; r may be values. sums[0] += Σr², sums[1] += Σr.
void ck_column_misfit(
    size_t m, size_t n, double shift, double scale, const double *values, size_t ldv, const double *targets, size_t ldt, double *r,
    size_t ldr, double *sums);

// MARK: Triangles

enum { CK_WIDEST_TRIANGLE = 256 };

/// X ← X·L⁻ᵀ: X ∈ ℝᵐˣⁿ and the lower triangle L ∈ ℝⁿˣⁿ column-major, n ≤ CK_WIDEST_TRIANGLE; above L's diagonal nothing is read.
/// A row of X is solved with the same arithmetic wherever it lies.
void ck_solve_right(size_t m, size_t n, const double *l, size_t ldl, double *x, size_t ldx);

// MARK: Packed matrices

/// A packed matrix A ∈ ℝᵐˣᵏ: strips of CK_STRIP rows, in a strip column after column; the last strip holds the rows that are left, filled
/// up with zeros to a multiple of 8. Row i of a strip's beginning stands at i·k; the whole takes k·⌈m/8⌉·8 numbers.
enum { CK_STRIP = 24 };

/// Packs A ∈ ℝᵐˣᵏ, or Aᵀ of A ∈ ℝᵏˣᵐ, given by columns.
void ck_pack_rows(size_t m, size_t k, const double *a, size_t lda, double *packed);
void ck_pack_columns(size_t m, size_t k, const double *a, size_t lda, double *packed);

/// B ← Aᵀ for A ∈ ℝᵐˣⁿ, both by columns.
void ck_transpose(size_t m, size_t n, const double *a, size_t lda, double *b, size_t ldb);

/// C ← β·C + α·A·Bᵀ for packed A ∈ ℝᵐˣᵏ and B ∈ ℝⁿˣᵏ, C by columns; what C holds is not read where β = 0. With `lower` nothing above the
/// diagonal is touched. k up to some 200 keeps a strip in the nearest cache. The operands that will be wanted next are fetched meanwhile.
void ck_packed_product(
    size_t m, size_t n, size_t k, double alpha, const double *a, const double *b, double beta, int lower, double *c, size_t ldc,
    const double *next_a, const double *next_b);

/// Some rows of J in a dense layer, row i being Σ_c x_c g_cᵀ: for each of the channels, of which the first `values` are values, a packed
/// matrix of inputs, and one of cotangents.
typedef struct {
    const double *x;
    const double *g;
    size_t rows;
    size_t channels;
    size_t values;
} ck_layer_rows;

/// C's entry (i, j) += Σ_{c, c′} (x_c·y_c′ + 1 where both are values and there is a bias)·(g_c·h_c′) for rows (x, g) of A and (y, h) of B:
/// the layer's part of A·Bᵀ. With `lower` nothing above the diagonal is touched. What lies from `ahead` on is fetched meanwhile.
void ck_add_outer_products(
    const ck_layer_rows *a, const ck_layer_rows *b, size_t inputs, size_t outputs, int has_bias, int lower, double *c, size_t ldc,
    const double *ahead);
