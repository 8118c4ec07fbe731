// HDF5's C interface, and static inline shims for what Swift cannot import (macros that call functions).
#pragma once

#if !__has_include(<hdf5.h>)
#error "HDF5's headers were not found. Install them: apt-get install libhdf5-dev, brew install hdf5, or set PKG_CONFIG_PATH to the folder of hdf5.pc."
#endif
#include <hdf5.h>
