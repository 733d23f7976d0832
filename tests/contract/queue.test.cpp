// SPDX-License-Identifier: MIT
// The contract of queue.contract.hpp, run on every kind of queue.

#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <contract/queue.contract.hpp>
#include <doctest/doctest.h>
#include <support/seed.hpp>

namespace contract {

template <class T, std::size_t Capacity, class Allocator>
using spsc = mailroom::spsc_queue<T, Capacity, Allocator>;
template <class T, std::size_t Capacity, class Allocator>
using mpmc = mailroom::mpmc_queue<T, Capacity, Allocator>;
template <class T, std::size_t Capacity, class Allocator>
using ticket = mailroom::mpmc_ticket_queue<T, Capacity, Allocator>;

struct spsc_on_heap : on_heap<spsc> {};
struct spsc_inside : inside<spsc> {};
struct mpmc_on_heap : on_heap<mpmc> {};
struct mpmc_inside : inside<mpmc> {};
struct ticket_on_heap : on_heap<ticket> {
  static constexpr bool takes_any_message = false;
};
struct ticket_inside : inside<ticket> {
  static constexpr bool takes_any_message = false;
};
struct mpsc : unbounded<mailroom::mpsc_queue> {};

} // namespace contract

MAILROOM_QUEUE_CONTRACT(spsc_on_heap, spsc_inside, mpmc_on_heap, mpmc_inside, ticket_on_heap,
                        ticket_inside, mpsc);
MAILROOM_ANY_MESSAGE_CONTRACT(spsc_on_heap, spsc_inside, mpmc_on_heap, mpmc_inside, mpsc);
MAILROOM_BOUNDED_QUEUE_CONTRACT(spsc_on_heap, spsc_inside, mpmc_on_heap, mpmc_inside,
                                ticket_on_heap, ticket_inside);

TEST_CASE("queue: a run can be repeated") { MESSAGE("MAILROOM_TEST_SEED=", test::seed()); }
