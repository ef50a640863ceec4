// How many operations a second this machine's processor can do at all: loops of nothing but
// multiply-adds on registers, without a memory access. Prints a line of JSON.
//
//     c++ -O3 -march=native -pthread ceiling.cpp -o ceiling && ./ceiling THREADS
//
// `python tests/bench/embed ceiling` does that.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

// Chains that do not wait for each other: more than latency times pipes.
constexpr int kChains = 20;
constexpr long kSteps = 4'000'000;
constexpr int kRepeats = 5;

volatile float sink;

#if defined(__AVX512F__)
using Floats = __m512;
inline Floats splat(float f) { return _mm512_set1_ps(f); }
inline Floats multiply_add(Floats sum, Floats a, Floats b) { return _mm512_fmadd_ps(a, b, sum); }
inline float first(Floats v) { return _mm512_cvtss_f32(v); }
#else
using Floats = __m256;
inline Floats splat(float f) { return _mm256_set1_ps(f); }
inline Floats multiply_add(Floats sum, Floats a, Floats b) { return _mm256_fmadd_ps(a, b, sum); }
inline float first(Floats v) { return _mm256_cvtss_f32(v); }
#endif

template <class Vec, class Step, class First>
void loop(Vec zero, Step step, First first_of) {
  Vec sums[kChains];
  // All of these loops are unrolled, or the sums would lie in memory.
#pragma GCC unroll 20
  for (int c = 0; c < kChains; ++c) sums[c] = zero;
  for (long i = 0; i < kSteps; ++i) {
#pragma GCC unroll 20
    for (int c = 0; c < kChains; ++c) {
      sums[c] = step(sums[c]);
      asm volatile("" : "+v"(sums[c]));  // each step is done, in a register
    }
  }
  float total = 0;
#pragma GCC unroll 20
  for (int c = 0; c < kChains; ++c) total += first_of(sums[c]);
  sink = total;
}

void float32_loop() {
  const Floats a = splat(0.5F);
  loop(
      splat(0), [a](Floats sum) { return multiply_add(sum, a, a); }, first);
}

#if defined(__AVX512BF16__)
void bfloat16_loop() {
  const auto a = (__m512bh)_mm512_set1_epi16(0x3f00);
  loop(
      splat(0), [a](__m512 sum) { return _mm512_dpbf16_ps(sum, a, a); }, first);
}
#endif

#if defined(__AVX512VNNI__)
void int8_loop() {
  const __m512i a = _mm512_set1_epi8(1);
  loop(
      _mm512_setzero_si512(), [a](__m512i sum) { return _mm512_dpbusd_epi32(sum, a, a); },
      [](__m512i v) { return static_cast<float>(_mm512_cvtsi512_si32(v)); });
}
#elif defined(__AVXVNNI__)
void int8_loop() {
  const __m256i a = _mm256_set1_epi8(1);
  loop(
      _mm256_setzero_si256(), [a](__m256i sum) { return _mm256_dpbusd_avx_epi32(sum, a, a); },
      [](__m256i v) { return static_cast<float>(_mm256_cvtsi256_si32(v)); });
}
#endif

/// Giga-operations a second, a multiplication and an addition being two: the best of some runs.
double rate(void (*run)(), int threads, int numbers) {
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) all.emplace_back(run);
    for (std::thread& thread : all) thread.join();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    const double operations = 2.0 * numbers * kChains * static_cast<double>(kSteps) * threads;
    best = std::max(best, operations / taken.count() / 1e9);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  constexpr int kLanes = sizeof(Floats) / sizeof(float);
  std::printf("{\"threads\": %d, \"gigaoperations\": {\"float32\": %.1f", threads,
              rate(float32_loop, threads, kLanes));
#if defined(__AVX512BF16__)
  std::printf(", \"bfloat16\": %.1f", rate(bfloat16_loop, threads, 2 * kLanes));
#endif
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  std::printf(", \"int8\": %.1f", rate(int8_loop, threads, 4 * kLanes));
#endif
  std::printf("}}\n");
}
