// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_LITMUS_HPP
#define MAILROOM_TESTS_MODEL_LITMUS_HPP

// Small programs of which everybody knows what C++20 says: each names an outcome and whether the
// standard allows it. The table is data, so that the tests of the checker's own faults use it too.

#include "engine/checker.hpp"

#include <vector> // vector

namespace model {

struct litmus {
  const char* name;
  bool is_allowed;
  program body; // calls saw() with whether the outcome came about
};

/// The outcome of the execution.
void saw(bool outcome);

const std::vector<litmus>& all_litmus();

/// Did any execution have the outcome? What else goes wrong is thrown as std::runtime_error.
bool can_happen(const litmus& one, const options& how);

} // namespace model

#endif // MAILROOM_TESTS_MODEL_LITMUS_HPP
