// SPDX-License-Identifier: MIT
// Fuzz target: one thread plays a script on a queue and on a std::deque. Every member of the queues
// from which each message is popped once takes part, also while a handler of consume_all runs, with
// messages and memory that fail, from positions just before the last one. The messages keep a
// ledger: none is lost, copied in secret or destroyed twice.
//
// The first bytes choose the kind of queue and message, the capacity and the first position; the
// steps are those of queue_game.hpp and intrusive_game.hpp.

#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <fuzz/intrusive_game.hpp>
#include <fuzz/messages.hpp>
#include <fuzz/queue_game.hpp>
#include <fuzz/script.hpp>
#include <support/allocators.hpp>
#include <support/positions.hpp>
#include <support/tracked.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint8_t, uint64_t
#include <type_traits> // conditional

namespace {

using fuzz::expect;
using fuzz::roomy;
using test::logging_allocator;

template <class Queue>
void play(fuzz::script& in, std::size_t capacity) {
  const std::uint64_t first = std::uint64_t{0} - in.below(40);
  test::ledger book;
  test::allocation_log log;
  {
    const typename Queue::allocator_type allocator{log};
    auto queue = mailroom::detail::test_access::starting_at<Queue>(capacity, first, allocator);
    expect(queue.capacity() == capacity, "capacity");
    fuzz::queue_game<Queue>{queue, in, book, log}.play();
  }
  expect(book.is_balanced(), "a message that outlived its queue");
  expect(log.blocks == 0 && log.bytes == 0, "memory that was not given back");
}

template <template <class, std::size_t, class> class Queue, class T>
void play_on_heap(fuzz::script& in) {
  play<Queue<T, mailroom::dynamic_capacity, logging_allocator<T>>>(in, 1 + in.below(9));
}

template <template <class, std::size_t, class> class Queue, std::size_t Capacity>
void play_inside(fuzz::script& in) {
  play<Queue<test::tracked, Capacity, logging_allocator<test::tracked>>>(in, Capacity);
}

template <class T>
void play_unbounded(fuzz::script& in) {
  using queue = mailroom::mpsc_queue<T, logging_allocator<T>>;
  play<queue>(in, queue::capacity());
}

/// Where the kind of queue does not take every message, those whose move may fail stay away.
template <template <class, std::size_t, class> class Queue, bool takes_any_message = true>
void play_kind(fuzz::script& in) {
  using test::tracked;
  using throwing_move = std::conditional_t<takes_any_message, test::throwing_move, tracked>;
  using copy_only = std::conditional_t<takes_any_message, test::copy_only, tracked>;
  switch (in.below(10)) {
  case 0: return play_on_heap<Queue, test::tracked>(in);
  case 1: return play_on_heap<Queue, test::move_only>(in);
  case 2: return play_on_heap<Queue, throwing_move>(in);
  case 3: return play_on_heap<Queue, test::aligned<128>>(in);
  case 4: return play_on_heap<Queue, copy_only>(in);
  case 5: return play_on_heap<Queue, test::unassignable>(in);
  case 6: return play_on_heap<Queue, int>(in);
  case 7: return play_inside<Queue, 1>(in);
  case 8: return play_inside<Queue, 3>(in);
  default: return play_inside<Queue, 4>(in);
  }
}

void play_unbounded_kind(fuzz::script& in) {
  switch (in.below(8)) {
  case 0: return play_unbounded<roomy<test::tracked>>(in);
  case 1: return play_unbounded<roomy<test::move_only>>(in);
  case 2: return play_unbounded<roomy<test::throwing_move>>(in);
  case 3: return play_unbounded<test::aligned<128>>(in);
  case 4: return play_unbounded<roomy<test::copy_only>>(in);
  case 5: return play_unbounded<roomy<test::unassignable>>(in);
  case 6: return play_unbounded<test::tracked>(in);
  default: return play_unbounded<int>(in);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::script in{data, size};
  const std::size_t kind = in.below(8);
  if (kind < 2) {
    play_kind<mailroom::mpmc_queue>(in);
  } else if (kind < 3) {
    play_kind<mailroom::mpmc_ticket_queue, false>(in);
  } else if (kind < 5) {
    play_kind<mailroom::spsc_queue>(in);
  } else if (kind < 7) {
    play_unbounded_kind(in);
  } else {
    fuzz::intrusive_game{in}.play();
  }
  return 0;
}
