// SPDX-License-Identifier: MIT
// Who takes what is discarded runs where nobody could be told of an exception.
// expect: an on_drop must be noexcept
#include <mailroom/mailbox/mailbox.hpp>

#ifdef WRONG
inline constexpr auto shred = [](int&&) {};
#else
inline constexpr auto shred = [](int&&) noexcept {};
#endif

mailroom::mailbox<int> box{{.capacity = 1, .on_full = mailroom::overflow::drop_oldest}, shred};
