// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_GATED_RING_HPP
#define MAILROOM_QUEUE_GATED_RING_HPP

// A ring of messages that every reader reads in place, and that overwrites none before all have.
//
// Use it       never: it is the inside of the lossless broadcast_queue.
//
// Position p lives in slot p & mask, and stays there until a push needs the slot again. A producer
// remembers a position below which all readers are done, the gate, and looks at their cursors only
// when the ring seems full: one look for about as many pushes as the ring is long.
//
//        slowest reader   other readers        end
//             v             v       v           v
//      . . .  a   b   c  d  e   f   g   h   i   . . . .
//
// One producer publishes by one store of the end. Many first claim a position, by a CAS on the end
// that comes after the check for room, and then stamp the slot; the claim cannot fail afterwards.
//
// Invariants
//   (I1)  only the producer writes the end, the gate and `oldest_`, where there is one
//   (I2)  all cursors are at or above any gate that was ever stored: an old gate errs towards full
//   (I3)  a slot is built in by the one who claimed its position; it has found there the stamp of
//         the lap before, and a gate beyond that lap's position
//   (I4)  the constructor and the destructor are alone with the ring
//
// Memory order
//   (F)   filled: the message is built -> the producer stores the end, or the slot's stamp -> the
//         reader that loads it. Also the next producer of the slot, which destroys the message.
//   (G)   gate:   readers are done -> the producer that looked at their cursors stores the gate ->
//         a producer that loads it overwrites what they read. See (E) of reader_cursors.
//   (C)   claim:  tells positions only; what a claim rests on came by (F) and (G) before, through
//         loads that acquire. Argued: the CAS cannot be seen before those loads are done, and who
//         takes the value up does so to claim, to join or to tell empty from busy.
//
// Edge: a producer that stands still between claim and stamp hides its message and all behind it:
//   readers answer busy there; producers go on until the ring is full, or, where nobody reads,
//   until they come round to its slot, and then answer busy.
// Edge: where nobody reads the ring is never full.
//
// Decision: a message is destroyed by the push that uses its slot again, or with the ring. Which
//   reader is the last one is not known without a write to shared memory for each message read.
// Decision: many producers need messages whose move cannot throw: a position that was claimed must
//   be filled. What may throw is built before the claim, which also keeps the claim short.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/reader_cursors.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // int64_t, uint64_t
#include <iterator>    // input_iterator, sentinel_for, iter_reference_t
#include <type_traits> // is_nothrow_constructible
#include <utility>     // exchange, forward, move

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T, arity Producers, class Allocator>
class gated_ring;

// ---- One producer

template <class T, class Allocator>
class gated_ring<T, arity::one, Allocator> {
public:
  using position = std::uint64_t;
  using cursors = reader_cursors<Allocator>;

  gated_ring(std::size_t capacity, const Allocator& allocator, position first);
  ~gated_ring();

  std::size_t capacity() const noexcept { return capacity_; }

  /// Builds a message at the end.
  ///
  /// Caller    the producer
  /// Progress  wait-free
  /// Throws    what T's constructor throws; no message is gone then but one that all have read
  /// Returns   success, or full
  template <class... Args>
  queue_status try_put(Args&&... args);

  /// The same for a run, which is published together.
  ///
  /// Returns   the first element that was not taken
  template <std::input_iterator I, std::sentinel_for<I> S>
  I try_put_range(I first, S last);

  /// The position of the next message.
  position end() const noexcept { return tail_.load(memory_order::relaxed); } // (I1)

  // ---- For readers

  typename cursors::membership join() { return cursors_.join(tail_); }

  /// Is there a message at `at`? `seen` is the end that this reader has seen.
  ///
  /// Progress  wait-free
  /// Returns   success, empty, or busy
  queue_status look(position at, position& seen) const noexcept;
  const T& message(position at) const noexcept { return cells_[index(at)].value(); }

private:
  std::size_t index(position at) const noexcept {
    return static_cast<std::size_t>(at) & (cells_.size() - 1);
  }
  bool has_room(position tail) noexcept;
  template <class... Args>
  void build(position tail, Args&&... args);

  // Constant after construction, but for the cells and the cursors.
  const std::size_t capacity_;
  storage<cell<T>, dynamic_capacity, Allocator> cells_;
  cursors cursors_;

  // The producer's line.
  alignas(cache_line) atomic<position> tail_;
  position gate_;
  position oldest_; // the first message that was not destroyed
};

// ---- Many producers

template <class T, class Allocator>
class gated_ring<T, arity::many, Allocator> {
public:
  using position = std::uint64_t;
  using cursors = reader_cursors<Allocator>;

  gated_ring(std::size_t capacity, const Allocator& allocator, position first);
  ~gated_ring();

  std::size_t capacity() const noexcept { return capacity_; }

