#include "text/pipeline.hpp"

#include <map>
#include <utility>

#include "knowmap/error.hpp"
#include "text/json_field.hpp"

namespace knowmap::text {

namespace {

[[noreturn]] void fail_unknown(const JsonField& field, std::string_view what,
                               std::string_view known) {
  field["type"].fail("the " + std::string(what) + " \"" + field["type"].as_string() +
                     "\" is not known; knowmap reads " + std::string(known));
}

std::unique_ptr<const Normalizer> parse_normalizer(const JsonField& field) {
  if (field.is_null()) return std::make_unique<IdentityNormalizer>();
  if (field["type"].as_string() != "BertNormalizer") {
    fail_unknown(field, "normalizer", "BertNormalizer");
  }
  BertNormalizerOptions options;
  options.clean_text = field["clean_text"].as_bool();
  options.handle_chinese_chars = field["handle_chinese_chars"].as_bool();
  options.lowercase = field["lowercase"].as_bool();
  const JsonField strip_accents = field.optional("strip_accents");
  options.strip_accents = strip_accents.is_null() ? options.lowercase : strip_accents.as_bool();
  return std::make_unique<BertNormalizer>(options);
}

std::unique_ptr<const PreTokenizer> parse_pre_tokenizer(const JsonField& field) {
  if (field.is_null()) return std::make_unique<WholePreTokenizer>();
  if (field["type"].as_string() != "BertPreTokenizer") {
    fail_unknown(field, "pre_tokenizer", "BertPreTokenizer");
  }
  return std::make_unique<BertPreTokenizer>();
}

std::vector<std::pair<std::string, std::int32_t>> parse_vocabulary(const JsonField& field) {
  std::vector<std::pair<std::string, std::int32_t>> tokens;
  tokens.reserve(field.as_object().size());
  for (const auto& item : field.as_object().items()) {
    // The path is put together only where it is needed: there are many tokens.
    if (!item.value().is_number_unsigned() || item.value() > INT32_MAX - 1) {
      field[item.key().c_str()].as_id();
    }
    tokens.emplace_back(item.key(), item.value().get<std::int32_t>());
  }
  return tokens;
}

std::unique_ptr<const Model> parse_word_piece(const JsonField& field) {
  WordPieceOptions options;
  options.unk_token = field["unk_token"].as_string();
  options.continuing_subword_prefix = field["continuing_subword_prefix"].as_string();
  options.max_input_chars_per_word =
      static_cast<std::size_t>(field["max_input_chars_per_word"].as_count());
  Vocabulary vocabulary(parse_vocabulary(field["vocab"]));
  if (vocabulary.id(options.unk_token) < 0) {
    field["unk_token"].fail("\"" + options.unk_token + "\" is not in the vocabulary");
  }
  return std::make_unique<WordPiece>(std::move(vocabulary), options);
}

std::unique_ptr<const Model> parse_model(const JsonField& field) {
  // Early files don't name the type; this field gives WordPiece away.
  const bool unnamed = !field.has("type") && field.has("max_input_chars_per_word");
  if (!unnamed && field["type"].as_string() != "WordPiece") {
    fail_unknown(field, "model", "WordPiece");
  }
  return parse_word_piece(field);
}

/// The ids of a piece {"SpecialToken": {"id": "[CLS]", ...}} of a template.
void append_special_token(const JsonField& piece, const JsonField& special_tokens,
                          std::vector<std::int32_t>& ids) {
  const JsonField name = piece["SpecialToken"]["id"];
  if (!special_tokens.has(name.as_string().c_str())) {
    name.fail("\"" + name.as_string() + "\" is not one of the special_tokens");
  }
  const JsonField list = special_tokens[name.as_string().c_str()]["ids"];
  for (std::size_t i = 0; i < list.as_array().size(); ++i) ids.push_back(list[i].as_id());
}

std::unique_ptr<const PostProcessor> parse_template(const JsonField& field) {
  const JsonField single = field["single"];
  const JsonField special_tokens = field["special_tokens"];
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
  bool has_text = false;
  for (std::size_t i = 0; i < single.as_array().size(); ++i) {
    const JsonField piece = single[i];
    if (!piece.has("Sequence")) {
      append_special_token(piece, special_tokens, has_text ? after : before);
    } else if (has_text || piece["Sequence"]["id"].as_string() != "A") {
      piece.fail("the template for a single text must hold the sequence \"A\" once, and no other");
    } else {
      has_text = true;
    }
  }
  if (!has_text) single.fail("the template holds no text: the sequence \"A\" is missing");
  return std::make_unique<FixedPostProcessor>(std::move(before), std::move(after));
}

std::unique_ptr<const PostProcessor> parse_post_processor(const JsonField& field) {
  if (field.is_null()) {
    return std::make_unique<FixedPostProcessor>(std::vector<std::int32_t>{},
                                                std::vector<std::int32_t>{});
  }
  const std::string& type = field["type"].as_string();
  if (type == "TemplateProcessing") return parse_template(field);
  if (type != "BertProcessing") {
    fail_unknown(field, "post_processor", "TemplateProcessing and BertProcessing");
  }
  return std::make_unique<FixedPostProcessor>(std::vector<std::int32_t>{field["cls"][1].as_id()},
                                              std::vector<std::int32_t>{field["sep"][1].as_id()});
}

/// Decoding is not our work, but a decoder that is not known is a sign that the
/// file is of a kind that is not known.
void check_decoder(const JsonField& field) {
  if (!field.is_null() && field["type"].as_string() != "WordPiece") {
    fail_unknown(field, "decoder", "WordPiece");
  }
}

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
                                const Normalizer& normalizer) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> patterns;
  for (const AddedToken& token : all) {
    if (token.normalized != normalized) continue;
    std::string pattern = token.content;
    if (normalized) {
      pattern.clear();
      normalizer.normalize(token.content, pattern);
    }
    tokens.push_back(token);
    patterns.push_back(std::move(pattern));
  }
  return AddedTokens(std::move(tokens), patterns);
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
  auto normalizer = parse_normalizer(root.optional("normalizer"));
  auto pre_tokenizer = parse_pre_tokenizer(root.optional("pre_tokenizer"));
  auto post_processor = parse_post_processor(root.optional("post_processor"));
  auto model = parse_model(root["model"]);
  auto added = parse_added_tokens(root.optional("added_tokens"), model->vocabulary());
  auto raw_tokens = select_added_tokens(added, false, *normalizer);
  auto normalized_tokens = select_added_tokens(added, true, *normalizer);
  Pipeline pipeline{
      std::move(added),         std::move(raw_tokens),    std::move(normalized_tokens),
      std::move(normalizer),    std::move(pre_tokenizer), std::move(model),
      std::move(post_processor)};
  check_special_ids(pipeline, root.optional("post_processor"));
  return pipeline;
}

}  // namespace knowmap::text
