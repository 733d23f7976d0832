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
// walks there from the hint, slot by slot; a slot that is laps ahead says how far to jump.
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
//   (H)   hint: the store of a hint -> its load: what the storing thread saw done is done.
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

namespace mailroom::inline v0::detail {

/// `Slots` is the number of slots, or dynamic_capacity.
template <std::size_t Slots, class Allocator>
class exchange_ring {
public:
  using position = slot_word::position;
  using word = slot_word::word;

  /// Where a walk stands, the hint that it began at, and what the slot said.
  struct place {
    position at;
    position from = at;
    word seen = 0;
  };

  /// Makes an empty ring that begins at position `first`; slot i holds cell i. The indices of the
  /// cells are below slots() + `spares`.
  exchange_ring(std::size_t capacity, std::size_t spares, const Allocator& allocator,
                position first);

  std::size_t slots() const noexcept { return words_.slots(); }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Where to begin to walk.
  ///
  /// Caller    anyone, as for all that follows
  /// Progress  wait-free
  place near_front() const noexcept { return {head_.hint.load(memory_order::acquire)}; } // (H)
  place near_end() const noexcept { return {tail_.hint.load(memory_order::acquire)}; }   // (H)

  /// Walks to the first position that was not filled.
  ///
  /// Progress  lock-free: a step is only added by somebody's success
  /// Returns   success if there is room; full; closed
  queue_status walk_to_room(place& end) const noexcept;

  /// Walks to the first position that was not emptied.
  ///
  /// Progress  lock-free
  /// Returns   success if there is a message; empty; closed
  queue_status walk_to_message(place& front) const noexcept;

  /// Puts the full cell `cell` in at the place where a walk has seen room; `cell` is then the empty
  /// one that was there, and the place is behind it.
  ///
  /// Progress  wait-free
  /// Returns   false if somebody else was faster: walk again
  bool try_fill(place& end, std::size_t& cell) noexcept;

  /// Puts the empty cell `cell` in at the place where a walk has seen a message; `cell` is then the
  /// full one that was there, and the place is behind it.
  bool try_empty(place& front, std::size_t& cell) noexcept;

  /// Moves a hint once the walk to the place has become long.
  void advance_front(place& walked) noexcept { advance(head_.hint, walked); }
  void advance_end(place& walked) noexcept { advance(tail_.hint, walked); }

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
  static constexpr position hint_interval = 8;

  struct alignas(cache_line) line {
    atomic<position> hint;
  };

  atomic<word>& slot(position at) noexcept { return slots_[words_.slot_of(at)]; }
  word read(position at) const noexcept {
    return slots_[words_.slot_of(at)].load(memory_order::seq_cst); // (X) (O)
  }
  bool swap_at(place& where, word next, std::size_t& cell) noexcept;
  bool is_at_capacity(position end) const noexcept;
  static void advance(atomic<position>& hint, place& walked) noexcept;

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
queue_status exchange_ring<Slots, Allocator>::walk_to_room(place& end) const noexcept {
  for (;;) {
    end.seen = read(end.at);
    const auto phase = words_.phase(end.seen, end.at);
    if (phase < 0) return queue_status::full;
    if (phase == 0) {
      if (words_.is_sealed(end.seen)) return queue_status::closed;
      return is_at_capacity(end.at) ? queue_status::full : queue_status::success;
    }
    end.at += 1 + slots() * (static_cast<position>(phase - 1) / 2);
  }
}

template <std::size_t Slots, class Allocator>
queue_status exchange_ring<Slots, Allocator>::walk_to_message(place& front) const noexcept {
  for (;;) {
    front.seen = read(front.at);
    const auto phase = words_.phase(front.seen, front.at);
    if (phase == 1) return queue_status::success;
    if (phase < 1) {
      return words_.is_sealed(front.seen) ? queue_status::closed : queue_status::empty;
    }
    front.at += 1 + slots() * (static_cast<position>(phase - 2) / 2);
  }
}

template <std::size_t Slots, class Allocator>
bool exchange_ring<Slots, Allocator>::try_fill(place& end, std::size_t& cell) noexcept {
  return swap_at(end, words_.full(end.at, cell), cell);
}

template <std::size_t Slots, class Allocator>
bool exchange_ring<Slots, Allocator>::try_empty(place& front, std::size_t& cell) noexcept {
  return swap_at(front, words_.empty(front.at + slots(), cell), cell);
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
  place end = near_end();
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
bool exchange_ring<Slots, Allocator>::is_at_capacity(position end) const noexcept {
  if (capacity_ == slots()) return false;
  if (end - head_.hint.load(memory_order::relaxed) < capacity_) return false; // (I2)
  const position before = end - capacity_;
  return words_.phase(read(before), before) == 1;
}

/// If somebody else has moved the hint meanwhile, they helped.
template <std::size_t Slots, class Allocator>
void exchange_ring<Slots, Allocator>::advance(atomic<position>& hint, place& walked) noexcept {
  if (walked.at - walked.from < hint_interval) return;
  hint.compare_exchange(walked.from, walked.at, memory_order::release, // (H)
                        memory_order::relaxed);                        // (I2)
  walked.from = walked.at;
}

} // namespace mailroom::inline v0::detail

#endif // MAILROOM_QUEUE_EXCHANGE_RING_HPP
