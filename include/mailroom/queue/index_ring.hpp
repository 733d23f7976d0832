// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_INDEX_RING_HPP
#define MAILROOM_QUEUE_INDEX_RING_HPP

// Slots between one writer and one reader, who tell each other how far they are by two positions.
//
// spsc_queue builds on it where messages are large. Where they are small, line_ring.hpp is used,
// which has the same members.
//
// Position p lives in slot p & mask. Both positions only grow.
//
//              head (the reader's)     tail (the writer's)
//                v                       v
//      . . . . . a  b  c  d  e  f  g  h  . . . .
//
// Invariants
//   (I1)  0 <= tail - head <= capacity, in unsigned arithmetic; the positions may wrap
//   (I2)  the slots of [head, tail) hold a message; all others are raw storage
//   (I3)  only the writer writes tail, limit and its own copy of tail, written; only the reader
//         head, seen_tail and its own copy of head, read
//   (I4)  limit <= head + capacity and seen_tail <= tail: a stale copy can only err towards looking
//         again
//   (I5)  written() tells a number, not what is in the slots; that it is not below read() comes
//         from (E)
//
// Memory order: two edges carry everything between the threads.
//   (F)   filled:  the writer stores tail -> the reader loads it and sees the messages built.
//   (E)   emptied: the reader stores head -> the writer loads it and sees the slots empty.
//
// Decision: neither side reads the position that it shares: the other side's looking takes the line
//   away, and its owner would have to get it back to learn its own number. Each keeps a copy on a
//   line of its own.
// Decision: the writer asks for the cache lines that it will write next. To write to a line takes
//   it from the reader, and that is what the writer waits for.
//
// Sources: Lamport, Specifying Concurrent Program Modules, TOPLAS 1983 (the ring); Le, Guatto,
// Cohen, Pop, Correct and Efficient Bounded FIFO Queues, SBAC-PAD 2013 (the orders and the copies).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <span>    // span

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, std::size_t Capacity, class Allocator>
class index_ring {
public:
  class writer;
  class reader;

  /// Throws    what the allocator throws
  index_ring(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : capacity_{capacity}, cells_{slots_for(capacity), allocator}, written_{first},
        limit_{first + capacity}, tail_{first}, read_{first}, seen_tail_{first}, head_{first} {}

  std::size_t capacity() const noexcept { return capacity_; }

  /// How many messages were ever published, and how many slots were ever given back.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t written() const noexcept { return tail_.load(memory_order::relaxed); } // (I5)
  std::uint64_t read() const noexcept { return head_.load(memory_order::acquire); }    // (E)

private:
  static constexpr std::size_t slots =
      Capacity == dynamic_capacity ? dynamic_capacity : slots_for(Capacity);
  static constexpr std::size_t cells_ahead = larger_of<std::size_t>(4 * line_bytes / sizeof(T), 1);

  cell<T>* slot(std::uint64_t at) noexcept { return &cells_[index(at)]; }
  std::size_t index(std::uint64_t at) const noexcept {
    return static_cast<std::size_t>(at) & (cells_.size() - 1);
  }
  /// The slots of [at, end) that stand in one piece.
  std::span<cell<T>> piece(std::uint64_t at, std::uint64_t end) noexcept {
    const std::uint64_t before_wrap = cells_.size() - index(at);
    return {slot(at), static_cast<std::size_t>(smaller_of(end - at, before_wrap))};
  }

  // Constant after construction, but for the cells.
  const std::size_t capacity_;
  storage<cell<T>, slots, Allocator> cells_;

  // The writer's lines: its own, and the one that it shares.
  alignas(cache_line) std::uint64_t written_;
  std::uint64_t limit_;
  alignas(cache_line) atomic<std::uint64_t> tail_;

  // The reader's lines.
  alignas(cache_line) std::uint64_t read_;
  std::uint64_t seen_tail_;
  alignas(cache_line) atomic<std::uint64_t> head_;
};

/// One call of the writer. What it has built is published, once, when it goes out of scope.
template <class T, std::size_t Capacity, class Allocator>
class index_ring<T, Capacity, Allocator>::writer {
public:
  explicit writer(index_ring& ring) noexcept : ring_{ring}, from_{ring.written_}, at_{from_} {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() {
    if (at_ == from_) return;
    ring_.written_ = at_;
    ring_.tail_.store(at_, memory_order::release); // (F)
  }

  /// Whether the ring is not full; looks at the reader only when it seems to be.
  bool has_room() noexcept {
    if (at_ == ring_.limit_) {
      ring_.limit_ = ring_.head_.load(memory_order::acquire) + ring_.capacity_; // (E)
      if (at_ == ring_.limit_) return false;
    }
    prefetch_for_write(ring_.slot(at_ + cells_ahead));
    return true;
  }

  /// The raw cell for the next message, when there is room.
  cell<T>& next() noexcept { return *ring_.slot(at_); }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_room does.
  std::span<cell<T>> room() noexcept {
    if (!has_room()) return {};
    return ring_.piece(at_, ring_.limit_);
  }

  /// The next `count` of these cells hold a message now.
  void built(std::size_t count) noexcept { at_ += count; }

private:
  index_ring& ring_;
  const std::uint64_t from_;
  std::uint64_t at_;
};

/// One call of the reader. What it has taken is given back, once, when it goes out of scope.
template <class T, std::size_t Capacity, class Allocator>
class index_ring<T, Capacity, Allocator>::reader {
public:
  explicit reader(index_ring& ring) noexcept : ring_{ring}, from_{ring.read_}, at_{from_} {}
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  ~reader() {
    if (at_ == from_) return;
    ring_.read_ = at_;
    ring_.head_.store(at_, memory_order::release); // (E)
  }

  /// Whether the ring is not empty; looks at the writer only when it seems to be.
  bool has_message() noexcept {
    if (at_ != ring_.seen_tail_) return true;
    ring_.seen_tail_ = ring_.tail_.load(memory_order::acquire); // (F)
    return at_ != ring_.seen_tail_;
  }

  /// The next message, when there is one.
  cell<T>& next() noexcept { return *ring_.slot(at_); }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_message does.
  std::span<cell<T>> ready() noexcept {
    if (!has_message()) return {};
    return ring_.piece(at_, ring_.seen_tail_);
  }

  /// The next `count` of these cells are empty now.
  void taken(std::size_t count) noexcept { at_ += count; }

private:
  index_ring& ring_;
  const std::uint64_t from_;
  std::uint64_t at_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_INDEX_RING_HPP
