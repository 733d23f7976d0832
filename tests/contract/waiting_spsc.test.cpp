// SPDX-License-Identifier: MIT
// The contract of waiting.contract.hpp, run on mailboxes over spsc_queue, with every way to wait.

#include <mailroom/core/wait.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <contract/waiting.contract.hpp>

namespace contract {

template <class T, std::size_t Capacity, class Allocator>
using spsc = mailroom::spsc_queue<T, Capacity, Allocator>;

using mailroom::wait_policy::park;
using mailroom::wait_policy::spin;
using mailroom::wait_policy::yield;

struct spsc_park : waiting_on_heap<spsc, park> {};
struct spsc_yield : waiting_on_heap<spsc, yield> {};
struct spsc_spin : waiting_on_heap<spsc, spin> {};
struct spsc_inside : waiting_inside<spsc, park> {};

} // namespace contract

// All of it takes long to compile. With sanitizers it is run on what sleeps; a slot on the heap is
// also guarded best there. And once more it is run checked.
#if MAILROOM_CHECKED || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
MAILROOM_WAITING_CONTRACT(spsc_park);
#else
MAILROOM_WAITING_CONTRACT(spsc_park, spsc_yield, spsc_spin, spsc_inside);
#endif
