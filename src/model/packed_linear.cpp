#include "model/packed_linear.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>

#include "model/cpu_kernels.hpp"

namespace knowmap {

namespace {

// libtorch's prepacked oneDNN linears are registered operators without a C++
// header; the dispatcher checks these signatures when they are looked up.
using ReorderWeight = at::Tensor(const at::Tensor&, std::optional<c10::SymInt>);
using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, std::string_view,
                                   c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

const auto& reorder_weight() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                             .typed<ReorderWeight>();
  return op;
}

const auto& linear_pointwise() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                             .typed<LinearPointwise>();
  return op;
}

constexpr std::int64_t kRows = 256;  // for which weights are laid out

/// Numbers of rows whose kernels are there from the start: any multiple of the last,
/// and no others come, is a sum of these.
constexpr std::array<std::int64_t, 3> kKernelRows = {256, 64, kPackedRowMultiple};

/// oneDNN tells no cause. Where there is another than memory, the kernels of
/// `kKernelRows` could not be made either, and loading said so.
bool lacks_kernel(const std::exception& error) {
  return std::string_view(error.what()).find("could not create a primitive") !=
         std::string_view::npos;
}

/// Numbers of rows, multiples of the last of `kKernelRows` up to the most that go through
/// together, for which one shape's kernels have been made.
class MadeKernels {
 public:
  bool has(std::int64_t rows) const {
    const std::size_t i = place(rows);
    return i < made_.size() && made_[i].load(std::memory_order_relaxed);
  }
  void add(std::int64_t rows) {
    const std::size_t i = place(rows);
    if (i < made_.size()) made_[i].store(true, std::memory_order_relaxed);
  }

 private:
  static std::size_t place(std::int64_t rows) {
    return static_cast<std::size_t>(rows / kKernelRows.back());
  }
  std::array<std::atomic<bool>, 129> made_{};
};

/// What a kernel depends on beside the number of rows.
using Shape = std::tuple<std::int64_t, std::int64_t, at::ScalarType, bool>;

MadeKernels& kernels_of(const Shape& shape) {
  static std::mutex mutex;
  static std::map<Shape, MadeKernels> all;
  const std::lock_guard lock(mutex);
  return all[shape];
}

// oneDNN takes some 40 KiB from the heap to look a kernel up, and does not survive where
// that fails: room is tried first. One that it makes takes up to 690 KiB, part of it for
// good; where little is left, that is for activations.
constexpr std::size_t kLookUpRoom = std::size_t{64} << 10;
constexpr std::size_t kMakeRoom = std::size_t{16} << 20;

void need_room(std::size_t bytes) { c10::free_cpu(c10::alloc_cpu(bytes)); }

