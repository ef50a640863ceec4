#include <gtest/gtest.h>

#include <string>

#include "knowmap/error.hpp"
#include "model/model_files.hpp"
#include "model/safetensors.hpp"
#include "tiny_model.hpp"

namespace knowmap {
namespace {

using testing::safetensors;
using testing::TemporaryFolder;
using testing::TinyBert;
using testing::write_file;

/// The message of the ModelError that `f` throws; empty where it throws none.
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
}

std::string reading(const std::string& bytes) {
  const TemporaryFolder folder;
  write_file(folder / "model.safetensors", bytes);
  return message_of([&] { SafeTensors file(folder / "model.safetensors"); });
}

#define EXPECT_SAYS(message, part) \
  EXPECT_NE((message).find(part), std::string::npos) << "said: '" << (message) << "'"

const std::string kTwo = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                         R"("b":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]}})";

TEST(SafeTensors, ReadsShapesTypesAndPlaces) {
  const TemporaryFolder folder;
  write_file(folder / "m", safetensors(kTwo, "12345678abcd"));
  const SafeTensors file(folder / "m");
  EXPECT_EQ(file.at("a").shape, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(std::string(file.at("b").data, file.at("b").bytes), "abcd");
  EXPECT_EQ(file.at("b").type, TensorType::float16);
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_SAYS(message_of([&] { file.at("c"); }), "no tensor 'c'");
}

TEST(SafeTensors, EveryLengthButTheWholeIsRefused) {
  const std::string whole = safetensors(kTwo, "12345678abcd");
  EXPECT_EQ(reading(whole), "");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_NE(reading(whole.substr(0, n)), "") << "cut to " << n << " bytes";
  }
  EXPECT_SAYS(reading(whole + "x"), "belong to none");
}

TEST(SafeTensors, HostileHeadersAreRefusedByName) {
  const auto header = [](const std::string& text) {
    return reading(safetensors(text, "12345678"));
  };
  std::string huge(8, '\xff');
  EXPECT_SAYS(reading(huge + "{}"), "no safetensors file");
  EXPECT_SAYS(header("{"), "not valid JSON");
  EXPECT_SAYS(header("[]"), "not a JSON object");
  EXPECT_SAYS(header(std::string(50000, '[')), "too deep");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                     R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
              "names 'a' twice");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"), "whole number");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],)"
                     R"("data_offsets":[0,8]}})"),
              "overflows");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"), "need 12");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"), "offsets");
  EXPECT_SAYS(header(R"({"a":{"dtype":"X9","shape":[2],"data_offsets":[0,8]}})"), "'X9'");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"), "gap");
  EXPECT_SAYS(header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                     R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
              "overlap");
  EXPECT_SAYS(header(R"({"a":7})"), "lacks dtype");
}

class ModelFolder : public ::testing::Test {
 protected:
  void SetUp() override { TinyBert().write(folder_.path()); }
  std::string reading_folder() {
    return message_of([&] { ModelFiles::read(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(ModelFolder, IsReadWhole) {
  const ModelFiles files = ModelFiles::read(folder_.path());
  EXPECT_EQ(files.config.hidden_size, 20);
  EXPECT_EQ(files.modules.pooling, std::vector<PoolingMode>{PoolingMode::mean});
  ASSERT_EQ(files.modules.after.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<NormalizeModule>(files.modules.after[0]));
  EXPECT_EQ(files.modules.max_seq_length, 64u);
}

TEST_F(ModelFolder, MissingPartsAreNamed) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::rename(folder_ / name, folder_ / "away");
    EXPECT_SAYS(reading_folder(), std::string("has no ") + name);
    std::filesystem::rename(folder_ / "away", folder_ / name);
  }
  EXPECT_SAYS(message_of([&] { ModelFiles::read(folder_ / "nowhere"); }), "is no folder");
}

TEST_F(ModelFolder, PicklesAreRefusedByName) {
  std::filesystem::remove(folder_ / "model.safetensors");
  write_file(folder_ / "pytorch_model.bin", "x");
  EXPECT_SAYS(reading_folder(), "is a pickle");
}

TEST_F(ModelFolder, WhatIsNotSupportedIsNamed) {
  write_file(folder_ / "config.json", R"({"model_type":"t5"})");
  EXPECT_SAYS(reading_folder(), "'t5'");
  write_file(folder_ / "config.json", "{\"model_type\":");
  EXPECT_SAYS(reading_folder(), "cut short");
  TinyBert heads;
  heads.heads = 3;
  write_file(folder_ / "config.json", heads.config());
  EXPECT_SAYS(reading_folder(), "no multiple");
  TinyBert().write(folder_.path());
  write_file(folder_ / "modules.json", R"([{"type":"x.Pooling","path":"../../etc"}])");
  EXPECT_SAYS(reading_folder(), "leads out");
  write_file(folder_ / "modules.json", R"([{"type":"x.Dense","path":"2_Dense"}])");
  EXPECT_SAYS(reading_folder(), "'x.Dense'");
}

TEST_F(ModelFolder, PoolingModesOldAndNew) {
  const auto pooling = [&](const std::string& json) {
    write_file(folder_ / "1_Pooling/config.json", json);
    return ModelFiles::read(folder_.path()).modules.pooling;
  };
  using M = PoolingMode;
  EXPECT_EQ(pooling(R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})"),
            (std::vector<M>{M::cls, M::mean}));
  EXPECT_EQ(pooling(R"({"pooling_mode":"lasttoken"})"), std::vector<M>{M::last_token});
  EXPECT_EQ(pooling(R"({"pooling_mode":["max","weightedmean"]})"),
            (std::vector<M>{M::max, M::weighted_mean}));
  EXPECT_THROW(pooling(R"({"pooling_mode":"median"})"), ModelError);
  EXPECT_THROW(pooling("{}"), ModelError);
}

}  // namespace
}  // namespace knowmap
