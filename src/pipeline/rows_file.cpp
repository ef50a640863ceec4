#include "pipeline/rows_file.hpp"

namespace knowmap {

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

Matrix read_rows(store::Shard& shard) {
  const auto found = shard.arrays().find("data");
  if (found == shard.arrays().end() || found->second.element != store::Element::float32 ||
      found->second.shape.size() != 2) {
    shard.throw_damaged("it has no rows");
  }
  Matrix rows(found->second.shape[0], found->second.shape[1]);
  if (rows.size() * sizeof(float) != found->second.bytes) shard.throw_damaged("its rows' shape");
  const store::Shard::Part part{found->second.offset, found->second.bytes, rows.data()};
  shard.read({&part, 1});
  return rows;
}

}  // namespace knowmap
