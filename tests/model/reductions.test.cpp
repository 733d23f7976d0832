// SPDX-License-Identifier: MIT
// The reductions leave nothing out: on random programs they see the executions that the full
// search sees.
#include "random_program.hpp"

#include <doctest/doctest.h>

#include <cstdio>  // printf
#include <cstdlib> // getenv, strtoul

namespace {

/// How many programs; MAILROOM_MODEL_PROGRAMS changes it.
unsigned long programs_wanted() {
  const char* const wanted = std::getenv("MAILROOM_MODEL_PROGRAMS");
  return wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 1500;
}

} // namespace

TEST_SUITE_BEGIN("reductions");

namespace {

void compare(std::uint64_t random, model::alphabet from, unsigned long wanted) {
  std::uint64_t in_full = 0, by_reversal = 0, by_cache = 0, different = 0;
  unsigned long compared = 0;
  while (compared != wanted) {
    const auto program = model::make_program(random, from);
    model::result full, reversed, cached;
    const auto all =
        graphs(program, {.how = model::reduction::none, .most_executions = 200'000}, full);
    if (!full.complete) continue; // too large to compare
    ++compared;
    CAPTURE(compared);
    REQUIRE(full.ok);
    CHECK(graphs(program, {.how = model::reduction::reversal}, reversed) == all);
    CHECK(graphs(program, {.how = model::reduction::cache}, cached) == all);
    in_full += full.executions;
    by_reversal += reversed.executions;
    by_cache += cached.executions;
    different += all.size();
  }
  std::printf("reductions: %lu programs, %llu graphs; executions: %llu in full, %llu by reversal, "
              "%llu by cache\n",
              compared, static_cast<unsigned long long>(different),
              static_cast<unsigned long long>(in_full),
              static_cast<unsigned long long>(by_reversal),
              static_cast<unsigned long long>(by_cache));
}

} // namespace

TEST_CASE("reversal and cache see every execution of 1,500 random programs") {
  compare(88172645463325252U, model::alphabet::without_fence_all, programs_wanted());
}

TEST_CASE("reversal and cache see every execution of 300 programs with fences for all threads") {
  compare(36288004115226361U, model::alphabet::with_fence_all, programs_wanted() / 5);
}
