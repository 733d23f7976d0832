// SPDX-License-Identifier: MIT
// The checker says what is wrong, and says nothing where all is well.
#include "known.hpp"

#include <doctest/doctest.h>

#include <string> // string

TEST_SUITE_BEGIN("known");

TEST_CASE("every known program is judged as it must be, in every search") {
  using enum model::reduction;
  for (const auto how : {none, reversal, cache}) {
    for (const auto& one : model::all_known()) {
      CAPTURE(std::string{one.name});
      CAPTURE(static_cast<int>(how));
      CAPTURE(model::check(one.how, one.body).message);
      CHECK(is_judged_rightly(one, {.how = how}));
    }
  }
}

TEST_CASE("what went wrong can be seen again, step by step") {
  for (const auto& one : model::all_known()) {
    if (one.verdict == nullptr) continue;
    CAPTURE(std::string{one.name});
    const auto found = model::check(one.how, one.body);
    REQUIRE_FALSE(found.ok);
    const auto table = model::replay(one.how, one.body, found.schedule);
    CAPTURE(table);
    CHECK(table.find(found.message) != std::string::npos);
  }
}
