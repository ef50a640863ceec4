// All pairs, by blocks of rows: a tile's products are taken by a matrix product
// that stays in the cache, and serve the rows of both its sides.
#include <algorithm>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "neighbors/kernels.hpp"
#include "neighbors/ranking.hpp"
#include "neighbors/rows.hpp"
#include "neighbors/search.hpp"
#include "neighbors/top_k.hpp"

namespace knowmap::neighbors {

namespace {

/// Prepared rows in panels, with their biases.
struct Packed {
  Packed(MatrixView<const float> data, const Scoring& scoring, Workers& workers,
         Monitor* monitor = nullptr)
      : rows(data.rows),
        dims(data.cols),
        panels((data.rows + kPanel - 1) / kPanel, kPanel * data.cols),
        bias(1, (data.rows + kPanel - 1) / kPanel * kPanel) {
    workers.run_ranges(
        data.rows, kPanel,
        [&](std::size_t begin, std::size_t end, int) {
          pack(
              scoring, end - begin, [&](std::size_t r) { return data.row(begin + r); },
              panels.row(begin / kPanel), bias.data() + begin);
        },
        monitor);
  }
  std::size_t blocks() const { return (rows + kBlock - 1) / kBlock; }
  std::size_t block_rows(std::size_t b) const { return std::min(kBlock, rows - b * kBlock); }
  std::size_t block_panels(std::size_t b) const { return (block_rows(b) + kPanel - 1) / kPanel; }
  const float* block(std::size_t b) const { return panels.data() + b * kBlock * dims; }

