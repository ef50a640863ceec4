// Our own products beside oneDNN's prepacked ones, by the number of rows, on one thread: the
// two take turns, and each gives the best of its turns.
//
// KNOWMAP_MAX_ISA=avx2 ONEDNN_MAX_CPU_ISA=AVX2 shows processors without AVX-512.
//
//   cmake --build build/dev --target bench_products && build/dev/tests/cpp/bench_products

#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "model/packed_linear.hpp"
#include "model/tiled_linear.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Layer {
  std::int64_t in;
  std::int64_t out;
  knowmap::Activation activation;
};

/// Seconds of one call, in the mean over some milliseconds.
double seconds(const knowmap::Linear& linear, const at::Tensor& x) {
  int calls = 0;
  const auto start = Clock::now();
  std::chrono::duration<double> taken{};
  do {
    linear(x);
    ++calls;
    taken = Clock::now() - start;
  } while (taken.count() < 0.02);
  return taken.count() / calls;
}

void compare(at::ScalarType type, const Layer& layer, const std::vector<std::int64_t>& rows) {
  const at::Tensor weight = at::randn({layer.out, layer.in}).to(type);
  const at::Tensor bias = at::randn({layer.out}).to(type);
  const auto packed = knowmap::make_packed_linear(weight, bias, layer.activation);
  const auto tiled = knowmap::make_tiled_linear(weight, bias, layer.activation);
  std::printf("%s %lld -> %lld%s\n", type == at::kFloat ? "float32" : "bfloat16",
              static_cast<long long>(layer.in), static_cast<long long>(layer.out),
              layer.activation == knowmap::Activation::gelu ? ", GELU" : "");
  std::printf("  %5s %8s %8s  GFLOP/s\n", "rows", "oneDNN", "ours");
  for (const std::int64_t n : rows) {
    const at::Tensor x = at::randn({n, layer.in}).to(type);
    double best[2] = {1e9, 1e9};
    (*packed)(x);  // makes its kernel
    for (int turn = 0; turn < 5; ++turn) {
      best[0] = std::min(best[0], seconds(*packed, x));
      best[1] = std::min(best[1], seconds(*tiled, x));
    }
    const double work = 2e-9 * static_cast<double>(n * layer.in * layer.out);
    std::printf("  %5lld %8.1f %8.1f\n", static_cast<long long>(n), work / best[0], work / best[1]);
  }
}

}  // namespace

int main() {
  omp_set_num_threads(1);
  const c10::InferenceMode no_gradients;
  using knowmap::Activation;
  const std::vector<std::int64_t> rows = {3, 8, 19, 32, 65, 128, 256, 512};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    // oneDNN has none where the processor has none.
    if (type == at::kBFloat16 && !knowmap::bfloat16_is_fast()) continue;
    for (const Layer& layer :
         {Layer{384, 1152, Activation::none}, Layer{384, 1536, Activation::gelu},
          Layer{1536, 384, Activation::none}, Layer{768, 3072, Activation::gelu},
          Layer{3072, 768, Activation::none}}) {
      compare(type, layer, rows);
    }
  }
  return 0;
}
