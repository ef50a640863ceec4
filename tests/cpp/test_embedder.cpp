#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "knowmap/embedder.hpp"
#include "knowmap/error.hpp"
#include "support/parallel.hpp"
#include "tiny_model.hpp"

namespace knowmap {
namespace {

using testing::TemporaryFolder;
using testing::TinyBert;

/// Stands before libtorch's CPU allocator and fails when it is told to.
class FailingAllocator final : public c10::Allocator {
 public:
  FailingAllocator() : real_(c10::GetDefaultCPUAllocator()) {}

  c10::DataPtr allocate(std::size_t n) override {
    const std::int64_t number = count_++;
    if (fail_ && fail_(number)) throw_failure(kind_ < 0 ? number % kKinds : kind_);
    return real_->allocate(n);
  }
  c10::DeleterFnPtr raw_deleter() const override { return real_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t n) const override {
    std::memcpy(to, from, n);
  }

  /// Ways in which allocations fail, on all devices that there are.
  static constexpr std::int64_t kKinds = 8;
  static constexpr std::int64_t kKernel = 5;

  /// Allocations numbered from 0 anew; those for which `fail` says so fail, in one
  /// way or (-1) in each by turns.
  void arm(std::function<bool(std::int64_t)> fail, std::int64_t kind = -1) {
    fail_ = nullptr;
    kind_ = kind;
    count_ = 0;
    failures_ = 0;
    fail_ = std::move(fail);
  }
  std::int64_t count() const { return count_; }
  std::int64_t failures() const { return failures_; }

 private:
  [[noreturn]] void throw_failure(std::int64_t kind) {
    ++failures_;
    switch (kind) {
      case 0:
        throw std::bad_alloc();
      case 1:
        throw std::runtime_error("[enforce fail] DefaultCPUAllocator: can't allocate memory");
      case 2:
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 2.00 GiB");
      case 3:
        throw std::runtime_error("MPS backend out of memory (MPS allocated: 8.00 GB)");
      case 4:
        throw std::runtime_error(
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate");
      case kKernel:
        throw std::runtime_error("could not create a primitive");
      case 6:
        throw std::runtime_error("DefaultCPUAllocator: not enough memory: you tried to allocate");
      default:
        throw std::runtime_error("Invalid buffer size: 64.00 GiB");
    }
  }

  c10::Allocator* real_;
  std::atomic<std::int64_t> count_{0};
  std::atomic<std::int64_t> failures_{0};
  std::function<bool(std::int64_t)> fail_;
  std::int64_t kind_ = -1;
};

FailingAllocator& allocator() {
  static FailingAllocator* instance = [] {
    auto* made = new FailingAllocator();
    c10::SetCPUAllocator(made, 100);
    return made;
  }();
  return *instance;
}

std::vector<std::string> sample_texts() {
  std::vector<std::string> texts{"", "a", "zzz b", "A, b! c?"};
  for (int i = 1; i < 40; ++i) {
    std::string text;
    for (int j = 0; j < i * 3 % 71; ++j)
      text += std::string(1, static_cast<char>('a' + (i + j) % 5)) + " ";
    texts.push_back(text);
  }
  return texts;
}

bool equal(const Matrix& a, const Matrix& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class EmbedderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    allocator().arm(nullptr);
    TinyBert().write(folder_.path());
    owned_ = sample_texts();
    texts_.assign(owned_.begin(), owned_.end());
  }
  void TearDown() override { allocator().arm(nullptr); }

  Embedder load(std::size_t batch_tokens = 0, int threads = 2,
                Precision precision = Precision::float32) const {
    EmbedderOptions options;
    options.device = "cpu";
    options.precision = precision;
    options.batch_tokens = batch_tokens;
    options.threads = threads;
    return Embedder::load(folder_.path(), options);
  }

