// Element-wise kernels with run-time dispatch and the standing pool of threads: see threads.c and jets.c.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Runs body(context, index, worker) for every index in 0..<count over the pool's threads; returns when all are done.
/// Which worker takes which index is not fixed: results must not depend on it.
void ck_parallel_for(size_t count, void (*body)(void *context, size_t index, int worker), void *context);

/// How many threads ck_parallel_for uses, the caller included: CURVATURE_NUM_THREADS, else the machine's cores.
int ck_thread_count(void);
void ck_set_thread_count(int count);
