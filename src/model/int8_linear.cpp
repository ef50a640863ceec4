#include "model/int8_linear.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "model/int8_kernels.hpp"

namespace knowmap {

namespace {

constexpr float kLargest = 127.0F;
// How much of the unevenness between channels the activations hand over to the
// weights. Tried 0.15, 0.3, 0.5 and 0.7 on MiniLM.
constexpr double kInputShare = 0.5;

/// The scale that brings numbers to whole ones with the least squared error:
/// cutting the few largest off makes the steps of all others finer.
float best_scale(std::span<const float> numbers) {
  float largest = 0.0F;
  for (const float number : numbers) largest = std::max(largest, std::abs(number));
  if (largest == 0.0F) return 1.0F;
  // The best cut lies within this range for weights as trained models have.
  constexpr std::array kShares = {1.0F, 0.95F, 0.9F, 0.85F, 0.8F, 0.75F};
  float best = 0.0F;
  float best_error = 0.0F;
  for (const float share : kShares) {
    const float scale = share * largest / kLargest;
    const float inverse = 1.0F / scale;
    float error = 0.0F;
    for (const float number : numbers) {
      const float off =
          number - std::clamp(std::rint(number * inverse), -kLargest, kLargest) * scale;
      error += off * off;
    }
    if (best == 0.0F || error < best_error) {
      best = scale;
      best_error = error;
    }
  }
  return best;
}

/// What to multiply each input channel with, and to divide its weights by, so
/// that activations and weights share the unevenness between channels.
at::Tensor channel_factors(const at::Tensor& weight, const at::Tensor& sizes) {
  constexpr double kSmallest = 1e-6;
  const at::Tensor inputs = sizes.to(at::kDouble).clamp_min(kSmallest).log2();
  const at::Tensor weights =
      std::get<0>(weight.abs().max(0)).to(at::kDouble).clamp_min(kSmallest).log2();
  const at::Tensor larger = inputs * kInputShare - weights * (1 - kInputShare);
  // Only what sets channels apart matters, rows have scales of their own. Steps
  // of a fourth root of two: machines whose last bits differ agree on them.
  const at::Tensor steps = ((larger.mean() - larger) * 4).round();
  return (steps / 4).exp2().to(at::kFloat).contiguous();
}

std::size_t row_bytes(std::size_t in) { return (in + 3) / 4 * 4; }

/// Holds what `Int8Rows` points to.
class QuantizedRows {
 public:
  QuantizedRows(std::int64_t rows, std::size_t in)
      : bytes_(at::empty({rows, static_cast<std::int64_t>(row_bytes(in))}, at::kByte)),
        scales_(at::empty({2, rows, static_cast<std::int64_t>(int8_groups(in))}, at::kFloat)) {}

  std::size_t count() const { return static_cast<std::size_t>(bytes_.size(0)); }
  Int8Rows view() const {
    float* const scales = scales_.data_ptr<float>();
    return {bytes_.data_ptr<std::uint8_t>(), static_cast<std::size_t>(bytes_.size(1)), scales,
            scales + scales_.numel() / 2};
  }

 private:
  at::Tensor bytes_;
  at::Tensor scales_;  // and zeros
};

template <class T>
class Int8Linear final : public Linear {
 public:
  Int8Linear(const at::Tensor& weight, const at::Tensor& bias, Activation activation,
             const at::Tensor& channel_sizes)
      : out_(static_cast<std::size_t>(weight.size(0))),
        in_(static_cast<std::size_t>(weight.size(1))),
        channels_(kernels_.channels(out_)),
        groups_(int8_groups(in_)),
        scale_(groups_ * channels_),
        col_sum_(groups_ * channels_),
        bias_(channels_),
        gelu_(activation == Activation::gelu) {
    at::Tensor rows = weight.to(at::kFloat).contiguous();
    if (channel_sizes.defined()) {
      factors_ = channel_factors(rows, channel_sizes);
      rows = rows / factors_;
    }
    const at::Tensor biases = bias.to(at::kFloat).contiguous();
    std::copy_n(biases.const_data_ptr<float>(), out_, bias_.begin());
    std::vector<std::int8_t> whole(out_ * in_);
    for (std::size_t o = 0; o < out_; ++o) {
      for (std::size_t g = 0; g < groups_; ++g) {
        const std::size_t first = o * in_ + g * kInt8Group;
        quantize_group({rows.const_data_ptr<float>() + first, group_width(g)}, &whole[first],
                       &scale_[g * channels_ + o], &col_sum_[g * channels_ + o]);
      }
    }
    packed_ = at::empty({static_cast<std::int64_t>(channels_ * row_bytes(in_))}, at::kChar);
    kernels_.pack(whole.data(), out_, in_, packed_.data_ptr<std::int8_t>());
  }

