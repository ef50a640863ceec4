#include "text/pipeline.hpp"

#include <map>
#include <utility>

#include "knowmap/error.hpp"
#include "text/parse.hpp"

namespace knowmap::text {

namespace {

using Normalizers = std::vector<std::unique_ptr<const Normalizer>>;

/// The added tokens by id. As `tokenizers` does it, the vocabulary gives the
/// ids, and tokens that it lacks are numbered on from its size; the id that the
/// file names counts for nothing.
std::vector<AddedToken> parse_added_tokens(const JsonField& field, const Vocabulary& vocabulary) {
  std::map<std::int32_t, AddedToken> by_id;
  std::map<std::string, std::int32_t> ids;
  auto next_id = static_cast<std::int32_t>(vocabulary.size());
  const std::size_t count = field.is_null() ? 0 : field.as_array().size();
  for (std::size_t i = 0; i < count; ++i) {
    const JsonField item = field[i];
    AddedToken token;
    token.content = item["content"].as_string();
    token.single_word = item["single_word"].as_bool();
    token.lstrip = item["lstrip"].as_bool();
    token.rstrip = item["rstrip"].as_bool();
    token.normalized = item["normalized"].as_bool();
    item["special"].as_bool();
    item["id"].as_id();
    if (token.content.empty()) continue;
    const auto known = ids.find(token.content);
    token.id = known != ids.end() ? known->second : vocabulary.id(token.content);
    if (token.id < 0) token.id = next_id++;
    ids[token.content] = token.id;
    by_id[token.id] = std::move(token);
  }
  std::vector<AddedToken> tokens;
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

AddedTokens select_added_tokens(const std::vector<AddedToken>& all, bool normalized,
                                const Normalizers& normalizers) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> patterns;
  for (const AddedToken& token : all) {
    if (token.normalized != normalized) continue;
    std::string pattern = token.content;
    if (normalized) {
      std::string from;
      for (const auto& normalizer : normalizers) {
        from.swap(pattern);
        pattern.clear();
        // Alone and whole, as if it were a section.
        if (!from.empty()) normalizer->run(from, Place{}, pattern);
      }
    }
    tokens.push_back(token);
    patterns.push_back(std::move(pattern));
  }
  return AddedTokens(std::move(tokens), patterns);
}

/// Gemma's files replace all blanks and then split at blanks: a split that never
/// comes to pass would only keep texts from being read piece by piece.
void drop_idle_split(const JsonField& root, std::vector<CuttingStep>& cutting) {
  const JsonField normalizer = root.optional("normalizer");
  const JsonField split = root.optional("pre_tokenizer");
  if (normalizer.is_null() || split.is_null() || split["type"].as_string() != "Split" ||
      normalizer["type"].as_string() != "Replace") {
    return;
  }
  const JsonField replaced = normalizer["pattern"];
  const JsonField sought = split["pattern"];
  if (!replaced.has("String") || !sought.has("String")) return;
  const std::string& string = sought["String"].as_string();
  const bool idle = string == replaced["String"].as_string() && string.size() == 1 &&
                    normalizer["content"].as_string().find(string) == std::string::npos &&
                    !split["invert"].as_bool();
  if (idle) cutting.clear();
}

/// A special token outside the vocabulary would later be read outside of the
/// model's embedding table.
void check_special_ids(const Pipeline& pipeline, const JsonField& field) {
  for (const auto* ids : {&pipeline.post_processor->before(), &pipeline.post_processor->after()}) {
    for (std::int32_t id : *ids) {
      if (id >= pipeline.vocabulary_size()) {
        field.fail("the id " + std::to_string(id) + " is not in the vocabulary, which ends at " +
                   std::to_string(pipeline.vocabulary_size()));
      }
    }
  }
}

}  // namespace

std::int32_t Pipeline::vocabulary_size() const {
  const std::int32_t highest = model->vocabulary().highest_id();
  return std::max(highest, added.empty() ? -1 : added.back().id) + 1;
}

Pipeline parse_pipeline(std::string_view json, std::string_view origin) {
  const nlohmann::json document = parse_json(json, origin);
  const JsonField root(document, std::string(origin));
  const JsonField version = root.optional("version");
  if (!version.is_null() && version.as_string() != "1.0") {
    version.fail("the version \"" + version.as_string() + "\" is not known; knowmap reads 1.0");
  }
  check_decoder(root.optional("decoder"));
  auto normalizers = parse_normalizer(root.optional("normalizer"));
  auto cutting = parse_pre_tokenizer(root.optional("pre_tokenizer"));
  auto post_processor = parse_post_processor(root.optional("post_processor"));
  auto model = parse_model(root["model"]);
  auto added = parse_added_tokens(root.optional("added_tokens"), model->vocabulary());
  auto raw_tokens = select_added_tokens(added, false, normalizers);
  auto normalized_tokens = select_added_tokens(added, true, normalizers);
  drop_idle_split(root, cutting);
  Pipeline pipeline{std::move(added),         std::move(raw_tokens), std::move(normalized_tokens),
                    std::move(normalizers),   std::move(cutting),    std::move(model),
                    std::move(post_processor)};
  check_special_ids(pipeline, root.optional("post_processor"));
  return pipeline;
}

}  // namespace knowmap::text
