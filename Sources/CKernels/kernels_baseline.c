// The kernels for what every processor of the target has (SSE2, NEON).

#include "kernels.h"

#include <math.h>
#include <string.h>

#define VBYTES 16
#define LEVEL(name) name##_baseline

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
