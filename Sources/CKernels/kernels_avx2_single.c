// The kernels for AVX2 and FMA, in single precision.

#if defined(__x86_64__)
#include "kernels.h"

#include <math.h>
#include <string.h>

#define VBYTES 32
#define LEVEL(name) name##_single_avx2

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "vectormath_single.inc"
#include "activations.inc"
#include "jets.inc"
#include "products.inc"
#include "sums_single.inc"
#include "jacobian_rows.inc"
#include "table_single.inc"

#pragma clang attribute pop
#endif
