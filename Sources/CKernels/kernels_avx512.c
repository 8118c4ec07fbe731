// The kernels for AVX-512 (F, DQ, VL, BW).

#if defined(__x86_64__)
#include "kernels.h"

#include <math.h>
#include <string.h>

#define VBYTES 64
#define LEVEL(name) name##_avx512

#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"))), apply_to = function)

#include "vectormath.inc"
#include "activations.inc"
#include "jets.inc"
#include "products.inc"
#include "packed.inc"
#include "triangular.inc"
#include "columns.inc"
#include "sums.inc"
#include "jacobian_rows.inc"
#include "table.inc"

#pragma clang attribute pop
#endif
