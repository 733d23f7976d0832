// SPDX-License-Identifier: MIT
// The contract of waiting.contract.hpp, run on mailboxes over mpmc_queue, with every way to wait.

#include <mailroom/core/wait.hpp>
#include <mailroom/queue/mpmc_queue.hpp>

#include <contract/waiting.contract.hpp>

namespace contract {

template <class T, std::size_t Capacity, class Allocator>
using mpmc = mailroom::mpmc_queue<T, Capacity, Allocator>;

using mailroom::wait_policy::park;
using mailroom::wait_policy::spin;
using mailroom::wait_policy::yield;

struct mpmc_park : waiting_on_heap<mpmc, park> {};
struct mpmc_yield : waiting_on_heap<mpmc, yield> {};
struct mpmc_spin : waiting_on_heap<mpmc, spin> {};
struct mpmc_inside : waiting_inside<mpmc, park> {};

} // namespace contract

// All of it takes long to compile. With sanitizers, and once more where a condition variable stands
// in for the futex, it is run on what sleeps; there a slot on the heap is also guarded best.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__linux__)
MAILROOM_WAITING_CONTRACT(mpmc_park);
#else
MAILROOM_WAITING_CONTRACT(mpmc_park, mpmc_yield, mpmc_spin, mpmc_inside);
#endif
