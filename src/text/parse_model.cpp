#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "text/bpe.hpp"
#include "text/parse.hpp"
#include "text/unigram.hpp"

namespace knowmap::text {

namespace {

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

std::unique_ptr<const Model> parse_word_level(const JsonField& field) {
  const std::string& unk_token = field["unk_token"].as_string();
  return std::make_unique<WordLevel>(Vocabulary(parse_vocabulary(field["vocab"])), unk_token);
}

std::string optional_string(const JsonField& field) {
  return field.is_null() ? std::string() : field.as_string();
}

bool optional_bool(const JsonField& field) { return !field.is_null() && field.as_bool(); }

/// The two tokens of a merge, "a b" or ["a", "b"]; false for a file's first
/// line, which early files kept.
bool parse_pair(const JsonField& field, std::string& left, std::string& right) {
  if (field.is_string()) {
    const std::string& line = field.as_string();
    if (line.starts_with("#version")) return false;
    const std::size_t blank = line.find(' ');
    if (blank == line.npos || line.find(' ', blank + 1) != line.npos) {
      field.fail("\"" + line + "\" is not two tokens with a blank between them");
    }
    left = line.substr(0, blank);
    right = line.substr(blank + 1);
    return true;
  }
  if (field.as_array().size() != 2) field.fail("expected two tokens");
  left = field[std::size_t{0}].as_string();
  right = field[1].as_string();
  return true;
}

std::vector<Bpe::Merge> parse_merges(const JsonField& list, const Vocabulary& vocabulary,
                                     std::size_t prefix) {
  std::vector<Bpe::Merge> merges;
  merges.reserve(list.as_array().size());
  std::string left;
  std::string right;
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    if (!parse_pair(list[i], left, right)) continue;
    const auto id = [&](const std::string& token) {
      const std::int32_t found = vocabulary.id(token);
      if (found < 0) list[i].fail("the token \"" + token + "\" is not in the vocabulary");
      return found;
    };
    const std::int32_t a = id(left);
    const std::int32_t b = id(right);
    if (right.size() < prefix) list[i].fail("\"" + right + "\" is shorter than the prefix");
    merges.push_back({a, b, id(left + right.substr(prefix))});
  }
  return merges;
}

std::unique_ptr<const Model> parse_bpe(const JsonField& field) {
  const JsonField dropout = field.optional("dropout");
  if (!dropout.is_null() && dropout.as_number() != 0) {
    dropout.fail("merges dropped at random give other ids each time; set it to null");
  }
  BpeOptions options;
  const JsonField unk_token = field.optional("unk_token");
  if (!unk_token.is_null()) options.unk_token = unk_token.as_string();
  options.continuing_subword_prefix = optional_string(field.optional("continuing_subword_prefix"));
  options.end_of_word_suffix = optional_string(field.optional("end_of_word_suffix"));
  options.fuse_unk = optional_bool(field.optional("fuse_unk"));
  options.byte_fallback = optional_bool(field.optional("byte_fallback"));
  options.ignore_merges = optional_bool(field.optional("ignore_merges"));
  Vocabulary vocabulary(parse_vocabulary(field["vocab"]));
  const auto merges =
      parse_merges(field["merges"], vocabulary, options.continuing_subword_prefix.size());
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
}

/// A score as `tokenizers` reads it: its digits as a whole number, divided by a
/// power of ten, which rounds twice. Ties between ways to cut a word hang on it.
/// The digits are the fewest that tell a number from its neighbours, which is
/// how every writer of such files puts them.
double read_twice_rounded(double exact) {
  std::array<char, 64> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), std::abs(exact),
                                          std::chars_format::scientific);
  std::uint64_t digits = 0;
  int exponent = 0;
  bool after_point = false;
  const char* p = text.data();
  for (; p < end && *p != 'e'; ++p) {
    if (*p == '.') {
      after_point = true;
      continue;
    }
    digits = digits * 10 + static_cast<std::uint64_t>(*p - '0');
    exponent -= after_point;
  }
  int written = 0;
  if (p < end) std::from_chars(p + 1 + (p[1] == '+'), end, written);
  exponent += written;
  const auto whole = static_cast<double>(digits);
  if (error != std::errc() || exponent < -300 || exponent > 300) return exact;
  const double power = std::pow(10.0, std::abs(exponent));
  return std::copysign(exponent < 0 ? whole / power : whole * power, exact);
}

std::unique_ptr<const Model> parse_unigram(const JsonField& field) {
  const JsonField list = field["vocab"];
  std::vector<std::pair<std::string, double>> tokens;
  tokens.reserve(list.as_array().size());
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    const JsonField item = list[i];
    if (item.as_array().size() != 2) item.fail("expected a token and its score");
    tokens.emplace_back(item[std::size_t{0}].as_string(), read_twice_rounded(item[1].as_number()));
  }
  if (tokens.empty()) list.fail("there are no tokens");
  std::optional<std::int32_t> unknown;
  const JsonField unk_id = field.optional("unk_id");
  if (!unk_id.is_null()) {
    unknown = unk_id.as_id();
    if (static_cast<std::size_t>(*unknown) >= tokens.size()) {
      unk_id.fail("the id " + std::to_string(*unknown) + " is not one of the " +
                  std::to_string(tokens.size()) + " tokens");
    }
  }
  return std::make_unique<Unigram>(tokens, unknown, optional_bool(field.optional("byte_fallback")));
}

/// Early files don't name the type; their fields give it away.
std::string model_type(const JsonField& field) {
  if (field.has("type")) return field["type"].as_string();
  if (field.has("merges")) return "BPE";
  if (field.has("max_input_chars_per_word")) return "WordPiece";
  if (field.has("unk_id")) return "Unigram";
  return field["type"].as_string();
}

}  // namespace

std::unique_ptr<const Model> parse_model(const JsonField& field) {
  const std::string type = model_type(field);
  if (type == "WordPiece") return parse_word_piece(field);
  if (type == "BPE") return parse_bpe(field);
  if (type == "Unigram") return parse_unigram(field);
  if (type == "WordLevel") return parse_word_level(field);
  fail_unknown(field, "model", "BPE, Unigram, WordLevel and WordPiece");
}

}  // namespace knowmap::text
