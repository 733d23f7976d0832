// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_SEED_HPP
#define MAILROOM_TESTS_SUPPORT_SEED_HPP

// Where chance comes from, so that a run can be repeated.

#include <cstdint> // uint32_t
#include <cstdlib> // getenv, strtoul
#include <random>  // random_device

namespace test {

/// The seed of this run: a new one each time, or the one that MAILROOM_TEST_SEED names.
inline std::uint32_t seed() {
  static const std::uint32_t chosen = [] {
    const char* const wanted = std::getenv("MAILROOM_TEST_SEED");
    if (wanted == nullptr) return static_cast<std::uint32_t>(std::random_device{}());
    return static_cast<std::uint32_t>(std::strtoul(wanted, nullptr, 10));
  }();
  return chosen;
}

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_SEED_HPP
