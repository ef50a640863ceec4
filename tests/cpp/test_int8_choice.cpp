#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "embed/int8_choice.hpp"
#include "embed/probe_texts.hpp"

namespace knowmap {
namespace {

using Mode = SwitchableLinear::Mode;

/// A product that turns embeddings by an angle when it computes in 8 bits.
class TurningLinear final : public SwitchableLinear {
 public:
  explicit TurningLinear(double angle, std::int64_t work = 1) : angle_(angle), work_(work) {}

  at::Tensor operator()(const at::Tensor& x) const override { return x; }
  void set_mode(Mode mode) override { mode_ = mode; }
  double error() const override { return compared_ ? angle_ : 0; }
  double seconds(Mode mode) const override { return mode == Mode::int8 ? 1 : 3; }
  void settle() override { settled_ = true; }
  std::int64_t work() const override { return work_; }

  double turn() {
    compared_ = compared_ || mode_ == Mode::compare;
    return mode_ == Mode::int8 ? angle_ : 0;
  }
  Mode mode() const { return mode_; }
  bool settled() const { return settled_; }

 private:
  double angle_;
  std::int64_t work_;
  Mode mode_ = Mode::own;
  bool compared_ = false;
  bool settled_ = false;
};

struct Model {
  std::vector<std::unique_ptr<TurningLinear>> owned;
  std::vector<SwitchableLinear*> linears;
  int runs = 0;
  double own_angle = 0;  // to float32, without 8 bits

  explicit Model(const std::vector<double>& angles) {
    for (const double angle : angles) {
      owned.push_back(
          std::make_unique<TurningLinear>(angle, 1 + static_cast<std::int64_t>(owned.size())));
      linears.push_back(owned.back().get());
    }
  }

  Matrix embed() {
    ++runs;
    double angle = own_angle;
    for (const auto& linear : owned) angle += linear->turn();
    Matrix rows(3, 2);
    for (std::size_t i = 0; i < 3; ++i) {
      rows.row(i)[0] = static_cast<float>(std::cos(angle));
      rows.row(i)[1] = static_cast<float>(std::sin(angle));
    }
    return rows;
  }

  Int8Choice choose(double wanted, double speed = 2) {
    Matrix float32(3, 2);
    for (std::size_t i = 0; i < 3; ++i) {
      float32.row(i)[0] = 1;
      float32.row(i)[1] = 0;
    }
    return choose_int8(
        linears, [this] { return embed(); }, float32, wanted, speed);
  }
};

TEST(Int8Choice, TakesAllWhereAllAreExactEnough) {
  Model model({0.001, 0.002, 0.001});
  const Int8Choice choice = model.choose(0.999);
  EXPECT_EQ(choice.int8_products, 3U);
  EXPECT_EQ(choice.mask, "111");
  EXPECT_DOUBLE_EQ(choice.work_share, 1.0);
  EXPECT_EQ(model.runs, 2) << "one for the own format, one to see";
}

TEST(Int8Choice, KeepsTheWorstAndNoMore) {
  Model model({0.001, 0.3, 0.001, 0.2, 0.001, 0.001});
  const Int8Choice choice = model.choose(0.999);
  EXPECT_EQ(choice.mask, "101011");
  EXPECT_EQ(choice.int8_products, 4U);
  EXPECT_NEAR(choice.work_share, (1 + 3 + 5 + 6) / 21.0, 1e-12);
  EXPECT_GE(choice.chosen.lowest, 0.999);
  EXPECT_EQ(model.owned[0]->mode(), Mode::int8);
  EXPECT_EQ(model.owned[1]->mode(), Mode::own);
  for (const auto& linear : model.owned) EXPECT_TRUE(linear->settled());
  EXPECT_NE(choice.text().find("4 of 6 products"), std::string::npos) << choice.text();
}

TEST(Int8Choice, KeepsAllWhereNoneWillDo) {
  Model model({0.5, 0.6, 0.4});
  const Int8Choice choice = model.choose(0.999);
  EXPECT_EQ(choice.int8_products, 0U);
  EXPECT_EQ(choice.mask, "000");
  EXPECT_DOUBLE_EQ(choice.chosen.mean, 1.0);
}

TEST(Int8Choice, MeasuresAgainstFloat32AndNotAgainstTheOwnFormat) {
  Model model({0.015, 0.015, 0.015});
  model.own_angle = 0.01;
  // All turned, .00151 are lost to float32 and .00101 to the own format; twice that
  // must be borne.
  const Int8Choice choice = model.choose(0.9975);
  EXPECT_LT(choice.int8_products, 3U);
  EXPECT_NEAR(choice.own.lowest, std::cos(0.01), 1e-7);
  EXPECT_FALSE(Model({}).choose(0.999).own.lowest < 1);
}

TEST(Int8Choice, TheClockIsToldAndDecidesNothing) {
  Model slow({0.001, 0.3});
  Model fast({0.001, 0.3});
  const Int8Choice choice = slow.choose(0.999, 0.9);
  EXPECT_EQ(choice.mask, fast.choose(0.999, 9).mask);
  EXPECT_EQ(choice.mask, "10");
  EXPECT_NE(choice.text().find("0.9 times as fast"), std::string::npos) << choice.text();
  EXPECT_DOUBLE_EQ(int8_speed(slow.linears), 3);
}

TEST(Int8Choice, ALowerAimKeepsFewer) {
  const std::vector<double> angles{0.02, 0.03, 0.04, 0.05};
  Model strict(angles);
  Model loose(angles);
  EXPECT_LT(strict.choose(0.999).int8_products, loose.choose(0.98).int8_products);
}

TEST(Int8Choice, AModelWithoutProductsIsLeftAlone) {
  Model model({});
  EXPECT_EQ(model.choose(0.999).int8_products, 0U);
}

TEST(ProbeTexts, AreManyAndNotEmpty) {
  EXPECT_GE(probe_texts().size(), 20U);
  for (const std::string_view text : probe_texts()) EXPECT_FALSE(text.empty());
}

}  // namespace
}  // namespace knowmap
