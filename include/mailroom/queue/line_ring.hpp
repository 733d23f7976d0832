// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_LINE_RING_HPP
#define MAILROOM_QUEUE_LINE_RING_HPP

// Slots between one writer and one reader, packed into lines that carry their own news.
//
// spsc_queue builds on it where several messages fit into a cache line. Where they do not,
// index_ring.hpp is used, which has the same members.
//
// A line is what travels between two cores at a time: some messages, and how far they are written.
// So a message and the news of it arrive together; the reader looks at no other word of the
// writer's. (With a shared position, the position travels first and the message after it.)
//
//      +-----------------------------+-----------------------------+----
//      | a  b  c  d  e  f  g | end 7 | h  i  j  .  .  .  . | end 10| ...
//      +-----------------------------+-----------------------------+----
//         ^ head (the reader's)                  ^ tail (the writer's)
//
// Invariants
//   (I1)  0 <= tail - head <= capacity <= slots, in unsigned arithmetic; the positions may wrap
//   (I2)  the slots of [head, tail) hold a message; all others are raw storage
//   (I3)  only the writer writes tail, back and limit; only the reader head, read (its own copy of
//         head), front and seen_end. A thread that reads what only it writes needs no order, and
//         nobody but the constructor writes before there are two
//   (I4)  limit <= head + capacity and seen_end <= the end of the first line: a stale copy can only
//         err towards looking again
//   (I5)  written() tells a number, not what is in the slots; that it is not below read() comes
//         from (F) and (E): tail is stored before the end that a reader follows
//   (I6)  a line's end only grows. Seen from head in that line it is of an earlier lap (at most
//         head), of this one, or of the next, and then the line was filled before: by (I1) no slot
//         of it is written again before head has left that slot
//
// Memory order: two edges carry everything between the threads.
//   (F)   filled:  the writer stores a line's end -> the reader loads it and sees the messages.
//   (E)   emptied: the reader stores head -> the writer loads it and sees the slots empty.
//
// Decision: the reader tells of every message that it took, not of every line, so that there is
//   room exactly when there should be. It costs a store to a line of its own, which the writer
//   reads only when the ring looks full.
// Decision: the reader does not read head, for the writer's looking takes that line away.
// Decision: as many lines as the capacity needs, no power of two: neither side divides, because
//   each keeps the place where it is.
// Decision: the writer asks early for the line that it will need next but one: to write to a line
//   takes it from the reader.
// Decision: what happens once in a line is a function of its own. What is left of a push is then
//   small enough for compilers to put it where it is called, with -O2 as well.
//
// Sources: Giacomoni, Moseley, Vachharajani, FastForward for Efficient Pipeline Parallelism, PPoPP
// 2008 (slots that say themselves whether they are full); index_ring.hpp for the rest.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <span>    // span

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, std::size_t Capacity, class Allocator>
class line_ring {
public:
  class writer;
  class reader;

  /// How many messages a line has room for, beside the word that tells how far they are written.
  static constexpr std::size_t cells_in_line = (line_bytes - sizeof(std::uint64_t)) / sizeof(T);

  /// Throws    what the allocator throws
  line_ring(std::size_t capacity, const Allocator& allocator, std::uint64_t first)
      : capacity_{capacity}, lines_{lines_for(capacity), allocator}, tail_{first},
        limit_{first + capacity}, back_{begin_}, read_{first}, seen_end_{first}, front_{begin_},
        head_{first} {
    for (std::size_t i = 0; i != lines_.size(); ++i) {
      lines_[i].end.store(first, memory_order::relaxed); // (I3)
    }
  }

  std::size_t capacity() const noexcept { return capacity_; }

  /// How many messages were ever published, and how many slots were ever given back.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  std::uint64_t written() const noexcept { return tail_.load(memory_order::relaxed); } // (I5)
  std::uint64_t read() const noexcept { return head_.load(memory_order::acquire); }    // (E)

private:
  struct alignas(line_bytes) line {
    cell<T> cells[cells_in_line];
    atomic<std::uint64_t> end; ///< the position behind the last message written here
  };

  static constexpr std::size_t lines_for(std::size_t capacity) noexcept {
    return capacity / cells_in_line + (capacity % cells_in_line != 0);
  }
  static constexpr std::size_t lines =
      Capacity == dynamic_capacity ? dynamic_capacity : lines_for(Capacity);

  line* behind(line* last) noexcept { return last + 1 == end_ ? begin_ : last + 1; }
  void publish(line* last, std::uint64_t end) noexcept {
    tail_.store(end, memory_order::relaxed);     // (I5)
    last->end.store(end, memory_order::release); // (F)
  }
  line* begin_next_line(std::uint64_t end) noexcept;

