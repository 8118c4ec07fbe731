// What the sources of this module share; `store.h` says what the driver needs.
#pragma once
#include "cjournal.h"
#include "store.h"
#include <sys/uio.h>

// MARK: calls.c, the calls that change a file or a folder, which tests may kill

// Writes all of the buffers at `offset`, or at the file's end where that is negative. The buffers' list is used up.
int cj_write_all(int descriptor, struct iovec *buffers, int count, off_t offset);
int cj_cut(int descriptor, uint64_t size);
int cj_create_journal(store *file, mode_t mode);
int cj_remove_journal(store *file);
// Reads what is there and fills the rest with zeros.
int cj_read_padded(int descriptor, uint8_t *buffer, size_t size, uint64_t offset);

// Notes what was attempted, and is −1.
static inline int failure(store *file, const char *what) {
    file->failing = what;
    return -1;
}

// MARK: pages.c

static inline uint64_t min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max(uint64_t a, uint64_t b) { return a < b ? b : a; }
static inline uint64_t pages_of(uint64_t bytes) { return bytes / page_size + (bytes % page_size != 0); }

// The sum of a page of `size` bytes, the rest zero, and of its place; 0 for zeros, so that what is not there counts like what is zero.
uint64_t cj_sum(const uint8_t *bytes, size_t size, uint64_t number);
// Lets there be so many pages in the table.
int cj_make_room(store *file, uint64_t pages);
// A dirty page, in undefined state.
uint8_t *cj_new_page(store *file, uint64_t number);
// Forgets what waits, which is on disk now or lost.
void cj_forget_changes(store *file);

// MARK: commit.c, the journal

// What the journal begins with; the entries follow, then their pages. All numbers are as this machine writes them.
typedef struct {
    uint64_t mark;
    uint64_t count;         // pages
    uint64_t stored, size;  // bytes of the file before and after
    uint64_t unchanged;     // the sums of all other pages, by exclusive or
    uint64_t sum;           // of this with a sum of 0, and of the entries
} header;

// A page of the file that changes, and its sums before and after.
typedef struct {
    uint64_t number, before, after;
} entry;

static const uint64_t journal_mark = 0x316c6e72756f6a0a;  // "\njournl1"

uint64_t cj_sum_of_head(header head, const entry *entries);
// Writes dirty pages, given by ascending numbers, to their places; the last one ends where the file does.
int cj_write_pages(store *file, const size_t *numbers, size_t count);
