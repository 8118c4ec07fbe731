// The standing pool of threads behind ck_parallel_for.
//
// A job is open while `state` is not CLOSED; a worker joins an open job by raising state's count, takes indices until none are
// left, and lowers the count again. Every thread has a run of the indices for its own, so that what a loop over the same indices touched
// the last time is in the same core's cache, and takes from the ends of others' runs once its own is used up. The caller works too, closes
// the job when the indices have run out and waits only for the workers that joined: one that sleeps, or that the machine has not
// scheduled, delays nobody.
// Between jobs a worker spins for some hundreds of microseconds, longer than the serial stretch between two evaluations (waking it takes
// about a hundred), then sleeps (futex on Linux, a condition elsewhere).

#include "kernels.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__)
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

enum { SPINS = 8000, MOST_THREADS = 1024 };
#define CLOSED 0x80000000u

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// MARK: Sleeping until a word changes

#if defined(__linux__)

static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void wake_all(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

#else

static pthread_mutex_t sleeping = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
    pthread_mutex_lock(&sleeping);
    while (atomic_load(word) == value) pthread_cond_wait(&changed, &sleeping);
    pthread_mutex_unlock(&sleeping);
}
static void wake_all(_Atomic uint32_t *word) {
    (void)word;
    pthread_mutex_lock(&sleeping);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&sleeping);
}

#endif

// MARK: The pool

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER;  // held by the caller whose job runs
static _Atomic int wanted = 0;                             // threads asked for, the caller included; 0: not yet decided
static int started = 0;                                    // workers that exist
static _Thread_local bool inside = false;                  // whether this thread is running a body

static _Atomic uint32_t generation = 0;  // raised with every job
static _Atomic uint32_t sleepers = 0;    // workers asleep on `generation`
static _Atomic uint32_t state = CLOSED;  // CLOSED | number of workers in the job
static _Atomic uint32_t waiting = 0;     // whether the caller sleeps on `state`

static struct {
    void (*body)(void *, size_t, int);
    void *context;
    int threads;
    int level;  // of the caller's kernels
} job;
/// A thread's run first ..< end of the indices, on a cache line of its own: `first` in the upper half of the word.
static struct {
    _Alignas(64) _Atomic uint64_t indices;
} runs[MOST_THREADS];

/// Gives each thread a run. By costs, none but the last costs more than its share: what is too much for the last are its smallest
/// pieces, where the caller has put these at the end, and others take them.
static void share_indices(size_t count, const double *costs, int threads) {
    double total = 0, before = 0;
    for (size_t i = 0; costs && i < count; i++) total += costs[i];
    uint64_t first = 0;
    for (uint64_t i = 0; i < (uint64_t)threads; i++) {
        uint64_t end = (i + 1) * count / threads;
        if (costs && i + 1 < (uint64_t)threads) {
            end = first;
            while (end < count && (before + costs[end]) * threads <= total * (i + 1)) before += costs[end++];
        }
        atomic_store_explicit(&runs[i].indices, first << 32 | end, memory_order_relaxed);
        first = end;
    }
}

/// Takes the first index of a run, or the last; whether there was one.
static bool take(int run, bool from_end, uint32_t *index) {
    uint64_t before = atomic_load_explicit(&runs[run].indices, memory_order_relaxed);
    for (;;) {
        uint32_t first = (uint32_t)(before >> 32), end = (uint32_t)before;
        if (first >= end) return false;
        *index = from_end ? end - 1 : first;
        uint64_t after = from_end ? before - 1 : before + (UINT64_C(1) << 32);
        if (atomic_compare_exchange_weak_explicit(
                &runs[run].indices, &before, after, memory_order_relaxed, memory_order_relaxed)) return true;
    }
}

static void take_indices(int worker) {
    inside = true;
    uint32_t index;
    while (take(worker, false, &index)) job.body(job.context, index, worker);
    for (int i = 1; i < job.threads; i++) {
        int other = (worker + i) % job.threads;
        while (take(other, true, &index)) job.body(job.context, index, worker);
    }
    inside = false;
}

