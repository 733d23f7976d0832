// SPDX-License-Identifier: MIT
// Where the queue has one producer, a channel has one way in.
// expect: deleted
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <utility> // move

auto ends = mailroom::channel<int, mailroom::spsc_queue<int>>(1);
#ifdef WRONG
auto sender = ends.tx;
#else
auto sender = std::move(ends.tx);
#endif
