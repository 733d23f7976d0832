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

// With sanitizers the whole of it takes minutes to compile; there, only what sleeps is run.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
MAILROOM_WAITING_CONTRACT(mpmc_park, mpmc_inside);
#else
MAILROOM_WAITING_CONTRACT(mpmc_park, mpmc_yield, mpmc_spin, mpmc_inside);
#endif
