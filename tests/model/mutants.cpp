// SPDX-License-Identifier: MIT
#include "mutants.hpp"

#include "engine/mutation.hpp"

#include <algorithm> // sort
#include <cstdio>    // printf
#include <fstream>   // ifstream
#include <map>       // map
#include <string>    // string
#include <utility>   // pair

namespace mutants {
namespace {

using model::mutation;
using model::order;
using model::site;
using scenarios_of_site = std::vector<const scenario::scenario*>;

constexpr double most_seconds = 5;      // that one scenario may take for one mutant
constexpr double seconds_to_list = 0.5; // and to show which orders it uses

struct known_site {
  order written;
  scenarios_of_site used_by; // cheapest first
};

/// Only the library's own orders, not those of a scenario.
bool is_ours(const site& at) { return at.file.find("include/mailroom/") != std::string::npos; }

std::string short_name(const site& at) {
  return at.file.substr(at.file.find("include/mailroom/") + 17) + ":" + std::to_string(at.line);
}

/// Runs everything once as it is, to learn who uses which order. Nothing if one fails already: it
/// would take the credit for every mutant.
std::map<site, known_site> list_sites(const std::vector<scenario::scenario>& scenarios) {
  std::vector<std::pair<double, const scenario::scenario*>> by_cost;
  std::map<const scenario::scenario*, model::result> results;
  for (const auto& each : scenarios) {
    auto how = each.how;
    how.most_seconds = seconds_to_list;
    auto found = model::check_and_list_sites(how, each.body);
    if (!found.ok) {
      std::printf("fails as it is: %s: %s\n", each.name.c_str(), found.message.c_str());
      return {};
    }
    by_cost.emplace_back(found.seconds, &each);
    results[&each] = std::move(found);
  }
  std::sort(by_cost.begin(), by_cost.end());
  std::map<site, known_site> sites;
  for (const auto& [cost, each] : by_cost) {
    for (const auto& [at, written] : results[each].sites) {
      if (!is_ours(at)) continue;
      auto& known = sites[at];
      known.written = written;
      known.used_by.push_back(each);
    }
  }
  return sites;
}

/// Does the banner say why the order is there although no scenario needs it?
bool is_argued(const site& at) {
  std::ifstream file{at.file};
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  // The tags stand on the line of the order, which a long call may have below its beginning.
  std::string tags;
  for (std::size_t i = at.line - 1; i < lines.size() && i < at.line + 1 && tags.empty(); ++i) {
    const auto comment = lines[i].rfind("// (");
    if (comment != std::string::npos) tags = lines[i].substr(comment + 3);
  }
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const bool begins = lines[i].starts_with("//   (");
    if (!begins || tags.find(lines[i].substr(5, lines[i].find(')') - 4)) == std::string::npos) {
      continue;
    }
    std::string paragraph = lines[i];
    while (lines[i + 1].starts_with("//         ")) paragraph += lines[++i].substr(10);
    if (paragraph.find("Argued:") != std::string::npos) return true;
  }
  return false;
}

std::string describe(const mutation& m, order written) {
  std::string text = short_name(m.where) + " " + std::string{name_of(m.where.what)} + ": ";
  if (m.is_removed) return text + (m.where.what == model::role::wake_all ? "one" : "none");
  return text + std::string{model::name_of(written)} + " -> " +
         std::string{model::name_of(m.weaker)};
}

struct verdict {
  bool is_killed = false;
  bool is_cut = false; // some scenario was not finished
  std::string by;
};

verdict try_out(const mutation& m, const scenarios_of_site& candidates) {
  verdict found;
  for (const auto* each : candidates) {
    auto how = each->how;
    how.most_seconds = most_seconds;
    const auto result = model::check(how, each->body, m);
    if (!result.ok) return {true, false, each->name + ": " + result.message};
    if (!result.complete) found.is_cut = true;
  }
  return found;
}

} // namespace

int campaign(const std::vector<scenario::scenario>& scenarios) {
  std::size_t killed = 0, argued = 0, survived = 0;
  for (const auto& [at, known] : list_sites(scenarios)) {
    auto all = weaker_than(at, known.written);
    if (at.what == model::role::fence) all.push_back({at, order::relaxed, true});
    for (const auto& each : all) {
      const auto found = try_out(each, known.used_by);
      const bool has_reason = !found.is_killed && is_argued(at);
      ++(found.is_killed ? killed : has_reason ? argued : survived);
      std::printf("%-9s %-70s %s%s\n",
                  found.is_killed ? "killed"
                  : has_reason    ? "argued"
                                  : "SURVIVED",
                  describe(each, known.written).c_str(), found.by.c_str(),
                  found.is_cut ? " (not all executions seen)" : "");
      std::fflush(stdout);
    }
  }
  const std::size_t total = killed + argued + survived;
  std::printf("mutants: %zu; killed %zu (%.1f %%), argued %zu, survived %zu\n", total, killed,
              total == 0 ? 0 : 100.0 * static_cast<double>(killed) / static_cast<double>(total),
              argued, survived);
  return survived == 0 && total != 0 ? 0 : 1;
}

} // namespace mutants
