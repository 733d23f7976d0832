// SPDX-License-Identifier: MIT
// What C++20 allows and what it forbids, as the checker sees it.
#include "litmus.hpp"

#include <doctest/doctest.h>

#include <string> // string

TEST_SUITE_BEGIN("litmus");

TEST_CASE("every litmus test has the outcome that the standard gives it, in every search") {
  using enum model::reduction;
  for (const auto how : {none, reversal, cache}) {
    for (const auto& one : model::all_litmus()) {
      CAPTURE(std::string{one.name});
      CAPTURE(static_cast<int>(how));
      CHECK(model::can_happen(one, {.how = how}) == one.is_allowed);
    }
  }
}
