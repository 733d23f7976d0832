// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_OVERWRITING_RING_HPP
#define MAILROOM_QUEUE_OVERWRITING_RING_HPP

// A ring of messages that keeps the last ones for any number of readers, and waits for none.
//
// Use it       never: it is the inside of the lossy broadcast_queue.
//
// A slot is one word: the lap of its message, and the index of the cell that the message is in
// (slot_word.hpp; here all words are of the kind full). A producer writes its message into a cell
// that no slot holds, and then puts that cell into the slot; the cell that was there is the next
// one to write into. So a message appears and disappears in one step, and a producer that stands
// still anywhere holds back nobody: many of them follow one another as in exchange_ring.hpp.
//
//      slots   [ lap 3: cell 5 | lap 3: cell 0 | lap 2: cell 7 | ... ]     spare: cells 2, 9, ...
//                                       ^ end
//
// A reader copies the cell, and then looks whether the slot still says the same. If it does not, a
// producer may have written into the cell meanwhile, and what was copied is thrown away: the reader
// was overtaken, and goes on at the oldest message there. Messages are copied piece by piece
// through relaxed atomics, so they must be trivially copyable.
//
// Invariants
//   (I1)  a cell is in one slot, or spare, or in the hands of one push; only a push that has it in
//         its hands writes into it
//   (I2)  positions are filled in order without a gap: a producer fills a position after it has
//         seen all earlier ones filled, or the hint above them, which is true for ever
//   (I3)  a hint never passes the truth. What is behind it, is read from the slots
//   (I4)  after a CAS that failed, the slot is read again with acquire before anything follows
//   (I5)  the constructor is alone with the ring
//   (I6)  only the producer writes the slots and the hint, where there is one
//
// Memory order
//   (P)   published: the pieces are written -> the slot is given the cell -> the reader that finds
//         it there. Also the producer that takes the cell out and writes into it: its pieces are
//         later ones.
//   (V)   verified: a producer takes a cell out of its slot, a fence, and writes pieces; a reader
//         reads a piece, a fence, and reads the slot again. Whoever has read one of the new pieces
//         finds the slot changed.
//
// Decision: not a counter in each slot that is odd while somebody writes there: a producer that
//   stands still would then lock its slot, and the next one at it had to wait or to lose a message.
//   The price is a second cache line for each message.
//
// Sources: Boehm, Can Seqlocks Get Along with Programming Language Memory Models?, MSPC 2012 (the
// two fences and the relaxed pieces). That cells are exchanged is ours.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/detail/slot_word.hpp>
#include <mailroom/detail/spare_cells.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>

#include <array>       // array
#include <bit>         // bit_cast
#include <cstddef>     // byte, size_t
#include <cstdint>     // int64_t, uint64_t
#include <cstring>     // memcpy
#include <memory>      // addressof
#include <tuple>       // tuple_size
#include <type_traits> // conditional

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, arity Producers, class Allocator>
class overwriting_ring {
  static constexpr bool is_shared = Producers == arity::many;

public:
  using position = slot_word::position;
  using word = slot_word::word;

  /// About how many pushes may stand still inside at a time before one answers busy.
  static constexpr std::size_t spares = is_shared ? 64 : 1;

  /// A message in pieces that can be read and written in one step.
  using piece = std::size_t;
  using image = std::array<piece, (sizeof(T) + sizeof(piece) - 1) / sizeof(piece)>;

  /// Makes a ring whose first message gets the position `first`.
  overwriting_ring(std::size_t capacity, const Allocator& allocator, position first);

  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t slots() const noexcept { return words_.slots(); }

  /// Puts a message at the end, over the oldest one.
  ///
  /// Caller    the producer, or anyone where there are many
  /// Progress  wait-free with one producer, else lock-free
  /// Returns   success, or busy behind 64 unfinished pushes
  queue_status put(const T& message) noexcept;

  /// The position of the next message.
  ///
  /// Caller    anyone
  /// Progress  lock-free
  position end() const noexcept { return end_behind(hint_.load(memory_order::relaxed)); } // (I3)

  /// The same for somebody who knows that the message before `at` was put in.
  position end_behind(position at) const noexcept;

  /// Copies the message at `at`.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Returns   success, empty, or lagged when it is not there any more
  queue_status read(position at, image& into) const noexcept;

private:
  static constexpr position hint_interval = 8;
  struct pieces_of_one {
    atomic<piece> pieces[std::tuple_size_v<image>];
  };
  /// The cell that the only producer has in its hands, or the cells that nobody has.
  using spare_place = std::conditional_t<is_shared, spare_cells<spares>, std::size_t>;

  friend struct test_access;

  atomic<word>& slot(position at) noexcept { return slots_[words_.slot_of(at)]; }
  const atomic<word>& slot(position at) const noexcept { return slots_[words_.slot_of(at)]; }
  void write(std::size_t cell, const T& message) noexcept;
  void put_alone() noexcept;
  void put_among_others(std::size_t& cell) noexcept;
  word walk_to_end(position& at) const noexcept;

  // Constant after construction, but for the slots and the cells.
  const std::size_t capacity_;
  const slot_word words_;
  storage<atomic<word>, dynamic_capacity, Allocator> slots_;
  storage<pieces_of_one, dynamic_capacity, Allocator> cells_;

  // What producers write. A lonely one keeps the hint exact.
  alignas(cache_line) atomic<position> hint_;
  spare_place spare_;
};

/// One that reads such a ring.
template <class T, arity Producers, class Allocator>
class overtaken_reader {
  using ring = overwriting_ring<T, Producers, Allocator>;

public:
  using position = typename ring::position;

  explicit overtaken_reader(const ring& of) noexcept
      : ring_{&of}, joined_{of.end()}, at_{joined_} {}

