#include "model/transformer.hpp"

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "knowmap/error.hpp"
#include "model/positions.hpp"

namespace knowmap {

namespace {

// Attention's products are so much narrower than the feed-forward's that they
// may have this many times its rows at once.
constexpr std::int64_t kNarrowChunks = 4;
// Fewer rows than these take a thread as long: weights are read for all alike.
constexpr std::int64_t kLeastRows = 4;

/// Rows that a thread takes at a time: `most`, fewer where others are to help, in
/// multiples of `multiple`.
std::int64_t rows_at_a_time(const at::Tensor& x, std::int64_t most, std::int64_t multiple,
                            const Team* team) {
  const std::int64_t threads = team == nullptr ? 1 : team->idle() + 1;
  const std::int64_t even = std::max((x.size(0) + threads - 1) / threads, kLeastRows);
  return std::min(most, (even + multiple - 1) / multiple * multiple);
}

/// task(begin, end) over the rows of `x`, `rows` at a time.
template <class Task>
void run_ranges(Team* team, const at::Tensor& x, std::int64_t rows, const Task& task) {
  knowmap::run_ranges(team, static_cast<std::size_t>(x.size(0)), static_cast<std::size_t>(rows),
                      [&](std::size_t begin, std::size_t end) {
                        task(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
                      });
}

}  // namespace

struct Transformer::Layer {
  std::int64_t number = 0;
  NormWeights attention_norm_in;
  std::unique_ptr<Linear> qkv;
  NormWeights query_norm;
  NormWeights key_norm;
  std::unique_ptr<Linear> attention_out;
  NormWeights attention_norm_out;
  NormWeights feed_forward_norm_in;
  std::unique_ptr<Linear> up;
  std::unique_ptr<Linear> down;
  NormWeights feed_forward_norm_out;
};

Transformer::Transformer(const ModelFiles& files, std::unique_ptr<Backend> backend)
    : weights_(files.weights), architecture_(files.config), backend_(std::move(backend)) {}

Transformer::~Transformer() = default;

std::unique_ptr<Transformer> Transformer::load(const ModelFiles& files,
                                               std::unique_ptr<Backend> backend, bool resident) {
  std::unique_ptr<Transformer> model(new Transformer(files, std::move(backend)));
  model->choose_names();
  model->read_embeddings();
  if (resident) model->read_layers();
  return model;
}

void Transformer::read_layers() {
  for (std::int64_t i = 0; i < layers(); ++i) layers_.push_back(read_layer(i));
}

// --- reading -----------------------------------------------------------------------

void Transformer::choose_names() {
  std::vector<WeightNames> candidates{architecture_.names};
  candidates.insert(candidates.end(), architecture_.other_names.begin(),
                    architecture_.other_names.end());
  for (const WeightNames& names : candidates) {
    for (const std::string& prefix : names.prefixes) {
      const std::string layer = prefix + names.layer + "0." + names.attention_out + ".weight";
      if (!weights_.has(prefix + names.word + ".weight") || !weights_.has(layer)) continue;
      architecture_.names = names;
      prefix_ = prefix;
      return;
    }
  }
  // None fits: reading says by name what is missing.
  prefix_ = architecture_.names.prefixes.front();
}

void Transformer::read_embeddings() {
  const Architecture& a = architecture_;
  const WeightNames& names = a.names;
  const std::int64_t d = a.hidden_size;
  const std::string word = prefix_ + names.word + (names.word_is_whole_name ? "" : ".weight");
  tables_.word = backend_->keep_table(weights_.get(word, {a.vocabulary_size, d}));
  tables_.position_offset = a.position_offset;
  tables_.padding_id = a.padding_id;
  tables_.scale = a.embedding_scale;
  if (!names.position.empty()) {
    tables_.position = backend_->keep(weights_.get(prefix_ + names.position + ".weight",
                                                   {a.max_positions + a.position_offset, d}));
  }
  if (!names.token_type.empty()) {
    tables_.type =
        backend_->keep(weights_.get(prefix_ + names.token_type + ".weight", {a.token_types, d})[0]);
  }
  tables_.norm = read_norm(names.embedding_norm, d);
  final_norm_ = read_norm(names.final_norm, d);
  if (!names.relative_bias.empty()) {
    const at::Tensor bias =
        weights_.get(prefix_ + names.relative_bias + ".weight", {a.relative_buckets, a.heads});
    relative_bias_ = relative_bias(bias, a.max_positions).to(backend_->device());
  }
}

NormWeights Transformer::read_norm(const std::string& name, std::int64_t dim) const {
  NormWeights norm;
  if (name.empty()) return norm;
  at::Tensor gamma = weights_.get(prefix_ + name + ".weight", {dim});
  if (architecture_.norm_plus_one) gamma = at::add(gamma.to(at::kFloat), 1);
  norm.gamma = backend_->keep(gamma);
  if (architecture_.norm_bias) {
    norm.beta = backend_->keep(weights_.get(prefix_ + name + ".bias", {dim}));
  }
  norm.eps = architecture_.norm_eps;
  norm.kind = architecture_.norm;
  return norm;
}

std::unique_ptr<Linear> Transformer::read_linear(const std::vector<std::string>& names,
                                                 std::int64_t out, std::int64_t in, bool bias,
                                                 Activation activation, std::size_t number) const {
  // Several products over the same rows as one: one pass over the rows, one kernel.
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> biases;
  std::int64_t left = out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string name = prefix_ + names[i] + ".weight";
    weights_.will_need(name);
    // What the file gives it, if that can be: the sum is checked by the last.
    const auto shape = weights_.shape(name);
    const std::int64_t rows =
        i + 1 == names.size() || shape.size() != 2 ? left : std::min(left, shape[0]);
    left -= rows;
    weights.push_back(weights_.get(name, {rows, in}));
    if (bias) biases.push_back(weights_.get(prefix_ + names[i] + ".bias", {rows}));
  }
  auto linear = backend_->linear(weights.size() == 1 ? weights.front() : at::cat(weights),
                                 biases.empty()       ? at::zeros({out})
                                 : biases.size() == 1 ? biases.front()
                                                      : at::cat(biases),
                                 activation, number);
  for (const std::string& name : names) weights_.done_with(prefix_ + name + ".weight");
  return linear;
}

std::shared_ptr<const Transformer::Layer> Transformer::read_layer(std::int64_t i) const {
  const Architecture& a = architecture_;
  const WeightNames& names = a.names;
  const std::string base = names.layer + std::to_string(i) + ".";
  const auto full = [&](const std::string& name) { return name.empty() ? name : base + name; };
  const auto all = [&](std::vector<std::string> list) {
    for (std::string& name : list) name = base + name;
    return list;
  };
  const std::int64_t d = a.hidden_size;
  const std::int64_t f = a.intermediate_size;
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  const std::size_t first = kLayerProducts * static_cast<std::size_t>(i);
  auto layer = std::make_shared<Layer>();
  layer->number = i;
  if (i > 0 || !a.first_layer_is_normed) {
    layer->attention_norm_in = read_norm(full(names.attention_norm_in), d);
  }
  layer->qkv = read_linear(all(names.qkv), q + 2 * kv, d, a.qkv_bias, Activation::none, first);
  layer->query_norm = read_norm(full(names.query_norm), a.head_dim);
  layer->key_norm = read_norm(full(names.key_norm), a.head_dim);
  layer->attention_out = read_linear({full(names.attention_out)}, d, q, a.attention_out_bias,
                                     Activation::none, first + 1);
  layer->attention_norm_out = read_norm(full(names.attention_norm_out), d);
  layer->feed_forward_norm_in = read_norm(full(names.feed_forward_norm_in), d);
  layer->up = read_linear(all(names.up), a.gated ? 2 * f : f, d, a.feed_forward_bias,
                          fuses_activation() ? Activation::gelu : Activation::none, first + 2);
  layer->down =
      read_linear({full(names.down)}, d, f, a.feed_forward_bias, Activation::none, first + 3);
  layer->feed_forward_norm_out = read_norm(full(names.feed_forward_norm_out), d);
  return layer;
}

// --- computing ---------------------------------------------------------------------

at::Tensor Transformer::forward(const PackedTokens& tokens, std::int64_t chunk_rows,
                                const StopSign& stop, Team* team) const {
  Passage passage = begin(tokens);
  at::Tensor room;
  for (const auto& layer : layers_) {
    if (stop()) throw CancelledError("cancelled between two layers");
    pass(*layer, passage, chunk_rows, team, &room);
  }
  return finish(passage);
}

Passage Transformer::begin(const PackedTokens& tokens) const {
  std::int64_t longest = 0;
  for (std::int64_t t = 0; t < tokens.texts(); ++t) {
    longest = std::max(longest, tokens.offsets[t + 1] - tokens.offsets[t]);
  }
  if (longest > architecture_.max_positions) {
    throw std::invalid_argument("a text of " + std::to_string(longest) +
                                " tokens exceeds the model's " +
                                std::to_string(architecture_.max_positions) + " positions");
  }
  Passage passage{tokens, backend_->embed(tokens, tables_), {}};
  for (const Rope& rope : architecture_.ropes) {
    passage.rotary.push_back(backend_->rotary_table(rope, longest));
  }
  return passage;
}

void Transformer::pass(const Layer& layer, Passage& passage, std::int64_t chunk_rows, Team* team,
                       at::Tensor* room) const {
  const at::Tensor context = attend(layer, passage, chunk_rows, team, room);
  // From here to the end of the layer no row needs another.
  const std::int64_t step = rows_at_a_time(passage.x, chunk_rows, backend_->row_multiple(), team);
  run_ranges(team, passage.x, step, [&](std::int64_t begin, std::int64_t end) {
    at::Tensor rows = passage.x.slice(0, begin, end);
    at::Tensor part = (*layer.attention_out)(context.slice(0, begin, end));
    join(rows, part, layer.attention_norm_out);
    part.reset();
    feed_forward(layer, rows);
  });
}

at::Tensor Transformer::finish(Passage& passage) const {
  at::Tensor x = passage.x;
  if (final_norm_) backend_->norm(x, final_norm_, x);
  return x;
}

void Transformer::join(at::Tensor& x, at::Tensor& y, const NormWeights& norm_out) const {
  if (norm_out && architecture_.norm_after_sum) {
    backend_->add_layer_norm(y, x, norm_out, x);
    return;
  }
  if (norm_out) backend_->norm(y, norm_out, y);
  backend_->add(x, y);
}

at::Tensor Transformer::attend(const Layer& layer, Passage& passage, std::int64_t chunk_rows,
                               Team* team, at::Tensor* room) const {
  const Architecture& a = architecture_;
  const at::Tensor& x = passage.x;
  const std::int64_t n = x.size(0);
  const Sight& sight = a.sights[static_cast<std::size_t>(layer.number)];
  const bool turned = layer.query_norm || sight.rope >= 0;
  const at::Tensor rotary =
      sight.rope < 0 ? at::Tensor() : passage.rotary[static_cast<std::size_t>(sight.rope)];

  at::Tensor qkv;
  const std::int64_t step =
      rows_at_a_time(x, kNarrowChunks * chunk_rows, backend_->row_multiple(), team);
  const bool whole = step >= n;
  if (!whole) {
    // Not asked for anew by each layer: small blocks that come between would leave the heap
    // no place for it where it was.
    if (room != nullptr) qkv = *room;
    if (!qkv.defined()) qkv = at::empty({n, (a.heads + 2 * a.kv_heads) * a.head_dim}, x.options());
    if (room != nullptr) *room = qkv;
  }
  run_ranges(whole ? nullptr : team, x, step, [&](std::int64_t begin, std::int64_t end) {
    at::Tensor rows = x.slice(0, begin, end);
    if (layer.attention_norm_in) {
      at::Tensor normed = at::empty(rows.sizes(), rows.options());
      backend_->norm(rows, layer.attention_norm_in, normed);
      rows = normed;
    }
    at::Tensor part;
    if (whole) {
      part = qkv = (*layer.qkv)(rows);
    } else {
      part = qkv.slice(0, begin, end);
      layer.qkv->into(rows, part);
    }
    if (turned) {
      backend_->turn_heads(
          part, passage.tokens, begin,
          {a.heads, a.kv_heads, a.head_dim, layer.query_norm, layer.key_norm, rotary});
    }
  });

  // Where rows are divided, what attention gives takes the place of the queries.
  const std::int64_t width = a.heads * a.head_dim;
  at::Tensor context = whole ? at::empty({n, width}, qkv.options()) : qkv.narrow(1, 0, width);
  backend_->attention(qkv, passage.tokens,
                      {a.heads, a.kv_heads, a.head_dim, a.attention_scale, sight, relative_bias_,
                       a.max_positions - 1},
                      team, context);
  return context;
}

void Transformer::feed_forward(const Layer& layer, at::Tensor& rows) const {
  const Architecture& a = architecture_;
  at::Tensor input = rows;
  if (layer.feed_forward_norm_in) {
    input = at::empty(rows.sizes(), rows.options());
    backend_->norm(rows, layer.feed_forward_norm_in, input);
  }
  at::Tensor part;
  if (fuses_activation()) {
    part = layer.up->then(input, *layer.down);
  } else {
    at::Tensor wide = (*layer.up)(input);
    if (a.gated) {
      wide = backend_->gate(wide, a.activation);
    } else {
      backend_->activate(wide, a.activation);
    }
    part = (*layer.down)(wide);
  }
  join(rows, part, layer.feed_forward_norm_out);
}

}  // namespace knowmap