  TemporaryFolder folder_;
  std::vector<std::string> owned_;
  std::vector<std::string_view> texts_;
};

TEST_F(EmbedderTest, RowsComeInTheCallersOrderWithLengthOne) {
  Embedder embedder = load();
  const Matrix rows = embedder.encode(texts_);
  ASSERT_EQ(rows.rows(), texts_.size());
  ASSERT_EQ(rows.cols(), 20u);
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    double squares = 0;
    for (std::size_t j = 0; j < rows.cols(); ++j) squares += double(rows(i, j)) * rows(i, j);
    EXPECT_NEAR(squares, 1.0, 1e-5);
    const Matrix alone = embedder.encode(std::span(texts_).subspan(i, 1));
    EXPECT_EQ(std::memcmp(alone.data(), rows.row(i), rows.cols() * sizeof(float)), 0) << i;
  }
  EXPECT_EQ(embedder.report().texts, 1u);
}

TEST_F(EmbedderTest, BytesDependNeitherOnThreadsNorOnTheBudget) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16, Precision::int8}) {
    const Matrix rows = load(512, 1, precision).encode(texts_);
    for (const int threads : {2, 3, 4, 7}) {
      Embedder embedder = load(100, threads, precision);
      EXPECT_TRUE(equal(rows, embedder.encode(texts_)));
      // Fewer texts than threads: they are divided.
      for (std::size_t i = 0; i < texts_.size(); ++i) {
        const Matrix alone = embedder.encode(std::span(texts_).subspan(i, 1));
        ASSERT_EQ(std::memcmp(alone.data(), rows.row(i), rows.cols() * sizeof(float)), 0) << i;
      }
    }
  }
}

TEST_F(EmbedderTest, TheReportCountsWhatWasDone) {
  Embedder embedder = load(64);
  embedder.encode(texts_);
  const EmbedReport& report = embedder.report();
  std::uint64_t tokens = 0;
  for (const auto& ids : embedder.tokenize(texts_)) {
    tokens += ids.size();
    EXPECT_LE(ids.size(), 64u);
    EXPECT_EQ(ids.front(), 2);
    EXPECT_EQ(ids.back(), 3);
  }
  EXPECT_EQ(report.tokens, tokens);
  EXPECT_EQ(report.texts, texts_.size());
  EXPECT_GE(report.batches, tokens / 64);
  EXPECT_EQ(report.backoffs, 0u);
  EXPECT_GT(report.peak_bytes, 0u);
  EXPECT_EQ(report.device, "cpu");
  EXPECT_EQ(report.precision, "float32");
}

TEST_F(EmbedderTest, AFailureAtAnyAllocationLeavesTheSameRows) {
  Embedder embedder = load(256);
  const Matrix expected = embedder.encode(texts_);
  allocator().arm([](std::int64_t) { return false; });
  embedder.encode(texts_);
  const std::int64_t allocations = allocator().count();
  ASSERT_GT(allocations, 50);
  std::int64_t failed = 0;
  for (std::int64_t i = 0; i < allocations * FailingAllocator::kKinds; ++i) {
    const std::int64_t at = i / FailingAllocator::kKinds;
    allocator().arm([at](std::int64_t n) { return n == at; }, i % FailingAllocator::kKinds);
    const Matrix rows = embedder.encode(texts_);
    const std::int64_t failures = allocator().failures();
    allocator().arm(nullptr);
    ASSERT_TRUE(equal(expected, rows)) << "allocation " << at;
    // How many there are depends on how many threads help at the time. A kernel that
    // can't be made is done without.
    const bool kernel = i % FailingAllocator::kKinds == FailingAllocator::kKernel;
    ASSERT_LE(embedder.report().backoffs, static_cast<std::uint64_t>(failures))
        << "allocation " << at;
    if (!kernel) {
      ASSERT_EQ(embedder.report().backoffs, static_cast<std::uint64_t>(failures))
          << "allocation " << at;
    }
    failed += failures;
  }
  EXPECT_GT(failed, allocations * FailingAllocator::kKinds * 3 / 4);
}

TEST_F(EmbedderTest, BurstsOfFailuresAreSurvived) {
  Embedder embedder = load(256);
  const Matrix expected = embedder.encode(texts_);
  for (const std::int64_t first : {0, 7, 40}) {
    for (const std::int64_t length : {2, 3}) {
      allocator().arm([=](std::int64_t n) { return n >= first && n < first + length; });
      const Matrix rows = embedder.encode(texts_);
      EXPECT_TRUE(equal(expected, rows));
      // Threads that share a batch fail together.
      EXPECT_GE(embedder.report().backoffs, 1u);
      EXPECT_LE(embedder.report().backoffs, static_cast<std::uint64_t>(length));
    }
  }
  // Failures to the end, so close to one another that whole batches rarely pass.
  allocator().arm([](std::int64_t n) { return n % 31 == 30; });
  EXPECT_TRUE(equal(expected, embedder.encode(texts_)));
  EXPECT_GT(allocator().failures(), 2);
}

