// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_READER_CURSORS_HPP
#define MAILROOM_QUEUE_READER_CURSORS_HPP

// How far each reader of a ring has read, so that its producers know what may be overwritten.
//
// Use it       never: it is a part of the lossless broadcast_queue.
//
// Every reader has a cursor of its own, on a cache line of its own, which only it writes. Cursors
// stand in chunks; chunks form a list that only grows, and ends with the ring. So a producer may
// look at all cursors at any time, and a cursor is used again by a later reader.
//
//      first --> | at  at  at  ... | --> | at  at  at  ... | --> none
//
// A cursor that no reader has stands `far` ahead of all messages, where it holds nobody back.
//
// Invariants
//   (I1)  only its reader writes a cursor; one that no reader has is taken by a CAS
//   (I2)  a cursor is not above its reader's place: an old value holds back more, never less
//   (I3)  what least() answers is for ever not above any reader's place, now or later: see (J)
//   (I4)  the maker of a chunk is alone with it, and so is the destructor with all
//   (I5)  `end` may be an old one; whoever joins then holds back too much for a moment
//
// Memory order
//   (E)   emptied: what a reader did with messages -> the cursor, which it stores afterwards ->
//         the producer that loads it and overwrites them.
//   (H)   handed over: a cursor is taken by an RMW, which does not end what its last reader has
//         released, and the fence behind it acquires that; so the next store hands it on too.
//   (J)   joining: a reader puts its cursor there, then reads where the ring ends, and begins
//         there; a producer reads where the ring ends, then loads the cursors. A fence stands
//         between the two steps of each, so one of them sees the other: either the producer finds
//         the cursor, or the reader begins at or behind the end that the producer starts from.
//   (L)   listed: a chunk is built -> whoever finds it in the list. Later chunks are added by a CAS
//         too, so who finds a chunk has seen those behind it built.
//
// Decision: the place to begin is read after the cursor is there, instead of checking afterwards
//   whether it was still good: there is nothing to retry.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <memory>  // allocator_traits, construct_at, destroy_at, pointer_traits, to_address

namespace mailroom::inline MAILROOM_ABI::detail {

template <class Allocator>
class reader_cursors {
public:
  using position = std::uint64_t;

  /// Where one reader stands: it is done with all messages below.
  struct alignas(cache_line) cursor {
    atomic<position> at;
  };

  /// A cursor, and the position of the first message that its reader gets.
  struct membership {
    cursor* own;
    position from;
  };

  explicit reader_cursors(const Allocator& source) noexcept : allocator_(source) {}
  reader_cursors(const reader_cursors&) = delete;
  reader_cursors& operator=(const reader_cursors&) = delete;
  ~reader_cursors();

  /// Makes the caller a reader of the ring that ends at `end`. From now on least() minds it.
  ///
  /// Caller    anyone, as for all that follows; the allocator must then allow it too
  /// Progress  lock-free, if the allocator is
  /// Cost      O(readers); allocates when there are more of them than ever before
  /// Throws    what the allocator throws; nothing has changed then
  membership join(const atomic<position>& end);

  /// The reader is done with all messages below `at`.
  ///
  /// Caller    the cursor's reader
  /// Progress  wait-free
  static void move(cursor& own, position at) noexcept {
    own.at.store(at, memory_order::release); // (E)
  }

  /// Gives the cursor up; its reader held nobody back beyond `at`.
  static void leave(cursor& own, position at) noexcept { move(own, at + far); }

  /// The least position that a reader may still need, or `end`, which the caller has read, when all
  /// are done.
  ///
  /// Progress  wait-free, but for readers that are more than ever before
  /// Cost      O(readers)
  position least(position end) const noexcept;

private:
  static constexpr position far = position{1} << 62;

  struct chunk {
    cursor cursors[cursors_together];
    chunk* next;
  };
  using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<chunk>;
  using traits = std::allocator_traits<allocator>;

  /// Whether no reader has the cursor. `far` is farther than an old `end` can be wrong.
  static bool is_free(position at, position end) noexcept {
    return static_cast<std::int64_t>(at - end) > static_cast<std::int64_t>(far / 2);
  }
  cursor& take_cursor(position end);
  cursor& add_chunk(position end);

  [[no_unique_address]] allocator allocator_;
  atomic<chunk*> first_;
};

// ---- Definitions, in the order of the class

template <class Allocator>
reader_cursors<Allocator>::~reader_cursors() {
  chunk* each = first_.load(memory_order::relaxed); // (I4)
  while (each != nullptr) {
    chunk* const next = each->next;
    std::destroy_at(each);
    traits::deallocate(allocator_, std::pointer_traits<typename traits::pointer>::pointer_to(*each),
                       1);
    each = next;
  }
}

template <class Allocator>
typename reader_cursors<Allocator>::membership
reader_cursors<Allocator>::join(const atomic<position>& end) {
  cursor& own = take_cursor(end.load(memory_order::relaxed)); // (I5)
  fence(memory_order::seq_cst);                               // (J)
  const position from = end.load(memory_order::relaxed);      // (J)
  move(own, from);
  return {&own, from};
}

template <class Allocator>
std::uint64_t reader_cursors<Allocator>::least(position end) const noexcept {
  fence(memory_order::seq_cst); // (J)
  position found = end;
  const chunk* each = first_.load(memory_order::acquire); // (L)
  for (; each != nullptr; each = each->next) {
    for (const cursor& one : each->cursors) {
      const position at = one.at.load(memory_order::acquire); // (E)
      if (static_cast<std::int64_t>(at - found) < 0) found = at;
    }
  }
  return found;
}

/// Makes a cursor that no reader has the caller's, and puts it to `end`.
template <class Allocator>
typename reader_cursors<Allocator>::cursor& reader_cursors<Allocator>::take_cursor(position end) {
  chunk* each = first_.load(memory_order::acquire); // (L)
  for (; each != nullptr; each = each->next) {
    for (cursor& one : each->cursors) {
      position at = one.at.load(memory_order::relaxed);                               // (I1)
      if (is_free(at, end) && one.at.compare_exchange(at, end, memory_order::relaxed, // (H)
                                                      memory_order::relaxed)) {       // (I1)
        return one;
      }
    }
  }
  return add_chunk(end);
}

template <class Allocator>
typename reader_cursors<Allocator>::cursor& reader_cursors<Allocator>::add_chunk(position end) {
  allocator mine{allocator_};
  chunk* const made = std::construct_at(std::to_address(traits::allocate(mine, 1)));
  for (cursor& one : made->cursors) one.at.store(end + far, memory_order::relaxed); // (I4)
  made->cursors[0].at.store(end, memory_order::relaxed);                            // (I4)
  chunk* first = first_.load(memory_order::relaxed);                                // (L)
  do {
    made->next = first;
  } while (!first_.compare_exchange(first, made, memory_order::release, // (L)
                                    memory_order::relaxed)); // (L)
  return made->cursors[0];
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_READER_CURSORS_HPP
