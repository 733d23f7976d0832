// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILROOM_HPP
#define MAILROOM_MAILROOM_HPP

// mailroom: messages between the threads of one program. The whole library in one include.
//
//      queue/     never waits            spsc_queue, mpmc_queue, mpmc_ticket_queue, mpsc_queue,
//                                        intrusive_mpsc_queue, broadcast_queue
//      mailbox/   waits and closes       mailbox over any queue, select, selector, channel,
//                                        coroutines
//      topic/     fans out               topic_filter, dispatcher, subscription, topic
//      core/      the words they share   queue_status, expected, message, queue_facts, wait_policy
//
// A floor rests on the floors above it in this list's reverse: whoever needs only a queue includes
// only that header, and parses no clock, no thread and no string.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/queue/spsc_queue.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/intrusive_mpsc_queue.hpp>
#include <mailroom/queue/broadcast_queue.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/mailbox/async.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/subscription.hpp>
#include <mailroom/topic/dispatcher.hpp>

#endif // MAILROOM_MAILROOM_HPP
