// The file driver, as HDF5 calls it. What HDF5 calls the end of allocation (EOA) is kept here and is the file's size at every flush.
#include "cjournal.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#if __has_include(<H5FDdevelop.h>)
#include <H5FDdevelop.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "HDF5 1.8 had narrower identifiers");

typedef struct open_file {
    H5FD_t common;  // HDF5's own part, first
    store store;
    haddr_t end;
    dev_t device;
    ino_t number;
    bool synchronizes;  // whether the flush under way is to reach the disk itself
    struct open_file *next;
} open_file;

typedef struct {
    bool journals;
} settings;

// All files that HDF5 has open by this driver.
static open_file *open_files;

// Puts the store's failure on HDF5's stack of errors, worded as HDF5's own drivers do.
static void tell(const store *store, hid_t minor) {
    int number = errno;
    H5Epush2(
        H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_VFL, minor, "%s: filename = '%s', errno = %d, error message = '%s'",
        store->failing ? store->failing : "failed", store->path ? store->path : "", number, strerror(number));
    errno = number;
}

static open_file *of(const H5FD_t *file) { return (open_file *)(uintptr_t)file; }

static herr_t prepare(open_file *file) {
    if (file->store.descriptor < 0) {
        errno = EBADF;
        file->store.failing = "the file was given up after a failed write";
        tell(&file->store, H5E_CANTOPENFILE);
        return -1;
    }
    if (cj_prepare(&file->store) == 0) return 0;
    tell(&file->store, H5E_CANTOPENFILE);
    return -1;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t limit) {
    (void)limit;
    const settings *chosen = H5Pget_driver_info(access);
    open_file *file = calloc(1, sizeof *file);
    char *path = strdup(name);
    if (!file || !path) {
        free(file);
        free(path);
        return NULL;
    }
    bool writes = flags & H5F_ACC_RDWR;
    file->store = (store){.path = path, .writes = writes, .journals = writes && chosen && chosen->journals, .folder = -1};
    int mode = (writes ? O_RDWR : O_RDONLY) | (flags & H5F_ACC_TRUNC ? O_TRUNC : 0) | (flags & H5F_ACC_CREAT ? O_CREAT : 0)
               | (flags & H5F_ACC_EXCL ? O_EXCL : 0);
    struct stat status;
    file->store.descriptor = open(path, mode | O_CLOEXEC, 0666);
    if (file->store.descriptor < 0 || fstat(file->store.descriptor, &status) < 0) {
        file->store.failing = "unable to open file";
        tell(&file->store, H5E_CANTOPENFILE);
        cj_close(&file->store);
        free(path);
        free(file);
        return NULL;
    }
    file->device = status.st_dev;
    file->number = status.st_ino;
    file->next = open_files;
    open_files = file;
    return &file->common;
}

static herr_t driver_close(H5FD_t *common) {
    open_file *file = of(common);
    herr_t result = 0;
    // The last flush of HDF5's has come before this; what it wrote since is little.
    if (file->store.descriptor >= 0 && file->store.is_prepared && file->store.journals && cj_commit(&file->store, false) < 0) {
        tell(&file->store, H5E_CANTFLUSH);
        result = -1;
    }
    if (cj_close(&file->store) < 0) {
        tell(&file->store, H5E_CANTCLOSEFILE);
        result = -1;
    }
    for (open_file **link = &open_files; *link; link = &(*link)->next) {
        if (*link != file) continue;
        *link = file->next;
        break;
    }
    free((char *)(uintptr_t)file->store.path);
    free(file);
    return result;
}

static int driver_compare(const H5FD_t *a, const H5FD_t *b) {
    const open_file *x = of(a), *y = of(b);
    // One that was given up equals no other, so that the file on disk can be opened anew.
    if (x == y) return 0;
    if (x->store.descriptor < 0 || y->store.descriptor < 0) return x < y ? -1 : 1;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA
             | H5FD_FEAT_POSIX_COMPAT_HANDLE;
#ifdef H5FD_FEAT_DEFAULT_VFD_COMPATIBLE
    *flags |= H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
#endif
    return 0;
}

