// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_TICKET_RING_HPP
#define MAILROOM_QUEUE_TICKET_RING_HPP

// The ticket ring: slots that one call at a time has to itself, in the order of their positions.
//
// Use it       never: it is the inside of mpmc_ticket_queue, which builds and moves the messages.
//
// A call takes the next position, as one takes a ticket; then it has the slot of that position to
// itself, and tells by the slot's turn when it is done. Position p lives in slot p modulo slots.
//
//      tail, head   2p; the tail of a sealed ring is 2p + 1
//      turn         2p: free for p     2p + 1: has the message of p     then 2 (p + slots)
//
//      push         turn == tail?      CAS tail, build,    turn := 2p + 1
//      pop          turn == head + 1?  CAS head, move out, turn := 2 (p + slots)
//
// While there are messages and room neither side reads the other's position. A call that stands
// still behind its CAS keeps its slot: pops get no further than the push, pushes no further than
// the pop.
//
// Invariants
//   (I1)  turns, head and tail only grow, modulo 2^64; 2^62 messages take a century
//   (I2)  head <= tail <= head + capacity, and tail stays once it is odd
//   (I3)  a position that was read too early is noticed: the CAS fails, or the turn of its slot is
//         further on
//   (I4)  a slot that is free for tail (has the message of head) stays so until tail (head) moves
//   (I5)  seen_head is a number that was head once: it can only err towards looking again, and the
//         slot itself is read after it
//   (I6)  end() is a number, not what is in the slots; that front(), read first, is not above it
//         comes from (P)
//   (I7)  the constructor is alone with the ring
//
// Memory order
//   (F)   filled: the message, built -> who takes it, by the turn of its slot.
//   (E)   emptied: the slot, without its message -> who builds the next one there, by the turn.
//   (P)   positions: who has moved head or tail -> who looks why a slot is not ready; so that no
//         turn is seen without the position that led to it, and no head without its tail.
//   (D)   Dekker: the CASes of head and tail are seq_cst, and so are the loads that tell empty and
//         full. A caller who looks for sleepers after its push or pop, by a seq_cst load, cannot
//         miss one that was told empty or full: that one would have seen the position moved, and
//         been told busy as long as the slot was not ready.
//   (B)   behind: who has moved head -> who finds no message there, so that it sees the tail that
//         head followed, and is told empty, not busy. Argued: busy says nothing about the order of
//         calls, so no scenario can tell; and in the checker a seq_cst load is never that old.
//   (S)   sealed: what happened before the seal -> whoever is told closed.
//
// Linearisation: the CAS for success; the load of the other side's position for empty and full.
//
// Decision: positions count in twos. The turn of a free slot then is the tail itself, a ring of one
//   slot can tell full from free, and the seal needs no masking: a sealed tail is nobody's turn.
// Decision: capacity is exact over a ring of a power of two. Where the ring is larger than the
//   capacity a push also compares with head: with a copy beside tail, renewed when it says full.
// Decision: a position is taken by CAS when its slot is seen to be ready, not by fetch_add: one
//   that was taken too early cannot be given back, and its call would have to wait.
// Decision: slots stand side by side. On lines of their own, or with neighbours spread over several
//   lines, each message would cost the transfer of a line where now several share one, which counts
//   most where the cores are far apart.
// Decision: who finds a slot not ready looks twice more, a pause apart, before it reads the other
//   side's position (a push only where each slot may be used). A consumer that polls would take the
//   line of tail from the producers each time, and keep them so slow that it goes on finding
//   nothing. Not to look at tail at all would tell empty where there is something.
// Decision: who has lost a position to another pauses before it tries the next, and reads it anew
//   then: with two threads and more that takes a half to a fifth of the time. Nobody is waited for.
//
// Sources: Vyukov, Bounded MPMC queue, 1024cores.net (the ring and its turns).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/core/status.hpp>

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Slots` is the number of slots, or dynamic_capacity.
template <class T, std::size_t Slots, class Allocator>
class ticket_ring {
public:
  using word = std::uint64_t; // a position, in twos; or a turn
  struct slot;

  /// A position that the caller has taken, and the slot that is its own until it says filled or
  /// emptied.
  struct place {
    word at;
    slot* own;
  };

  /// Makes an empty ring that begins at position `first`.
  ///
  /// Throws    what the allocator throws
  ticket_ring(std::size_t capacity, const Allocator& allocator, std::uint64_t first);

  std::size_t capacity() const noexcept { return capacity_; }

  /// Is there room for a message? success says that a slot was free, and takes nothing.
  ///
  /// Caller    anyone, as for all that follows
  /// Progress  lock-free: it looks again only after somebody's success
  /// Returns   success; full; closed; busy
  queue_status look_for_room() noexcept;

  /// Takes the next position at the back, if its slot is free, for the caller to build a message
  /// there and say filled.
  ///
  /// Progress  lock-free, as look_for_room
  /// Cost      one RMW
  /// Returns   success; full; closed; busy
  queue_status take_back(place& taken) noexcept;

  /// Takes the next position at the front, if its message is there, for the caller to move it out,
  /// end it and say emptied. Otherwise as take_back.
  ///
  /// Returns   success; empty; closed; busy
  queue_status take_front(place& taken) noexcept;

  /// The same for up to `count` positions, which is at least 1; `first` is the first of as many as
  /// are free, or there. The others follow by next.
  ///
  /// Returns   as for one; on success `count` says how many
  queue_status take_back(place& first, std::size_t& count) noexcept;
  queue_status take_front(place& first, std::size_t& count) noexcept;
  place next(place taken) noexcept { return place_of(next(taken.at)); }

  /// The cell of a position that the caller has taken.
  static detail::cell<T>& cell(place taken) noexcept { return taken.own->message; }

  /// Gives the position on to whoever pops.
  ///
  /// Caller    who has taken it and built its message
  /// Progress  wait-free
  void filled(place taken) noexcept {
    taken.own->turn.store(taken.at + full, memory_order::release); // (F)
  }

  /// Gives the slot on to whoever pushes a lap later.
  ///
  /// Caller    who has taken the position and ended its message
  /// Progress  wait-free
  void emptied(place taken) noexcept {
    taken.own->turn.store(taken.at + twice(slots_.size()), memory_order::release); // (E)
  }

  /// Ends the ring, if it is empty.
  ///
  /// Progress  lock-free
  /// Returns   whether it is sealed now; false when there is a message, built or not
  bool seal() noexcept;

  /// The first position that was not taken at the back (at the front): exact at rest.
  ///
  /// Progress  wait-free
  std::uint64_t end() const noexcept { return number(tail_.load(memory_order::relaxed)); }   // (I6)
  std::uint64_t front() const noexcept { return number(head_.load(memory_order::acquire)); } // (P)

private:
  static constexpr word sealed = 1; // of tail
  static constexpr word full = 1;   // of a turn

  bool comes_soon(word at, word turn) const noexcept;
  queue_status why_no_room(word at) noexcept;
  queue_status why_no_message(word at) noexcept;
  std::size_t room(word at, std::size_t most) const noexcept;
  std::size_t ready(word at, word turn, std::size_t most) const noexcept;

  std::size_t index(word at) const noexcept {
    return static_cast<std::size_t>(at >> 1) & (slots_.size() - 1);
  }
  place place_of(word at) noexcept { return {at, &slots_[index(at)]}; }
  word turn_of(word at) const noexcept {
    return slots_[index(at)].turn.load(memory_order::acquire); // (F) (E)
  }
  static word next(word at) noexcept { return at + 2; }
  static word twice(std::size_t count) noexcept { return word{count} * 2; }
  /// Read as signed, so that positions wrap where numbers of 64 bits do.
  static std::uint64_t number(word at) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(at) >> 1);
  }
  static bool is_reached(word turn, word wanted) noexcept {
    return static_cast<std::int64_t>(turn - wanted) >= 0;
  }

  // Constant after construction, but for the slots.
  const std::size_t capacity_;
  storage<slot, Slots, Allocator> slots_;

  // The producers' line, and the consumers'.
  alignas(cache_line) atomic<word> tail_;
  atomic<word> seen_head_; // used where there are more slots than messages
  alignas(cache_line) atomic<word> head_;
};

// ---- Definitions, in the order of the class

template <class T, std::size_t Slots, class Allocator>
struct ticket_ring<T, Slots, Allocator>::slot {
  atomic<word> turn;
  detail::cell<T> message;
};

template <class T, std::size_t Slots, class Allocator>
ticket_ring<T, Slots, Allocator>::ticket_ring(std::size_t capacity, const Allocator& allocator,
                                              std::uint64_t first)
    : capacity_{capacity}, slots_{slots_for(capacity), allocator}, tail_{2 * first},
      seen_head_{2 * first}, head_{2 * first} {
  word at = 2 * first;
  for (std::size_t i = 0; i != slots_.size(); ++i, at = next(at)) {
    place_of(at).own->turn.store(at, memory_order::relaxed); // (I7)
  }
}

template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::look_for_room() noexcept {
  for (;;) {
    const word at = tail_.load(memory_order::relaxed); // (I3)
    if (ready(at, at, room(at, 1)) != 0) return queue_status::success;
    if (const auto status = why_no_room(at); status != queue_status::success) return status;
  }
}

template <class T, std::size_t Slots, class Allocator>
inline queue_status ticket_ring<T, Slots, Allocator>::take_back(place& taken) noexcept {
  word at = tail_.load(memory_order::relaxed); // (I3)
  for (;;) {
    taken = place_of(at);
    if (room(at, 1) != 0 && taken.own->turn.load(memory_order::acquire) == at) { // (E)
      if (tail_.compare_exchange(at, next(at), memory_order::seq_cst,            // (D) (P)
                                 memory_order::relaxed)) {                       // (I3)
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_room(at); status != queue_status::success) {
      return status;
    }
    at = tail_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
inline queue_status ticket_ring<T, Slots, Allocator>::take_front(place& taken) noexcept {
  word at = head_.load(memory_order::relaxed); // (I3)
  for (;;) {
    taken = place_of(at);
    if (taken.own->turn.load(memory_order::acquire) == at + full) {   // (F)
      if (head_.compare_exchange(at, next(at), memory_order::seq_cst, // (D) (P)
                                 memory_order::relaxed)) {            // (I3)
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_message(at); status != queue_status::success) {
      return status;
    }
    at = head_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::take_back(place& first,
                                                         std::size_t& count) noexcept {
  word at = tail_.load(memory_order::relaxed); // (I3)
  for (;;) {
    first = place_of(at);
    if (const std::size_t some = ready(at, at, room(at, count)); some != 0) {
      if (tail_.compare_exchange(at, at + twice(some), memory_order::seq_cst, // (D) (P)
                                 memory_order::relaxed)) {                    // (I3)
        count = some;
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_room(at); status != queue_status::success) {
      return status;
    }
    at = tail_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::take_front(place& first,
                                                          std::size_t& count) noexcept {
  word at = head_.load(memory_order::relaxed); // (I3)
  for (;;) {
    first = place_of(at);
    if (const std::size_t some = ready(at, at + full, count); some != 0) {
      if (head_.compare_exchange(at, at + twice(some), memory_order::seq_cst, // (D) (P)
                                 memory_order::relaxed)) {                    // (I3)
        count = some;
        return queue_status::success;
      }
      hesitate(pauses_after_loss);
    } else if (const auto status = why_no_message(at); status != queue_status::success) {
      return status;
    }
    at = head_.load(memory_order::relaxed); // (I3)
  }
}

template <class T, std::size_t Slots, class Allocator>
bool ticket_ring<T, Slots, Allocator>::seal() noexcept {
  for (;;) {
    word at = tail_.load(memory_order::acquire); // (S)
    if ((at & sealed) != 0) return true;
    const word head = head_.load(memory_order::acquire); // (P)
    if (head == at) {
      if (tail_.compare_exchange(at, at | sealed, memory_order::release, // (S)
                                 memory_order::relaxed)) {               // (I3)
        return true;
      }
    } else if (is_reached(at, head)) {
      return false;
    }
  }
}

/// Looks a few times more whether the slot of `at` has come to `turn`.
template <class T, std::size_t Slots, class Allocator>
bool ticket_ring<T, Slots, Allocator>::comes_soon(word at, word turn) const noexcept {
  for (int i = 0; i != looks_at_slot; ++i) {
    hesitate(1);
    if (is_reached(turn_of(at), turn)) return true;
  }
  return false;
}

/// Why there was no room at `at`: full, closed or busy; success if that is no longer so.
template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::why_no_room(word at) noexcept {
  if (capacity_ == slots_.size() && comes_soon(at, at)) return queue_status::success;
  if (tail_.load(memory_order::acquire) != at) return queue_status::success; // (S)
  if ((at & sealed) != 0) return queue_status::closed;
  const word head = head_.load(memory_order::seq_cst); // (D) (P)
  if (at - head == twice(capacity_)) return queue_status::full;
  if (capacity_ != slots_.size()) seen_head_.store(head, memory_order::relaxed); // (I5)
  return is_reached(turn_of(at), at) ? queue_status::success : queue_status::busy;
}

/// Why there was no message at `at`: empty, closed or busy; success if that is no longer so.
template <class T, std::size_t Slots, class Allocator>
queue_status ticket_ring<T, Slots, Allocator>::why_no_message(word at) noexcept {
  if (comes_soon(at, at + full)) return queue_status::success;
  if (head_.load(memory_order::acquire) != at) return queue_status::success; // (B)
  const word tail = tail_.load(memory_order::seq_cst);                       // (D) (S)
  if (tail == at) return queue_status::empty;
  if (tail == (at | sealed)) return queue_status::closed;
  return is_reached(turn_of(at), at + full) ? queue_status::success : queue_status::busy;
}

/// How many of `most` messages fit, as far as is known. Where each slot may be used the slots know.
template <class T, std::size_t Slots, class Allocator>
std::size_t ticket_ring<T, Slots, Allocator>::room(word at, std::size_t most) const noexcept {
  if (capacity_ == slots_.size()) return most;
  const word inside = (at - seen_head_.load(memory_order::relaxed)) / 2; // (I5)
  return inside < capacity_ ? smaller_of(most, capacity_ - static_cast<std::size_t>(inside)) : 0;
}

/// How many slots from `at` on, at most `most`, are at their turn: at `turn` the first.
template <class T, std::size_t Slots, class Allocator>
std::size_t ticket_ring<T, Slots, Allocator>::ready(word at, word turn,
                                                    std::size_t most) const noexcept {
  std::size_t count = 0;
  for (; count != most && turn_of(at) == turn; ++count) {
    at = next(at);
    turn = next(turn);
  }
  return count;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_TICKET_RING_HPP
