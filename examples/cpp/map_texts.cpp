// Reads texts, one a line, and prints each with its place on the map and its region.
//
//     map_texts MODEL_FOLDER STORE_FOLDER < texts.txt
//
// Run it again with the same store, and what was computed is not computed again.

#include <cstdio>
#include <iostream>
#include <knowmap/knowmap.hpp>
#include <string>
#include <vector>

namespace {

bool show(const knowmap::Progress& progress) {
  std::fprintf(stderr, "\r%-12.*s %llu / %llu ", static_cast<int>(progress.stage.size()),
               progress.stage.data(), static_cast<unsigned long long>(progress.done),
               static_cast<unsigned long long>(progress.total));
  if (progress.done == progress.total) std::fputc('\n', stderr);
  return true;  // false would cancel
}

int map_texts(const char* model, const char* folder) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
  const std::vector<std::string_view> texts(lines.begin(), lines.end());

  auto embedder = knowmap::Embedder::load(model);
  knowmap::CheckpointStore store(folder);
  knowmap::MapOptions options;
  options.progress = show;
  const knowmap::KnowledgeMap map =
      knowmap::build_map({.texts = texts, .titles = {}, .classes = {}}, embedder, store, options);

  const knowmap::RegionLevel* finest = map.levels.empty() ? nullptr : &map.levels.back();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::int32_t region = finest ? finest->assignment[i] : -1;
    const char* name =
        region < 0 ? "" : finest->regions[static_cast<std::size_t>(region)].name.c_str();
    std::printf("%.3f\t%.3f\t%s\t%s\n", static_cast<double>(map.coordinates(i, 0)),
                static_cast<double>(map.coordinates(i, 1)), name, lines[i].c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL_FOLDER STORE_FOLDER < texts.txt\n", argv[0]);
    return 2;
  }
  try {
    return map_texts(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
