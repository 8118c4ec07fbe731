// OpenBLAS chooses its kernels when it is loaded, by a table of processors; one released after it gets kernels of 2004 (Prescott: SSE3), a
// fifth of the speed. Here the choice is made anew by what the processor can do, before any other code runs. Decision 0012.

#include "ckernels.h"

#if defined(__linux__) && defined(__x86_64__)

#include <stdlib.h>
#include <string.h>

// Exported by OpenBLAS builds with DYNAMIC_ARCH; null where there are none.
__attribute__((weak)) extern char *openblas_get_corename(void);
__attribute__((weak)) extern void gotoblas_dynamic_init(void);
__attribute__((weak)) extern void gotoblas_dynamic_quit(void);

static const char *const without_avx[] = {
    "Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Atom", "Opteron", "Barcelona", "Katmai", "Coppermine", "Northwood", "Banias"};

// An executable's constructors run after those of the libraries that it is linked with: OpenBLAS has chosen, and nobody has called it.
__attribute__((constructor)) static void choose_openblas_kernels(void) {
    if (!openblas_get_corename || !gotoblas_dynamic_init || !gotoblas_dynamic_quit || getenv("OPENBLAS_CORETYPE")) return;
    int level = ck_simd_level();
    if (level == CK_BASELINE) return;
    const char *core = openblas_get_corename();
    for (size_t i = 0; i < sizeof without_avx / sizeof *without_avx; i++) {
        if (strcmp(core, without_avx[i]) != 0) continue;
        setenv("OPENBLAS_CORETYPE", level == CK_AVX512 ? "SkylakeX" : "Haswell", 1);
        gotoblas_dynamic_quit();
        gotoblas_dynamic_init();
        unsetenv("OPENBLAS_CORETYPE");
        return;
    }
}

#endif
