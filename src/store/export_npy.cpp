#include <algorithm>
#include <vector>

#include "store/export.hpp"
#include "store/output_file.hpp"

namespace knowmap::store {
namespace {

// Version 1.0 of the format: a header that ends in a newline and fills a
// multiple of 64 bytes, so that the numbers lie aligned.
std::string npy_header(std::uint64_t rows, std::uint64_t columns) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) +
                     ", " + std::to_string(columns) + "), }";
  constexpr std::size_t kFixed = 10;  // magic, version, length
  text.append(63 - (kFixed + text.size()) % 64, ' ');
  text += '\n';
  std::string header = "\x93NUMPY";
  header += '\x01';
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace

void export_npy(std::uint64_t rows, std::uint64_t columns,
                const std::function<void(RowRange, float*)>& read,
                const std::filesystem::path& file) {
  const std::string header = npy_header(rows, columns);
  const std::uint64_t row_bytes = columns * sizeof(float);
  OutputFile out(file, header.size() + rows * row_bytes);
  out.put(header.data(), header.size(), 0);
  const std::uint64_t at_once =
      std::max<std::uint64_t>(1, kExportBytesAtOnce / std::max<std::uint64_t>(1, row_bytes));
  std::vector<float> part(std::min(at_once, rows) * columns);
  for (std::uint64_t begin = 0; begin < rows; begin += at_once) {
    const std::uint64_t end = std::min(rows, begin + at_once);
    read({begin, end}, part.data());
    out.put(part.data(), (end - begin) * row_bytes, header.size() + begin * row_bytes);
  }
  out.commit();
}

}  // namespace knowmap::store
