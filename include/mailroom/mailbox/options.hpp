// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_OPTIONS_HPP
#define MAILROOM_MAILBOX_OPTIONS_HPP

// What one says to a mailbox when it is made, and what it says about itself afterwards.

#include <mailroom/detail/config.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t

namespace mailroom::inline MAILROOM_ABI {

/// What happens to a push when there is no room.
enum class overflow : unsigned char {
  block,       ///< it waits
  reject,      ///< it answers full
  drop_newest, ///< its message is discarded, and counted; it answers dropped
  drop_oldest, ///< the oldest message is discarded, and counted; it succeeds
};

struct mailbox_options {
  std::size_t capacity = 1024; ///< ignored by queues that fix or lack one
  overflow on_full = overflow::block;
  const char* name = ""; ///< for statistics and traces; must outlive the mailbox
};

/// Exact once the threads have stopped; while they run, numbers of different moments.
struct mailbox_stats {
  std::uint64_t pushed;     ///< messages put in
  std::uint64_t popped;     ///< messages delivered
  std::uint64_t rejected;   ///< pushes refused by overflow::reject
  std::uint64_t dropped;    ///< messages discarded by drop_newest or drop_oldest
  std::uint64_t discarded;  ///< messages discarded by close(discard)
  std::uint64_t push_waits; ///< those that found no room and waited; and waits for the end
  std::uint64_t pop_waits;  ///< those that found no message and waited
  std::uint64_t wakeups;    ///< notifications that met a thread asleep in push or pop
  std::size_t depth;        ///< messages inside
};

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_OPTIONS_HPP