  at::Tensor operator()(const at::Tensor& x) const override { return product_like(quantize(x), x); }

  void into(const at::Tensor& x, at::Tensor& y) const override { multiply(quantize(x), y); }

  at::Tensor then(const at::Tensor& x, const Linear& next) const override {
    const auto* other = dynamic_cast<const Int8Linear*>(&next.form());
    if (other == nullptr) return Linear::then(x, next);
    TORCH_INTERNAL_ASSERT(other->in_ == out_);
    const QuantizedRows rows = quantize(x);
    const QuantizedRows between(x.size(0), other->in_);
    kernels_.product_to_rows(rows.view(), rows.count(), weights(), gelu_, other->factors(),
                             between.view());
    return other->product_like(between, x);
  }

 private:
  /// `x` in 8 bits, channels evened out.
  QuantizedRows quantize(const at::Tensor& x) const {
    QuantizedRows rows(x.size(0), in_);
    kernels_.quantize(static_cast<const T*>(x.const_data_ptr()),
                      static_cast<std::size_t>(x.stride(0)), rows.count(), in_, factors(),
                      rows.view());
    return rows;
  }

  /// The result has the format of `like`.
  at::Tensor product_like(const QuantizedRows& rows, const at::Tensor& like) const {
    at::Tensor y = at::empty({like.size(0), static_cast<std::int64_t>(out_)}, like.options());
    multiply(rows, y);
    return y;
  }

  void multiply(const QuantizedRows& rows, at::Tensor& y) const {
    kernels_.product(rows.view(), rows.count(), weights(), gelu_, static_cast<T*>(y.data_ptr()));
  }

  Int8Weights weights() const {
    return {packed_.const_data_ptr<std::int8_t>(),
            scale_.data(),
            col_sum_.data(),
            bias_.data(),
            out_,
            in_,
            channels_};
  }

  const float* factors() const {
    return factors_.defined() ? factors_.const_data_ptr<float>() : nullptr;
  }

  std::size_t group_width(std::size_t group) const {
    return std::min(kInt8Group, in_ - group * kInt8Group);
  }

  static void quantize_group(std::span<const float> numbers, std::int8_t* whole, float* scale,
                             float* sum) {
    *scale = best_scale(numbers);
    float total = 0.0F;
    for (const float number : numbers) {
      const float q = std::clamp(std::rint(number / *scale), -kLargest, kLargest);
      *whole++ = static_cast<std::int8_t>(q);
      total += q;
    }
    *sum = total;
  }

  const Int8Kernels<T>& kernels_ = int8_kernels<T>();
  std::size_t out_;
  std::size_t in_;
  std::size_t channels_;
  std::size_t groups_;
  at::Tensor packed_;
  std::vector<float> scale_;
  std::vector<float> col_sum_;
  std::vector<float> bias_;
  at::Tensor factors_;
  bool gelu_;
};

class WatchedLinear final : public Linear {
 public:
  WatchedLinear(std::unique_ptr<Linear> linear, at::Tensor& sizes)
      : linear_(std::move(linear)), sizes_(sizes) {}

  at::Tensor operator()(const at::Tensor& x) const override {
    const at::Tensor sizes = std::get<0>(x.abs().max(0)).to(at::kFloat);
    {
      const std::lock_guard lock(mutex_);
      sizes_ = sizes_.defined() ? at::maximum(sizes_, sizes) : sizes;
    }
    return (*linear_)(x);
  }

