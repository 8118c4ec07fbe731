// Reads a whole file in a child process, because HDF5 may crash or never return on a file with damaged structure.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// At most this many bytes are taken into memory at once, and this many are read of one object. Of an object that claims to be longer than what
// the file stores of it, the rest is filled in by HDF5 and tells nothing: one piece of it is read.
enum { ch5_probe_piece = 1 << 24, ch5_probe_limit = 1 << 30 };

static inline void ch5_probe_attribute(hid_t attribute) {
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type);
    if (count > 0 && size > 0 && (size_t)count <= ch5_probe_piece / size) {
        void *buffer = calloc((size_t)count, size);
        // What lies behind pointers (text of variable length) is released with the process.
        if (buffer) H5Aread(attribute, type, buffer);
        free(buffer);
    }
    H5Sclose(space);
    H5Tclose(type);
}

// Reads a dataset in pieces along its first dimension.
static inline void ch5_probe_dataset(hid_t dataset) {
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    size_t size = H5Tget_size(type);
    hsize_t extent[H5S_MAX_RANK], start[H5S_MAX_RANK] = {0}, count[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_dims(space, extent, NULL);
    if (rank == 0 && size > 0 && size <= ch5_probe_piece) {
        void *buffer = calloc(1, size);
        if (buffer) H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer);
        free(buffer);
    }
    hsize_t row = size;
    for (int i = 1; i < rank; i++) {
        count[i] = extent[i];
        if (row > 0 && extent[i] > ch5_probe_piece / row) row = 0;
        row *= extent[i];
    }
    if (rank > 0 && row > 0 && row <= ch5_probe_piece) {
        hsize_t rows = ch5_probe_piece / row;
        void *buffer = calloc(rows, row);
        hsize_t most = H5Dget_storage_size(dataset) + ch5_probe_piece;
        if (most > ch5_probe_limit) most = ch5_probe_limit;
        hsize_t last = extent[0] < most / row ? extent[0] : most / row;
        for (start[0] = 0; buffer && start[0] < last; start[0] += rows) {
            count[0] = extent[0] - start[0] < rows ? extent[0] - start[0] : rows;
            hid_t memory = H5Screate_simple(rank, count, NULL);
            H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
            herr_t status = H5Dread(dataset, type, memory, space, H5P_DEFAULT, buffer);
            H5Sclose(memory);
            if (status < 0) break;
        }
        free(buffer);
    }
    H5Sclose(space);
    H5Tclose(type);
}

// The groups that were read. Links may lead back to a group or share it: each is read once, for the paths are more than anyone can walk.
typedef struct {
    ch5_identity *groups;
    size_t count, capacity;
} ch5_probe_visits;

// Whether a group is met for the first time; false also where there is no memory to remember it.
static inline bool ch5_probe_first_visit(ch5_probe_visits *visits, hid_t group) {
    ch5_identity identity;
    if (ch5_identify(group, &identity) < 0) return false;
    for (size_t i = 0; i < visits->count; i++) {
        if (memcmp(&visits->groups[i], &identity, sizeof identity) == 0) return false;
    }
    if (visits->count == visits->capacity) {
        size_t capacity = visits->capacity ? 2 * visits->capacity : 64;
        ch5_identity *groups = realloc(visits->groups, capacity * sizeof *groups);
        if (!groups) return false;
        visits->groups = groups;
        visits->capacity = capacity;
    }
    visits->groups[visits->count++] = identity;
    return true;
}

static inline void ch5_probe_object(hid_t object, int depth, ch5_probe_visits *visits) {
    long long attributes = ch5_attribute_count(object);
    for (long long i = 0; i < attributes; i++) {
        hid_t attribute = H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, H5P_DEFAULT, H5P_DEFAULT);
        if (attribute < 0) break;
        ch5_probe_attribute(attribute);
        H5Aclose(attribute);
    }
    if (H5Iget_type(object) == H5I_DATASET) ch5_probe_dataset(object);
    H5G_info_t group;
    if (H5Iget_type(object) != H5I_GROUP || depth > 64 || !ch5_probe_first_visit(visits, object) || H5Gget_info(object, &group) < 0) return;
    // The members in both orders: each has an index of its own, which may be the damaged one.
    for (int order = 0; order < 2; order++) {
        for (hsize_t i = 0; i < group.nlinks; i++) {
            hid_t member = H5Oopen_by_idx(object, ".", order ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT);
            if (member < 0) break;
            if (order == 0) ch5_probe_object(member, depth + 1, visits);
            H5Oclose(member);
        }
    }
}

// Opens the file for reading, with these file access properties, and reads all of it in a child process. Returns 0 where the child came to an end, whether or not HDF5
// found errors; the number of the signal where reading ended the child, SIGALRM after `seconds` of processor time, or twelve times as many by the
// clock (a busy machine is no damage); −1 where there could be no child.
//
// To be called with HDF5's lock held. Between fork and _exit the child calls only the system, malloc (which glibc and Darwin keep usable
// after a fork) and HDF5, which nobody else is in.
static inline int ch5_probe(const char *path, hid_t access, unsigned seconds) {
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGXCPU, SIGTRAP};
        sigset_t faulty;
        sigemptyset(&faulty);
        for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            signal(faults[i], SIG_DFL);
            sigaddset(&faulty, faults[i]);
        }
        sigprocmask(SIG_UNBLOCK, &faulty, NULL);
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        int nothing = open("/dev/null", O_WRONLY);
        if (nothing >= 0) {
            dup2(nothing, 1);
            dup2(nothing, 2);
        }
        struct rlimit time = {seconds, seconds + 5};
        setrlimit(RLIMIT_CPU, &time);
        alarm(12 * seconds);
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
        hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
        hid_t root = file < 0 ? -1 : H5Oopen(file, "/", H5P_DEFAULT);
        ch5_probe_visits visits = {NULL, 0, 0};
        if (root >= 0) ch5_probe_object(root, 0, &visits);
        // Closing writes nothing, but takes apart what was read.
        if (root >= 0) H5Oclose(root);
        if (file >= 0) H5Fclose(file);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return -1;
    }
    if (!WIFSIGNALED(status)) return 0;
    return WTERMSIG(status) == SIGXCPU ? SIGALRM : WTERMSIG(status);
}
