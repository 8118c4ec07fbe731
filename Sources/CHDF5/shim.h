// HDF5's C interface, and static inline shims for what Swift cannot import: macros that call functions (H5T_NATIVE_DOUBLE opens
// the library), macros that cast (H5P_DEFAULT), and calls whose signature changed between versions (1.10, 1.12, 1.14, 2.0).
#pragma once

#if !__has_include(<hdf5.h>)
#error "HDF5's headers were not found. Install them: apt-get install libhdf5-dev, brew install hdf5, or set PKG_CONFIG_PATH to the folder of hdf5.pc."
#endif
#include <hdf5.h>
#include <stdbool.h>
#include <string.h>

// Types in memory.
static inline hid_t ch5_native_double(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t ch5_native_int64(void) { return H5T_NATIVE_INT64; }
static inline hid_t ch5_native_uint64(void) { return H5T_NATIVE_UINT64; }
static inline hid_t ch5_native_uint8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t ch5_native_int8(void) { return H5T_NATIVE_INT8; }

// Types in the file: fixed width, little-endian, the same on every machine.
static inline hid_t ch5_file_double(void) { return H5T_IEEE_F64LE; }
static inline hid_t ch5_file_int64(void) { return H5T_STD_I64LE; }
static inline hid_t ch5_file_uint64(void) { return H5T_STD_U64LE; }
static inline hid_t ch5_file_uint8(void) { return H5T_STD_U8LE; }
static inline hid_t ch5_c_string(void) { return H5T_C_S1; }

// Constants that are casts.
static inline hid_t ch5_default(void) { return H5P_DEFAULT; }
static inline hid_t ch5_error_stack(void) { return H5E_DEFAULT; }
static inline hid_t ch5_all(void) { return H5S_ALL; }
static inline hsize_t ch5_unlimited(void) { return H5S_UNLIMITED; }
static inline size_t ch5_variable(void) { return H5T_VARIABLE; }

// Flags of H5Fopen and H5Fcreate.
static inline unsigned ch5_read_only(void) { return H5F_ACC_RDONLY; }
static inline unsigned ch5_read_write(void) { return H5F_ACC_RDWR; }
static inline unsigned ch5_truncate(void) { return H5F_ACC_TRUNC; }
static inline unsigned ch5_exclusive(void) { return H5F_ACC_EXCL; }

// Classes of property lists.
static inline hid_t ch5_class_file_access(void) { return H5P_FILE_ACCESS; }
static inline hid_t ch5_class_file_create(void) { return H5P_FILE_CREATE; }
static inline hid_t ch5_class_group_create(void) { return H5P_GROUP_CREATE; }
static inline hid_t ch5_class_dataset_create(void) { return H5P_DATASET_CREATE; }
static inline hid_t ch5_class_link_create(void) { return H5P_LINK_CREATE; }

// The number of attributes of an object, or a negative number.
static inline long long ch5_attribute_count(hid_t object) {
#if H5_VERSION_GE(1, 12, 0)
    H5O_info2_t info;
    if (H5Oget_info3(object, &info, H5O_INFO_NUM_ATTRS) < 0) return -1;
#else
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS) < 0) return -1;
#endif
    return (long long)info.num_attrs;
}

// Where an object lies: the same for two links that lead to one object.
typedef struct {
    unsigned long file;
    unsigned long long place[2];
} ch5_identity;

// Returns a negative number where the object has no such place.
static inline herr_t ch5_identify(hid_t object, ch5_identity *identity) {
    memset(identity, 0, sizeof *identity);
#if H5_VERSION_GE(1, 12, 0)
    H5O_info2_t info;
    if (H5Oget_info3(object, &info, H5O_INFO_BASIC) < 0) return -1;
    memcpy(identity->place, &info.token, sizeof info.token);
#else
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0) return -1;
    identity->place[0] = info.addr;
#endif
    identity->file = info.fileno;
    return 0;
}

// Chooses whether opening a file takes the system's lock on it; without the call in this version, a success that does nothing.
static inline herr_t ch5_set_file_locking(hid_t access, bool locks) {
#if H5_VERSION_GE(1, 10, 7)
    return H5Pset_file_locking(access, locks, true);
#else
    (void)access;
    (void)locks;
    return 0;
#endif
}

// Lets a file live in memory, never on disk, growing by `increment` bytes.
static inline herr_t ch5_set_memory_driver(hid_t access, size_t increment) { return H5Pset_fapl_core(access, increment, false); }

#include "probe.h"

// The version of the headers this was compiled with.
static inline void ch5_header_version(unsigned *major, unsigned *minor, unsigned *release) {
    *major = H5_VERS_MAJOR;
    *minor = H5_VERS_MINOR;
    *release = H5_VERS_RELEASE;
}
