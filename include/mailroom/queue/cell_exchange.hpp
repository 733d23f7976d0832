// SPDX-License-Identifier: MIT
#ifndef MAILROOM_QUEUE_CELL_EXCHANGE_HPP
#define MAILROOM_QUEUE_CELL_EXCHANGE_HPP

// Messages in cells, whose indices a ring keeps in order, and what it takes to put one in.
//
// Use it       never: it is the inside of mpmc_queue, which has the contracts.
//
// Whoever uses the ring has a cell in its hands: an empty one to give for a message, or one with a
// message to give for an empty one. A handle keeps its cell from call to call; a plain call is a
// handle for one call, and borrows a spare cell. Beside the spare cells stand bookmarks: where a
// thread that begins to look there stood last in the ring, so that it need not walk far.
//
//      filler    hand [cell + message] --CAS--> slot, and the slot's empty cell is in the hand
//      emptier   hand [cell]           --CAS--> slot, and the slot's full cell is in the hand
//
// Invariants
//   (I1)  a cell is in one slot, or in one spare place, or in one hand (the cell whose slot was
//         sealed is in none)
//   (I2)  a message lives in a cell that is full in a slot, or in a hand; nowhere else
//   (I3)  below a bookmark all is filled (emptied), and a bookmark may be far behind
//   (I4)  the constructor is alone
//
// Memory order
//   (H)   bookmark: its store -> its load: what its writer saw done is done, as for the hints of
//         exchange_ring.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/storage.hpp>
#include <mailroom/detail/spare_cells.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/queue/exchange_ring.hpp>

#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <utility> // exchange, forward

namespace mailroom::inline MAILROOM_ABI::detail {

template <message T, std::size_t Slots, class Allocator>
class cell_exchange {
  struct bookmarks;
  template <auto Bookmark>
  class hand;

public:
  /// About how many calls and handles may have a cell in their hands at a time.
  static constexpr std::size_t spares = 64;

  using ring_type = exchange_ring<Slots, Allocator>;
  using position = typename ring_type::position;

  cell_exchange(std::size_t capacity, const Allocator& allocator, position first);
  ~cell_exchange();
  cell_exchange(const cell_exchange&) = delete;
  cell_exchange& operator=(const cell_exchange&) = delete;

  ring_type& ring() noexcept { return ring_; }
  const ring_type& ring() const noexcept { return ring_; }

  class filler;
  class emptier;

private:
  friend struct test_access;

  static constexpr std::size_t static_cells =
      Slots == dynamic_capacity ? dynamic_capacity : Slots + spares;

  ring_type ring_;
  storage<cell<T>, static_cells, Allocator> cells_;
  spare_cells<spares, bookmarks> spares_;
};

/// Where threads stood last.
template <message T, std::size_t Slots, class Allocator>
struct cell_exchange<T, Slots, Allocator>::bookmarks {
  atomic<position> end;
  atomic<position> front;
};

/// A cell, or none yet; a message in it, or not; and a place in the ring.
template <message T, std::size_t Slots, class Allocator>
template <auto Bookmark>
class cell_exchange<T, Slots, Allocator>::hand {
public:
  explicit hand(cell_exchange& of) noexcept
      : of_{of}, here_{of.spares_.here()}, place_{bookmark().load(memory_order::acquire)} {} // (H)
  hand(hand&& other) noexcept
      : of_{other.of_}, here_{other.here_}, place_{other.place_},
        loan_{std::exchange(other.loan_, {})}, alive_{std::exchange(other.alive_, false)} {}
  hand& operator=(const hand&) = delete;
  ~hand() {
    if (alive_) destroy();
    if (ring_type::is_before(bookmark().load(memory_order::relaxed), place_.at)) { // (I3)
      bookmark().store(place_.at, memory_order::release);                          // (H)
    }
    if (has_cell()) of_.spares_.give(loan_);
  }

  std::size_t capacity() const noexcept { return of_.ring_.capacity(); }

  /// Takes a spare cell, if there is none in the hand; says whether there is one then.
  bool acquire() noexcept {
    if (!has_cell()) loan_ = of_.spares_.take(here_);
    return has_cell();
  }

