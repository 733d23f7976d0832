// SPDX-License-Identifier: MIT
// One of many producers must fill the position that it has claimed; the only one need not.
// expect: many producers needs messages whose move cannot throw
#include <mailroom/queue/broadcast_queue.hpp>

using mailroom::arity;
using mailroom::broadcast_mode;

struct moved {
  moved(moved&&) noexcept(false) {}
};

#ifdef WRONG
mailroom::broadcast_queue<moved, broadcast_mode::lossless, arity::many> queue{1};
#else
mailroom::broadcast_queue<moved, broadcast_mode::lossless, arity::one> queue{1};
#endif
