#include <stdexcept>
#include <string>

#include "knowmap/error.hpp"
#include "knowmap/pipeline.hpp"

namespace knowmap {

namespace {

class StoreRows final : public RowSource {
 public:
  explicit StoreRows(const CheckpointStore& store)
      : store_(store), rows_(store.rows_held()), cols_(store.dimension()) {
    const auto held = store.ranges();
    if (!held.empty() && held.back().end != rows_) {
      throw CheckpointError(store.folder().string() + " holds " + std::to_string(rows_) + " of " +
                            std::to_string(held.back().end) + " rows; embed the others first");
    }
  }
  std::size_t rows() const override { return rows_; }
  std::size_t cols() const override { return cols_; }
  bool is_resident() const override { return false; }
  void read(std::size_t begin, std::size_t end, float* out) const override {
    store_.read_rows({begin, end}, {out, end - begin, cols_});
  }

 private:
  const CheckpointStore& store_;
  std::size_t rows_;
  std::size_t cols_;
};

}  // namespace

std::unique_ptr<RowSource> rows_of(const CheckpointStore& store) {
  return std::make_unique<StoreRows>(store);
}

}  // namespace knowmap
