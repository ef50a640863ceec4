#include "text/pre_tokenizer.hpp"

namespace knowmap::text {

BertPreTokenizer::BertPreTokenizer() : properties_(properties()) {
  for (char32_t c = 0; c < ascii_.size(); ++c) {
    ascii_[c] = properties_[c] & std::uint16_t{kWhitespace | kPunctuation};
  }
}

std::size_t BertPreTokenizer::split(std::string_view text, bool last,
                                    std::vector<Span>& words) const {
  const char* data = text.data();
  const std::size_t size = text.size();
  std::size_t word = 0;  // where the word that is being read began
  for (std::size_t i = 0; i < size;) {
    const auto byte = static_cast<std::uint8_t>(data[i]);
    std::uint16_t is = 0;
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

std::size_t WhitespacePreTokenizer::split(std::string_view text, bool last,
                                          std::vector<Span>& words) const {
  const Properties& property = properties();
  const char* end = text.data() + text.size();
  std::size_t word = 0;
  std::uint16_t kind = kWhitespace;  // of what is being read: kWord, kWhitespace, or 0
  for (std::size_t i = 0; i < text.size();) {
    const Decoded next = decode_utf8(text.data() + i, end);
    const std::uint16_t is = property[next.c];
    const std::uint16_t now = (is & kWord) ? kWord : is & kWhitespace;
    if (now != kind) {
      if (kind != kWhitespace) words.push_back({word, i});
      word = i;
      kind = now;
    }
    i += next.length;
  }
  if (!last) return word;
  if (kind != kWhitespace && word < text.size()) words.push_back({word, text.size()});
  return text.size();
}

}  // namespace knowmap::text
