#include "text/pre_tokenizer.hpp"

namespace knowmap::text {

std::size_t WholePreTokenizer::split(std::string_view text, bool last,
                                     std::vector<Span>& words) const {
  if (!last) return 0;
  if (!text.empty()) words.push_back({0, text.size()});
  return text.size();
}

BertPreTokenizer::BertPreTokenizer() : properties_(properties()) {
  for (char32_t c = 0; c < ascii_.size(); ++c) {
    ascii_[c] = properties_[c] & (kWhitespace | kPunctuation);
  }
}

std::size_t BertPreTokenizer::split(std::string_view text, bool last,
                                    std::vector<Span>& words) const {
  const char* data = text.data();
  const std::size_t size = text.size();
  std::size_t word = 0;  // where the word that is being read began
  for (std::size_t i = 0; i < size;) {
    const auto byte = static_cast<std::uint8_t>(data[i]);
    std::uint8_t is = 0;
    std::size_t length = 1;
    if (byte < 0x80) {
      is = ascii_[byte];
    } else {
      const Decoded next = decode_utf8(data + i, data + size);
      is = properties_[next.c];
      length = next.length;
    }
    if (is & (kWhitespace | kPunctuation)) {
      if (word < i) words.push_back({word, i});
      if (!(is & kWhitespace)) words.push_back({i, i + length});
      word = i + length;
    }
    i += length;
  }
  if (!last) return word;
  if (word < size) words.push_back({word, size});
  return size;
}

}  // namespace knowmap::text