  /// Builds a message at the end.
  ///
  /// Caller    anyone
  /// Progress  as the Edge in the banner says
  /// Throws    what T's constructor throws; nothing has changed then
  /// Returns   success, full, or busy
  template <class... Args>
  queue_status try_put(Args&&... args);

  /// The same for a run, one by one.
  template <std::input_iterator I, std::sentinel_for<I> S>
  I try_put_range(I first, S last);

  position end() const noexcept { return claim_.load(memory_order::relaxed); } // (C)

  // ---- For readers

  typename cursors::membership join() { return cursors_.join(claim_); }
  queue_status look(position at, position& seen) const noexcept;
  const T& message(position at) const noexcept { return slot(at).message.value(); }

private:
  /// The stamp is the position of the message, plus one.
  struct stamped {
    atomic<position> stamp;
    cell<T> message;
  };

  stamped& slot(position at) noexcept { return slots_[index(at)]; }
  const stamped& slot(position at) const noexcept { return slots_[index(at)]; }
  std::size_t index(position at) const noexcept {
    return static_cast<std::size_t>(at) & (slots_.size() - 1);
  }
  bool has_room(position end) noexcept;
  queue_status find_room(position& end) noexcept;
  queue_status try_claim(position& at) noexcept;
  template <class... Args>
  void build(position at, Args&&... args) noexcept;

  // Constant after construction, but for the slots and the cursors.
  const std::size_t capacity_;
  const position first_;
  storage<stamped, dynamic_capacity, Allocator> slots_;
  cursors cursors_;

  // What producers write: the one with each message, the other when the ring looks full.
  alignas(cache_line) atomic<position> claim_;
  alignas(cache_line) atomic<position> gate_;
};

// ---- A reader of either

template <class T, arity Producers, class Allocator>
class gated_reader {
  using ring = gated_ring<T, Producers, Allocator>;
  using cursors = typename ring::cursors;

public:
  using position = std::uint64_t;

  explicit gated_reader(ring& of) : gated_reader{of, of.join()} {}
  gated_reader(gated_reader&& other) noexcept
      : ring_{other.ring_}, own_{std::exchange(other.own_, nullptr)}, joined_{other.joined_},
        at_{other.at_}, seen_{other.seen_} {}
  gated_reader& operator=(gated_reader&& other) noexcept {
    gated_reader taken{std::move(other)};
    std::swap(ring_, taken.ring_);
    std::swap(own_, taken.own_);
    joined_ = taken.joined_;
    seen_ = taken.seen_;
    std::swap(at_, taken.at_);
    return *this;
  }
  ~gated_reader() {
    if (own_ != nullptr) cursors::leave(*own_, at_);
  }

  /// Looks for the next message: message() after success, then step(), and release() for all.
  queue_status find() noexcept { return ring_->look(at_, seen_); }
  const T& message() const noexcept { return ring_->message(at_); }
  void step() noexcept { ++at_; }
  void release() noexcept { cursors::move(*own_, at_); }

  position passed() const noexcept { return at_ - joined_; }
  static position missed() noexcept { return 0; }
  position ahead() const noexcept { return ring_->end() - at_; }

private:
  gated_reader(ring& of, typename cursors::membership place) noexcept
      : ring_{&of}, own_{place.own}, joined_{place.from}, at_{place.from}, seen_{place.from} {}

  ring* ring_;
  typename cursors::cursor* own_;
  position joined_;
  position at_;
  position seen_;
};

// ---- Definitions, in the order of the classes

template <class T, class Allocator>
gated_ring<T, arity::one, Allocator>::gated_ring(std::size_t capacity, const Allocator& allocator,
                                                 position first)
    : capacity_{capacity}, cells_{slots_for(capacity), allocator}, cursors_{allocator},
      tail_{first}, gate_{first}, oldest_{first} {}

template <class T, class Allocator>
gated_ring<T, arity::one, Allocator>::~gated_ring() {
  for (const position tail = end(); oldest_ != tail; ++oldest_) cells_[index(oldest_)].destroy();
}

template <class T, class Allocator>
template <class... Args>
queue_status gated_ring<T, arity::one, Allocator>::try_put(Args&&... args) {
  const position tail = tail_.load(memory_order::relaxed); // (I1)
  if (!has_room(tail)) return queue_status::full;
  build(tail, std::forward<Args>(args)...);
  tail_.store(tail + 1, memory_order::release); // (F)
  return queue_status::success;
}

template <class T, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
I gated_ring<T, arity::one, Allocator>::try_put_range(I first, S last) {
  struct published_run {
    atomic<position>& end;
    const position from;
    position at = from;
    ~published_run() {
      if (at != from) end.store(at, memory_order::release); // (F)
    }
  };
  published_run run{tail_, tail_.load(memory_order::relaxed)}; // (I1)
  for (; first != last && has_room(run.at); ++first) {
    build(run.at, *first);
    ++run.at;
  }
  return first;
}

