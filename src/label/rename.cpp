#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "knowmap/error.hpp"
#include "knowmap/labeler.hpp"
#include "label/names.hpp"
#include "label/text_words.hpp"

namespace knowmap {

namespace {

constexpr std::size_t kMostBytes = 200;

/// Whether a region within this one, at any depth, has the name.
bool is_name_within(const std::vector<RegionLevel>& levels, std::size_t l, std::size_t r,
                    const std::string& folded) {
  std::vector<bool> inside(levels[l].regions.size(), false);
  inside[r] = true;
  for (std::size_t below = l + 1; below < levels.size(); ++below) {
    const auto& regions = levels[below].regions;
    std::vector<bool> next(regions.size(), false);
    for (std::size_t part = 0; part < regions.size(); ++part) {
      const std::int32_t parent = regions[part].parent;
      if (parent < 0 || !inside[static_cast<std::size_t>(parent)]) continue;
      if (label::fold(regions[part].name) == folded) return true;
      next[part] = true;
    }
    inside = std::move(next);
  }
  return false;
}

/// Why an answer is no name; "" where it is one.
std::string what_is_wrong(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > kMostBytes) return "it is longer than " + std::to_string(kMostBytes) + " bytes";
  if (label::count_words(name) > label::kMostWords) return "it has more than four words";
  if (label::short_title(name).empty()) return "it says nothing of a subject";
  return {};
}

}  // namespace

std::size_t rename_regions(std::vector<RegionLevel>& levels,
                           std::span<const std::string_view> texts,
                           std::span<const std::string_view> titles, const Namer& namer,
                           const WarningCallback& warn) {
  if (!namer) throw std::invalid_argument("the namer is empty");
  std::size_t renamed = 0;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    std::unordered_multiset<std::string> taken;
    for (const Region& region : levels[l].regions) taken.insert(label::fold(region.name));
    for (std::size_t r = 0; r < levels[l].regions.size(); ++r) {
      Region& region = levels[l].regions[r];
      NamingRequest request;
      request.level = l;
      request.region = r;
      request.name = region.name;
      request.phrases = region.phrases;
      request.size = region.size;
      std::vector<std::string> above;  // folded
      for (std::size_t up = l, of = r; up > 0; --up) {
        const std::int32_t parent = levels[up].regions[of].parent;
        if (parent < 0) break;
        of = static_cast<std::size_t>(parent);
        const std::string& name = levels[up - 1].regions[of].name;
        if (request.parent.empty()) request.parent = name;
        above.push_back(label::fold(name));
      }
      for (const std::int64_t row : region.exemplars) {
        const auto& source = titles.empty() ? texts : titles;
        if (row >= 0 && static_cast<std::size_t>(row) < source.size()) {
          request.titles.push_back(source[static_cast<std::size_t>(row)]);
        }
      }
      const auto complain = [&](const std::string& what) {
        if (warn) warn("region '" + region.name + "' keeps its name: " + what);
      };
      std::string answer;
      try {
        answer = label::clean(namer(request));
      } catch (const CancelledError&) {
        throw;
      } catch (const std::exception& error) {
        complain(std::string("the namer failed: ") + error.what());
        continue;
      }
      if (answer.empty() || answer == region.name) continue;
      std::string wrong = what_is_wrong(answer);
      const std::string folded = label::fold(answer);
      const bool own = folded == label::fold(region.name);
      if (wrong.empty() && !own && taken.contains(folded)) wrong = "another region has it";
      if (wrong.empty() && std::find(above.begin(), above.end(), folded) != above.end()) {
        wrong = "a region above has it";
      }
      // A part whose own answer is to come may fail to get one, and keep what it has.
      if (wrong.empty() && !own && is_name_within(levels, l, r, folded)) {
        wrong = "a region within it has it";
      }
      if (!wrong.empty()) {
        complain("the namer's '" + answer.substr(0, kMostBytes) + "' will not do: " + wrong);
        continue;
      }
      taken.erase(taken.find(label::fold(region.name)));
      taken.insert(folded);
      region.name = label::capitalized(answer);
      ++renamed;
    }
  }
  return renamed;
}

}  // namespace knowmap
