#include "device/device.hpp"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <malloc.h>

#include <stdexcept>

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

void release_cache(c10::Device device) {
  if (device.is_cpu()) {
    ::malloc_trim(0);
  } else {
    at::accelerator::emptyCache();
  }
}

}  // namespace knowmap
