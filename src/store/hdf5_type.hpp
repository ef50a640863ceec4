#pragma once

#include "store/hdf5.hpp"
#include "store/shard.hpp"

namespace knowmap::store {

/// HDF5's type of an array's numbers, little-endian. A `hdf5::Session` must live.
hdf5::Handle hdf5_type(Element element);

}  // namespace knowmap::store
