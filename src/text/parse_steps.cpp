#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "text/bert_normalizer.hpp"
#include "text/parse.hpp"
#include "text/precompiled.hpp"
#include "text/regex.hpp"
#include "text/regex_replace.hpp"
#include "text/rewriters.hpp"
#include "text/split.hpp"
#include "text/unicode_normalizer.hpp"

namespace knowmap::text {

namespace {

using NormalizerPtr = std::unique_ptr<const Normalizer>;
using Normalizers = std::vector<NormalizerPtr>;
using Steps = std::vector<CuttingStep>;

// Sequences within sequences: real files have one.
constexpr int kMaxNesting = 8;

Regex parse_regex(const JsonField& field) {
  try {
    return Regex(field.as_string());
  } catch (const std::invalid_argument& error) {
    field.fail("the pattern " + field.as_string() + " can't be read: " + error.what());
  }
}

NormalizerPtr parse_bert(const JsonField& field) {
  BertNormalizerOptions options;
  options.clean_text = field["clean_text"].as_bool();
  options.handle_chinese_chars = field["handle_chinese_chars"].as_bool();
  options.lowercase = field["lowercase"].as_bool();
  const JsonField strip_accents = field.optional("strip_accents");
  options.strip_accents = strip_accents.is_null() ? options.lowercase : strip_accents.as_bool();
  return std::make_unique<BertNormalizer>(options);
}

NormalizerPtr parse_replace(const JsonField& field) {
  const JsonField pattern = field["pattern"];
  const std::string content = field["content"].as_string();
  if (pattern.has("String")) {
    const JsonField string = pattern["String"];
    if (string.as_string().empty()) string.fail("the pattern is empty");
    return std::make_unique<Replace>(string.as_string(), content);
  }
  return std::make_unique<RegexReplace>(parse_regex(pattern["Regex"]), content);
}

NormalizerPtr parse_precompiled(const JsonField& field) {
  const JsonField map = field["precompiled_charsmap"];
  if (map.is_null() || map.as_string().empty()) return nullptr;
  try {
    return std::make_unique<Precompiled>(decode_base64(map.as_string()));
  } catch (const std::invalid_argument& error) {
    map.fail(std::string("the character map can't be read: ") + error.what());
  }
}

NormalizerPtr parse_one_normalizer(const JsonField& field) {
  using Maker = NormalizerPtr (*)(const JsonField&);
  static const std::map<std::string, Maker> makers = {
      {"BertNormalizer", parse_bert},
      {"ByteLevel", [](auto&) -> NormalizerPtr { return std::make_unique<ByteLevel>(); }},
      {"Lowercase", [](auto&) -> NormalizerPtr { return std::make_unique<Lowercase>(); }},
      {"NFC",
       [](auto&) -> NormalizerPtr { return std::make_unique<UnicodeNormalizer>(NormalForm::nfc); }},
      {"NFD",
       [](auto&) -> NormalizerPtr { return std::make_unique<UnicodeNormalizer>(NormalForm::nfd); }},
      {"NFKC",
       [](auto&) -> NormalizerPtr {
         return std::make_unique<UnicodeNormalizer>(NormalForm::nfkc);
       }},
      {"NFKD",
       [](auto&) -> NormalizerPtr {
         return std::make_unique<UnicodeNormalizer>(NormalForm::nfkd);
       }},
      {"Nmt", [](auto&) -> NormalizerPtr { return std::make_unique<Nmt>(); }},
      {"Precompiled", parse_precompiled},
      {"Prepend",
       [](const JsonField& f) -> NormalizerPtr {
         return std::make_unique<Prepend>(f["prepend"].as_string());
       }},
      {"Replace", parse_replace},
      {"Strip",
       [](const JsonField& f) -> NormalizerPtr {
         return std::make_unique<Strip>(f["strip_left"].as_bool(), f["strip_right"].as_bool());
       }},
      {"StripAccents", [](auto&) -> NormalizerPtr { return std::make_unique<StripAccents>(); }},
  };
  const auto it = makers.find(field["type"].as_string());
  if (it == makers.end()) {
    fail_unknown(field, "normalizer",
                 "BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, "
                 "Prepend, Replace, Sequence, Strip and StripAccents");
  }
  return it->second(field);
}

void parse_normalizers(const JsonField& field, int nesting, Normalizers& out) {
  if (field["type"].as_string() != "Sequence") {
    if (NormalizerPtr made = parse_one_normalizer(field)) out.push_back(std::move(made));
    return;
  }
  if (nesting == kMaxNesting) field.fail("too many sequences in one another");
  const JsonField list = field["normalizers"];
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    parse_normalizers(list[i], nesting + 1, out);
  }
}

CuttingStep cut(std::unique_ptr<const PreTokenizer> pre_tokenizer) {
  return {nullptr, std::move(pre_tokenizer)};
}
CuttingStep rewrite(NormalizerPtr normalizer) { return {std::move(normalizer), nullptr}; }

SplitBehavior parse_behavior(const JsonField& field) {
  static const std::map<std::string, SplitBehavior> behaviors = {
      {"Removed", SplitBehavior::removed},
      {"Isolated", SplitBehavior::isolated},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next},
      {"Contiguous", SplitBehavior::contiguous}};
  const auto it = behaviors.find(field.as_string());
  if (it == behaviors.end()) field.fail("the behavior \"" + field.as_string() + "\" is not known");
  return it->second;
}

