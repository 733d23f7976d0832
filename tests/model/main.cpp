// SPDX-License-Identifier: MIT
// Checks the scenarios, and prints what was explored.
//
//   mailroom.model [--deep] [--only TEXT]                    every scenario whose name has TEXT
//   mailroom.model --mutants [--only TEXT]                   weakens every order, one at a time
//   mailroom.model --replay NAME SCHEDULE                    one execution, step by step
//
// The exit code is 0 if all scenarios hold (and all mutants are killed or argued), 1 if not, 2 for
// arguments that make no sense.
#include "mutants.hpp"
#include "scenarios/scenario.hpp"

#include <mailroom/detail/platform.hpp>

#include <cstdio>  // printf
#include <cstring> // strcmp
#include <string>  // string
#include <utility> // move
#include <vector>  // vector

namespace {

using scenario::depth;

struct command {
  bool is_deep = false;
  bool is_mutants = false;
  std::string only;
  std::string name; // of a replay
  std::string schedule;
};

/// What one scenario sets for all threads is not left to the next.
model::program by_itself(model::program body) {
  return [body = std::move(body)] {
    mailroom::detail::threads_are_apart = true;
    mailroom::detail::kernel_has_fence_for_all = false;
    body();
  };
}

std::vector<scenario::scenario> all_scenarios() {
  std::vector<scenario::scenario> all;
  scenario::add_spsc_queue(all);
  scenario::add_mpmc_queue(all);
  scenario::add_mpmc_ticket_queue(all);
  scenario::add_mpsc_queue(all);
  scenario::add_intrusive_mpsc_queue(all);
  scenario::add_broadcast_queue(all);
  scenario::add_waiter(all);
  scenario::add_mailbox(all);
  scenario::add_select(all);
  scenario::add_selector(all);
  scenario::add_channel(all);
  scenario::add_async(all);
  scenario::add_topic(all);
  scenario::add_parked(all);
  for (scenario::scenario& each : all) each.body = by_itself(std::move(each.body));
  return all;
}

bool parse(int count, char** words, command& into) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--deep") {
      into.is_deep = true;
    } else if (word == "--mutants") {
      into.is_mutants = true;
    } else if (word == "--only" && i + 1 < count) {
      into.only = words[++i];
    } else if (word == "--replay" && i + 2 < count) {
      into.name = words[++i];
      into.schedule = words[++i];
    } else {
      return false;
    }
  }
  return true;
}

/// A quick scenario that takes longer has grown too large for its place; a deep one is cut.
constexpr double quick_seconds = 60;
constexpr double deep_seconds = 120;

model::result check(const scenario::scenario& one) {
  auto how = one.how;
  how.most_seconds = one.when == depth::quick ? quick_seconds : deep_seconds;
  model::result found = model::check(how, one.body);
  if (found.ok && how.parked >= 0 && found.parked == 0) {
    found.ok = false;
    found.message = "nobody ever stood still";
  }
  const char* const cut = one.when == depth::quick ? "TAKES TOO LONG" : "holds so far, cut";
  std::printf("%-62s %10llu %10llu %7.2f s  %s\n", one.name.c_str(),
              static_cast<unsigned long long>(found.executions),
              static_cast<unsigned long long>(found.states), found.seconds,
              !found.ok        ? "FAILS"
              : found.complete ? "holds"
                               : cut);
  std::fflush(stdout);
  if (!found.ok) {
    std::printf("  %s\n  --replay '%s' '%s'\n", found.message.c_str(), one.name.c_str(),
                found.schedule.c_str());
  }
  return found;
}

int check_all(const std::vector<scenario::scenario>& chosen) {
  std::printf("%-62s %10s %10s %9s\n", "scenario", "executions", "states", "time");
  std::size_t held = 0, failed = 0;
  unsigned long long executions = 0;
  double seconds = 0;
  for (const auto& each : chosen) {
    const model::result found = check(each);
    held += found.ok && found.complete ? 1 : 0;
    failed += !found.ok || (!found.complete && each.when == depth::quick) ? 1 : 0;
    executions += found.executions;
    seconds += found.seconds;
  }
  std::printf("model: %zu of %zu scenarios hold in every execution, %llu executions, %.1f s\n",
              held, chosen.size(), executions, seconds);
  return failed == 0 ? 0 : 1;
}

int replay(const std::vector<scenario::scenario>& all, const command& wanted) {
  for (const auto& each : all) {
    if (each.name != wanted.name) continue;
    std::printf("%s", model::replay(each.how, each.body, wanted.schedule).c_str());
    return 0;
  }
  std::fprintf(stderr, "there is no scenario '%s'\n", wanted.name.c_str());
  return 2;
}

} // namespace

int main(int count, char** words) {
  command wanted;
  if (!parse(count, words, wanted)) {
    std::fprintf(stderr, "usage: %s [--deep | --mutants] [--only TEXT] | --replay NAME SCHEDULE\n",
                 words[0]);
    return 2;
  }
  const auto all = all_scenarios();
  if (!wanted.name.empty()) return replay(all, wanted);
  std::vector<scenario::scenario> chosen;
  for (const auto& each : all) {
    if (each.when == depth::deep && !wanted.is_deep && !wanted.is_mutants) continue;
    if (each.name.find(wanted.only) != std::string::npos) chosen.push_back(each);
  }
  if (chosen.empty()) {
    std::fprintf(stderr, "no scenario has '%s' in its name\n", wanted.only.c_str());
    return 2;
  }
  return wanted.is_mutants ? mutants::campaign(chosen) : check_all(chosen);
}