 private:
  std::unique_ptr<Linear> linear_;
  at::Tensor& sizes_;
  mutable std::mutex mutex_;
};

/// Seconds that some hundred rows of `in` numbers take on the calling thread (to which
/// OpenMP should leave one core): the best of some times.
double product_seconds(const Linear& linear, std::int64_t in, at::ScalarType dtype) {
  constexpr int kTimes = 7;
  constexpr std::int64_t kRows = 256;
  const at::Tensor x = at::ones({kRows, in}, dtype);
  double best = 0;
  for (int i = 0; i <= kTimes; ++i) {
    const auto start = std::chrono::steady_clock::now();
    linear(x);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    // The first finds caches empty.
    if (i > 0 && (i == 1 || taken.count() < best)) best = taken.count();
  }
  return best;
}

class TwoFormLinear final : public SwitchableLinear {
 public:
  TwoFormLinear(std::unique_ptr<Linear> own, std::unique_ptr<Linear> int8, std::int64_t out,
                std::int64_t in, at::ScalarType dtype)
      : own_(std::move(own)), int8_(std::move(int8)), out_(out), in_(in), dtype_(dtype) {}

  at::Tensor operator()(const at::Tensor& x) const override {
    if (mode_ != Mode::compare) return form()(x);
    at::Tensor y = (*own_)(x);
    compare(y, (*int8_)(x));
    return y;
  }

  at::Tensor then(const at::Tensor& x, const Linear& next) const override {
    return mode_ == Mode::compare ? Linear::then(x, next) : form().then(x, next);
  }

  void into(const at::Tensor& x, at::Tensor& y) const override {
    if (mode_ == Mode::compare) return Linear::into(x, y);
    form().into(x, y);
  }

  const Linear& form() const override {
    if (mode_ == Mode::compare) return *this;
    return mode_ == Mode::int8 ? *int8_ : *own_;
  }

  void set_mode(Mode mode) override { mode_ = mode; }
  double error() const override {
    return rows_ > 0 ? static_cast<double>(errors_) / kUnit / static_cast<double>(rows_) : 0;
  }
  double seconds(Mode mode) const override {
    return product_seconds(mode == Mode::int8 ? *int8_ : *own_, in_, dtype_);
  }
  void settle() override { (mode_ == Mode::int8 ? own_ : int8_).reset(); }
  std::int64_t work() const override { return out_ * in_; }

 private:
  // Errors are summed as whole numbers of this share of one, so that the order in
  // which threads come by does not matter.
  static constexpr double kUnit = 4294967296.0;
  static constexpr double kMost = 1000.0;

  void compare(const at::Tensor& own, const at::Tensor& int8) const {
    const at::Tensor a = own.to(at::kFloat).contiguous();
    const at::Tensor b = int8.to(at::kFloat).contiguous();
    const auto width = static_cast<std::size_t>(a.size(1));
    for (std::int64_t i = 0; i < a.size(0); ++i) {
      const float* x = a.const_data_ptr<float>() + static_cast<std::size_t>(i) * width;
      const float* y = b.const_data_ptr<float>() + static_cast<std::size_t>(i) * width;
      double length = 0;
      double distance = 0;
      for (std::size_t j = 0; j < width; ++j) {
        const double off = static_cast<double>(y[j]) - x[j];
        length += static_cast<double>(x[j]) * x[j];
        distance += off * off;
      }
      const double error = length > 0 ? std::min(distance / length, kMost) : 0;
      errors_ += std::llround(error * kUnit);
      ++rows_;
    }
  }

  std::unique_ptr<Linear> own_;
  std::unique_ptr<Linear> int8_;
  std::int64_t out_;
  std::int64_t in_;
  at::ScalarType dtype_;
  Mode mode_ = Mode::own;
  mutable std::atomic<std::int64_t> errors_{0};
  mutable std::atomic<std::int64_t> rows_{0};
};

}  // namespace

std::unique_ptr<Linear> make_int8_linear(const at::Tensor& weight, const at::Tensor& bias,
                                         Activation activation, at::ScalarType dtype,
                                         const at::Tensor& channel_sizes) {
  if (dtype == at::kBFloat16) {
    return std::make_unique<Int8Linear<BFloat16>>(weight, bias, activation, channel_sizes);
  }
  return std::make_unique<Int8Linear<float>>(weight, bias, activation, channel_sizes);
}

std::unique_ptr<Linear> make_watched_linear(std::unique_ptr<Linear> linear, at::Tensor& sizes) {
  return std::make_unique<WatchedLinear>(std::move(linear), sizes);
}

std::unique_ptr<SwitchableLinear> make_switchable_linear(std::unique_ptr<Linear> own,
                                                         std::unique_ptr<Linear> int8,
                                                         std::int64_t out, std::int64_t in,
                                                         at::ScalarType dtype) {
  return std::make_unique<TwoFormLinear>(std::move(own), std::move(int8), out, in, dtype);
}

}  // namespace knowmap