TEST_F(EmbedderTest, RunsGiveTheRowsOfAllTexts) {
  Embedder embedder = load();
  const Matrix expected = embedder.encode(texts_);
  const std::vector<std::pair<std::size_t, std::size_t>> runs{{0, 5}, {5, 5}, {30, 43}, {5, 6}};
  std::vector<std::size_t> taken;
  embedder.encode_runs(texts_, runs, [&](std::size_t i, Matrix rows) {
    const auto [begin, end] = runs[i];
    ASSERT_EQ(rows.rows(), end - begin);
    EXPECT_EQ(embedder.report().texts, end - begin);
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      EXPECT_EQ(
          std::memcmp(rows.data() + row * rows.cols(),
                      expected.data() + (begin + row) * rows.cols(), rows.cols() * sizeof(float)),
          0);
    }
    taken.push_back(i);
  });
  EXPECT_EQ(taken, (std::vector<std::size_t>{0, 1, 2, 3}));
}

TEST_F(EmbedderTest, ARunOfSeveralUnitsIsOneRun) {
  // Enough for more than one unit of 65,536 tokens.
  std::string text;
  for (int j = 0; j < 120; ++j) text += std::string(1, static_cast<char>('a' + j % 5)) + " b ";
  const std::vector<std::string_view> many(1500, text);
  Embedder embedder = load();
  const Matrix expected = embedder.encode(std::vector<std::string_view>{text});
  const std::vector<std::pair<std::size_t, std::size_t>> runs{{0, 1400}, {1400, 1500}};
  std::uint64_t done = 0;
  std::vector<std::uint64_t> totals;
  embedder.encode_runs(
      many, runs,
      [&](std::size_t i, const Matrix& rows) {
        EXPECT_EQ(done, runs[i].second - runs[i].first);
        for (const std::size_t row : {std::size_t{0}, rows.rows() / 2, rows.rows() - 1}) {
          EXPECT_EQ(std::memcmp(rows.data() + row * rows.cols(), expected.data(),
                                rows.cols() * sizeof(float)),
                    0);
        }
      },
      [&](const Progress& progress) {
        done = progress.done;
        totals.push_back(progress.total);
        return true;
      });
  EXPECT_EQ(totals.front(), 1400u);
  EXPECT_EQ(totals.back(), 100u);
}

TEST_F(EmbedderTest, APromptIsPutBeforeEveryText) {
  Embedder embedder = load();
  std::vector<std::string> prompted;
  for (const std::string_view text : texts_) prompted.push_back("c d " + std::string(text));
  const std::vector<std::string_view> views(prompted.begin(), prompted.end());
  const Matrix expected = embedder.encode(views);
  EncodeOptions options;
  options.prompt = "c d ";
  embedder.set_encode_options(options);
  EXPECT_TRUE(equal(embedder.encode(texts_), expected));
}

TEST_F(EmbedderTest, RunsEndWhereTheirTakerFails) {
  Embedder embedder = load();
  const std::vector<std::pair<std::size_t, std::size_t>> runs{{0, 5}, {5, 10}, {10, 15}};
  int taken = 0;
  const auto take = [&](std::size_t i, const Matrix&) {
    ++taken;
    if (i == 1) throw std::runtime_error("disk full");
  };
  EXPECT_THROW(embedder.encode_runs(texts_, runs, take), std::runtime_error);
  EXPECT_EQ(taken, 2);
  const std::vector<std::pair<std::size_t, std::size_t>> beyond{{40, texts_.size() + 1}};
  EXPECT_THROW(embedder.encode_runs(texts_, beyond, take), std::invalid_argument);
}

TEST_F(EmbedderTest, NoMemoryAtAllIsOneClearError) {
  Embedder embedder = load();
  allocator().arm([](std::int64_t) { return true; });
  EXPECT_THROW(embedder.encode(texts_), OutOfMemoryError);
  allocator().arm(nullptr);
  EXPECT_NO_THROW(embedder.encode(texts_));
}

TEST_F(EmbedderTest, AMemoryLimitShrinksThePlan) {
  EmbedderOptions options;
  options.device = "cpu";
  options.memory_limit = 1;
  Embedder small = Embedder::load(folder_.path(), options);
  EXPECT_TRUE(equal(small.encode(texts_), load(0, 2, small.precision()).encode(texts_)));
  EXPECT_EQ(small.report().batch_tokens_planned, 64u);
}

