// SPDX-License-Identifier: MIT
// mpmc_queue cannot put a message back, so what it returns by value must not throw on its way.
// expect: is_nothrow_move_constructible_v
#include <mailroom/queue/mpmc_queue.hpp>

struct moved {
#ifdef WRONG
  moved(moved&&) noexcept(false) {}
#else
  moved(moved&&) noexcept {}
#endif
};

bool is_empty(mailroom::mpmc_queue<moved>& queue) { return !queue.try_pop(); }
