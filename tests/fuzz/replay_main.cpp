// Stands in for libFuzzer where the compiler has none: replays files, then
// mutations of them, and takes those of libFuzzer's flags that are used here.
//
//   fuzz_x [-runs=N] [-max_total_time=SECONDS] [-seed=N] FILE_OR_FOLDER...
//
// Mutation number i of a seed is the same on every machine. An input that ends
// the program is left in crash-<seed> in the working directory.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "support/random.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Input = std::string;

struct Options {
  std::uint64_t runs = 100000;
  std::uint64_t seconds = 0;  // 0 = no limit
  std::uint64_t seed = 1;
  std::vector<fs::path> files;
};

void add_files(const fs::path& path, std::vector<fs::path>& files) {
  if (!fs::is_directory(path)) {
    files.push_back(path);
    return;
  }
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto number = [&](std::string_view flag, std::uint64_t& value) {
      if (!word.starts_with(flag)) return false;
      value = std::strtoull(argv[i] + flag.size(), nullptr, 10);
      return true;
    };
    if (number("-runs=", options.runs) || number("-max_total_time=", options.seconds) ||
        number("-seed=", options.seed)) {
      continue;
    }
    if (!word.starts_with('-')) add_files(argv[i], options.files);
  }
  std::sort(options.files.begin(), options.files.end());
  return options;
}

Input read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The random numbers of one mutation.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t run) : seed_(seed), run_(run) {}
  std::size_t below(std::size_t n) {
    const auto bits = knowmap::random_bits(seed_, knowmap::RandomStage::sample, run_, step_++);
    return knowmap::bounded(bits, static_cast<std::uint32_t>(n));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t run_;
  std::uint64_t step_ = 0;
};

Input mutate(const std::vector<Input>& corpus, Dice& dice) {
  Input input = corpus[dice.below(corpus.size())];
  for (std::size_t times = 1 + dice.below(6); times > 0; --times) {
    const std::size_t at = dice.below(input.size() + 1);
    switch (dice.below(7)) {
      case 0:  // another byte
        if (at < input.size()) input[at] = static_cast<char>(dice.below(256));
        break;
      case 1:  // a bit flipped
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << dice.below(8)));
        break;
      case 2:
        input.insert(at, 1 + dice.below(4), static_cast<char>(dice.below(256)));
        break;
      case 3:
        input.erase(at, 1 + dice.below(16));
        break;
      case 4:
        input.resize(at);
        break;
      case 5: {  // a piece of itself twice
        const Input piece = input.substr(at, 1 + dice.below(32));
        input.insert(dice.below(input.size() + 1), piece);
        break;
      }
      default: {  // a piece of another
        const Input& other = corpus[dice.below(corpus.size())];
        input.insert(at, other.substr(dice.below(other.size() + 1), 1 + dice.below(64)));
        break;
      }
    }
  }
  return input;
}

void run(const Input& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::vector<Input> corpus;
  for (const fs::path& file : options.files) corpus.push_back(read(file));
  if (corpus.empty()) corpus.emplace_back();
  for (const Input& input : corpus) run(input);

  const auto start = std::chrono::steady_clock::now();
  const std::string crash = "crash-" + std::to_string(options.seed);
  std::uint64_t done = 0;
  for (; done < options.runs; ++done) {
    const auto passed = std::chrono::steady_clock::now() - start;
    if (options.seconds != 0 && passed > std::chrono::seconds(options.seconds)) break;
    Dice dice(options.seed, done);
    const Input input = mutate(corpus, dice);
    // Written first: a sanitizer's report leaves no time for it.
    std::ofstream(crash, std::ios::binary) << input;
    run(input);
  }
  fs::remove(crash);
  std::printf("%zu files and %llu mutations, none failed\n", corpus.size(),
              static_cast<unsigned long long>(done));
  return 0;
}