TEST_F(EmbedderTest, LayerByLayerGivesTheSameBytesInTheLeastMemory) {
  EmbedderOptions options;
  options.device = "cpu";
  options.precision = Precision::float32;
  options.batch_tokens = 256;
  options.residency = Residency::streamed;
  Embedder streamed = Embedder::load(folder_.path(), options);
  const Matrix expected = load(256).encode(texts_);
  EXPECT_TRUE(equal(expected, streamed.encode(texts_)));
  EXPECT_TRUE(streamed.report().streamed);
  const EmbedPlan widest = streamed.plan();
  EXPECT_TRUE(widest.streamed);
  const EmbedPlan plan = streamed.plan(texts_);
  EXPECT_TRUE(plan.streamed);
  EXPECT_LT(plan.activations, widest.activations) << "what these texts need, not any";
  EXPECT_EQ(plan.peak,
            plan.held + plan.activations + plan.workspace + plan.lasting + 2 * plan.layer);
  EXPECT_GE(plan.lasting, expected.size() * sizeof(float)) << "rows are given back";
  EXPECT_GE(streamed.report().planned_peak_bytes, plan.peak - plan.held);

  // As an allocation of the run fails, whichever it is, reading a layer included.
  allocator().arm([](std::int64_t) { return false; });
  streamed.encode(texts_);
  const std::int64_t allocations = allocator().count();
  ASSERT_GT(allocations, 50);
  for (std::int64_t at = 0; at < allocations; ++at) {
    allocator().arm([at](std::int64_t n) { return n == at; });
    const Matrix rows = streamed.encode(texts_);
    allocator().arm(nullptr);
    ASSERT_TRUE(equal(expected, rows)) << "allocation " << at;
  }
  allocator().arm([](std::int64_t) { return true; });
  EXPECT_THROW(streamed.encode(texts_), OutOfMemoryError);
  allocator().arm(nullptr);
  EXPECT_TRUE(equal(expected, streamed.encode(texts_)));
  EXPECT_THROW(streamed.encode(texts_, [](const Progress&) { return false; }), CancelledError);
}

EncodeOptions encode_options(std::optional<std::string> prompt, const std::string& prompt_name,
                             std::size_t truncate_dim = 0, bool normalize = false) {
  EncodeOptions options;
  options.prompt = std::move(prompt);
  options.prompt_name = prompt_name;
  options.truncate_dim = truncate_dim;
  options.normalize = normalize;
  return options;
}

TEST_F(EmbedderTest, PromptsComeBeforeTextsAndVectorsAreCut) {
  testing::write_file(folder_ / "config_sentence_transformers.json",
                      R"({"prompts":{"query":"b c ","none":""},"default_prompt_name":null})");
  Embedder embedder = load();
  const std::vector<std::string_view> texts{"a d", "e"};
  const std::vector<std::string_view> prompted{"b c a d", "b c e"};
  const Matrix expected = embedder.encode(prompted);
  const Fingerprint plain = embedder.fingerprint();

  embedder.set_encode_options(encode_options({}, "query"));
  EXPECT_TRUE(equal(expected, embedder.encode(texts)));
  EXPECT_NE(embedder.fingerprint(), plain);
  embedder.set_encode_options(encode_options("b c ", ""));
  EXPECT_TRUE(equal(expected, embedder.encode(texts)));

  embedder.set_encode_options(encode_options("b c ", "", 7, true));
  ASSERT_EQ(embedder.dimension(), 7U);
  const Matrix cut = embedder.encode(texts);
  double square = 0;
  for (std::size_t j = 0; j < 7; ++j) square += double(expected(0, j)) * expected(0, j);
  for (std::size_t j = 0; j < 7; ++j) {
    EXPECT_NEAR(cut(0, j), expected(0, j) / std::sqrt(square), 1e-6);
  }
  EXPECT_THROW(embedder.set_encode_options(encode_options({}, "passage")), std::invalid_argument);
  EXPECT_THROW(embedder.set_encode_options(encode_options({}, "", 21)), std::invalid_argument);
  embedder.set_encode_options({});
  EXPECT_EQ(embedder.fingerprint(), plain);
}

TEST_F(EmbedderTest, TokensAreWhatPoolingPools) {
  Embedder embedder = load();
  const std::vector<std::string_view> texts{"a d b", "e"};
  const Matrix rows = embedder.encode(texts);
  const std::vector<Matrix> tokens = embedder.encode_tokens(texts);
  ASSERT_EQ(tokens.size(), 2U);
  ASSERT_EQ(tokens[0].rows(), 5U);  // [CLS] and [SEP] too
  ASSERT_EQ(tokens[1].rows(), 3U);
  std::vector<double> mean(embedder.dimension());
  double square = 0;
  for (std::size_t j = 0; j < mean.size(); ++j) {
    for (std::size_t i = 0; i < 5; ++i) mean[j] += tokens[0](i, j) / 5;
    square += mean[j] * mean[j];
  }
  for (std::size_t j = 0; j < mean.size(); ++j) {
    EXPECT_NEAR(rows(0, j), mean[j] / std::sqrt(square), 1e-6);
  }
}

