// How large arrays are backed.

#include "ckernels.h"

#if defined(__linux__)
#include <sys/mman.h>

void ck_prefer_large_pages(void *memory, size_t bytes) {
    uintptr_t side = (uintptr_t)2 << 20;
    uintptr_t start = ((uintptr_t)memory + side - 1) / side * side, end = ((uintptr_t)memory + bytes) / side * side;
    if (end > start) madvise((void *)start, end - start, MADV_HUGEPAGE);  // advice: where it is refused, pages are small
}

#else

void ck_prefer_large_pages(void *memory, size_t bytes) {
    (void)memory;
    (void)bytes;
}

#endif