static haddr_t driver_allocated(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return of(file)->end;
}

static herr_t driver_allocate(H5FD_t *file, H5FD_mem_t type, haddr_t end) {
    (void)type;
    of(file)->end = end;
    return 0;
}

static haddr_t driver_size(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return prepare(of(file)) < 0 ? HADDR_UNDEF : of(file)->store.size;
}

static herr_t driver_handle(H5FD_t *file, hid_t access, void **handle) {
    (void)access;
    *handle = &of(file)->store.descriptor;
    return 0;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer) {
    (void)type, (void)transfer;
    if (prepare(of(file)) < 0) return -1;
    if (address <= INT64_MAX - size && cj_read(&of(file)->store, address, size, buffer) == 0) return 0;
    tell(&of(file)->store, H5E_READERROR);
    return -1;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, const void *bytes) {
    (void)type, (void)transfer;
    if (prepare(of(file)) < 0) return -1;
    if (cj_write(&of(file)->store, address, size, bytes) == 0) return 0;
    tell(&of(file)->store, H5E_WRITEERROR);
    return -1;
}

static herr_t driver_flush(H5FD_t *common, hid_t transfer, hbool_t closing) {
    (void)transfer, (void)closing;
    open_file *file = of(common);
    if (!file->store.writes) return 0;
    if (prepare(file) < 0) return -1;
    if (cj_commit(&file->store, file->synchronizes) == 0) return 0;
    tell(&file->store, H5E_WRITEERROR);
    return -1;
}

static herr_t driver_truncate(H5FD_t *common, hid_t transfer, hbool_t closing) {
    (void)transfer, (void)closing;
    open_file *file = of(common);
    if (!file->store.writes) return 0;
    if (prepare(file) < 0) return -1;
    if (file->end == file->store.size || cj_resize(&file->store, file->end) == 0) return 0;
    tell(&file->store, H5E_WRITEERROR);
    return -1;
}

static herr_t driver_lock(H5FD_t *common, hbool_t writes) {
    open_file *file = of(common);
    // ENOSYS: a file system without locks.
    if (flock(file->store.descriptor, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0 && errno != ENOSYS) {
        file->store.failing = "unable to lock file";
        tell(&file->store, H5E_CANTOPENFILE);
        return -1;
    }
    return prepare(file);
}

static herr_t driver_unlock(H5FD_t *common) {
    open_file *file = of(common);
    if (file->store.descriptor < 0 || flock(file->store.descriptor, LOCK_UN) == 0 || errno == ENOSYS) return 0;
    file->store.failing = "unable to unlock file";
    tell(&file->store, H5E_CANTOPENFILE);
    return -1;
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)404,  // of those that HDF5 leaves to programs of one's own
#endif
    .name = "curvature-journal",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(settings),
    .open = driver_open,
    .close = driver_close,
    .cmp = driver_compare,
    .query = driver_query,
    .get_eoa = driver_allocated,
    .set_eoa = driver_allocate,
    .get_eof = driver_size,
    .get_handle = driver_handle,
    .read = driver_read,
    .write = driver_write,
    .flush = driver_flush,
    .truncate = driver_truncate,
    .lock = driver_lock,
    .unlock = driver_unlock,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

int cj_set_driver(int64_t access, bool journals) {
    static hid_t registered = -1;
    if (registered < 0) registered = H5FDregister(&driver);
    settings chosen = {.journals = journals};
    return registered < 0 ? -1 : H5Pset_driver(access, registered, &chosen);
}

static open_file *found(int64_t file) {
    void *handle = NULL;
    if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0) return NULL;
    for (open_file *candidate = open_files; candidate; candidate = candidate->next) {
        if (handle == &candidate->store.descriptor) return candidate;
    }
    return NULL;
}

int cj_synchronize(int64_t file) {
    open_file *ours = found(file);
    if (ours) ours->synchronizes = true;
    herr_t result = H5Fflush(file, H5F_SCOPE_LOCAL);
    if (ours) ours->synchronizes = false;
    return result;
}

void cj_abandon(int64_t file) {
    open_file *ours = found(file);
    if (ours) cj_close(&ours->store);
}
