// The kernels for AVX-512 (F, DQ, VL, BW), in single precision.

#if defined(__x86_64__)
#include "kernels.h"

#include <math.h>
#include <string.h>

#define VBYTES 64
#define LEVEL(name) name##_single_avx512

#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"))), apply_to = function)

#include "vectormath_single.inc"
#include "activations.inc"
#include "jets.inc"
#include "products.inc"
#include "sums_single.inc"
#include "jacobian_rows.inc"
#include "table_single.inc"

#pragma clang attribute pop
#endif