TEST_F(EmbedderTest, Float16HoldsWeightsInHalf) {
  Embedder half = load(0, 2, Precision::float16);
  const Matrix exact = load().encode(texts_);
  const Matrix rows = half.encode(texts_);
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    double dot = 0;
    for (std::size_t j = 0; j < rows.cols(); ++j) dot += double(rows(i, j)) * exact(i, j);
    EXPECT_GT(dot, 0.99999);
  }
  EXPECT_FALSE(equal(exact, rows));
  EXPECT_NE(half.report().precision.find("float32"), std::string::npos) << "it says what it does";
}

TEST(Quantize, IsSentenceTransformers) {
  Matrix rows(3, 9);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 9; ++j) rows(i, j) = static_cast<float>(i * j) - 4.0f;
  }
  // Steps of column j: 0, 127.5, 255; cut towards zero, and with 128 less first.
  const auto steps = quantize_uint8(rows);
  EXPECT_EQ(steps[1], 0);
  EXPECT_EQ(steps[9 + 1], 127);
  EXPECT_GE(steps[18 + 1], 254);  // the step is rounded, there as here
  const auto centred = quantize_int8(rows);
  EXPECT_EQ(centred[1], -128);
  EXPECT_EQ(centred[9 + 1], 0);
  EXPECT_GE(centred[18 + 1], 126);
  // Row 1 is -4 ... 4: above 0 from the sixth number on.
  const auto bits = quantize_binary(rows);
  ASSERT_EQ(bits.size(), 6U);
  EXPECT_EQ(bits[2], 0b00000111);
  EXPECT_EQ(bits[3], 0b10000000);
}

TEST_F(EmbedderTest, CancellingThrowsAndTheEmbedderLivesOn) {
  Embedder embedder = load();
  EXPECT_THROW(embedder.encode(texts_, [](const Progress&) { return false; }), CancelledError);
  EXPECT_EQ(embedder.encode(texts_).rows(), texts_.size());
}

TEST_F(EmbedderTest, ProgressEndsWithAllTexts) {
  Embedder embedder = load();
  std::uint64_t last = 0;
  embedder.encode(texts_, [&](const Progress& p) {
    EXPECT_EQ(p.stage, "embed");
    EXPECT_GE(p.done, last);
    last = p.done;
    return true;
  });
  EXPECT_EQ(last, texts_.size());
}

TEST_F(EmbedderTest, NoTextsGiveNoRows) {
  const Matrix rows = load().encode({});
  EXPECT_EQ(rows.rows(), 0u);
  EXPECT_EQ(rows.cols(), 20u);
}

TEST_F(EmbedderTest, WrongOptionsAreNamed) {
  const auto with = [&](auto change) {
    EmbedderOptions options;
    change(options);
    return Embedder::load(folder_.path(), options);
  };
  EXPECT_THROW(with([](auto& o) { o.device = "tpu"; }), std::invalid_argument);
  EXPECT_THROW(with([](auto& o) { o.device = "cuda:x"; }), std::invalid_argument);
  EXPECT_THROW(with([](auto& o) { o.max_seq_length = 97; }), std::invalid_argument);
  EXPECT_THROW(with([](auto& o) { o.max_seq_length = 2; }), std::invalid_argument);
  EXPECT_THROW(with([](auto& o) { o.threads = -1; }), std::invalid_argument);
  EXPECT_THROW(precision_from_name("int3"), std::invalid_argument);
}

TEST_F(EmbedderTest, ATokenizerOfAnotherModelIsFoundOut) {
  TinyBert larger;
  for (int i = 0; i < 5; ++i) larger.words.push_back("x" + std::to_string(i));
  testing::write_file(folder_ / "tokenizer.json", larger.tokenizer());
  Embedder embedder = load();
  const std::vector<std::string_view> text{"x4"};
  EXPECT_THROW(embedder.encode(text), ModelError);
}

TEST_F(EmbedderTest, TheFingerprintNamesWhatDecidesTheBytes) {
  const Fingerprint one = load().fingerprint();
  EXPECT_EQ(one, load(100, 1).fingerprint());
  EXPECT_NE(one, load(0, 2, Precision::bfloat16).fingerprint());
  std::string weights = TinyBert().weights();
  weights.back() = static_cast<char>(weights.back() ^ 1);
  testing::write_file(folder_ / "model.safetensors", weights);
  const Fingerprint other = load().fingerprint();
  for (const auto& [name, value] : one) {
    EXPECT_EQ(value != other.at(name), name == "model.safetensors") << name;
  }
}

}  // namespace
}  // namespace knowmap