  template <class... Args>
  void construct(Args&&... args) {
    of_.cells_[loan_.cell].construct(std::forward<Args>(args)...);
    alive_ = true;
  }
  T& value() noexcept { return of_.cells_[loan_.cell].value(); }
  void destroy() noexcept {
    alive_ = false;
    of_.cells_[loan_.cell].destroy();
  }

protected:
  bool has_cell() const noexcept { return loan_.cell != no_cell; }
  atomic<position>& bookmark() noexcept { return of_.spares_.beside(here_).*Bookmark; }

  cell_exchange& of_;
  std::size_t here_;
  typename ring_type::place place_;
  typename spare_cells<spares, bookmarks>::loan loan_;
  bool alive_ = false;
};

/// A hand that puts messages in.
template <message T, std::size_t Slots, class Allocator>
class cell_exchange<T, Slots, Allocator>::filler : public hand<&bookmarks::end> {
public:
  using hand<&bookmarks::end>::hand;

  /// Looks whether there is room.
  ///
  /// Progress  lock-free, as for all that follows
  /// Returns   success, full, closed
  queue_status look() noexcept { return this->of_.ring_.walk_to_room(this->place_); }

  /// Puts in the message that is in the hand. Where that fails, it stays there.
  queue_status put() noexcept {
    while (!this->of_.ring_.try_exchange(this->place_, this->loan_.cell)) {
      hesitate(pauses_after_loss);
      if (const auto status = look(); status != queue_status::success) return status;
    }
    this->alive_ = false;
    this->of_.ring_.advance_end(this->place_);
    return queue_status::success;
  }

  /// Builds a message and puts it in, after a look has seen room; `undo` gets it back where the
  /// room has gone meanwhile.
  template <class Undo, class... Args>
  queue_status build_and_put(Undo undo, Args&&... args) {
    if (!this->acquire()) return queue_status::busy;
    this->construct(std::forward<Args>(args)...);
    const auto status = put();
    if (status != queue_status::success) {
      undo(this->value());
      this->destroy();
    }
    return status;
  }
};

/// A hand that takes messages out.
template <message T, std::size_t Slots, class Allocator>
class cell_exchange<T, Slots, Allocator>::emptier : public hand<&bookmarks::front> {
public:
  using hand<&bookmarks::front>::hand;

  /// Takes the first message out, into the hand, which has none.
  ///
  /// Progress  lock-free
  /// Returns   success, empty, closed, busy
  queue_status take() noexcept {
    for (;; hesitate(pauses_after_loss)) {
      const auto status = this->of_.ring_.walk_to_message(this->place_);
      if (status != queue_status::success) return status;
      if (!this->acquire()) return queue_status::busy;
      if (this->of_.ring_.try_exchange(this->place_, this->loan_.cell)) break;
    }
    this->alive_ = true;
    this->of_.ring_.advance_front(this->place_);
    return queue_status::success;
  }

  /// Destroys the message in the hand at the end of a block.
  class last_use {
  public:
    explicit last_use(emptier& of) noexcept : of_{of} {}
    last_use(const last_use&) = delete;
    last_use& operator=(const last_use&) = delete;
    ~last_use() { of_.destroy(); }

  private:
    emptier& of_;
  };
};

// ---- Definitions, in the order of the class

template <message T, std::size_t Slots, class Allocator>
cell_exchange<T, Slots, Allocator>::cell_exchange(std::size_t capacity, const Allocator& allocator,
                                                  position first)
    : ring_{capacity, spares, allocator, first}, cells_{ring_.slots() + spares, allocator},
      spares_{ring_.slots()} {
  if (first == 0) return; // that is where bookmarks begin
  for (std::size_t place = 0; place != spares; ++place) {
    spares_.beside(place).end.store(first, memory_order::relaxed);   // (I4)
    spares_.beside(place).front.store(first, memory_order::relaxed); // (I4)
  }
}

/// Destroys the messages that are in the ring, first in first.
template <message T, std::size_t Slots, class Allocator>
cell_exchange<T, Slots, Allocator>::~cell_exchange() {
  auto front = ring_.near_front();
  for (; ring_.walk_to_message(front) == queue_status::success; ++front.at) {
    cells_[ring_.cell_at(front)].destroy();
  }
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_QUEUE_CELL_EXCHANGE_HPP
