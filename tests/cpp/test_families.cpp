#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "knowmap/error.hpp"
#include "model/families/families.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "tiny_model.hpp"

namespace knowmap {
namespace {

namespace fs = std::filesystem;

const StopSign kGoOn = [] { return false; };

/// A small random model of the family, with what HF transformers makes of it:
/// tests/reference/families_make.py.
struct Reference {
  ModelFiles files;
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets;
  at::Tensor hidden;

  explicit Reference(const std::string& family) {
    const fs::path folder = fs::path(KNOWMAP_TEST_DATA) / "families" / family;
    files.folder = folder;
    files.weights = folder / "model.safetensors";
    files.config = read_architecture(ConfigReader(folder / "config.json"));
    const Weights values(folder / "reference.safetensors");
    const auto numbers = [&](const char* name) {
      return values.get(name, values.shape(name)).clone();
    };
    const at::Tensor id = numbers("ids");
    for (std::int64_t i = 0; i < id.numel(); ++i) ids.push_back(id[i].item<std::int32_t>());
    const at::Tensor offset = numbers("offsets");
    for (std::int64_t i = 0; i < offset.numel(); ++i) {
      offsets.push_back(static_cast<std::int64_t>(offset[i].item<float>()));
    }
    hidden = numbers("hidden");
  }
  PackedTokens packed() const { return {ids, offsets}; }
};

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class Families : public ::testing::TestWithParam<const char*> {};

TEST_P(Families, HiddenStatesAreTransformers) {
  const Reference reference(GetParam());
  for (const bool ours : {true, false}) {
    const auto model =
        Transformer::load(reference.files, ours ? make_cpu_backend(at::kFloat)
                                                : make_generic_backend(at::kCPU, at::kFloat));
    const at::Tensor hidden = model->forward(reference.packed(), 256, kGoOn);
    // Hidden states are of the size of 3; the longest text fills all positions.
    EXPECT_LT(largest_difference(hidden, reference.hidden), 1e-4) << (ours ? "ours" : "generic");
    EXPECT_LT(largest_difference(model->forward(reference.packed(), 2, kGoOn), hidden), 1e-5)
        << "in chunks";
  }
}

TEST_P(Families, BFloat16StaysNear) {
  const Reference reference(GetParam());
  for (const bool ours : {true, false}) {
    const auto model =
        Transformer::load(reference.files, ours ? make_cpu_backend(at::kBFloat16)
                                                : make_generic_backend(at::kCPU, at::kBFloat16));
    const at::Tensor hidden = model->forward(reference.packed(), 256, kGoOn).to(at::kFloat);
    const at::Tensor cosine = at::cosine_similarity(hidden, reference.hidden, 1);
    EXPECT_GT(cosine.min().item<double>(), 0.995) << (ours ? "ours" : "generic");
  }
}

TEST_P(Families, ATextsBytesDoNotDependOnItsBatchNorOnChunks) {
  const Reference reference(GetParam());
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto model = Transformer::load(reference.files, make_cpu_backend(type));
    const at::Tensor all = model->forward(reference.packed(), 256, kGoOn);
    EXPECT_TRUE(at::equal(all, model->forward(reference.packed(), 8, kGoOn)));
    for (std::size_t t = 0; t + 1 < reference.offsets.size(); ++t) {
      const std::vector<std::int64_t> one{reference.offsets[t], reference.offsets[t + 1]};
      const at::Tensor part = model->forward({reference.ids, one}, 256, kGoOn);
      EXPECT_TRUE(at::equal(part, all.slice(0, one[0], one[1]))) << t;
    }
  }
}

TEST_P(Families, LayerByLayerGivesTheSameBytes) {
  const Reference reference(GetParam());
  const auto whole = Transformer::load(reference.files, make_cpu_backend(at::kBFloat16));
  const auto streamed = Transformer::load(reference.files, make_cpu_backend(at::kBFloat16), false);
  ASSERT_FALSE(streamed->resident());
  Passage passage = streamed->begin(reference.packed());
  for (std::int64_t i = 0; i < streamed->layers(); ++i) {
    streamed->pass(*streamed->read_layer(i), passage, 256);
  }
  EXPECT_TRUE(at::equal(streamed->finish(passage), whole->forward(reference.packed(), 256, kGoOn)));
}

INSTANTIATE_TEST_SUITE_P(, Families,
                         ::testing::Values("bert", "mpnet", "xlm_roberta", "distilbert", "llama",
                                           "llama_bidirec", "mistral", "qwen2", "qwen3",
                                           "modernbert", "gemma3", "gemma3_causal", "nomic_bert"),
                         [](const auto& family) { return std::string(family.param); });

TEST(FamilyConfigs, ALieIsAClearError) {
  const testing::TemporaryFolder folder;
  const fs::path good = fs::path(KNOWMAP_TEST_DATA) / "families" / "llama_bidirec" / "config.json";
  std::ifstream in(good);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto refused = [&](const std::string& from, const std::string& to) -> std::string {
    std::string changed = text;
    const auto at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    testing::write_file(folder / "config.json", changed);
    try {
      (void)read_architecture(ConfigReader(folder / "config.json"));
    } catch (const ModelError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refused("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3").find("share"),
            std::string::npos);
  EXPECT_NE(refused("\"rope_type\": \"llama3\"", "\"rope_type\": \"yarn\"").find("yarn"),
            std::string::npos);
  EXPECT_NE(refused("\"factor\": 8.0", "\"factor\": 0").find("factor"), std::string::npos);
  EXPECT_NE(refused("\"hidden_size\": 24", "\"hidden_size\": -24").find("hidden_size"),
            std::string::npos);
  EXPECT_NE(refused("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e9").find("num_hidden"),
            std::string::npos);
  EXPECT_NE(refused("\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\"").find("mish"),
            std::string::npos);
  EXPECT_NE(refused("\"llama_bidirec\"", "\"llamb\"").find("xlm-roberta"), std::string::npos)
      << "the message lists what there is";
}

}  // namespace
}  // namespace knowmap
