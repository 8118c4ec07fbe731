#include "ckernels.h"
static int threads = 1;
int ck_thread_count(void) { return threads; }
void ck_set_thread_count(int count) { threads = count; }
void ck_parallel_for(size_t count, void (*body)(void *, size_t, int), void *context) {
    for (size_t i = 0; i < count; i++) body(context, i, 0);
}
