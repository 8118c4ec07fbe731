#include "parts.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int64_t calls_left = -1;
static bool dies_halfway;

int64_t cj_kill_at(int64_t call, bool halfway) {
    int64_t left = calls_left;
    calls_left = call;
    dies_halfway = halfway;
    return left;
}

// While a kill is awaited every page is written by a call of its own.
static bool is_last_call(void) { return calls_left >= 0 && calls_left-- == 0; }

static void count_call(void) {
    if (is_last_call()) raise(SIGKILL);
}

int cj_write_all(int descriptor, struct iovec *buffers, int count, off_t offset) {
    while (count > 0) {
        // A kill may come between any two pages; that of a journal may be torn, that of the file is written whole or not.
        int part = calls_left >= 0 ? 1 : count < 512 ? count : 512;
        bool dies = is_last_call();
        if (dies && dies_halfway && offset < 0) buffers->iov_len /= 2;
        else if (dies) raise(SIGKILL);
#if defined(__APPLE__)
        // pwritev is too new there.
        ssize_t written = offset < 0 ? writev(descriptor, buffers, part) : pwrite(descriptor, buffers->iov_base, buffers->iov_len, offset);
#else
        ssize_t written = offset < 0 ? writev(descriptor, buffers, part) : pwritev(descriptor, buffers, part, offset);
#endif
        if (dies) raise(SIGKILL);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            if (written == 0) errno = EIO;
            return -1;
        }
        if (offset >= 0) offset += written;
        for (; count > 0 && (size_t)written >= buffers->iov_len; buffers++, count--) written -= (ssize_t)buffers->iov_len;
        if (count > 0) {
            buffers->iov_base = (uint8_t *)buffers->iov_base + written;
            buffers->iov_len -= (size_t)written;
        }
    }
    return 0;
}

int cj_cut(int descriptor, uint64_t size) {
    count_call();
    return ftruncate(descriptor, (off_t)size);
}

int cj_create_journal(store *file, mode_t mode) {
    count_call();
    return openat(file->folder, file->journal, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
}

int cj_remove_journal(store *file) {
    count_call();
    return unlinkat(file->folder, file->journal, 0);
}

int cj_read_padded(int descriptor, uint8_t *buffer, size_t size, uint64_t offset) {
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(descriptor, buffer + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) break;
        done += (size_t)count;
    }
    memset(buffer + done, 0, size - done);
    return 0;
}
