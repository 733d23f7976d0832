// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_EXCHANGE_RING_HPP
#define MAILROOM_QUEUE_EXCHANGE_RING_HPP

// The slot-exchange ring: a bounded n:m FIFO of cell indices, lock-free, exact.
//
// Use it       never: it is the inside of mpmc_queue, which owns the cells and what is in them.
//
// A slot always holds the index of a cell, full or empty. Whoever puts a full cell in takes the
// empty one out by the same CAS, and the other way round. Nobody ever owns a slot, so a thread that
// stands still in the middle of an operation holds nothing that another thread needs.
//
//      slots   [ empty,5 | full,2 | full,7 | empty,0 | ... ]      see slot_word.hpp
//                           ^ head     tail ^
//
// head and tail are hints, moved once every few operations. Whoever needs the front or the end
// walks there, slot by slot, from wherever it stood last; the hint is for those who have been away
// for long, and a slot that is laps ahead says how far to jump.
//
// Invariants
//   (I1)  positions are filled in order without a gap, and emptied likewise: a CAS on a position
//         comes after its thread has seen all earlier ones filled (emptied), which is for ever
//   (I2)  a hint never passes the truth, and whoever reads it sees all positions below it as done
//   (I3)  after a CAS that failed, the slot is read again with acquire before anything follows
//   (I4)  the constructor is alone with the ring
//
// Memory order
//   (X)   exchanged: the CAS on a slot publishes the cell that it puts in -> the load of the slot
//         by whoever takes it out. It is seq_cst, so that a caller who looks for sleepers
//         afterwards, by a seq_cst load, cannot miss one.
//   (O)   one order: the loads and CASes of all slots are seq_cst, so that all threads agree on the
//         order in which two slots changed. With acquire alone one thread could be told full,
//         having seen a push but not a pop, while another is told empty, having seen the pop but
//         not the push.
//   (H)   hint: the store of a hint -> its load: what the storing thread saw done is done. Who
//         remembers a place for others owes them the same.
//
// Linearisation: the CAS for success; the load of the slot that answered for empty, full, closed.
//
// Decision: capacity is exact over a ring of a power of two: where the ring is larger than the
//   capacity, filling also looks whether the message one capacity before has been taken.
// Decision: the ring itself can be ended (seal), so that a mailbox can close without losing a
//   message: a late push meets the sealed slot instead of slipping in behind the last pop.
//
// Sources: Shann, Huang, Chen, A Practical Nonblocking Queue Algorithm Using Compare-and-Swap,
// ICPADS 2000, and Colvin, Groves, Formal Verification of an Array-Based Nonblocking Queue, ICECCS
// 2005 (one word per slot); Nikolaev, A Scalable, Portable, and Memory-Efficient Lock-Free FIFO
// Queue, DISC 2019 (indices instead of data). The exchange of cells and the lazy hints are ours.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/detail/slot_word.hpp>
#include <mailroom/core/status.hpp>

