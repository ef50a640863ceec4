#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace knowmap::text {

/// Puts special tokens around the tokens of one text. Thread-safe.
class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual const std::vector<std::int32_t>& before() const = 0;
  virtual const std::vector<std::int32_t>& after() const = 0;
};

/// `TemplateProcessing` and `BertProcessing` for a single text, and what a file
/// without a post-processor gets: the same tokens around every text.
class FixedPostProcessor final : public PostProcessor {
 public:
  FixedPostProcessor(std::vector<std::int32_t> before, std::vector<std::int32_t> after)
      : before_(std::move(before)), after_(std::move(after)) {}
  const std::vector<std::int32_t>& before() const override { return before_; }
  const std::vector<std::int32_t>& after() const override { return after_; }

 private:
  std::vector<std::int32_t> before_;
  std::vector<std::int32_t> after_;
};

}  // namespace knowmap::text
