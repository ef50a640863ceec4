#include "knowmap/tokenizer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "knowmap/error.hpp"
#include "support/parallel.hpp"
#include "text/pipeline.hpp"

namespace knowmap {

namespace {

// Texts that a thread takes at once.
constexpr std::size_t kGrain = 32;

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto size = in ? static_cast<std::streamoff>(in.tellg()) : std::streamoff{-1};
  std::string content;
  if (size >= 0 && !std::filesystem::is_directory(file)) {
    content.resize(static_cast<std::size_t>(size));
    in.seekg(0);
    if (in.read(content.data(), size)) return content;
  }
  throw TokenizerError(file.string() + ": can't be read: " + std::strerror(errno));
}

}  // namespace

struct Tokenizer::Impl {
  text::Pipeline pipeline;

  std::size_t special_tokens() const {
    const text::PostProcessor& around = *pipeline.post_processor;
    return around.before().size() + around.after().size();
  }

  void check_max_length(std::size_t max_length) const {
    if (max_length != 0 && max_length < special_tokens()) {
      throw std::invalid_argument("max_length = " + std::to_string(max_length) +
                                  " leaves no room for the " + std::to_string(special_tokens()) +
                                  " special tokens; give 0 for no limit");
    }
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& file) {
  return from_json(read_file(file), file.string());
}

Tokenizer Tokenizer::from_json(std::string_view json, std::string_view origin) {
  return Tokenizer(std::unique_ptr<const Impl>(new Impl{text::parse_pipeline(json, origin)}));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, std::size_t max_length) const {
  impl_->check_max_length(max_length);
  std::vector<std::int32_t> ids;
  text::Encoder(impl_->pipeline).encode(text, max_length, ids);
  return ids;
}

TokenBatch Tokenizer::encode_batch(std::span<const std::string_view> texts, std::size_t max_length,
                                   int threads, const ProgressCallback& progress) const {
  impl_->check_max_length(max_length);
  Workers workers(threads);
  Monitor monitor(progress, "tokenize", texts.size(), "texts");
  std::vector<text::Encoder> encoders;
  for (int i = 0; i < workers.size(); ++i) encoders.emplace_back(impl_->pipeline);
  std::vector<std::vector<std::int32_t>> parts((texts.size() + kGrain - 1) / kGrain);
  TokenBatch batch;
  batch.offsets.resize(texts.size() + 1);
  workers.run_ranges(
      texts.size(), kGrain,
      [&](std::size_t begin, std::size_t end, int worker) {
        std::vector<std::int32_t>& ids = parts[begin / kGrain];
        for (std::size_t i = begin; i < end && !monitor.cancelled(); ++i) {
          const std::size_t before = ids.size();
          encoders[static_cast<std::size_t>(worker)].encode(texts[i], max_length, ids, &monitor);
          batch.offsets[i + 1] = static_cast<std::int64_t>(ids.size() - before);
          monitor.add(1);
        }
      },
      &monitor);
  monitor.finish();

  std::partial_sum(batch.offsets.begin(), batch.offsets.end(), batch.offsets.begin());
  batch.ids.reserve(static_cast<std::size_t>(batch.offsets.back()));
  for (std::vector<std::int32_t>& part : parts) {
    batch.ids.insert(batch.ids.end(), part.begin(), part.end());
    part = {};  // so that the ids are in memory about once
  }
  return batch;
}

std::size_t Tokenizer::special_tokens() const { return impl_->special_tokens(); }

std::size_t Tokenizer::vocabulary_size() const {
  return static_cast<std::size_t>(impl_->pipeline.vocabulary_size());
}

std::string_view Tokenizer::token(std::int32_t id) const {
  const auto& added = impl_->pipeline.added;
  const auto it = std::lower_bound(added.begin(), added.end(), id,
                                   [](const auto& token, std::int32_t x) { return token.id < x; });
  if (it != added.end() && it->id == id) return it->content;
  return impl_->pipeline.model->vocabulary().token(id);
}

std::int32_t Tokenizer::id(std::string_view token) const {
  const auto& added = impl_->pipeline.added;
  const auto it = std::find_if(added.begin(), added.end(),
                               [&](const auto& known) { return known.content == token; });
  return it != added.end() ? it->id : impl_->pipeline.model->vocabulary().id(token);
}

}  // namespace knowmap