bool has_room(std::size_t bytes) {
  try {
    need_room(bytes);
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

/// Runs `work`, which makes kernels, on a thread of its own. oneDNN's assembler keeps an
/// error for as long as its thread lives: where one kernel had no room, the same thread
/// makes none again, even when memory is back. Kernels are kept by the number of threads
/// that OpenMP offers, which is one wherever products are computed (`Workers`); it ends
/// the process where it finds no memory for a thread, so room is tried before.
template <class Work>
void on_fresh_thread(const Work& work) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      need_room(kMakeRoom);
      omp_set_num_threads(1);
      const c10::InferenceMode no_gradients;
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

at::Tensor laid_out(const at::Tensor& weight) {
  at::Tensor result;
  const auto reorder = [&] { result = reorder_weight().call(weight, c10::SymInt(kRows)); };
  try {
    reorder();
  } catch (const std::exception& error) {
    if (!lacks_kernel(error)) throw;
    on_fresh_thread(reorder);
  }
  return result;
}

/// Attempts to make a kernel that are left out after one that failed.
constexpr int kPause = 64;
std::atomic<int> left_out{0};

class PackedLinear final : public Linear {
 public:
  PackedLinear(const at::Tensor& weight, const at::Tensor& bias, Activation activation)
      : out_(weight.size(0)),
        weight_(laid_out(weight.contiguous())),
        bias_(bias),
        gelu_(activation == Activation::gelu),
        fused_(gelu_ && weight.scalar_type() == at::kFloat),
        kernels_(kernels_of({out_, weight.size(1), weight.scalar_type(), fused_})) {
    if (kernels_.has(kKernelRows.back())) return;
    on_fresh_thread([&] {
      for (const std::int64_t rows : kKernelRows) {
        whole(at::zeros({rows, weight.size(1)}, weight.options()));
        kernels_.add(rows);
      }
    });
  }

  at::Tensor operator()(const at::Tensor& x) const override {
    at::Tensor y = product(rounded_up(x)).narrow(0, 0, x.size(0));
    if (gelu_ && !fused_) {
      cpu_kernels<BFloat16>().gelu(static_cast<BFloat16*>(y.data_ptr()),
                                   static_cast<std::size_t>(y.numel()));
    }
    return y;
  }

 private:
  /// With rows of zeros up to a number of which there are few.
  static at::Tensor rounded_up(const at::Tensor& x) {
    const std::int64_t step = kKernelRows.back();
    const std::int64_t more = (step - x.size(0) % step) % step;
    if (more == 0) return x.contiguous();
    at::Tensor filled = at::empty({x.size(0) + more, x.size(1)}, x.options());
    filled.narrow(0, 0, x.size(0)).copy_(x);
    filled.narrow(0, x.size(0), more).zero_();
    return filled;
  }

  at::Tensor product(const at::Tensor& x) const {
    const std::int64_t rows = x.size(0);
    if (!kernels_.has(rows) && !has_room(kMakeRoom)) return in_parts(x);
    try {
      at::Tensor y = whole(x);
      kernels_.add(rows);
      return y;
    } catch (const c10::Error&) {
      throw;  // an allocation of libtorch's, whose text would take memory to make
    } catch (const std::exception& error) {
      if (!lacks_kernel(error)) throw;
    }
    return can_make_kernel(x) ? whole(x) : in_parts(x);
  }

  /// Whether another thread makes the kernel that this one could not; `whole` finds it then.
  bool can_make_kernel(const at::Tensor& x) const {
    if (left_out.load() > 0 && --left_out >= 0) return false;
    try {
      on_fresh_thread([&] { whole(x); });
      return true;
    } catch (...) {
      left_out = kPause;
      return false;
    }
  }

  at::Tensor whole(const at::Tensor& x) const {
    need_room(kLookUpRoom);
    // oneDNN's GELU is exact, and costs a sixth of the product that it follows;
    // bfloat16 does not keep what a quicker one leaves out.
    std::optional<std::string_view> algorithm;
    if (fused_) algorithm = "none";
    return linear_pointwise().call(x, weight_, bias_, fused_ ? "gelu" : "none",
                                   c10::List<std::optional<at::Scalar>>(), algorithm);
  }

  /// The same rows, to the last bit: how many go through together changes none.
  at::Tensor in_parts(const at::Tensor& x) const {
    const std::int64_t n = x.size(0);
    at::Tensor y = at::empty({n, out_}, x.options());
    for (std::int64_t row = 0; row < n;) {
      const std::int64_t rows = *std::find_if(kKernelRows.begin(), kKernelRows.end(),
                                              [&](std::int64_t fits) { return fits <= n - row; });
      y.narrow(0, row, rows).copy_(whole(x.narrow(0, row, rows)));
      row += rows;
    }
    return y;
  }

  std::int64_t out_;
  at::Tensor weight_;
  at::Tensor bias_;
  bool gelu_;
  bool fused_;  // GELU within the product
  MadeKernels& kernels_;
};

}  // namespace

std::unique_ptr<Linear> make_packed_linear(const at::Tensor& weight, const at::Tensor& bias,
                                           Activation activation) {
  return std::make_unique<PackedLinear>(weight, bias, activation);
}

}  // namespace knowmap
