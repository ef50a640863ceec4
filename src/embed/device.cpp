#include "embed/device.hpp"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/empty.h>
#include <malloc.h>

#include <stdexcept>

#include "model/backend.hpp"
#include "model/int8_linear.hpp"
#include "support/memory.hpp"

namespace knowmap {

namespace {

bool has(c10::DeviceType type) {
  if (type == c10::kCUDA) return at::globalContext().hasCUDA();
  if (type == c10::kMPS) return at::globalContext().hasMPS();
  return type == c10::kCPU;
}

std::string devices_here() {
  std::string names = "cpu";
  if (has(c10::kCUDA)) names += ", cuda";
  if (has(c10::kMPS)) names += ", mps";
  return names;
}

}  // namespace

c10::Device resolve_device(const std::string& name) {
  if (name == "auto") {
    if (has(c10::kCUDA)) return c10::Device(c10::kCUDA, 0);
    if (has(c10::kMPS)) return c10::Device(c10::kMPS, 0);
    return c10::kCPU;
  }
  const std::string kind = name.substr(0, name.find(':'));
  if (kind != "cpu" && kind != "cuda" && kind != "mps") {
    throw std::invalid_argument("device '" + name + "' is not known; take auto, cpu, cuda or mps");
  }
  c10::Device device(c10::kCPU);
  try {
    device = c10::Device(name);
  } catch (const std::exception&) {
    throw std::invalid_argument("device '" + name + "' is malformed; write cuda or cuda:1");
  }
  if (!has(device.type())) {
    throw std::invalid_argument("device '" + name +
                                "' is not here; this machine and this libtorch "
                                "have " +
                                devices_here());
  }
  return device;
}

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

std::uint64_t free_memory(c10::Device device) {
  if (device.is_cpu()) return available_memory();
  try {
    const auto [free, total] =
        c10::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
    return free;
  } catch (const std::exception&) {
    return 0;  // not every device tells; back-off is there for that
  }
}

void keep_activation_memory(c10::Device device) {
  if (!device.is_cpu()) return;
  // glibc takes the largest block that was ever given back as the measure of what
  // to keep at hand; without one, each layer's activations go back to the kernel
  // and are faulted in again for the next.
  constexpr std::int64_t kBytes = std::int64_t{16} << 20;
  at::empty({kBytes}, at::kByte);
}

void release_cache(c10::Device device) {
  if (device.is_cpu()) {
    ::malloc_trim(0);
  } else {
    at::accelerator::emptyCache();
  }
}

}  // namespace knowmap
