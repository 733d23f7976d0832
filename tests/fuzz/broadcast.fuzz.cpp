// SPDX-License-Identifier: MIT
// Fuzz target: one thread plays a script on a broadcast_queue and on a deque of all its messages.
// Every member of the queue and of its readers takes part, lossless and lossy, for one producer and
// for many, also while a handler of consume_all runs, with readers that come and go, messages and
// memory that fail, from positions just before the last one. No reader sees a message twice, in
// disorder or destroyed, and what it missed is counted exactly.
//
// The first bytes choose the kind of queue and message, the capacity, the first position and the
// number of readers; the steps are those of broadcast_game.hpp.

#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/broadcast_queue.hpp>

#include <fuzz/broadcast_game.hpp>
#include <fuzz/script.hpp>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/tracked.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint8_t, uint64_t

namespace {

using fuzz::expect;
using mailroom::arity;
using mailroom::broadcast_mode;

/// A trivial message in several pieces, all of one message.
struct pieces {
  explicit pieces(int value) noexcept : first{value} {
    for (int& each : others) each = value;
  }
  friend int value_of(const pieces& message) {
    for (const int each : message.others) expect(each == message.first, "pieces of two messages");
    return message.first;
  }
  int first;
  int others[6];
};

template <class T, broadcast_mode Mode, arity Producers>
void play(fuzz::script& in) {
  using queue_type = mailroom::broadcast_queue<T, Mode, Producers, test::logging_allocator<T>>;
  const std::size_t capacity = 1 + in.below(9);
  const std::uint64_t first = std::uint64_t{0} - in.below(40);
  const std::size_t readers = in.one_in(4) ? fuzz::broadcast_model::most_readers : 1 + in.below(3);
  test::ledger book;
  test::allocation_log log;
  {
    const test::logging_allocator<T> allocator{log};
    auto queue = test::test_access::starting_at<queue_type>(capacity, first, allocator);
    expect(queue.capacity() == capacity, "capacity");
    constexpr bool is_lossy = Mode == broadcast_mode::lossy;
    fuzz::broadcast_game<queue_type, is_lossy>{queue, readers, in, book, log}.play();
  }
  expect(book.is_balanced(), "a message that outlived its queue");
  expect(log.blocks == 0 && log.bytes == 0, "memory that was not given back");
}

template <class T>
void play_lossy(fuzz::script& in) {
  if (in.below(2) == 0) return play<T, broadcast_mode::lossy, arity::one>(in);
  play<T, broadcast_mode::lossy, arity::many>(in);
}

template <class T>
void play_lossless(fuzz::script& in) {
  if constexpr (mailroom::nothrow_message<T>) {
    if (in.below(2) == 0) return play<T, broadcast_mode::lossless, arity::many>(in);
  }
  play<T, broadcast_mode::lossless, arity::one>(in);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::script in{data, size};
  switch (in.below(10)) {
  case 0: play_lossless<test::tracked>(in); break;
  case 1: play_lossless<test::move_only>(in); break;
  case 2: play_lossless<test::throwing_move>(in); break;
  case 3: play_lossless<test::aligned<128>>(in); break;
  case 4: play_lossless<test::copy_only>(in); break;
  case 5: play_lossless<test::unassignable>(in); break;
  case 6: play_lossless<int>(in); break;
  case 7: play_lossy<int>(in); break;
  default: play_lossy<pieces>(in); break;
  }
  return 0;
}