template <class T, class Allocator>
queue_status gated_ring<T, arity::one, Allocator>::look(position at,
                                                        position& seen) const noexcept {
  if (at == seen) seen = tail_.load(memory_order::acquire); // (F)
  return at == seen ? queue_status::empty : queue_status::success;
}

/// Is there room at `tail`? Looks at the readers only when there seems to be none. The gate may go
/// back then: see (I5) of reader_cursors.
template <class T, class Allocator>
bool gated_ring<T, arity::one, Allocator>::has_room(position tail) noexcept {
  if (tail - gate_ >= capacity_) gate_ = cursors_.least(tail);
  return tail - gate_ < capacity_;
}

template <class T, class Allocator>
template <class... Args>
void gated_ring<T, arity::one, Allocator>::build(position tail, Args&&... args) {
  if (tail - oldest_ == cells_.size()) cells_[index(oldest_++)].destroy();
  cells_[index(tail)].construct(std::forward<Args>(args)...);
}

template <class T, class Allocator>
gated_ring<T, arity::many, Allocator>::gated_ring(std::size_t capacity, const Allocator& allocator,
                                                  position first)
    : capacity_{capacity}, first_{first}, slots_{slots_for(capacity), allocator},
      cursors_{allocator}, claim_{first}, gate_{first} {
  for (position at = first - slots_.size(); at != first; ++at) {
    slot(at).stamp.store(at + 1, memory_order::relaxed); // (I4)
  }
}

/// What was claimed and never built, by a thread that died, is left out.
template <class T, class Allocator>
gated_ring<T, arity::many, Allocator>::~gated_ring() {
  const position last = end();
  for (position at = last - smaller_of<position>(last - first_, slots_.size()); at != last; ++at) {
    if (slot(at).stamp.load(memory_order::relaxed) == at + 1) slot(at).message.destroy(); // (I4)
  }
}

template <class T, class Allocator>
template <class... Args>
queue_status gated_ring<T, arity::many, Allocator>::try_put(Args&&... args) {
  position at = end();
  if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
    const auto status = try_claim(at);
    if (status == queue_status::success) build(at, std::forward<Args>(args)...);
    return status;
  } else {
    if (const auto status = find_room(at); status != queue_status::success) return status;
    return try_put(T(std::forward<Args>(args)...));
  }
}

template <class T, class Allocator>
template <std::input_iterator I, std::sentinel_for<I> S>
I gated_ring<T, arity::many, Allocator>::try_put_range(I first, S last) {
  while (first != last && try_put(*first) == queue_status::success) ++first;
  return first;
}

template <class T, class Allocator>
queue_status gated_ring<T, arity::many, Allocator>::look(position at, position&) const noexcept {
  const position stamp = slot(at).stamp.load(memory_order::acquire); // (F)
  if (stamp == at + 1) return queue_status::success;
  return end() == at ? queue_status::empty : queue_status::busy;
}

template <class T, class Allocator>
bool gated_ring<T, arity::many, Allocator>::has_room(position end) noexcept {
  const auto fits = [&](position gate) {
    return static_cast<std::int64_t>(end - gate) < static_cast<std::int64_t>(capacity_);
  };
  if (fits(gate_.load(memory_order::acquire))) return true; // (G)
  const position least = cursors_.least(end);
  gate_.store(least, memory_order::release); // (G)
  return fits(least);
}

/// Walks from `end` to a position that was not claimed, and where a message could be built now.
template <class T, class Allocator>
queue_status gated_ring<T, arity::many, Allocator>::find_room(position& end) noexcept {
  for (;;) {
    if (!has_room(end)) return queue_status::full;
    const position stamp = slot(end).stamp.load(memory_order::acquire); // (F)
    const auto laps = static_cast<std::int64_t>(stamp - (end + 1 - slots_.size()));
    if (laps == 0) return queue_status::success;
    if (laps < 0) return queue_status::busy;
    end = claim_.load(memory_order::relaxed); // (C)
  }
}

template <class T, class Allocator>
queue_status gated_ring<T, arity::many, Allocator>::try_claim(position& at) noexcept {
  do {
    if (const auto status = find_room(at); status != queue_status::success) return status;
  } while (!claim_.compare_exchange(at, at + 1, memory_order::relaxed, // (C)
                                    memory_order::relaxed)); // (C)
  return queue_status::success;
}

/// Fills the slot of a position that was claimed.
template <class T, class Allocator>
template <class... Args>
void gated_ring<T, arity::many, Allocator>::build(position at, Args&&... args) noexcept {
  stamped& own = slot(at);
  if (at - first_ >= slots_.size()) own.message.destroy();
  own.message.construct(std::forward<Args>(args)...);
  own.stamp.store(at + 1, memory_order::release); // (F)
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_GATED_RING_HPP
