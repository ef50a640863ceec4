#include "model/tiled_linear.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <cstddef>

#include "model/tile_kernels.hpp"

namespace knowmap {

namespace {

template <class T, class W>
class TiledLinear final : public Linear {
 public:
  TiledLinear(const at::Tensor& weight, const at::Tensor& bias, Activation activation)
      : out_(weight.size(0)), in_(weight.size(1)), gelu_(activation == Activation::gelu) {
    const auto channels = static_cast<std::int64_t>(kernels_.channels(size(out_)));
    const at::Tensor rows = weight.contiguous();
    packed_ = at::empty({channels * in_}, rows.options());
    kernels_.pack(static_cast<const W*>(rows.const_data_ptr()), size(out_), size(in_),
                  static_cast<W*>(packed_.data_ptr()));
    bias_ = at::zeros({channels}, at::kFloat);
    bias_.narrow(0, 0, out_).copy_(bias);
  }

  at::Tensor operator()(const at::Tensor& x) const override {
    at::Tensor y = at::empty({x.size(0), out_}, x.options());
    into(x, y);
    return y;
  }

  void into(const at::Tensor& x, at::Tensor& y) const override {
    kernels_.product(static_cast<const T*>(x.const_data_ptr()), size(x.stride(0)), size(x.size(0)),
                     {static_cast<const W*>(packed_.const_data_ptr()),
                      bias_.const_data_ptr<float>(), size(out_), size(in_)},
                     gelu_, static_cast<T*>(y.data_ptr()), size(y.stride(0)));
  }

 private:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

  const TileKernels<T, W>& kernels_ = tile_kernels<T, W>();
  std::int64_t out_;
  std::int64_t in_;
  bool gelu_;
  at::Tensor packed_;
  at::Tensor bias_;  // float32, as the sums are
};

}  // namespace

std::unique_ptr<Linear> make_tiled_linear(const at::Tensor& weight, const at::Tensor& bias,
                                          Activation activation) {
  TORCH_CHECK(weight.size(1) > 0, "a product needs a width");
  if (weight.scalar_type() == at::kBFloat16) {
    TORCH_CHECK(weight.size(1) % 2 == 0, "bfloat16 goes through in pairs");
    return std::make_unique<TiledLinear<BFloat16, BFloat16>>(weight, bias, activation);
  }
  if (weight.scalar_type() == at::kHalf) {
    return std::make_unique<TiledLinear<float, Float16>>(weight, bias, activation);
  }
  return std::make_unique<TiledLinear<float, float>>(weight, bias, activation);
}

}  // namespace knowmap