  // Constant after construction, but for the lines.
  const std::size_t capacity_;
  storage<line, lines, Allocator> lines_;
  line* const begin_ = &lines_[0];
  line* const end_ = &lines_[0] + lines_.size();

  // The writer's line.
  alignas(cache_line) atomic<std::uint64_t> tail_;
  std::uint64_t limit_;
  line* back_;
  std::uint32_t back_cell_ = 0;

  // The reader's line, and what it tells the writer.
  alignas(cache_line) std::uint64_t read_;
  std::uint64_t seen_end_;
  line* front_;
  std::uint32_t front_cell_ = 0;
  alignas(cache_line) atomic<std::uint64_t> head_;
};

/// The writer's line is full; the positions before `end` are filled.
template <class T, std::size_t Capacity, class Allocator>
auto line_ring<T, Capacity, Allocator>::begin_next_line(std::uint64_t end) noexcept -> line* {
  publish(back_, end);
  back_ = behind(back_);
  back_cell_ = 0;
  prefetch_for_write(behind(behind(back_)));
  return back_;
}

/// One call of the writer. What it has built is published line by line, the last when it goes out
/// of scope.
template <class T, std::size_t Capacity, class Allocator>
class line_ring<T, Capacity, Allocator>::writer {
public:
  explicit writer(line_ring& ring) noexcept
      : ring_{ring}, at_{ring.tail_.load(memory_order::relaxed)}, // (I3)
        line_{ring.back_}, from_{ring.back_cell_}, cell_{from_} {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() {
    if (cell_ == from_) return;
    ring_.publish(line_, at_);
    ring_.back_cell_ = cell_;
  }

  /// Whether the ring is not full; looks at the reader only when it seems to be.
  bool has_room() noexcept {
    if (at_ != ring_.limit_) return true;
    ring_.limit_ = ring_.head_.load(memory_order::acquire) + ring_.capacity_; // (E)
    return at_ != ring_.limit_;
  }

  /// The raw cell for the next message, when there is room.
  cell<T>& next() noexcept { return line_->cells[cell_]; }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_room does.
  std::span<cell<T>> room() noexcept {
    if (!has_room()) return {};
    const std::size_t in_line = cells_in_line - cell_;
    const std::uint64_t free = smaller_of<std::uint64_t>(in_line, ring_.limit_ - at_);
    return {&next(), static_cast<std::size_t>(free)};
  }

  /// The next `count` of these cells hold a message now.
  void built(std::size_t count) noexcept {
    at_ += count;
    cell_ += static_cast<std::uint32_t>(count);
    if (cell_ != cells_in_line) return;
    line_ = ring_.begin_next_line(at_);
    cell_ = from_ = 0;
  }

private:
  line_ring& ring_;
  std::uint64_t at_;
  line* line_;
  std::uint32_t from_;
  std::uint32_t cell_;
};

/// One call of the reader. What it has taken is given back, once, when it goes out of scope.
template <class T, std::size_t Capacity, class Allocator>
class line_ring<T, Capacity, Allocator>::reader {
public:
  explicit reader(line_ring& ring) noexcept
      : ring_{ring}, from_{ring.read_}, at_{from_}, line_{ring.front_}, cell_{ring.front_cell_} {}
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  ~reader() {
    if (at_ == from_) return;
    ring_.read_ = at_;
    ring_.front_cell_ = cell_;
    ring_.head_.store(at_, memory_order::release); // (E)
  }

  /// Whether the ring is not empty; looks at the writer only when it seems to be.
  bool has_message() noexcept { return at_ != ring_.seen_end_ || look(); }

  /// The next message, when there is one.
  cell<T>& next() noexcept { return line_->cells[cell_]; }

  /// The same for several messages, in order: those that stand in one piece. There may be more
  /// behind them. Looks as has_message does.
  std::span<cell<T>> ready() noexcept {
    if (!has_message()) return {};
    return {&next(), static_cast<std::size_t>(ring_.seen_end_ - at_)};
  }

  /// The next `count` of these cells are empty now.
  void taken(std::size_t count) noexcept {
    at_ += count;
    cell_ += static_cast<std::uint32_t>(count);
    if (cell_ != cells_in_line) return;
    line_ = ring_.front_ = ring_.behind(line_);
    cell_ = 0;
  }

private:
  bool look() noexcept {
    const std::uint64_t end = line_->end.load(memory_order::acquire); // (F)
    const std::uint64_t last = at_ + (cells_in_line - cell_);
    if (static_cast<std::int64_t>(end - at_) <= 0) return false; // (I6)
    ring_.seen_end_ = static_cast<std::int64_t>(end - last) < 0 ? end : last;
    return true;
  }

  line_ring& ring_;
  const std::uint64_t from_;
  std::uint64_t at_;
  line* line_;
  std::uint32_t cell_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_LINE_RING_HPP
