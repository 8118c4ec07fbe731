// The kernels for AVX2 and FMA.

#if defined(__x86_64__)
#include "kernels.h"

#include <math.h>
#include <string.h>

#define VBYTES 32
#define LEVEL(name) name##_avx2

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

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
