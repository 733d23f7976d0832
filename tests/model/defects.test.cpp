// SPDX-License-Identifier: MIT
// Who tests the tester: a checker with a fault is noticed, whatever the fault.
#include "known.hpp"
#include "litmus.hpp"
#include "random_program.hpp"

#include <doctest/doctest.h>

#include <exception> // exception

namespace {

using model::defect;
using model::reduction;

bool litmus_notices(const model::options& how) {
  for (const auto& one : model::all_litmus()) {
    try {
      if (model::can_happen(one, how) != one.is_allowed) return true;
    } catch (const std::exception&) {
      return true;
    }
  }
  return false;
}

bool known_programs_notice(const model::options& how) {
  for (const auto& one : model::all_known()) {
    if (!is_judged_rightly(one, how)) return true;
  }
  return false;
}

/// Does the search see other executions than one without the fault?
bool random_programs_notice(const model::options& how) {
  // The first needs the sleep sets of the cache; of 40,000 others one did.
  std::uint64_t random = 9736530548603338284U;
  for (int i = 0; i != 300; ++i) {
    const auto program = model::make_program(random);
    model::result sound, broken;
    const auto all = graphs(program, {.how = reduction::cache}, sound);
    if (graphs(program, how, broken) != all) return true;
  }
  return false;
}

} // namespace

TEST_SUITE_BEGIN("defects");

TEST_CASE("each of the faults that the checker can be told to have is noticed") {
  for (unsigned i = 1; i <= model::defects; ++i) {
    bool noticed = false;
    for (const auto how : {reduction::cache, reduction::reversal}) {
      const model::options options{.how = how, .longest = 300, .broken = static_cast<defect>(i)};
      noticed = noticed || litmus_notices(options) || known_programs_notice(options) ||
                random_programs_notice(options);
    }
    INFO("fault number ", i);
    CHECK(noticed);
  }
}
