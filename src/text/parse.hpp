#pragma once

#include <memory>
#include <vector>

#include "text/json_field.hpp"
#include "text/model.hpp"
#include "text/normalizer.hpp"
#include "text/pipeline.hpp"
#include "text/post_processor.hpp"

namespace knowmap::text {

/// The parts of a `tokenizer.json`; each throws `TokenizerError` that names what
/// is not known or malformed, and where it stands.
std::vector<std::unique_ptr<const Normalizer>> parse_normalizer(const JsonField& field);
std::vector<CuttingStep> parse_pre_tokenizer(const JsonField& field);
std::unique_ptr<const Model> parse_model(const JsonField& field);
std::unique_ptr<const PostProcessor> parse_post_processor(const JsonField& field);
/// Decoding is not our work, but a decoder that is not known is a sign that the
/// file is of a kind that is not known.
void check_decoder(const JsonField& field);

[[noreturn]] void fail_unknown(const JsonField& field, std::string_view what,
                               std::string_view known);

}  // namespace knowmap::text
