// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_MUTANTS_HPP
#define MAILROOM_TESTS_MODEL_MUTANTS_HPP

// Is every memory order necessary? Each is weakened by one step, each fence and each wake-up left
// out, one at a time, in the one binary: an order whose weakening no scenario notices is either
// stronger than it need be, or a scenario is missing, or the header argues for it. It argues where
// the banner's paragraph about one of the tags of the line says "Argued:".

#include "scenarios/scenario.hpp"

#include <vector> // vector

namespace mutants {

/// Prints a line for each mutant, and a summary. Returns 0 if all were killed or argued.
int campaign(const std::vector<scenario::scenario>& scenarios);

} // namespace mutants

#endif // MAILROOM_TESTS_MODEL_MUTANTS_HPP