  std::size_t rows;
  std::size_t dims;
  Matrix panels;
  Matrix bias;
};

struct Scratch {
  Matrix tile{kBlock, kBlock};
  std::vector<std::uint16_t> hits = std::vector<std::uint16_t>(kBlock);
};

/// Ranks the candidates of rows [0, n) and writes the graph.
void finish(TopK& best, const Ranking& ranking, MatrixView<const float> queries, Monitor& monitor,
            KnnGraph& graph) {
  const std::size_t k = graph.n_neighbors();
  Ranking::Questions questions;
  questions.count = queries.rows;
  questions.queries = queries;
  questions.row = [](std::size_t q) { return q; };
  questions.candidates = [&](std::size_t q, std::vector<std::int32_t>& out) {
    out.resize(best.capacity());
    out.resize(best.take(q, out));
  };
  questions.answer = [&](std::size_t q) {
    return std::pair{std::span(graph.indices.row(q), k), std::span(graph.distances.row(q), k)};
  };
  ranking.answer(questions, &monitor);
}

Matrix read_all(const RowReader& rows, Workers& workers) {
  Matrix all(rows.rows, rows.cols);
  workers.run_ranges(rows.rows, kBlock, [&](std::size_t begin, std::size_t end, int) {
    std::vector<float> room;
    std::copy_n(rows.run(begin, end, room), (end - begin) * rows.cols, all.row(begin));
  });
  return all;
}

}  // namespace

KnnGraph exact_graph(const RowReader& rows, const KnnOptions& options, Workers& workers) {
  // All pairs want all rows in memory anyway.
  Matrix copy;
  if (!rows.is_direct()) copy = read_all(rows, workers);
  const MatrixView<const float> data = rows.is_direct() ? rows.view() : copy.view();
  const std::size_t n = data.rows;
  const std::size_t k = options.n_neighbors;
  KnnGraph graph{{n, k}, {n, k}};
  const Scoring scoring(data, options.metric, options.p, workers);
  const Packed packed(data, scoring, workers);
  const std::size_t blocks = packed.blocks();
  // Tiles by diagonals, so that those in hand at one time share few rows.
  std::vector<std::pair<std::size_t, std::size_t>> tiles;
  for (std::size_t apart = 0; apart < blocks; ++apart) {
    for (std::size_t i = 0; i + apart < blocks; ++i) tiles.emplace_back(i, i + apart);
  }
  Monitor monitor(options.progress, "neighbors", tiles.size() * kBlock, "rows");
  TopK best(n, std::min(with_margin(k), std::max<std::size_t>(n, 1)));
  std::vector<std::mutex> locks(blocks);
  std::vector<std::unique_ptr<Scratch>> scratch(static_cast<std::size_t>(workers.size()));
  const Kernels& kernel = kernels();
  workers.run(
      tiles.size(),
      [&](std::size_t item, int worker) {
        auto& mine = scratch[static_cast<std::size_t>(worker)];
        if (!mine) mine = std::make_unique<Scratch>();
        const auto [a, b] = tiles[item];
        const std::size_t columns = packed.block_rows(b);
        // A tenth of a block at a time: very wide rows must not delay a cancel.
        for (std::size_t p = 0; p < packed.block_panels(a) && !monitor.cancelled(); ++p) {
          scoring.tile(packed.block(a) + p * kPanel * packed.dims, 1, packed.block(b),
                       packed.block_panels(b), mine->tile.row(p * kPanel), kBlock);
        }
        if (monitor.cancelled()) return;
        const std::scoped_lock lock_a(locks[a]);
        for (std::size_t r = 0; r < packed.block_rows(a); ++r) {
          const std::size_t row = a * kBlock + r;
          const float* v = mine->tile.row(r);
          const float* bias = packed.bias.data() + b * kBlock;
          const std::size_t count =
              kernel.scan_row(v, bias, best.threshold(row), columns, mine->hits.data());
          for (std::size_t h = 0; h < count; ++h) {
            const std::size_t c = mine->hits[h];
            if (b * kBlock + c == row) continue;
            best.push(row, v[c] + bias[c], static_cast<std::int32_t>(b * kBlock + c));
          }
        }
        if (a != b) {
          const std::scoped_lock lock_b(locks[b]);
          for (std::size_t r = 0; r < packed.block_rows(a); ++r) {
            const std::size_t row = a * kBlock + r;
            const float* v = mine->tile.row(r);
            const float bias = packed.bias.data()[row];
            const std::size_t count = kernel.scan_column(v, bias, best.thresholds(b * kBlock),
                                                         columns, mine->hits.data());
            for (std::size_t h = 0; h < count; ++h) {
              const std::size_t c = mine->hits[h];
              best.push(b * kBlock + c, v[c] + bias, static_cast<std::int32_t>(row));
            }
          }
        }
        monitor.add(kBlock);
      },
      &monitor);
  finish(best, Ranking(data, options.metric, options.p, workers), data, monitor, graph);
  monitor.finish();
  return graph;
}

Searched::Searched(const RowReader& rows, Metric metric, double p, Workers& workers)
    : data(rows),
      scoring(rows, metric, p, workers),
      norms(all_norms(ExactDistance(metric, p, rows.cols), rows, workers)) {}

KnnGraph exact_query(const RowReader& data, MatrixView<const float> queries,
                     const KnnOptions& options, Workers& workers) {
  return exact_query(Searched(data, options.metric, options.p, workers), queries, options, workers);
}

KnnGraph exact_query(const Searched& searched, MatrixView<const float> queries,
                     const KnnOptions& options, Workers& workers) {
  const RowReader& data = searched.data;
  const Scoring& scoring = searched.scoring;
  const std::size_t k = options.n_neighbors;
  KnnGraph graph{{queries.rows, k}, {queries.rows, k}};
  const Packed packed(queries, scoring, workers);
  const std::size_t data_blocks = (data.rows + kBlock - 1) / kBlock;
  Monitor monitor(options.progress, "neighbors", data_blocks * kBlock, "rows");
  TopK best(queries.rows, std::min(with_margin(k), std::max<std::size_t>(data.rows, 1)));
  std::vector<std::mutex> locks(packed.blocks());
  std::vector<std::unique_ptr<Scratch>> scratch(static_cast<std::size_t>(workers.size()));
  const Kernels& kernel = kernels();
  // Data are packed block by block: a query or two must not cost a copy of all.
  workers.run(
      data_blocks,
      [&](std::size_t block, int worker) {
        auto& mine = scratch[static_cast<std::size_t>(worker)];
        if (!mine) mine = std::make_unique<Scratch>();
        const std::size_t begin = block * kBlock;
        const std::size_t count = std::min(kBlock, data.rows - begin);
        const std::size_t panels = (count + kPanel - 1) / kPanel;
        std::vector<float> room;
        const float* rows = data.run(begin, begin + count, room);
        Matrix block_panels(panels, kPanel * data.cols);
        std::vector<float> bias(panels * kPanel);
        pack(
            scoring, count, [&](std::size_t r) { return rows + r * data.cols; },
            block_panels.data(), bias.data());
        for (std::size_t q = 0; q < packed.blocks(); ++q) {
          if (monitor.cancelled()) return;
          scoring.tile(packed.block(q), packed.block_panels(q), block_panels.data(), panels,
                       mine->tile.data(), kBlock);
          const std::scoped_lock lock(locks[q]);
          for (std::size_t r = 0; r < packed.block_rows(q); ++r) {
            const std::size_t row = q * kBlock + r;
            const float* v = mine->tile.row(r);
            const std::size_t found =
                kernel.scan_row(v, bias.data(), best.threshold(row), count, mine->hits.data());
            for (std::size_t h = 0; h < found; ++h) {
              const std::size_t c = mine->hits[h];
              best.push(row, v[c] + bias[c], static_cast<std::int32_t>(begin + c));
            }
          }
        }
        monitor.add(kBlock);
      },
      &monitor);
  const Ranking ranking(data, options.metric, options.p, searched.norms, workers);
  finish(best, ranking, queries, monitor, graph);
  monitor.finish();
  return graph;
}

}  // namespace knowmap::neighbors
