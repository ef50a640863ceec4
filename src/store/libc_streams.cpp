// Debian compiles its static HDF5 for executables, not for shared libraries: it
// uses libc's stdout and stderr as if they lay in the same file, and that alone
// keeps it out of a shared library. The linker is told (--wrap, see
// KnowmapDependencies.cmake) to point it here instead.
#include <cstdio>

extern "C" {

extern FILE* __real_stdout;
extern FILE* __real_stderr;
__attribute__((visibility("hidden"))) FILE* __wrap_stdout = nullptr;
__attribute__((visibility("hidden"))) FILE* __wrap_stderr = nullptr;

// Before all other constructors, which may print.
__attribute__((constructor(101))) static void point_to_libc() {
  __wrap_stdout = __real_stdout;
  __wrap_stderr = __real_stderr;
}

}  // extern "C"
