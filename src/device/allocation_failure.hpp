#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace knowmap {

/// Whether a message is one that a failed allocation leaves: libtorch's CPU,
/// CUDA and MPS allocators, cuBLAS, oneDNN.
bool is_allocation_message(std::string_view message);

/// The message of a failed allocation, where `error` is one; else nothing.
std::optional<std::string> allocation_failure(const std::exception_ptr& error);

}  // namespace knowmap
