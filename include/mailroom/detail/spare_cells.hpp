// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_SPARE_CELLS_HPP
#define MAILROOM_DETAIL_SPARE_CELLS_HPP

// The cells that no slot of a ring holds: each call in progress borrows one.
//
// There are as many places as spare cells. A call empties a place and later refills the same one,
// mostly with another cell. Where to begin looking depends on the thread, so that threads mostly
// find a place, and a cache line, of their own. What else a thread likes to find again may stand
// beside the cell.
//
// Invariants
//   (I1)  a place that is empty belongs to the one call that emptied it; nobody else writes it, but
//         for writing empty again
//   (I2)  the constructor is alone
//
// Memory order
//   (S)   spare: giving a cell back -> taking it: its last user has left it.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>

#include <cstddef> // size_t
#include <limits>  // numeric_limits

namespace mailroom::inline MAILROOM_ABI::detail {

/// The index of a cell that is none.
inline constexpr std::size_t no_cell = std::numeric_limits<std::size_t>::max();

struct nothing_beside {};

/// `Beside` is shared by whoever begins at a place: it has to look after itself.
template <std::size_t Count, class Beside = nothing_beside>
class spare_cells {
public:
  /// Fills the places with the cells first, first + 1, ...
  explicit spare_cells(std::size_t first) noexcept {
    for (std::size_t i = 0; i != Count; ++i) {
      places_[i].cell.store(first + i, memory_order::relaxed); // (I2)
    }
  }

  /// A cell, and the place that it came from.
  struct loan {
    std::size_t cell = no_cell;
    std::size_t place = 0;
  };

  /// The place where the calling thread begins to look: often the same again.
  static std::size_t here() noexcept { return stack_hint(Count); }

  /// What stands beside a place.
  Beside& beside(std::size_t place) noexcept { return places_[place].beside; }

  /// Takes a cell out; looks at the place `start` first.
  ///
  /// Caller    anyone
  /// Progress  wait-free: looks at every place once
  /// Returns   no_cell if every place looked empty, which takes about Count calls in progress
  loan take(std::size_t start = here()) noexcept {
    for (std::size_t i = 0; i != Count; ++i) {
      const std::size_t place = (start + i) % Count;
      if (places_[place].cell.load(memory_order::relaxed) == no_cell) continue;              // (I1)
      const std::size_t cell = places_[place].cell.exchange(no_cell, memory_order::acquire); // (S)
      if (cell != no_cell) return {cell, place};
    }
    return {};
  }

  /// Puts a cell into the place that the caller emptied.
  ///
  /// Progress  wait-free
  void give(loan back) noexcept {
    places_[back.place].cell.store(back.cell, memory_order::release); // (S)
  }

private:
  struct alignas(cache_line / 2) padded {
    atomic<std::size_t> cell;
    Beside beside;
  };
  padded places_[Count];
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_SPARE_CELLS_HPP
