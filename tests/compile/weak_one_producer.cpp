// SPDX-License-Identifier: MIT
// Whoever knows a channel weakly can become one more producer.
// expect: a weak_producer needs a queue with many producers
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#ifdef WRONG
using queue = mailroom::spsc_queue<int>;
#else
using queue = mailroom::mpsc_queue<int>;
#endif

mailroom::weak_producer<mailroom::mailbox<int, queue>> weak;
