// Tasks with dependencies on the pool: a heap of those that may begin, under a mutex, and workers that take from it.
//
// A worker that finds the heap empty spins until something has been released, and then gives its core away between looks.

#include "ckernels.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { SPINS = 2000 };

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

typedef struct {
    ck_tasks *tasks;
    void (*body)(void *, size_t, int);
    void *context;
    pthread_mutex_t lock;  // guards what the tasks point to, `ready` and `left`
    size_t ready;          // length of the heap
    size_t left;           // tasks that are not done
    _Atomic uint32_t releases;
} job;

// MARK: The heap

static bool before(const ck_tasks *t, int32_t a, int32_t b) { return t->rank[a] != t->rank[b] ? t->rank[a] < t->rank[b] : a < b; }

static void push(job *j, int32_t task) {
    int32_t *heap = j->tasks->ready;
    size_t at = j->ready++;
    while (at > 0 && before(j->tasks, task, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = task;
}

static int32_t pop(job *j) {
    int32_t *heap = j->tasks->ready;
    int32_t first = heap[0], moved = heap[--j->ready];
    size_t at = 0;
    for (size_t child = 1; child < j->ready; child = 2 * at + 1) {
        if (child + 1 < j->ready && before(j->tasks, heap[child + 1], heap[child])) child++;
        if (!before(j->tasks, heap[child], moved)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
    return first;
}

// MARK: The workers

static void finish(job *j, int32_t task) {
    ck_tasks *t = j->tasks;
    size_t released = 0;
    for (int32_t s = t->first[task]; s < t->first[task + 1]; s++) {
        int32_t successor = t->successors[s];
        if (--t->blockers[successor] > 0) continue;
        push(j, successor);
        released++;
    }
    j->left--;
    if (released > 1 || j->left == 0) atomic_fetch_add(&j->releases, 1);
}

static void work(void *context, size_t index, int worker) {
    (void)index;
    job *j = context;
    pthread_mutex_lock(&j->lock);
    while (j->left > 0) {
        if (j->ready == 0) {
            uint32_t seen = atomic_load(&j->releases);
            pthread_mutex_unlock(&j->lock);
            for (int i = 0; atomic_load(&j->releases) == seen; i++) {
                if (i < SPINS) relax();
                else sched_yield();
            }
            pthread_mutex_lock(&j->lock);
            continue;
        }
        int32_t task = pop(j);
        pthread_mutex_unlock(&j->lock);
        j->body(j->context, (size_t)task, worker);
        pthread_mutex_lock(&j->lock);
        finish(j, task);
    }
    pthread_mutex_unlock(&j->lock);
}

void ck_run_tasks(ck_tasks *tasks, int most_threads, void (*body)(void *, size_t, int), void *context) {
    job j = {.tasks = tasks, .body = body, .context = context, .left = tasks->count};
    pthread_mutex_init(&j.lock, NULL);
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->blockers[i] == 0) push(&j, (int32_t)i);
    ck_parallel_for_shared((size_t)(most_threads > 0 ? most_threads : 1), NULL, most_threads, work, &j);
    pthread_mutex_destroy(&j.lock);
}
