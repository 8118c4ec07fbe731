// The bytes of a file as their user sees them: what is on disk, under pages that wait in memory for the next commit.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Pages of this size start at its multiples. A kill cannot tear the write of one: both it and its source lie within a page of memory.
enum { page_size = 4096 };

typedef struct {
    uint64_t sum;    // of what is on disk, see cj_sum; kept where the file is written with a journal
    uint8_t *dirty;  // what is to be there, or NULL
} page;

typedef struct {
    const char *path;  // as it was opened
    int descriptor;    // −1 once abandoned
    bool writes, journals;

    bool is_prepared;
    int folder;  // where the journal lies, and its name there
    char *journal;
    uint64_t size;    // of the file as its user sees it
    uint64_t stored;  // of the file on disk
    uint64_t sum;     // of all sums of pages on disk, by exclusive or
    bool is_durable;  // whether all of `stored` has reached the disk itself
    bool is_broken;   // whether a commit failed behind its journal, which then must stay as it is

    page *pages;
    size_t capacity;
    size_t *changed;  // numbers of the pages that became dirty; some may be clean again
    size_t changed_count, changed_capacity;
    uint8_t **slabs;  // where dirty pages lie
    size_t slab_count, taken;

    const char *failing;  // what was attempted when a call failed; errno says why
} store;

// All return 0, or −1 with errno and `failing` set.

// Looks for the journal of a killed writer: applies it where the file is written, else shows the file as it will be.
int cj_prepare(store *file);
int cj_read(store *file, uint64_t address, size_t size, void *buffer);
int cj_write(store *file, uint64_t address, size_t size, const void *bytes);
int cj_resize(store *file, uint64_t size);
// Brings everything that waits to the file, all or nothing; `durably`: onto the disk itself, all or nothing even if the power fails.
int cj_commit(store *file, bool durably);
// Frees everything and closes the file; what waits is lost.
int cj_close(store *file);
