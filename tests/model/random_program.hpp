// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_RANDOM_PROGRAM_HPP
#define MAILROOM_TESTS_MODEL_RANDOM_PROGRAM_HPP

// Programs that nobody would write, to find out whether two searches see the same executions.
//
// An execution is known by what every load has read and by the modification order of every
// location: values are unique, so these two are its graph.

#include "engine/checker.hpp"

#include <cstdint> // uint64_t
#include <set>     // set
#include <string>  // string
#include <vector>  // vector

namespace model {

struct instruction {
  enum class verb : unsigned char {
    load,
    store,
    add,
    exchange_if_zero,
    fence,
    fence_all,
    under_lock
  } what;
  std::size_t where;
  order how;
  order failure; // of exchange_if_zero
  unsigned value;
};

struct random_program {
  std::size_t locations;
  std::vector<std::vector<instruction>> threads;
};

/// The same program for the same state of the generator.
/// Fences for all threads leave little to reduce, so most programs are made without.
enum class alphabet : unsigned char { without_fence_all, with_fence_all };
random_program make_program(std::uint64_t& random, alphabet from = alphabet::without_fence_all);

/// The graphs of all executions that the search sees.
std::set<std::string> graphs(const random_program& what, const options& how, result& found);

} // namespace model

#endif // MAILROOM_TESTS_MODEL_RANDOM_PROGRAM_HPP
