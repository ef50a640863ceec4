// Compiled once for each instruction set: see knowmap_add_kernels. No header
// with inline functions that other files share.
#include "model/row_kernels.hpp"

#include "model/cpu_vec.hpp"

namespace knowmap {
namespace KNOWMAP_ISA {

namespace {

// --- norms -----------------------------------------------------------------------

// The row's sum of (x - mean)^2.
template <class T>
inline float squares_about(const T* x, float mean, size_t dim) {
  const size_t whole = dim / kLanes * kLanes;
  Vec squares{};
  for (size_t j = 0; j < whole; j += kLanes) {
    const Vec d = load(x + j) - mean;
    squares += d * d;
  }
  float total = sum(squares);
  for (size_t j = whole; j < dim; ++j) total += (get(x + j) - mean) * (get(x + j) - mean);
  return total;
}

template <class T>
inline float mean_of(const T* x, size_t dim) {
  const size_t whole = dim / kLanes * kLanes;
  Vec total{};
  for (size_t j = 0; j < whole; j += kLanes) total += load(x + j);
  float mean = sum(total);
  for (size_t j = whole; j < dim; ++j) mean += get(x + j);
  return mean / (float)dim;
}

template <class T>
void norm(const T* x, const float* gamma, const float* beta, float eps, bool rms, size_t rows,
          size_t dim, T* out) {
  const size_t whole = dim / kLanes * kLanes;
  for (size_t i = 0; i < rows; ++i, x += dim, out += dim) {
    const float mean = rms ? 0.0f : mean_of(x, dim);
    const float scale = 1.0f / __builtin_sqrtf(squares_about(x, mean, dim) / (float)dim + eps);
    for (size_t j = 0; j < whole; j += kLanes) {
      Vec y = (load(x + j) - mean) * scale * load(gamma + j);
      if (beta != nullptr) y += load(beta + j);
      store(out + j, y);
    }
    for (size_t j = whole; j < dim; ++j) {
      const float y = (get(x + j) - mean) * scale * gamma[j];
      put(out + j, beta != nullptr ? y + beta[j] : y);
    }
  }
}

template <class T>
void add(T* x, const T* y, size_t n) {
  const size_t whole = n / kLanes * kLanes;
  for (size_t j = 0; j < whole; j += kLanes) store(x + j, load(x + j) + load(y + j));
  for (size_t j = whole; j < n; ++j) put(x + j, get(x + j) + get(y + j));
}

// --- activations -----------------------------------------------------------------

// 1 / (1 + e^-x).
inline Vec sigmoid(Vec x) {
  const Vec e = exp_negative(-magnitude(x));
  return (x >= 0.0f ? splat(1.0f) : e) / (1.0f + e);
}

template <Activation kActivation>
inline Vec apply(Vec x) {
  if constexpr (kActivation == Activation::silu) return x * sigmoid(x);
  if constexpr (kActivation == Activation::relu) return max(x, splat(0.0f));
  if constexpr (kActivation == Activation::gelu) return gelu(x);
  if constexpr (kActivation == Activation::gelu_tanh) {
    // (1 + tanh u) / 2 = sigmoid(2 u).
    return x * sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
  }
  return x;
}

template <Activation kActivation, class T>
void activate_all(T* x, size_t n) {
  const size_t whole = n / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) store(x + i, apply<kActivation>(load(x + i)));
  for (size_t i = whole; i < n; ++i) put(x + i, apply<kActivation>(splat(get(x + i)))[0]);
}

template <Activation kActivation, class T>
void gate_all(const T* x, size_t rows, size_t dim, T* out) {
  const size_t whole = dim / kLanes * kLanes;
  for (size_t i = 0; i < rows; ++i, x += 2 * dim, out += dim) {
    const T* other = x + dim;
    for (size_t j = 0; j < whole; j += kLanes) {
      store(out + j, apply<kActivation>(load(x + j)) * load(other + j));
    }
    for (size_t j = whole; j < dim; ++j) {
      put(out + j, apply<kActivation>(splat(get(x + j)))[0] * get(other + j));
    }
  }
}

template <class T>
void activate(T* x, Activation activation, size_t n) {
  switch (activation) {
    case Activation::none:
      return;
    case Activation::gelu:
      return activate_all<Activation::gelu>(x, n);
    case Activation::gelu_tanh:
      return activate_all<Activation::gelu_tanh>(x, n);
    case Activation::silu:
      return activate_all<Activation::silu>(x, n);
    case Activation::relu:
      return activate_all<Activation::relu>(x, n);
  }
}

template <class T>
void gate(const T* x, Activation activation, size_t rows, size_t dim, T* out) {
  switch (activation) {
    case Activation::none:
      return gate_all<Activation::none>(x, rows, dim, out);
    case Activation::gelu:
      return gate_all<Activation::gelu>(x, rows, dim, out);
    case Activation::gelu_tanh:
      return gate_all<Activation::gelu_tanh>(x, rows, dim, out);
    case Activation::silu:
      return gate_all<Activation::silu>(x, rows, dim, out);
    case Activation::relu:
      return gate_all<Activation::relu>(x, rows, dim, out);
  }
}

// --- heads -----------------------------------------------------------------------

// (a, b) turned by the angle with cosine c and sine s, both scaled by `scale`
// and `gamma` before.
template <class T>
inline void turn_head(T* x, size_t head_dim, float scale, const float* gamma, const float* table) {
  const size_t half = head_dim / 2;
  const size_t whole = half / kLanes * kLanes;
  T* y = x + half;
  for (size_t j = 0; j < whole; j += kLanes) {
    Vec a = load(x + j) * scale;
    Vec b = load(y + j) * scale;
    if (gamma != nullptr) {
      a *= load(gamma + j);
      b *= load(gamma + half + j);
    }
    const Vec c = load(table + j);
    const Vec s = load(table + half + j);
    store(x + j, a * c - b * s);
    store(y + j, b * c + a * s);
  }
  for (size_t j = whole; j < half; ++j) {
    const float a = get(x + j) * scale * (gamma != nullptr ? gamma[j] : 1.0f);
    const float b = get(y + j) * scale * (gamma != nullptr ? gamma[half + j] : 1.0f);
    const float c = table[j];
    const float s = table[half + j];
    put(x + j, a * c - b * s);
    put(y + j, b * c + a * s);
  }
}

template <class T>
void turn(T* x, size_t stride, size_t rows, size_t heads, size_t head_dim, const float* gamma,
          float eps, const int32_t* positions, const float* table) {
  for (size_t i = 0; i < rows; ++i) {
    const float* angles =
        table != nullptr ? table + (size_t)positions[i] * (head_dim / 2 * 2) : nullptr;
    for (size_t h = 0; h < heads; ++h) {
      T* head = x + i * stride + h * head_dim;
      float scale = 1.0f;
      if (gamma != nullptr) {
        scale = 1.0f / __builtin_sqrtf(squares_about(head, 0.0f, head_dim) / (float)head_dim + eps);
      }
      if (angles != nullptr) {
        turn_head(head, head_dim, scale, gamma, angles);
      } else if (gamma != nullptr) {
        norm(head, gamma, (const float*)nullptr, eps, true, 1, head_dim, head);
      }
    }
  }
}

}  // namespace

extern const RowKernels<float> kFloatRowKernels;
extern const RowKernels<BFloat16> kBFloat16RowKernels;
const RowKernels<float> kFloatRowKernels = {norm<float>, add<float>, activate<float>, gate<float>,
                                            turn<float>};
const RowKernels<BFloat16> kBFloat16RowKernels = {norm<BFloat16>, add<BFloat16>, activate<BFloat16>,
                                                  gate<BFloat16>, turn<BFloat16>};

}  // namespace KNOWMAP_ISA
}  // namespace knowmap
