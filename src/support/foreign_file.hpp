#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace knowmap {

/// What often lies where a model's file belongs, told by its first bytes, with
/// the way out: "; it is …", or "" where nothing is known of it.
inline std::string foreign_file_hint(std::string_view bytes) {
  if (bytes.empty()) return "; it is empty: fetch it again";
  if (bytes.starts_with("version https://git-lfs")) {
    return "; it is a git-lfs pointer, which stands for the file: run 'git lfs pull', or fetch the "
           "file itself";
  }
  const auto is_nul = [&](std::size_t i) { return bytes[i] == '\0'; };
  const bool every_other = bytes.size() >= 4 && is_nul(0) != is_nul(1) && is_nul(0) == is_nul(2) &&
                           is_nul(1) == is_nul(3);
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF") || every_other) {
    return "; it looks like UTF-16: save it as UTF-8";
  }
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("\x80\x02")) {
    return "; it looks like a pickle of torch.save, which can run code when it is read: save the "
           "model as safetensors";
  }
  if (bytes.starts_with("\x1F\x8B")) return "; it is compressed by gzip: unpack it";
  if (bytes.starts_with("GGUF")) return "; it is a GGUF file: fetch the model's safetensors";
  const auto mark = bytes.find_first_not_of(" \t\r\n");
  if (mark != bytes.npos && bytes[mark] == '<') {
    return "; it is a page of HTML, as a browser saves it or a server sends it for an error: fetch "
           "the file itself";
  }
  return "";
}

}  // namespace knowmap