  /// Looks for the next message: message() after success, then step(). After lagged the reader has
  /// already gone on to the oldest message that is there.
  queue_status find() noexcept;
  T message() const noexcept;
  void step() noexcept { ++at_; }
  void release() noexcept {}

  position passed() const noexcept { return at_ - joined_; }
  position missed() const noexcept { return missed_; }
  position ahead() const noexcept { return ring_->end() - at_; }

private:
  const ring* ring_;
  position joined_;
  position at_;
  position missed_ = 0;
  typename ring::image found_{};
};

// ---- Definitions, in the order of the classes

template <class T, arity Producers, class Allocator>
overwriting_ring<T, Producers, Allocator>::overwriting_ring(std::size_t capacity,
                                                            const Allocator& allocator,
                                                            position first)
    : capacity_{capacity}, words_{slots_for(capacity), slots_for(capacity) + spares},
      slots_{words_.slots(), allocator}, cells_{words_.slots() + spares, allocator}, hint_{first},
      spare_{words_.slots()} {
  for (position at = first - slots(); at != first; ++at) {
    slot(at).store(words_.full(at, words_.slot_of(at)), memory_order::relaxed); // (I5)
  }
}

template <class T, arity Producers, class Allocator>
queue_status overwriting_ring<T, Producers, Allocator>::put(const T& message) noexcept {
  if constexpr (is_shared) {
    auto loan = spare_.take();
    if (loan.cell == no_cell) return queue_status::busy;
    write(loan.cell, message);
    put_among_others(loan.cell);
    spare_.give(loan);
  } else {
    write(spare_, message);
    put_alone();
  }
  return queue_status::success;
}

template <class T, arity Producers, class Allocator>
std::uint64_t overwriting_ring<T, Producers, Allocator>::end_behind(position at) const noexcept {
  const position hint = hint_.load(memory_order::relaxed); // (I3)
  if (static_cast<std::int64_t>(hint - at) > 0) at = hint;
  (void)walk_to_end(at);
  return at;
}

template <class T, arity Producers, class Allocator>
queue_status overwriting_ring<T, Producers, Allocator>::read(position at,
                                                             image& into) const noexcept {
  const word seen = slot(at).load(memory_order::acquire); // (P)
  const auto phase = words_.phase(seen, at);
  if (phase < 1) return queue_status::empty;
  if (phase > 1) return queue_status::lagged;
  std::size_t next = 0;
  for (const atomic<piece>& each : cells_[words_.cell(seen)].pieces) {
    into[next++] = each.load(memory_order::relaxed); // (V)
  }
  fence(memory_order::acquire);                            // (V)
  const word again = slot(at).load(memory_order::relaxed); // (V)
  return again == seen ? queue_status::success : queue_status::lagged;
}

/// Fills a cell that is in the caller's hands.
template <class T, arity Producers, class Allocator>
void overwriting_ring<T, Producers, Allocator>::write(std::size_t cell, const T& message) noexcept {
  image pieces{};
  std::memcpy(pieces.data(), std::addressof(message), sizeof(T));
  fence(memory_order::release); // (V)
  std::size_t next = 0;
  for (atomic<piece>& each : cells_[cell].pieces) {
    each.store(pieces[next++], memory_order::relaxed); // (V)
  }
}

template <class T, arity Producers, class Allocator>
void overwriting_ring<T, Producers, Allocator>::put_alone() noexcept {
  const position at = hint_.load(memory_order::relaxed);          // (I6)
  const word before = slot(at).load(memory_order::relaxed);       // (I6)
  slot(at).store(words_.full(at, spare_), memory_order::release); // (P)
  spare_ = words_.cell(before);
  hint_.store(at + 1, memory_order::relaxed); // (I3)
}

/// The hint is moved once the walk to the end has become long.
template <class T, arity Producers, class Allocator>
void overwriting_ring<T, Producers, Allocator>::put_among_others(std::size_t& cell) noexcept {
  position hint = hint_.load(memory_order::relaxed); // (I3)
  position at = hint;
  word seen = walk_to_end(at);
  while (!slot(at).compare_exchange(seen, words_.full(at, cell), memory_order::release, // (P)
                                    memory_order::relaxed)) {                           // (I4)
    seen = walk_to_end(at);
  }
  cell = words_.cell(seen);
  if (at + 1 - hint < hint_interval) return;
  hint_.compare_exchange(hint, at + 1, memory_order::relaxed, // (I3)
                         memory_order::relaxed);              // (I3)
}

/// Walks to the first position that was not filled, and answers what its slot says.
template <class T, arity Producers, class Allocator>
slot_word::word
overwriting_ring<T, Producers, Allocator>::walk_to_end(position& at) const noexcept {
  for (;;) {
    const word seen = slot(at).load(memory_order::acquire); // (P)
    const auto phase = words_.phase(seen, at);
    if (phase < 1) return seen;
    at += 1 + slots() * (static_cast<position>(phase - 1) / 2);
  }
}

template <class T, arity Producers, class Allocator>
queue_status overtaken_reader<T, Producers, Allocator>::find() noexcept {
  const auto status = ring_->read(at_, found_);
  if (status != queue_status::lagged) return status;
  // Its slot holds a message of a later lap, so the end is at least a lap ahead.
  const position oldest = ring_->end_behind(at_ + ring_->slots() + 1) - ring_->slots();
  missed_ += oldest - at_;
  at_ = oldest;
  return status;
}

template <class T, arity Producers, class Allocator>
T overtaken_reader<T, Producers, Allocator>::message() const noexcept {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), found_.data(), sizeof(T));
  return std::bit_cast<T>(bytes);
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_OVERWRITING_RING_HPP
