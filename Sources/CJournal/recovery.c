#include "parts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_whole(int descriptor, void *buffer, size_t size, uint64_t offset) {
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(descriptor, (uint8_t *)buffer + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        done += (size_t)count;
    }
    return true;
}

// Calls `body` on every page up to `end`, with as many of its bytes as there are on disk, until one is refused. 1 where none was.
static int for_all_pages(store *file, uint64_t end, bool (*body)(void *, uint64_t, const uint8_t *, size_t), void *context) {
    enum { many = 256 };
    uint8_t *buffer = malloc((size_t)many * page_size);
    if (!buffer) return -1;
    int result = 1;
    for (uint64_t first = 0; first < pages_of(end) && result == 1; first += many) {
        uint64_t start = first * page_size;
        size_t bytes = min((uint64_t)many * page_size, end - start);
        if (cj_read_padded(file->descriptor, buffer, bytes, start) < 0) result = -1;
        for (size_t i = 0; i < pages_of(bytes) && result == 1; i++)
            result = body(context, first + i, buffer + i * page_size, min(page_size, bytes - i * page_size));
    }
    int number = errno;
    free(buffer);
    errno = number;
    return result;
}

// What a journal says of a file, and how far the comparison has come.
typedef struct {
    header head;
    entry *entries;
    uint64_t next, unchanged;
} comparison;

// Whether a page on disk is one that the journal's writer may have left.
static bool is_expected(void *context, uint64_t number, const uint8_t *bytes, size_t size) {
    comparison *with = context;
    uint64_t start = number * page_size;
    uint64_t kept = start < with->head.size ? cj_sum(bytes, min(size, with->head.size - start), number) : 0;
    if (with->next < with->head.count && with->entries[with->next].number == number) {
        entry entry = with->entries[with->next++];
        return kept == entry.after || cj_sum(bytes, size, number) == entry.before;
    }
    with->unchanged ^= kept;
    return true;
}

// Reads the head of a journal; false where it is torn or none.
static bool read_head(int descriptor, comparison *with) {
    struct stat status;
    header *head = &with->head;
    if (fstat(descriptor, &status) < 0 || !S_ISREG(status.st_mode) || !read_whole(descriptor, head, sizeof *head, 0)) return false;
    uint64_t bytes = (uint64_t)status.st_size - sizeof *head;
    if (head->mark != journal_mark || head->stored > INT64_MAX || head->size > INT64_MAX) return false;
    if (bytes % (sizeof(entry) + page_size) != 0 || head->count != bytes / (sizeof(entry) + page_size)) return false;
    with->entries = malloc((head->count + 1) * sizeof(entry));
    if (!with->entries || !read_whole(descriptor, with->entries, head->count * sizeof(entry), sizeof *head)) return false;
    if (head->sum != cj_sum_of_head(*head, with->entries)) return false;
    uint64_t last = min(pages_of(head->stored), pages_of(head->size));
    for (uint64_t i = 0; i < head->count; i++) {
        if (with->entries[i].number >= last || (i > 0 && with->entries[i].number <= with->entries[i - 1].number)) return false;
    }
    return true;
}

// Whether a journal is whole and of this very file: then what it says waits as dirty pages. −1 where that cannot be found out.
static int load_journal(store *file, int descriptor, comparison *with) {
    if (!read_head(descriptor, with)) return 0;
    const header *head = &with->head;
    if (file->stored < min(head->stored, head->size) || file->stored > max(head->stored, head->size)) return 0;
    int fits = for_all_pages(file, file->stored, is_expected, with);
    if (fits != 1) return fits;
    // Pages that are not on disk count as zeros.
    for (; with->next < head->count; with->next++) {
        if (with->entries[with->next].before != 0 && with->entries[with->next].after != 0) return 0;
    }
    if (with->unchanged != head->unchanged) return 0;
    uint64_t offset = sizeof *head + head->count * sizeof(entry);
    for (uint64_t i = 0; i < head->count; i++, offset += page_size) {
        uint8_t *bytes = cj_new_page(file, with->entries[i].number);
        if (!bytes) return -1;
        if (!read_whole(descriptor, bytes, page_size, offset)) return 0;
        if (cj_sum(bytes, page_size, with->entries[i].number) != with->entries[i].after) return 0;
    }
    return 1;
}

// Brings a loaded journal to the file, and to the disk, so that the journal is needed no more.
static int apply(store *file) {
    if (cj_write_pages(file, file->changed, file->changed_count) < 0) return failure(file, "the journal could not be applied");
    if (file->stored != file->size && cj_cut(file->descriptor, file->size) < 0)
        return failure(file, "the file could not be cut or extended");
    if (fsync(file->descriptor) < 0) return failure(file, "the file could not be brought to disk");
    file->stored = file->size;
    cj_forget_changes(file);
    return 0;
}

static int recover(store *file) {
    int descriptor = openat(file->folder, file->journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) return errno == ENOENT ? 0 : failure(file, "the file's journal could not be opened");
    comparison with = {0};
    int fits = load_journal(file, descriptor, &with);
    int number = errno;
    free(with.entries);
    close(descriptor);
    errno = number;
    if (fits < 0) return failure(file, "the file's journal could not be read");
    if (fits == 1) file->size = with.head.size;
    else cj_forget_changes(file);
    if (!file->writes) return 0;
    if (fits == 1 && apply(file) < 0) return -1;
    return cj_remove_journal(file) < 0 ? failure(file, "the journal could not be removed") : 0;
}

static bool keep_sum(void *context, uint64_t number, const uint8_t *bytes, size_t size) {
    store *file = context;
    file->pages[number].sum = cj_sum(bytes, size, number);
    file->sum ^= file->pages[number].sum;
    return true;
}

static int open_folder(store *file) {
    char *path = realpath(file->path, NULL);
    if (!path) return failure(file, "the file's place could not be found");
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    free(file->journal);
    file->journal = malloc(strlen(name) + sizeof ".journal");
    if (file->journal) {
        strcpy(file->journal, name);
        strcat(file->journal, ".journal");
        if (slash) slash[slash == path] = 0;
        file->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    int number = errno;
    free(path);
    errno = number;
    return file->journal && file->folder >= 0 ? 0 : failure(file, "the file's folder could not be opened");
}

int cj_prepare(store *file) {
    if (file->is_prepared) return 0;
    if (file->folder < 0 && open_folder(file) < 0) return -1;
    struct stat status;
    if (fstat(file->descriptor, &status) < 0) return failure(file, "the file could not be looked at");
    file->size = file->stored = (uint64_t)status.st_size;
    file->sum = 0;
    if (recover(file) < 0) return -1;
    if (file->journals) {
        if (cj_make_room(file, pages_of(file->stored)) < 0) return -1;
        if (for_all_pages(file, file->stored, keep_sum, file) < 0) return failure(file, "the file could not be read");
    }
    file->is_prepared = true;
    return 0;
}
