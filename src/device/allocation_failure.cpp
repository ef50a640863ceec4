#include "device/allocation_failure.hpp"

#include <c10/util/Exception.h>

#include <algorithm>
#include <new>

namespace knowmap {

bool is_allocation_message(std::string_view message) {
  constexpr std::string_view kKnown[] = {
      "can't allocate memory",             // c10's CPU allocator
      "not enough memory",                 // the same on Windows
      "Invalid buffer size",               // MPS: one buffer above the device's bound
      "MPS backend out of memory",         //
      "CUDA out of memory",                //
      "CUBLAS_STATUS_ALLOC_FAILED",        // cuBLAS' own workspace
      "CUDNN_STATUS_ALLOC_FAILED",         //
      "CUDA error: out of memory",         // the driver, outside the caching allocator
      "could not create a memory object",  // oneDNN
      // oneDNN again, which tells no cause: no room for a kernel's code or its
      // scratch. Were it anything else, one text alone would fail too, by this message.
      "could not create a primitive",
      "could not execute a primitive",
      "out of memory",
  };
  return std::any_of(std::begin(kKnown), std::end(kKnown), [&](std::string_view known) {
    return message.find(known) != std::string_view::npos;
  });
}

std::optional<std::string> allocation_failure(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return "std::bad_alloc";
  } catch (const c10::OutOfMemoryError& e) {
    return std::string(e.what_without_backtrace());
  } catch (const c10::Error& e) {
    const std::string message = e.what_without_backtrace();
    if (is_allocation_message(message)) return message;
  } catch (const std::exception& e) {
    if (is_allocation_message(e.what())) return std::string(e.what());
  } catch (...) {
  }
  return std::nullopt;
}

}  // namespace knowmap
