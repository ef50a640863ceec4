// Products where memory has no room for another kernel.

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/resource.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <tuple>

#include "model/packed_linear.hpp"

namespace knowmap {
namespace {

constexpr std::int64_t kIn = 96;

/// Bytes of code that this process has made.
std::uint64_t made_code() {
  std::ifstream maps("/proc/self/maps");
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("xp ") == std::string::npos || line.find('/') != std::string::npos) continue;
    const auto dash = line.find('-');
    bytes += std::stoull(line.substr(dash + 1), nullptr, 16) - std::stoull(line, nullptr, 16);
  }
  return bytes;
}

std::uint64_t data_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmData:")) return std::stoull(line.substr(7)) * 1024;
  }
  return 0;
}

/// While it lives, the process may take no more memory from the system.
class NoMoreMemory {
 public:
  NoMoreMemory() {
    // What is given back stays with the process, so that rows still have room: the first
    // tells glibc to keep blocks of such sizes at hand, the second is such a block.
    at::empty({std::int64_t{16} << 20}, at::kByte);
    at::empty({std::int64_t{8} << 20}, at::kByte);
    ::getrlimit(RLIMIT_DATA, &before_);
    const struct rlimit now { data_bytes(), before_.rlim_max };
    ::setrlimit(RLIMIT_DATA, &now);
  }
  ~NoMoreMemory() { ::setrlimit(RLIMIT_DATA, &before_); }
  NoMoreMemory(const NoMoreMemory&) = delete;
  NoMoreMemory& operator=(const NoMoreMemory&) = delete;

 private:
  struct rlimit before_ {};
};

class PackedLinearTest : public testing::TestWithParam<std::tuple<at::ScalarType, Activation>> {};

TEST_P(PackedLinearTest, NeedsNoKernelThatHasNoRoom) {
  const auto [dtype, activation] = GetParam();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take memory of their own, and end where there is none";
#endif
  if (dtype == at::kBFloat16 && !bfloat16_is_fast()) GTEST_SKIP() << "no kernels of its own here";
  // Kernels belong to a shape: these are of no other test's.
  const std::int64_t out = activation == Activation::none ? 160 : 176;
  const at::Tensor weight = at::randn({out, kIn}).to(dtype);
  const at::Tensor bias = at::randn({out}).to(dtype);
  const auto linear = make_packed_linear(weight, bias, activation);
  // As on a worker's thread.
  omp_set_num_threads(1);
  // Rounded up to multiples of 16, for which there is no kernel yet.
  const std::int64_t rows[] = {17, 48, 80, 140, 336, 1000};
  for (const std::int64_t n : rows) {
    const at::Tensor x = at::randn({n, kIn}).to(dtype);
    const std::uint64_t kernels = made_code();
    at::Tensor y;
    {
      const NoMoreMemory limit;
      y = (*linear)(x);
      EXPECT_EQ(made_code(), kernels) << n;
    }
    // Where memory is back it makes a kernel for so many rows, before long: the same bytes.
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(at::equal(y, (*linear)(x))) << n;
    EXPECT_GT(made_code(), kernels) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, PackedLinearTest,
                         testing::Combine(testing::Values(at::kFloat, at::kBFloat16),
                                          testing::Values(Activation::none, Activation::gelu)));

}  // namespace
}  // namespace knowmap