/// A single character, such as Metaspace's.
const std::string& parse_character(const JsonField& field) {
  const std::string& text = field.as_string();
  if (text.empty() || decode_utf8(text.data(), text.data() + text.size()).length != text.size()) {
    field.fail("\"" + text + "\" is not one character");
  }
  return text;
}

std::unique_ptr<const PreTokenizer> make_split(std::unique_ptr<const Pattern> pattern,
                                               SplitBehavior behavior, bool invert = false) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

void parse_split(const JsonField& field, Steps& out) {
  const JsonField pattern = field["pattern"];
  std::unique_ptr<const Pattern> made;
  if (pattern.has("String")) {
    const JsonField string = pattern["String"];
    if (string.as_string().empty()) string.fail("the pattern is empty");
    made = std::make_unique<StringPattern>(string.as_string());
  } else {
    made = std::make_unique<RegexPattern>(parse_regex(pattern["Regex"]));
  }
  out.push_back(cut(
      make_split(std::move(made), parse_behavior(field["behavior"]), field["invert"].as_bool())));
}

void parse_byte_level(const JsonField& field, Steps& out) {
  // GPT-2's pattern.
  constexpr const char* kWords =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  if (field["add_prefix_space"].as_bool()) out.push_back(rewrite(std::make_unique<PrefixSpace>()));
  const JsonField use_regex = field.optional("use_regex");
  if (use_regex.is_null() || use_regex.as_bool()) {
    out.push_back(
        cut(make_split(std::make_unique<RegexPattern>(Regex(kWords)), SplitBehavior::isolated)));
  }
  out.push_back(rewrite(std::make_unique<ByteLevel>()));
}

void parse_metaspace(const JsonField& field, Steps& out) {
  const std::string replacement = parse_character(field["replacement"]);
  PrependScheme scheme = PrependScheme::always;
  if (const JsonField name = field.optional("prepend_scheme"); !name.is_null()) {
    static const std::map<std::string, PrependScheme> schemes = {{"always", PrependScheme::always},
                                                                 {"first", PrependScheme::first},
                                                                 {"never", PrependScheme::never}};
    const auto it = schemes.find(name.as_string());
    if (it == schemes.end()) name.fail("the scheme \"" + name.as_string() + "\" is not known");
    scheme = it->second;
  }
  const JsonField prefix = field.optional("add_prefix_space");
  if (!prefix.is_null() && !prefix.as_bool()) scheme = PrependScheme::never;
  out.push_back(rewrite(std::make_unique<Metaspace>(replacement, scheme)));
  const JsonField split = field.optional("split");
  if (split.is_null() || split.as_bool()) {
    out.push_back(cut(
        make_split(std::make_unique<StringPattern>(replacement), SplitBehavior::merged_with_next)));
  }
}

void parse_steps(const JsonField& field, int nesting, Steps& out) {
  const std::string& type = field["type"].as_string();
  const auto by_property = [&](Property property, SplitBehavior behavior) {
    out.push_back(cut(make_split(std::make_unique<PropertyPattern>(property), behavior)));
  };
  if (type == "Sequence") {
    if (nesting == kMaxNesting) field.fail("too many sequences in one another");
    const JsonField list = field["pretokenizers"];
    for (std::size_t i = 0; i < list.as_array().size(); ++i) parse_steps(list[i], nesting + 1, out);
  } else if (type == "BertPreTokenizer") {
    out.push_back(cut(std::make_unique<BertPreTokenizer>()));
  } else if (type == "Whitespace") {
    out.push_back(cut(std::make_unique<WhitespacePreTokenizer>()));
  } else if (type == "WhitespaceSplit") {
    by_property(kWhitespace, SplitBehavior::removed);
  } else if (type == "Punctuation") {
    const JsonField behavior = field.optional("behavior");
    by_property(kPunctuation,
                behavior.is_null() ? SplitBehavior::isolated : parse_behavior(behavior));
  } else if (type == "Digits") {
    by_property(kNumeric, field["individual_digits"].as_bool() ? SplitBehavior::isolated
                                                               : SplitBehavior::contiguous);
  } else if (type == "CharDelimiterSplit") {
    out.push_back(
        cut(make_split(std::make_unique<StringPattern>(parse_character(field["delimiter"])),
                       SplitBehavior::removed)));
  } else if (type == "Split") {
    parse_split(field, out);
  } else if (type == "ByteLevel") {
    parse_byte_level(field, out);
  } else if (type == "Metaspace") {
    parse_metaspace(field, out);
  } else {
    fail_unknown(field, "pre_tokenizer",
                 "BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, Metaspace, Punctuation, "
                 "Sequence, Split, Whitespace and WhitespaceSplit");
  }
}

}  // namespace

Normalizers parse_normalizer(const JsonField& field) {
  Normalizers steps;
  if (!field.is_null()) parse_normalizers(field, 0, steps);
  const bool makes_utf8 = !steps.empty() && dynamic_cast<const BertNormalizer*>(steps[0].get());
  if (!makes_utf8) steps.insert(steps.begin(), std::make_unique<Utf8Normalizer>());
  return steps;
}

Steps parse_pre_tokenizer(const JsonField& field) {
  Steps steps;
  if (!field.is_null()) parse_steps(field, 0, steps);
  return steps;
}

}  // namespace knowmap::text
