// SPDX-License-Identifier: MIT
// The checker says what is wrong, and says nothing where all is well.
#include "known.hpp"

#include <mailroom/detail/platform.hpp>

#include <doctest/doctest.h>

#include <set>     // multiset
#include <string>  // string
#include <utility> // pair
#include <vector>  // vector

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

TEST_CASE("every order is listed as it is written, also that of a fence") {
  using enum std::memory_order;
  using model::role;
  const auto found = model::check_and_list_sites({}, [] {
    mailroom::detail::atomic<unsigned> one;
    model::run({[&] {
                  one.store(1, release);
                  mailroom::detail::fence(seq_cst);
                  (void)one.load(acquire);
                },
                [&] {
                  one.fetch_add(1, acq_rel);
                  mailroom::detail::fence(acquire);
                }});
  });
  std::multiset<std::pair<role, std::memory_order>> listed;
  for (const auto& [at, written] : found.sites) listed.insert({at.what, written});
  CHECK(listed == decltype(listed){{role::store, release},
                                   {role::fence, seq_cst},
                                   {role::load, acquire},
                                   {role::rmw, acq_rel},
                                   {role::fence, acquire}});
}

TEST_CASE("an order is weakened by one step, and a fence that orders nothing is none") {
  using enum std::memory_order;
  const auto steps = [](model::role what, std::memory_order written) {
    std::vector<std::memory_order> all;
    for (const auto& each : model::weaker_than({"", 1, 1, what}, written))
      all.push_back(each.weaker);
    return all;
  };
  using orders = std::vector<std::memory_order>;
  CHECK(steps(model::role::load, seq_cst) == orders{acquire});
  CHECK(steps(model::role::store, seq_cst) == orders{release});
  CHECK(steps(model::role::rmw, seq_cst) == orders{acq_rel});
  CHECK(steps(model::role::fence, seq_cst) == orders{acq_rel});
  CHECK(steps(model::role::rmw, acq_rel) == orders{acquire, release});
  CHECK(steps(model::role::load, acquire) == orders{relaxed});
  CHECK(steps(model::role::fence, acquire).empty());
  CHECK(steps(model::role::load, relaxed).empty());
}
