// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_VIEW_HPP
#define MAILROOM_TESTS_MODEL_VIEW_HPP

// What a thread knows: how far it has seen each location, and which steps happened before.
//
// A view carries both halves of what release and acquire hand on. The stamps are coherence: the
// thread may not read anything older there. The clock is happens-before: a plain access is ordered
// after another thread's step s exactly when clock[thread] >= s.

#include <algorithm> // max
#include <array>     // array
#include <cstddef>   // size_t
#include <cstdint>   // uint8_t, uint16_t

namespace model {

inline constexpr std::size_t max_threads = 8; // with the one that starts the others
inline constexpr std::size_t max_locations = 96;

/// A place in the modification order of a location.
using stamp = std::uint8_t;
inline constexpr std::size_t max_messages = 200;

struct view {
  std::array<stamp, max_locations> seen{};
  std::array<std::uint16_t, max_threads> clock{};

  void join_stamps(const view& other) noexcept {
    for (std::size_t i = 0; i != max_locations; ++i) seen[i] = std::max(seen[i], other.seen[i]);
  }
  void join(const view& other) noexcept {
    join_stamps(other);
    for (std::size_t i = 0; i != max_threads; ++i) clock[i] = std::max(clock[i], other.clock[i]);
  }
};

} // namespace model

#endif // MAILROOM_TESTS_MODEL_VIEW_HPP
