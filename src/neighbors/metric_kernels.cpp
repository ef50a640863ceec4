// Compiled once for each instruction set (knowmap_add_kernels).
// Wide vectors are passed between functions of this file only.
#pragma GCC diagnostic ignored "-Wpsabi"
#include "neighbors/metric_kernels.hpp"

namespace knowmap::neighbors::KNOWMAP_ISA {

extern const MetricKernels kMetricKernels;

namespace {

using Size = std::size_t;
constexpr Size kLanes = 16;
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
typedef double Doubles __attribute__((vector_size(8 * sizeof(double)), aligned(8)));

// Each metric: what one column adds to `sum` and `other`, how lanes and columns
// are joined, and the distance. Written once for vectors of float, which rank,
// and of double, which decide.

template <class V>
inline V magnitude(V x) {
  return x < 0 ? -x : x;
}
template <class V>
inline V larger(V x, V y) {
  return x > y ? x : y;
}

struct Additive {
  /// Whether the distance is sum / other.
  static constexpr bool kRatio = false;
  template <class V>
  static V join(V a, V b) {
    return a + b;
  }
};

struct Manhattan : Additive {
  template <class V, class T>
  static void add(V x, V y, T, V& sum, V&) {
    sum += magnitude(x - y);
  }
  static double finish(double sum, double, double, Size) { return sum; }
};

struct Chebyshev {
  static constexpr bool kRatio = false;
  template <class V, class T>
  static void add(V x, V y, T, V& sum, V&) {
    sum = larger(sum, magnitude(x - y));
  }
  template <class V>
  static V join(V a, V b) {
    return larger(a, b);
  }
  static double finish(double sum, double, double, Size) { return sum; }
};

struct Minkowski : Additive {
  template <class V, class T>
  static void add(V x, V y, T p, V& sum, V&) {
    V d = magnitude(x - y);
    for (Size l = 0; l < sizeof(V) / sizeof(T); ++l) {
      d[l] = static_cast<T>(__builtin_pow(static_cast<double>(d[l]), static_cast<double>(p)));
    }
    sum += d;
  }
  static double finish(double sum, double, double p, Size) { return __builtin_pow(sum, 1 / p); }
};

struct Canberra : Additive {
  template <class V, class T>
  static void add(V x, V y, T, V& sum, V&) {
    const V most = magnitude(x) + magnitude(y);
    sum += most > 0 ? magnitude(x - y) / most : V{};
  }
  static double finish(double sum, double, double, Size) { return sum; }
};

struct BrayCurtis : Additive {
  static constexpr bool kRatio = true;
  template <class V, class T>
  static void add(V x, V y, T, V& sum, V& other) {
    sum += magnitude(x - y);
    other += magnitude(x + y);
  }
  static double finish(double sum, double other, double, Size) {
    return other > 0 ? sum / other : 0.0;
  }
};

struct Hamming : Additive {
  template <class V, class T>
  static void add(V x, V y, T, V& sum, V&) {
    sum += x != y ? V{} + 1 : V{};
  }
  static double finish(double sum, double, double, Size n) {
    return n > 0 ? sum / static_cast<double>(n) : 0.0;
  }
};

struct Jaccard : Additive {
  static constexpr bool kRatio = true;
  template <class V, class T>
  static void add(V x, V y, T, V& sum, V& other) {
    const V one = V{} + 1;
    const V in_x = x != 0 ? one : V{};
    const V in_y = y != 0 ? one : V{};
    sum += in_x != in_y ? one : V{};
    other += larger(in_x, in_y);
  }
  static double finish(double sum, double other, double, Size) {
    return other > 0 ? sum / other : 0.0;
  }
};

template <class Metric>
void tile(const float* a, Size a_panels, const float* b, Size b_panels, Size depth, float p,
          float* c, Size ldc) {
  for (Size i = 0; i < a_panels; ++i) {
    for (Size r = 0; r < kPanel; r += 4) {
      for (Size j = 0; j < b_panels; ++j) {
        for (Size part = 0; part < kPanel; part += kLanes) {
          Floats sum[4] = {}, other[4] = {};
          const float* x = a + i * kPanel * depth + r;
          const float* y = b + j * kPanel * depth + part;
          for (Size k = 0; k < depth; ++k, x += kPanel, y += kPanel) {
            const Floats v = *reinterpret_cast<const Floats*>(y);
#pragma GCC unroll 4
            for (Size q = 0; q < 4; ++q) Metric::add(Floats{} + x[q], v, p, sum[q], other[q]);
          }
          for (Size q = 0; q < 4; ++q) {
            if constexpr (Metric::kRatio) sum[q] = other[q] > 0 ? sum[q] / other[q] : Floats{};
            float* to = c + (i * kPanel + r + q) * ldc + j * kPanel + part;
            *reinterpret_cast<Floats*>(to) = -sum[q];
          }
        }
      }
    }
  }
}

template <class Metric>
double distance(const float* a, const float* b, Size n, double p) {
  Doubles sum = {}, other = {};
  Size k = 0;
  for (; k < n; k += 8) {
    Doubles x = {}, y = {};
    // Columns beyond the last are 0 in both, which adds nothing in any metric.
    const Size few = n - k < 8 ? n - k : 8;
    for (Size l = 0; l < few; ++l) {
      x[l] = static_cast<double>(a[k + l]);
      y[l] = static_cast<double>(b[k + l]);
    }
    Metric::add(x, y, p, sum, other);
  }
  const auto all = [](const Doubles& s) {
    return Metric::join(Metric::join(Metric::join(s[0], s[1]), Metric::join(s[2], s[3])),
                        Metric::join(Metric::join(s[4], s[5]), Metric::join(s[6], s[7])));
  };
  return Metric::finish(all(sum), all(other), p, n);
}

template <class Metric>
constexpr MetricKernel kKernel = {tile<Metric>, distance<Metric>};

}  // namespace

const MetricKernels kMetricKernels = {kKernel<Manhattan>, kKernel<Chebyshev>,  kKernel<Minkowski>,
                                      kKernel<Canberra>,  kKernel<BrayCurtis>, kKernel<Hamming>,
                                      kKernel<Jaccard>};

}  // namespace knowmap::neighbors::KNOWMAP_ISA
