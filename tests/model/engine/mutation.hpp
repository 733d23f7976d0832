// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_MUTATION_HPP
#define MAILROOM_TESTS_MODEL_MUTATION_HPP

// One memory order, made weaker while the program runs: every access knows where it is written.

#include "operation.hpp"

#include <compare> // strong_ordering
#include <cstdint> // uint8_t, uint_least32_t
#include <string>  // string
#include <vector>  // vector

namespace model {

/// What an order is the order of.
enum class role : std::uint8_t { load, store, rmw, failure, fence, wake_one, wake_all };

constexpr std::string_view name_of(role what) noexcept {
  constexpr std::string_view names[] = {"load",  "store",    "rmw",     "failed exchange",
                                        "fence", "wake one", "wake all"};
  return names[static_cast<std::size_t>(what)];
}

/// Where an order is written. A call that has two of them has two sites.
struct site {
  std::string file;
  std::uint_least32_t line = 0;
  std::uint_least32_t column = 0;
  role what = role::load;
  auto operator<=>(const site&) const = default;
};

struct mutation {
  site where; // nowhere, if its line is 0
  order weaker = order::relaxed;
  bool is_removed = false; // a fence or a wake-up that is left out; wake all: only one
};

/// All ways to weaken it by one step. Weaker ones follow: what needs acquire needs more than
/// relaxed.
inline std::vector<mutation> weaker_than(const site& at, order written) {
  std::vector<mutation> made;
  const auto add = [&](order weaker) { made.push_back({at, weaker, false}); };
  switch (written) {
  case order::seq_cst:
    if (at.what == role::load || at.what == role::failure) add(order::acquire);
    if (at.what == role::store) add(order::release);
    if (at.what == role::rmw || at.what == role::fence) add(order::acq_rel);
    break;
  case order::acq_rel:
    add(order::acquire);
    add(order::release);
    break;
  case order::acquire:
  case order::release:
    if (at.what != role::fence) add(order::relaxed); // such a fence is none
    break;
  default: break;
  }
  if (at.what == role::wake_one || at.what == role::wake_all) made = {{at, order::relaxed, true}};
  return made;
}

} // namespace model

#endif // MAILROOM_TESTS_MODEL_MUTATION_HPP
