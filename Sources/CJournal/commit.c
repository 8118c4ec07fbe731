#include "parts.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t cj_sum_of_head(header head, const entry *entries) {
    head.sum = 0;
    return cj_xxh64(entries, head.count * sizeof(entry), cj_xxh64(&head, sizeof head, 0));
}

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

int cj_write_pages(store *file, const size_t *numbers, size_t count) {
    struct iovec buffers[256];
    for (size_t first = 0; first < count;) {
        size_t next = first;
        int run = 0;
        for (; next < count && run < 256 && numbers[next] == numbers[first] + (size_t)run; next++, run++) {
            uint64_t start = (uint64_t)numbers[next] * page_size;
            buffers[run] = (struct iovec){.iov_base = file->pages[numbers[next]].dirty, .iov_len = min(page_size, file->size - start)};
        }
        if (cj_write_all(file->descriptor, buffers, run, (off_t)((uint64_t)numbers[first] * page_size)) < 0) return -1;
        first = next;
    }
    return 0;
}

// Writes the journal, which is whole once this returns.
static int write_journal(store *file, const header *head, const entry *entries, bool durably) {
    struct stat status;
    if (fstat(file->descriptor, &status) < 0) return -1;
    size_t count = head->count;
    struct iovec *buffers = malloc((count + 2) * sizeof *buffers);
    if (!buffers) return -1;
    buffers[0] = (struct iovec){.iov_base = (void *)(uintptr_t)head, .iov_len = sizeof *head};
    buffers[1] = (struct iovec){.iov_base = (void *)(uintptr_t)entries, .iov_len = count * sizeof *entries};
    for (size_t i = 0; i < count; i++)
        buffers[i + 2] = (struct iovec){.iov_base = file->pages[entries[i].number].dirty, .iov_len = page_size};
    int journal = cj_create_journal(file, status.st_mode & 0777);
    int result = journal < 0 ? -1 : 0;
    if (result == 0) result = cj_write_all(journal, buffers, (int)(count + 2), -1);
    // ext4, XFS and btrfs bring a new file's name to disk with it, so that the folder need not be synced.
    if (result == 0 && durably) result = fsync(journal);
    int number = errno;
    if (journal >= 0 && close(journal) < 0 && result == 0) {
        result = -1;
        number = errno;
    }
    free(buffers);
    errno = number;
    return result;
}

// Undoes what a commit did before there was a journal.
static int undo(store *file, bool has_grown, bool has_journal, const char *what) {
    int number = errno;
    if (has_journal) cj_remove_journal(file);
    // What lies behind the end is never looked at, even where it cannot be cut.
    if (has_grown && ftruncate(file->descriptor, (off_t)file->stored) < 0) number = number == 0 ? errno : number;
    errno = number;
    return failure(file, what);
}

int cj_commit(store *file, bool durably) {
    if (file->is_broken) {
        errno = EIO;
        return failure(file, "an earlier flush failed half way; it is finished when the file is next opened");
    }
    // The pages that differ, each once, in order.
    if (file->changed_count > 0) qsort(file->changed, file->changed_count, sizeof(size_t), ascending);
    size_t count = 0;
    for (size_t i = 0; i < file->changed_count; i++) {
        size_t number = file->changed[i];
        if (!file->pages[number].dirty || (count > 0 && file->changed[count - 1] == number)) continue;
        file->changed[count++] = number;
    }
    file->changed_count = count;
    if (count == 0 && file->size == file->stored) {
        if (!durably || file->is_durable) return 0;
        if (fsync(file->descriptor) < 0) return failure(file, "the file could not be brought to disk");
        file->is_durable = true;
        return 0;
    }

    // Those behind the file's end on disk belong to no earlier state, and need no journal.
    size_t old = 0;
    while (old < count && file->changed[old] < pages_of(file->stored)) old++;
    entry *entries = malloc((count + 1) * sizeof *entries);
    if (!entries) return failure(file, "no memory for the journal");
    uint64_t sum = file->sum;
    uint64_t known = min(pages_of(file->stored), file->capacity);
    for (uint64_t number = pages_of(file->size); number < known; number++) sum ^= file->pages[number].sum;
    header head = {.mark = journal_mark, .count = old, .stored = file->stored, .size = file->size};
    for (size_t i = 0; i < count; i++) {
        size_t number = file->changed[i];
        page *page = &file->pages[number];
        entries[i] = (entry){.number = number, .before = page->sum, .after = cj_sum(page->dirty, page_size, number)};
        sum ^= page->sum;
        if (i >= old) sum ^= entries[i].after;
    }
    head.unchanged = sum;
    head.sum = cj_sum_of_head(head, entries);

    bool has_grown = old < count, needs_journal = old > 0;
    int status = 0;
    if (has_grown && cj_write_pages(file, file->changed + old, count - old) < 0) {
        status = undo(file, true, false, "the file could not be extended");
    } else if (durably && (has_grown || !file->is_durable) && fsync(file->descriptor) < 0) {
        status = undo(file, has_grown, false, "the file could not be brought to disk");
    } else if (needs_journal && write_journal(file, &head, entries, durably) < 0) {
        status = undo(file, has_grown, true, "the journal could not be written");
    }
    if (status == 0) {
        // From here on the file's state is the new one.
        uint64_t extent = file->stored;
        if (has_grown) extent = min(file->size, (file->changed[count - 1] + 1) * (uint64_t)page_size);
        if (cj_write_pages(file, file->changed, old) < 0) {
            status = failure(file, "the file could not be written");
        } else if (extent != file->size && cj_cut(file->descriptor, file->size) < 0) {
            status = failure(file, "the file could not be cut or extended");
        } else if (durably && fsync(file->descriptor) < 0) {
            status = failure(file, "the file could not be brought to disk");
        } else if (needs_journal && cj_remove_journal(file) < 0) {
            status = failure(file, "the journal could not be removed");
        }
        file->is_broken = status < 0;
    }
    if (status == 0) {
        for (uint64_t number = pages_of(file->size); number < known; number++) file->pages[number].sum = 0;
        for (size_t i = 0; i < count; i++) {
            file->pages[entries[i].number].sum = entries[i].after;
            if (i < old) sum ^= entries[i].after;
        }
        file->sum = sum;
        file->stored = file->size;
        file->is_durable = durably;
        cj_forget_changes(file);
    }
    free(entries);
    return status;
}
