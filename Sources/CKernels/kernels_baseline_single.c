// The kernels for what every processor of the target has (SSE2, NEON), in single precision.

#include "kernels.h"

#include <math.h>
#include <string.h>

#define VBYTES 16
#define LEVEL(name) name##_single_baseline

#include "vectormath_single.inc"
#include "activations.inc"
#include "jets.inc"
#include "products.inc"
#include "sums_single.inc"
#include "jacobian_rows.inc"
#include "table_single.inc"
