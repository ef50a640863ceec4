#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "text/parse.hpp"

namespace knowmap::text {

namespace {

constexpr int kMaxNesting = 8;

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

std::unique_ptr<const PostProcessor> parse_around(const JsonField& field, int nesting);

/// One post-processor after the other, each around what the one before it made.
std::unique_ptr<const PostProcessor> parse_sequence(const JsonField& field, int nesting) {
  if (nesting == kMaxNesting) field.fail("too many sequences in one another");
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
  const JsonField list = field["processors"];
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    const auto next = parse_around(list[i], nesting + 1);
    before.insert(before.begin(), next->before().begin(), next->before().end());
    after.insert(after.end(), next->after().begin(), next->after().end());
  }
  return std::make_unique<FixedPostProcessor>(std::move(before), std::move(after));
}

std::unique_ptr<const PostProcessor> parse_around(const JsonField& field, int nesting) {
  using Ids = std::vector<std::int32_t>;
  const std::string& type = field["type"].as_string();
  if (type == "Sequence") return parse_sequence(field, nesting);
  if (type == "TemplateProcessing") return parse_template(field);
  // ByteLevel moves offsets, of which we have none.
  if (type == "ByteLevel") return std::make_unique<FixedPostProcessor>(Ids{}, Ids{});
  if (type != "BertProcessing" && type != "RobertaProcessing") {
    fail_unknown(field, "post_processor",
                 "BertProcessing, ByteLevel, RobertaProcessing, Sequence and TemplateProcessing");
  }
  return std::make_unique<FixedPostProcessor>(Ids{field["cls"][1].as_id()},
                                              Ids{field["sep"][1].as_id()});
}

}  // namespace

void fail_unknown(const JsonField& field, std::string_view what, std::string_view known) {
  field["type"].fail("the " + std::string(what) + " \"" + field["type"].as_string() +
                     "\" is not known; knowmap reads " + std::string(known));
}

std::unique_ptr<const PostProcessor> parse_post_processor(const JsonField& field) {
  if (!field.is_null()) return parse_around(field, 0);
  return std::make_unique<FixedPostProcessor>(std::vector<std::int32_t>{},
                                              std::vector<std::int32_t>{});
}

void check_decoder(const JsonField& field) {
  constexpr const char* kKnown[] = {"BPEDecoder", "ByteFallback", "ByteLevel", "CTC",
                                    "Fuse",       "Metaspace",    "Replace",   "Sequence",
                                    "Strip",      "WordPiece"};
  if (field.is_null()) return;
  const std::string& type = field["type"].as_string();
  if (std::find(std::begin(kKnown), std::end(kKnown), type) == std::end(kKnown)) {
    fail_unknown(field, "decoder",
                 "BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace, Replace, Sequence, "
                 "Strip and WordPiece");
  }
}

}  // namespace knowmap::text