static bool join_job(void) {
    uint32_t s = atomic_load_explicit(&state, memory_order_relaxed);
    while (!(s & CLOSED)) {
        if (atomic_compare_exchange_weak_explicit(&state, &s, s + 1, memory_order_acquire, memory_order_relaxed)) return true;
    }
    return false;
}

static void leave_job(void) {
    uint32_t before = atomic_fetch_sub(&state, 1);
    if (before == (CLOSED | 1) && atomic_load(&waiting)) wake_all(&state);
}

static void *work(void *argument) {
    int worker = (int)(intptr_t)argument;
    uint32_t seen = 0;
    for (;;) {
        uint32_t now = atomic_load_explicit(&generation, memory_order_acquire);
        for (int i = 0; now == seen && i < SPINS; i++) {
            relax();
            now = atomic_load_explicit(&generation, memory_order_acquire);
        }
        if (now == seen) {
            atomic_fetch_add(&sleepers, 1);
            while ((now = atomic_load(&generation)) == seen) sleep_while(&generation, seen);
            atomic_fetch_sub(&sleepers, 1);
        }
        seen = now;
        if (join_job()) {
            ck_adopt_simd_level(job.level);
            if (worker < job.threads) take_indices(worker);
            ck_adopt_simd_level(-1);
            leave_job();
        }
    }
    return NULL;
}

static int threads_wanted(void) {
    int decided = atomic_load(&wanted);
    if (decided > 0) return decided;
    const char *setting = getenv("CURVATURE_NUM_THREADS");
    long count = setting ? strtol(setting, NULL, 10) : 0;
    if (count <= 0) count = sysconf(_SC_NPROCESSORS_ONLN);
    // Whoever decides second, or meets a number that was set meanwhile, goes by the first.
    int chosen = count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : (int)count;
    return atomic_compare_exchange_strong(&wanted, &decided, chosen) ? chosen : decided;
}

static void start_workers(int count) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals go to the program's own threads
    while (started < count) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, 8u << 20);
        pthread_t thread;
        int failed = pthread_create(&thread, &attributes, work, (void *)(intptr_t)(started + 1));
        pthread_attr_destroy(&attributes);
        if (failed) break;  // fewer threads: slower, and the same result
        started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int ck_thread_count(void) { return threads_wanted(); }

void ck_set_thread_count(int count) {
    atomic_store(&wanted, count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : count);
}

void ck_parallel_for(size_t count, void (*body)(void *, size_t, int), void *context) {
    ck_parallel_for_shared(count, NULL, MOST_THREADS, body, context);
}

void ck_parallel_for_shared(
    size_t count, const double *costs, int most_threads, void (*body)(void *, size_t, int), void *context) {
    // Nested, alone, beyond what a run can count, or while another thread's job has the pool: on this thread.
    if (inside || count <= 1 || count > UINT32_MAX || most_threads <= 1 || pthread_mutex_trylock(&owner) != 0) {
        for (size_t i = 0; i < count; i++) body(context, i, 0);
        return;
    }
    int threads = threads_wanted();
    if (threads > most_threads) threads = most_threads;
    if ((size_t)threads > count) threads = (int)count;
    if (threads > 1) start_workers(threads - 1);

    job.body = body;
    job.context = context;
    job.threads = threads;
    job.level = ck_own_simd_level();
    share_indices(count, costs, threads);
    if (threads > 1) {
        atomic_store(&state, 0);
        atomic_fetch_add(&generation, 1);
        if (atomic_load(&sleepers) > 0) wake_all(&generation);
    }
    take_indices(0);
    if (threads > 1) {
        uint32_t s = atomic_fetch_or(&state, CLOSED) | CLOSED;
        for (int i = 0; s != CLOSED && i < SPINS; i++) {
            relax();
            s = atomic_load(&state);
        }
        if (s != CLOSED) {
            atomic_store(&waiting, 1);
            while ((s = atomic_load(&state)) != CLOSED) sleep_while(&state, s);
            atomic_store(&waiting, 0);
        }
    }
    pthread_mutex_unlock(&owner);
}
