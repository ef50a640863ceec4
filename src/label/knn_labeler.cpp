#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "knowmap/labeler.hpp"

namespace knowmap {

namespace {

void check_rows(MatrixView<const float> rows, std::string_view what) {
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const float* row = rows.row(i);
    for (std::size_t j = 0; j < rows.cols; ++j) {
      if (!std::isfinite(row[j])) {
        throw std::invalid_argument(std::string(what) + " row " + std::to_string(i) +
                                    " holds NaN or infinity");
      }
    }
  }
}

}  // namespace

struct KnnLabeler::Impl {
  KnnLabelerOptions options;
  Matrix data;                        // the labelled rows only
  std::vector<std::int32_t> classes;  // of the rows of `data`
  std::vector<std::int32_t> numbers;  // of the rows of `data`, as given to `fit`
  std::size_t n_classes = 0;

  void check(MatrixView<const float> rows) const {
    if (data.empty()) {
      throw std::invalid_argument("the labeler is not fitted: call fit(data, classes) first");
    }
    if (rows.cols != data.cols()) {
      throw std::invalid_argument("rows have " + std::to_string(rows.cols) +
                                  " columns, but the labeler was fitted on " +
                                  std::to_string(data.cols()));
    }
  }

  /// Rows voted on at a time, so that memory does not grow with rows × classes.
  std::size_t block_rows() const {
    constexpr std::size_t kNumbers = std::size_t{1} << 24;
    return std::clamp<std::size_t>(kNumbers / std::max<std::size_t>(n_classes, 1), 256, 65536);
  }

  /// The voters of rows [begin, end) as numbers of `data`; progress is told as
  /// of the whole call.
  KnnGraph query(MatrixView<const float> rows, std::size_t begin, std::size_t end) const {
    KnnOptions knn;
    knn.n_neighbors = std::min(options.n_neighbors, data.rows());
    knn.metric = options.metric;
    knn.threads = options.threads;
    if (options.progress) {
      knn.progress = [&, begin, end](const Progress& part) {
        const std::uint64_t of = std::max<std::uint64_t>(part.total, 1);
        const std::uint64_t done = std::min(part.done, of) * (end - begin) / of;
        return options.progress({"label", begin + done, rows.rows, "rows"});
      };
    }
    return knn_query(data, rows.slice(begin, end), knn);
  }

  template <class Use>
  void for_blocks(MatrixView<const float> rows, const Use& use) const {
    check(rows);
    const std::size_t step = block_rows();
    for (std::size_t begin = 0; begin < rows.rows; begin += step) {
      const std::size_t end = std::min(rows.rows, begin + step);
      use(begin, end, query(rows, begin, end));
    }
  }
};

KnnLabeler::KnnLabeler(KnnLabelerOptions options) : impl_(std::make_unique<Impl>()) {
  if (options.n_neighbors == 0) {
    throw std::invalid_argument("n_neighbors must be at least 1, not 0");
  }
  if (!(options.min_confidence >= 0.0f && options.min_confidence <= 1.0f)) {
    throw std::invalid_argument("min_confidence must be from 0 to 1, not " +
                                std::to_string(options.min_confidence));
  }
  impl_->options = std::move(options);
}

KnnLabeler::KnnLabeler(KnnLabeler&&) noexcept = default;
KnnLabeler& KnnLabeler::operator=(KnnLabeler&&) noexcept = default;
KnnLabeler::~KnnLabeler() = default;

void KnnLabeler::fit(MatrixView<const float> data, std::span<const std::int32_t> classes) {
  if (data.rows != classes.size()) {
    throw std::invalid_argument("data has " + std::to_string(data.rows) + " rows, but there are " +
                                std::to_string(classes.size()) + " classes");
  }
  if (data.cols == 0) throw std::invalid_argument("data has no columns");
  if (data.rows > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw std::invalid_argument("data has " + std::to_string(data.rows) + " rows, more than 2^31");
  }
  check_rows(data, "data");
  std::size_t labelled = 0;
  std::int32_t last_class = -1;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] < -1) {
      throw std::invalid_argument("class " + std::to_string(classes[i]) + " of row " +
                                  std::to_string(i) + ": classes are 0 and up, -1 if unknown");
    }
    labelled += classes[i] >= 0;
    last_class = std::max(last_class, classes[i]);
  }
  if (labelled == 0) {
    throw std::invalid_argument("no row is labelled: every class is -1, so nobody can vote");
  }
  // Built aside, so that a failure leaves an earlier fit as it was.
  Matrix kept(labelled, data.cols);
  std::vector<std::int32_t> kept_classes;
  std::vector<std::int32_t> numbers;
  kept_classes.reserve(labelled);
  numbers.reserve(labelled);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] < 0) continue;
    std::copy_n(data.row(i), data.cols, kept.row(numbers.size()));
    numbers.push_back(static_cast<std::int32_t>(i));
    kept_classes.push_back(classes[i]);
  }
  impl_->data = std::move(kept);
  impl_->classes = std::move(kept_classes);
  impl_->numbers = std::move(numbers);
  impl_->n_classes = static_cast<std::size_t>(last_class) + 1;
}

LabelPrediction KnnLabeler::predict(MatrixView<const float> rows) const {
  LabelPrediction all;
  impl_->check(rows);
  all.labels.reserve(rows.rows);
  all.confidence.reserve(rows.rows);
  all.margin.reserve(rows.rows);
  impl_->for_blocks(rows, [&](std::size_t, std::size_t, const KnnGraph& graph) {
    const Matrix shares =
        knowmap::vote(graph, impl_->classes, impl_->n_classes, impl_->options.weights);
    const LabelPrediction part = decide_labels(shares, impl_->options.min_confidence);
    all.labels.insert(all.labels.end(), part.labels.begin(), part.labels.end());
    all.confidence.insert(all.confidence.end(), part.confidence.begin(), part.confidence.end());
    all.margin.insert(all.margin.end(), part.margin.begin(), part.margin.end());
  });
  return all;
}

Matrix KnnLabeler::predict_proba(MatrixView<const float> rows) const {
  impl_->check(rows);
  Matrix shares(rows.rows, impl_->n_classes);
  impl_->for_blocks(rows, [&](std::size_t begin, std::size_t, const KnnGraph& graph) {
    const Matrix part =
        knowmap::vote(graph, impl_->classes, impl_->n_classes, impl_->options.weights);
    std::copy_n(part.data(), part.size(), shares.row(begin));
  });
  return shares;
}

KnnGraph KnnLabeler::voters(MatrixView<const float> rows) const {
  impl_->check(rows);
  const std::size_t k = std::min(impl_->options.n_neighbors, impl_->data.rows());
  KnnGraph all;
  all.indices = BasicMatrix<std::int32_t>(rows.rows, k);
  all.distances = Matrix(rows.rows, k);
  impl_->for_blocks(rows, [&](std::size_t begin, std::size_t, const KnnGraph& graph) {
    for (std::size_t i = 0; i < graph.indices.size(); ++i) {
      const std::int32_t voter = graph.indices.data()[i];
      all.indices.row(begin)[i] = voter < 0 ? -1 : impl_->numbers[voter];
    }
    std::copy_n(graph.distances.data(), graph.distances.size(), all.distances.row(begin));
  });
  return all;
}

std::size_t KnnLabeler::n_classes() const { return impl_->n_classes; }

}  // namespace knowmap
