// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_FENCES_HPP
#define MAILROOM_DETAIL_FENCES_HPP

// Two fences for two sides that each write something and then look at what the other has written
// (Dekker): with one between the write and the look on either side, at least one of them sees the
// other.
//
//      the side in a hurry        the other side
//      write mine                 write mine
//      light()                    heavy()
//      look at theirs             look at theirs
//
// symmetric_fences   both are a seq_cst fence
// asymmetric_fences  heavy() makes every thread of the program pass a fence, wherever it is, so
//                    that light() is none at all. Where the kernel cannot do that: symmetric.
//
// Memory order
//   (D)   Dekker: as drawn. Each of the two sides has passed its fence, or heavy() has passed one
//         in its place, before it looks.
//
// Decision: what heavy() does is found out while the program runs, and kept in the object: parts of
//   a program that were compiled differently cannot disagree, which would lose wake-ups.
//
// Sources: P1202R5, Asymmetric Fences; membarrier(2) of Linux.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>

namespace mailroom::inline MAILROOM_ABI::detail {

struct symmetric_fences {
  static void light() noexcept { fence(memory_order::seq_cst); } // (D)
  static void heavy() noexcept { fence(memory_order::seq_cst); } // (D)
};

class asymmetric_fences {
public:
  void light() const noexcept {
    if (for_all_) {
      compiler_fence();
    } else {
      fence(memory_order::seq_cst); // (D)
    }
  }
  void heavy() const noexcept {
    if (for_all_) {
      fence_all_threads();
    } else {
      fence(memory_order::seq_cst); // (D)
    }
  }

private:
  bool for_all_ = can_fence_all_threads();
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_FENCES_HPP
