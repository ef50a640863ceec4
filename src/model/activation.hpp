#pragma once

namespace knowmap {

enum class Activation { none, gelu, gelu_tanh, silu, relu };

}  // namespace knowmap
