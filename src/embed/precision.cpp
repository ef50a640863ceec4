#include "embed/precision.hpp"

#include <ATen/ops/empty.h>

#include <stdexcept>

#include "model/backend.hpp"
#include "model/int8_linear.hpp"
#include "support/memory.hpp"

namespace knowmap {

Precision own_precision(Precision wanted, c10::Device device) {
  if (wanted == Precision::int8 && !device.is_cpu()) {
    throw std::invalid_argument("precision 'int8' computes on a CPU, not on '" + device.str() +
                                "'; take auto, bfloat16 or float32, or device 'cpu'");
  }
  if (wanted != Precision::automatic && wanted != Precision::int8) return wanted;
  if (device.is_cuda()) return Precision::bfloat16;
  if (!device.is_cpu()) return Precision::float32;
  return bfloat16_is_fast() ? Precision::bfloat16 : Precision::float32;
}

bool try_int8(Precision wanted, c10::Device device, std::uint64_t weight_bytes) {
  if (wanted == Precision::int8) return true;
  if (wanted != Precision::automatic || !device.is_cpu() || !int8_is_fast()) return false;
  // While the choice is made, weights are there in their file's form, in the
  // processor's own and in 8 bits.
  return weight_bytes <= available_memory() / 8;
}

c10::ScalarType scalar_type(Precision precision) {
  if (precision == Precision::float16) return c10::kHalf;
  return precision == Precision::bfloat16 ? c10::kBFloat16 : c10::kFloat;
}

void keep_activation_memory(c10::Device device) {
  if (!device.is_cpu()) return;
  // glibc takes the largest block that was ever given back as the measure of what
  // to keep at hand; without one, each layer's activations go back to the kernel
  // and are faulted in again for the next.
  constexpr std::int64_t kBytes = std::int64_t{16} << 20;
  at::empty({kBytes}, at::kByte);
}

}  // namespace knowmap
