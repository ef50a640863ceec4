// The shared library as ctypes can call it, for test_store_faults.py to use
// beside h5py in one process.
#include <cstring>
#include <string>

#include "knowmap/checkpoint_store.hpp"

namespace {
thread_local std::string last_error;
}

// Commits rows [begin, begin + rows) of `columns` numbers, exports all into
// `file` where that isn't empty, and reads the rows back into `out`.
extern "C" KNOWMAP_EXPORT int probe_store(const char* folder, unsigned long begin,
                                          unsigned long rows, unsigned long columns,
                                          const float* numbers, float* out, const char* file) {
  try {
    knowmap::CheckpointStore store(folder);
    store.begin_rows({{"model", "probe"}}, columns);
    const std::vector<std::uint64_t> hashes(rows, 7);
    store.commit_rows({begin, begin + rows}, {numbers, rows, columns}, hashes);
    store.put_stage("umap", {}, {{"names", {std::vector<std::string>{"ein Name", ""}, {2}}}});
    store.read_rows({begin, begin + rows}, {out, rows, columns});
    if (std::strlen(file) > 0) store.export_hdf5(file);
    return store.verify().damaged.empty() ? 0 : 2;
  } catch (const std::exception& error) {
    last_error = error.what();
    return 1;
  }
}

extern "C" KNOWMAP_EXPORT const char* probe_error() { return last_error.c_str(); }
