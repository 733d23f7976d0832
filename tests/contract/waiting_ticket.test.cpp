// SPDX-License-Identifier: MIT
// The contract of waiting.contract.hpp, run on mailboxes over mpmc_ticket_queue, with every way to
// wait.

#include <mailroom/core/wait.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>

#include <contract/waiting.contract.hpp>

namespace contract {

template <class T, std::size_t Capacity, class Allocator>
using ticket = mailroom::mpmc_ticket_queue<T, Capacity, Allocator>;

using mailroom::wait_policy::park;
using mailroom::wait_policy::spin;
using mailroom::wait_policy::yield;

struct ticket_park : waiting_on_heap<ticket, park> {};
struct ticket_yield : waiting_on_heap<ticket, yield> {};
struct ticket_spin : waiting_on_heap<ticket, spin> {};
struct ticket_inside : waiting_inside<ticket, park> {};

} // namespace contract

// All of it takes long to compile. With sanitizers it is run on what sleeps; a slot on the heap is
// also guarded best there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
MAILROOM_WAITING_CONTRACT(ticket_park);
#else
MAILROOM_WAITING_CONTRACT(ticket_park, ticket_yield, ticket_spin, ticket_inside);
#endif
