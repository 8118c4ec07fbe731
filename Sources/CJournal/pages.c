#include "parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t cj_sum(const uint8_t *bytes, size_t size, uint64_t number) {
    size_t i = 0;
    while (i < size && bytes[i] == 0) i++;
    if (i == size) return 0;
    if (size == page_size) return cj_xxh64(bytes, page_size, number);
    uint8_t whole[page_size] = {0};
    memcpy(whole, bytes, size);
    return cj_xxh64(whole, page_size, number);
}

static bool is_dirty(const store *file, uint64_t number) { return number < file->capacity && file->pages[number].dirty; }

int cj_make_room(store *file, uint64_t pages) {
    if (pages <= file->capacity) return 0;
    if (pages > SIZE_MAX / 4 / sizeof(page)) {
        errno = EFBIG;
        return failure(file, "the file would be too large");
    }
    size_t capacity = max(pages, max(64, 2 * file->capacity));
    page *grown = realloc(file->pages, capacity * sizeof(page));
    if (!grown) return failure(file, "no memory for the file's pages");
    memset(grown + file->capacity, 0, (capacity - file->capacity) * sizeof(page));
    file->pages = grown;
    file->capacity = capacity;
    return 0;
}

enum { slab_pages = 64 };

uint8_t *cj_new_page(store *file, uint64_t number) {
    if (cj_make_room(file, number + 1) < 0) return NULL;
    if (file->changed_count == file->changed_capacity) {
        size_t capacity = max(64, 2 * file->changed_capacity);
        size_t *grown = realloc(file->changed, capacity * sizeof(size_t));
        if (!grown) return NULL;
        file->changed = grown;
        file->changed_capacity = capacity;
    }
    if (file->taken == file->slab_count * slab_pages) {
        uint8_t **slabs = realloc(file->slabs, (file->slab_count + 1) * sizeof(uint8_t *));
        if (!slabs) return NULL;
        file->slabs = slabs;
        void *slab = NULL;
        int status = posix_memalign(&slab, page_size, (size_t)slab_pages * page_size);
        if (status != 0) {
            errno = status;
            return NULL;
        }
        file->slabs[file->slab_count++] = slab;
    }
    file->changed[file->changed_count++] = number;
    uint8_t *bytes = file->slabs[file->taken / slab_pages] + file->taken % slab_pages * page_size;
    file->taken++;
    return file->pages[number].dirty = bytes;
}

// A page that is about to change; with `loads`, as it is before that.
static uint8_t *dirty_page(store *file, uint64_t number, bool loads) {
    if (is_dirty(file, number)) return file->pages[number].dirty;
    uint8_t *bytes = cj_new_page(file, number);
    if (!bytes) {
        failure(file, "no memory for a page of the file");
        return NULL;
    }
    uint64_t start = number * page_size;
    // What is on disk behind the end of the file was cut off.
    if (loads && start < min(file->size, file->stored)) {
        if (cj_read_padded(file->descriptor, bytes, page_size, start) < 0) {
            file->pages[number].dirty = NULL;
            failure(file, "the file could not be read");
            return NULL;
        }
        if (file->size - start < page_size) memset(bytes + (file->size - start), 0, page_size - (file->size - start));
    } else if (loads) {
        memset(bytes, 0, page_size);
    }
    return bytes;
}

void cj_forget_changes(store *file) {
    for (size_t i = 0; i < file->changed_count; i++) file->pages[file->changed[i]].dirty = NULL;
    file->changed_count = file->taken = 0;
    // Kept for the next flush, unless this one was uncommonly large.
    if (file->slab_count <= 64) return;
    while (file->slab_count > 0) free(file->slabs[--file->slab_count]);
}

// Makes room behind the end up to `size`: what lies on disk there was cut off and is not to come back.
static int grow(store *file, uint64_t size) {
    for (uint64_t number = pages_of(file->size); number < min(pages_of(size), pages_of(file->stored)); number++) {
        if (!dirty_page(file, number, true)) return -1;
    }
    file->size = size;
    return 0;
}

int cj_read(store *file, uint64_t address, size_t size, void *buffer) {
    uint8_t *target = buffer;
    uint64_t end = address < file->size ? min(address + size, file->size) : address;
    memset(target + (end - address), 0, size - (end - address));
    while (address < end) {
        uint64_t number = address / page_size, part;
        if (is_dirty(file, number)) {
            part = min(end, (number + 1) * page_size) - address;
            memcpy(target, file->pages[number].dirty + address % page_size, part);
        } else {
            uint64_t next = number + 1;
            while (next < file->capacity && next * page_size < end && !is_dirty(file, next)) next++;
            part = (next >= file->capacity ? end : min(end, next * page_size)) - address;
            // Behind the end on disk are zeros; so there are where nothing was written yet.
            if (cj_read_padded(file->descriptor, target, part, address) < 0) return failure(file, "the file could not be read");
        }
        target += part;
        address += part;
    }
    return 0;
}

int cj_write(store *file, uint64_t address, size_t size, const void *bytes) {
    uint64_t end = address + size;
    if (end < address || end > INT64_MAX) {
        errno = EFBIG;
        return failure(file, "the file would be too large");
    }
    if (!file->journals) {
        struct iovec buffer = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
        if (cj_write_all(file->descriptor, &buffer, 1, (off_t)address) < 0) return failure(file, "the file could not be written");
        file->size = file->stored = max(file->size, end);
        file->is_durable = false;
        return 0;
    }
    if (address > file->size && grow(file, address) < 0) return -1;
    const uint8_t *source = bytes;
    while (address < end) {
        uint64_t number = address / page_size, part = min(end, (number + 1) * page_size) - address;
        uint8_t *target = dirty_page(file, number, part < page_size);
        if (!target) return -1;
        memcpy(target + address % page_size, source, part);
        source += part;
        address += part;
        file->size = max(file->size, address);
    }
    return 0;
}

int cj_resize(store *file, uint64_t size) {
    if (!file->journals) {
        if (cj_cut(file->descriptor, size) < 0) return failure(file, "the file could not be cut or extended");
        file->size = file->stored = size;
        file->is_durable = false;
        return 0;
    }
    if (size >= file->size) return grow(file, size);
    for (size_t i = 0; i < file->changed_count; i++) {
        if (file->changed[i] >= pages_of(size)) file->pages[file->changed[i]].dirty = NULL;
    }
    if (size % page_size != 0) {
        uint8_t *last = dirty_page(file, size / page_size, true);
        if (!last) return -1;
        memset(last + size % page_size, 0, page_size - size % page_size);
    }
    file->size = size;
    return 0;
}

int cj_close(store *file) {
    cj_forget_changes(file);
    while (file->slab_count > 0) free(file->slabs[--file->slab_count]);
    free(file->slabs);
    free(file->changed);
    free(file->pages);
    free(file->journal);
    if (file->folder >= 0) close(file->folder);
    int status = file->descriptor < 0 ? 0 : close(file->descriptor);
    *file = (store){.path = file->path, .descriptor = -1, .folder = -1};
    return status < 0 ? failure(file, "the file could not be closed") : 0;
}
