#include "model/sentence_head.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "knowmap/error.hpp"
#include "model/weights.hpp"

namespace knowmap {

namespace {

float activated(float x, DenseModule::Activation activation) {
  using A = DenseModule::Activation;
  switch (activation) {
    case A::tanh:
      return std::tanh(x);
    case A::relu:
      return std::max(x, 0.0f);
    case A::gelu:
      return 0.5f * x * (1.0f + std::erf(x * 0.70710678118654752f));
    case A::sigmoid:
      return 1.0f / (1.0f + std::exp(-x));
    case A::silu:
      return x / (1.0f + std::exp(-x));
    default:
      return x;
  }
}

/// Sixteen sums side by side, which compilers turn into vectors, in one order.
float dot(const float* a, const float* b, std::size_t n) {
  constexpr std::size_t kLanes = 16;
  float sums[kLanes] = {};
  const std::size_t whole = n / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) sums[l] += a[i + l] * b[i + l];
  }
  float total = 0;
  for (const float s : sums) total += s;
  for (std::size_t i = whole; i < n; ++i) total += a[i] * b[i];
  return total;
}

void layer_norm(std::vector<float>& row, const float* gamma, const float* beta) {
  constexpr double kEps = 1e-5;  // torch's default, which the module keeps
  const auto n = static_cast<double>(row.size());
  double mean = 0;
  for (const float x : row) mean += x;
  mean /= n;
  double variance = 0;
  for (const float x : row) variance += (x - mean) * (x - mean);
  const double scale = 1.0 / std::sqrt(variance / n + kEps);
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] = static_cast<float>((row[i] - mean) * scale) * gamma[i] + beta[i];
  }
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace

SentenceHead::SentenceHead(const SentenceModules& modules, std::int64_t hidden)
    : pooling_(modules.pooling),
      pooled_(hidden * static_cast<std::int64_t>(modules.pooling.size())),
      dimension_(pooled_) {
  // Copies: the files need not stay mapped for a few megabytes.
  const auto read = [](const Weights& weights, const char* name, std::vector<std::int64_t> shape) {
    return weights.get(name, shape).to(at::kFloat).clone();
  };
  for (const SentenceModule& module : modules.after) {
    Step step{module, {}, {}};
    if (const auto* dense = std::get_if<DenseModule>(&module)) {
      if (dense->in != dimension_) {
        throw ModelError(dense->weights.string() + ": Dense takes " + std::to_string(dense->in) +
                         " numbers, what comes before it gives " + std::to_string(dimension_));
      }
      const Weights weights(dense->weights);
      step.weight = read(weights, "linear.weight", {dense->out, dense->in});
      if (dense->bias) step.bias = read(weights, "linear.bias", {dense->out});
      dimension_ = dense->out;
    } else if (const auto* norm = std::get_if<LayerNormModule>(&module)) {
      if (norm->dimension != dimension_) {
        throw ModelError(norm->weights.string() + ": LayerNorm takes " +
                         std::to_string(norm->dimension) + " numbers, what comes before it gives " +
                         std::to_string(dimension_));
      }
      const Weights weights(norm->weights);
      step.weight = read(weights, "norm.weight", {dimension_});
      step.bias = read(weights, "norm.bias", {dimension_});
    }
    steps_.push_back(std::move(step));
  }
}

void SentenceHead::run(std::vector<float>& row) const {
  for (const Step& step : steps_) {
    std::visit(Overloaded{
                   [&](const NormalizeModule&) { normalize(row); },
                   [&](const LayerNormModule&) {
                     layer_norm(row, step.weight.const_data_ptr<float>(),
                                step.bias.const_data_ptr<float>());
                   },
                   [&](const DenseModule& dense) {
                     std::vector<float> out(static_cast<std::size_t>(dense.out));
                     const float* weight = step.weight.const_data_ptr<float>();
                     const float* bias =
                         step.bias.defined() ? step.bias.const_data_ptr<float>() : nullptr;
                     for (std::size_t i = 0; i < out.size(); ++i) {
                       const float sum = dot(weight + i * row.size(), row.data(), row.size());
                       out[i] = activated(bias != nullptr ? sum + bias[i] : sum, dense.activation);
                     }
                     row = std::move(out);
                   },
               },
               step.module);
  }
}

void SentenceHead::apply(const at::Tensor& hidden, const PackedTokens& tokens, std::int64_t skip,
                         std::size_t dimensions, std::span<float* const> out) const {
  const auto texts = static_cast<std::size_t>(tokens.texts());
  std::vector<std::vector<float>> rows(texts,
                                       std::vector<float>(static_cast<std::size_t>(pooled_)));
  std::vector<float*> targets;
  for (auto& row : rows) targets.push_back(row.data());
  pool(hidden, tokens, pooling_, skip, targets);
  for (std::size_t i = 0; i < texts; ++i) {
    run(rows[i]);
    std::copy_n(rows[i].data(), dimensions, out[i]);
  }
}

}  // namespace knowmap
