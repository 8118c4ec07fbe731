// A file driver for HDF5 whose flushes are atomic: a process that is killed leaves the file of the last flush or of this one, never a
// mixture. docs/decisions/0009-atomic-flushes.md says why, docs/run-format.md what the journal holds.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// HDF5's identifiers (hid_t) are passed as int64_t, so that this header needs none of HDF5's. As with all of HDF5, nothing here may
// be called by two threads at once.

/// Makes `access`, a list of file access properties, open files by this driver. With `journals`, what is written waits in memory until
/// the file is flushed or closed, and then comes to disk as a whole; without, it is written at once. A file's journal that a killed
/// process left is honoured either way. Returns a negative number on failure.
int cj_set_driver(int64_t access, bool journals);

/// Flushes a file of any driver, and waits until a file of this one is on the disk, in an order that a loss of power respects.
int cj_synchronize(int64_t file);

/// Lets go of a file whose writing failed: it stays as it is on disk, its lock is released, and it is not written when it is closed.
void cj_abandon(int64_t file);

/// For tests: kills this process before its system call number `call` (counted from 0 and from now, one a page) that changes a file or a
/// folder; with `halfway`, in the middle of one that writes to a journal. A negative number: never. Returns what was left of the number set
/// before.
int64_t cj_kill_at(int64_t call, bool halfway);

/// The XXH64 sum of bytes (Y. Collet, github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md): some gigabytes a second.
uint64_t cj_xxh64(const void *bytes, size_t count, uint64_t seed);
