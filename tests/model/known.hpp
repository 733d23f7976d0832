// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_KNOWN_HPP
#define MAILROOM_TESTS_MODEL_KNOWN_HPP

// Programs of which we know what the checker must say: that all is well, or what is wrong.

#include "engine/checker.hpp"

#include <vector> // vector

namespace model {

struct known_program {
  const char* name;
  const char* verdict; // a part of the message; nullptr if all is well
  options how;
  program body;
};

const std::vector<known_program>& all_known();

/// Does the checker say what it must?
bool is_judged_rightly(const known_program& one, options how);

} // namespace model

#endif // MAILROOM_TESTS_MODEL_KNOWN_HPP
