// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_CAPACITY_HPP
#define MAILROOM_DETAIL_CAPACITY_HPP

// How many messages a queue may hold, checked once, at construction; how many it holds about now.
//
// A ring of slots is a power of two, so that a position becomes a slot by one mask; the capacity is
// exactly what was asked for, so a ring may have slots that are never used at the same time.
//
// Decision: no std::min and std::max. <algorithm> made one line in six of what whoever includes a
//   queue compiles, and nothing else of it is used.

#include <mailroom/detail/config.hpp>

#include <bit>     // bit_ceil
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <limits>  // numeric_limits

namespace mailroom::inline MAILROOM_ABI {

/// As the Capacity of a queue: it is chosen when the queue is constructed.
inline constexpr std::size_t dynamic_capacity = static_cast<std::size_t>(-1);

namespace detail {

/// The largest number of slots: half the address space keeps every difference of indices positive.
inline constexpr std::size_t max_slots = std::numeric_limits<std::size_t>::max() / 4 + 1;

/// Returns `capacity`, which is at least one and at most `most`.
///
/// Throws    std::invalid_argument for 0; std::length_error above `most`
constexpr std::size_t checked_capacity(std::size_t capacity, std::size_t most = max_slots) {
  if (capacity == 0) throw_invalid_argument("mailroom: a queue needs a capacity of at least 1");
  if (capacity > most) throw_length_error("mailroom: the capacity of a queue is too large");
  return capacity;
}

/// The number of slots of a ring for `capacity` messages: the least power of two that holds them.
constexpr std::size_t slots_for(std::size_t capacity) noexcept { return std::bit_ceil(capacity); }

template <class Number>
constexpr Number smaller_of(Number one, Number other) noexcept {
  return other < one ? other : one;
}
template <class Number>
constexpr Number larger_of(Number one, Number other) noexcept {
  return one < other ? other : one;
}

/// The distance of two positions as a number of messages, in [0, capacity]: they were read one
/// after the other, and both may have moved meanwhile.
constexpr std::size_t size_within(std::uint64_t distance, std::size_t capacity) noexcept {
  if (static_cast<std::int64_t>(distance) <= 0) return 0;
  return static_cast<std::size_t>(smaller_of<std::uint64_t>(distance, capacity));
}

/// How many messages are in `queue` about now, in [0, capacity()].
template <class Queue>
std::size_t approx_size(const Queue& queue) noexcept {
  const std::uint64_t out = queue.popped();
  return size_within(queue.pushed() - out, queue.capacity());
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_DETAIL_CAPACITY_HPP