#include <cstddef> // size_t
#include <cstdint> // int64_t

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Slots` is the number of slots, or dynamic_capacity.
template <std::size_t Slots, class Allocator>
class exchange_ring {
public:
  using position = slot_word::position;
  using word = slot_word::word;

  /// Where a walk stands, and what the slot said. A walk may begin at any position below which
  /// the walker knows all to be done: a hint, or where somebody stood before it.
  struct place {
    position at;
    word seen = 0;
  };

  /// Makes an empty ring that begins at position `first`; slot i holds cell i. The indices of the
  /// cells are below slots() + `spares`.
  exchange_ring(std::size_t capacity, std::size_t spares, const Allocator& allocator,
                position first);

  /// Positions may wrap, so they are compared by their distance.
  static constexpr bool is_before(position a, position b) noexcept {
    return static_cast<std::int64_t>(b - a) > 0;
  }

  std::size_t slots() const noexcept { return words_.slots(); }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Where to begin to walk to the front.
  ///
  /// Caller    anyone, as for all that follows
  /// Progress  wait-free
  place near_front() const noexcept { return {head_.hint.load(memory_order::acquire)}; } // (H)

  /// Walks to the first position that was not filled.
  ///
  /// Progress  lock-free: a step is only added by somebody's success
  /// Returns   success if there is room; full; closed
  queue_status walk_to_room(place& end) const noexcept {
    end.seen = read(end.at);
    return words_.has_room(end.seen, end.at) ? room_at(end.at) : walk_on_to_room(end);
  }

  /// Walks to the first position that was not emptied.
  ///
  /// Progress  lock-free
  /// Returns   success if there is a message; empty; closed
  queue_status walk_to_message(place& front) const noexcept {
    front.seen = read(front.at);
    return words_.has_message(front.seen, front.at) ? queue_status::success
                                                    : walk_on_to_message(front);
  }

  /// Puts a full cell in at the place where a walk has seen room, or an empty one where it has seen
  /// a message; `cell` is then the one that was there, and the place is behind it.
  ///
  /// Progress  wait-free
  /// Returns   false if somebody else was faster: walk again
  bool try_exchange(place& where, std::size_t& cell) noexcept {
    return swap_at(where, words_.next(where.seen, cell), cell);
  }

  /// Moves a hint, once in a while, to a place that was just passed.
  void advance_front(const place& passed) noexcept { advance(head_.hint, passed.at); }
  void advance_end(const place& passed) noexcept { advance(tail_.hint, passed.at); }

  /// The full cell at the place where a walk has seen a message.
  std::size_t cell_at(const place& front) const noexcept { return words_.cell(front.seen); }

  /// Ends the ring, if it is empty.
  ///
  /// Progress  lock-free
  /// Returns   whether it is sealed now; false when there is a message
  bool seal() noexcept;

  /// The first position that was not filled (emptied): exact when nobody else is at work.
  ///
  /// Progress  lock-free
  position end() const noexcept;
  position front() const noexcept;

private:
  /// After so many steps a walk asks the hint whether it knows better.
  static constexpr int short_walk = 4;

  struct alignas(cache_line) line {
    atomic<position> hint;
  };

  atomic<word>& slot(position at) noexcept { return slots_[words_.slot_of(at)]; }
  word read(position at) const noexcept {
    return slots_[words_.slot_of(at)].load(memory_order::seq_cst); // (X) (O)
  }
  bool swap_at(place& where, word next, std::size_t& cell) noexcept;
  queue_status room_at(position end) const noexcept {
    return capacity_ == slots() ? queue_status::success : room_in_larger_ring(end);
  }
  queue_status room_in_larger_ring(position end) const noexcept;
  queue_status walk_on_to_room(place& end) const noexcept;
  queue_status walk_on_to_message(place& front) const noexcept;
  void go_on(place& walker, std::int64_t done, int steps, const line& hinted) const noexcept;
  static void advance(atomic<position>& hint, position at) noexcept;

  // Constant after construction, but for the slots.
  const std::size_t capacity_;
  const slot_word words_;
  storage<atomic<word>, Slots, Allocator> slots_;

  // The hints, each on a line of its own.
  line tail_;
  line head_;
};

// ---- Definitions, in the order of the class

template <std::size_t Slots, class Allocator>
exchange_ring<Slots, Allocator>::exchange_ring(std::size_t capacity, std::size_t spares,
                                               const Allocator& allocator, position first)
    : capacity_{capacity}, words_{slots_for(capacity), slots_for(capacity) + spares},
      slots_{words_.slots(), allocator} {
  for (position at = first; at != first + slots(); ++at) {
    slot(at).store(words_.empty(at, words_.slot_of(at)), memory_order::relaxed); // (I4)
  }
  tail_.hint.store(first, memory_order::relaxed); // (I4)
  head_.hint.store(first, memory_order::relaxed); // (I4)
}

template <std::size_t Slots, class Allocator>
bool exchange_ring<Slots, Allocator>::seal() noexcept {
  for (place front = near_front();;) {
    const auto status = walk_to_message(front);
    if (status != queue_status::empty) return status == queue_status::closed;
    std::size_t parked; // is lost; nobody will need it
    if (swap_at(front, words_.sealed(front.seen), parked)) return true;
  }
}

template <std::size_t Slots, class Allocator>
slot_word::position exchange_ring<Slots, Allocator>::end() const noexcept {
  place end{tail_.hint.load(memory_order::relaxed)}; // (I2)
  (void)walk_to_room(end);
  return end.at;
}

template <std::size_t Slots, class Allocator>
slot_word::position exchange_ring<Slots, Allocator>::front() const noexcept {
  place front = near_front();
  (void)walk_to_message(front);
  return front.at;
}

/// The CAS: exchanges the word that was seen for the next one, and so the cells.
template <std::size_t Slots, class Allocator>
bool exchange_ring<Slots, Allocator>::swap_at(place& where, word next, std::size_t& cell) noexcept {
  if (!slot(where.at).compare_exchange(where.seen, next, memory_order::seq_cst, // (X)
                                       memory_order::relaxed)) {                // (I3)
    return false;
  }
  cell = words_.cell(where.seen);
  ++where.at;
  return true;
}

/// In a ring with more slots than capacity: is the message one capacity before `end` still there?
/// That it was taken is for ever, so a CAS after this answer keeps the capacity exact.
template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::room_in_larger_ring(position end) const noexcept {
  const position hint = head_.hint.load(memory_order::relaxed); // (I2)
  if (end - hint < capacity_) return queue_status::success;
  const position before = end - capacity_;
  const bool is_full = words_.phase(read(before), before) == 1;
  return is_full ? queue_status::full : queue_status::success;
}

/// The walk, where the slot at its beginning says something else than room.
template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::walk_on_to_room(place& end) const noexcept {
  for (int steps = 1;; ++steps) {
    const auto phase = words_.phase(end.seen, end.at);
    if (phase < 0) return queue_status::full;
    if (phase == 0) return words_.is_sealed(end.seen) ? queue_status::closed : room_at(end.at);
    go_on(end, phase - 1, steps, tail_);
    end.seen = read(end.at);
  }
}

template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::walk_on_to_message(place& front) const noexcept {
  for (int steps = 1;; ++steps) {
    const auto phase = words_.phase(front.seen, front.at);
    if (phase == 1) return queue_status::success;
    if (phase < 1) {
      return words_.is_sealed(front.seen) ? queue_status::closed : queue_status::empty;
    }
    go_on(front, phase - 2, steps, head_);
    front.seen = read(front.at);
  }
}

/// One step of a walk, from a slot whose phase is `done` beyond the one that the walker looks for:
/// to the hint if that is further, else to the next position, or as many laps further as the slot
/// has gone on.
template <std::size_t Slots, class Allocator>
void exchange_ring<Slots, Allocator>::go_on(place& walker, std::int64_t done, int steps,
                                            const line& hinted) const noexcept {
  const position laps = static_cast<position>(done) / 2;
  walker.at += 1 + slots() * laps;
  if (laps == 0 && steps != short_walk) return;
  const position hint = hinted.hint.load(memory_order::acquire); // (H)
  if (is_before(walker.at, hint)) walker.at = hint;
}

/// If somebody else has moved the hint meanwhile, they helped.
template <std::size_t Slots, class Allocator>
void exchange_ring<Slots, Allocator>::advance(atomic<position>& hint, position at) noexcept {
  if (at % positions_per_hint != 0) return;
  position seen = hint.load(memory_order::relaxed); // (I2)
  if (!is_before(seen, at)) return;
  hint.compare_exchange(seen, at, memory_order::release, // (H)
                        memory_order::relaxed);          // (I2)
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_EXCHANGE_RING_HPP
