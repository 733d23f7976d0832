// SPDX-License-Identifier: MIT
// The contract of waiting.contract.hpp, run on mailboxes over mpsc_queue, with every way to wait. No
// push into them ever waits, so the claims about room and overflow have nothing to say here; what a
// mailbox without a bound says instead is below.

#include <mailroom/core/wait.hpp>
#include <mailroom/queue/mpsc_queue.hpp>

#include <contract/waiting.contract.hpp>

#include <limits>    // numeric_limits
#include <stdexcept> // invalid_argument

namespace contract {

template <class Wait>
struct waiting_unbounded {
  static constexpr bool parks = std::is_same_v<Wait, mailroom::wait_policy::park>;
  template <class T, std::size_t>
  using mailbox = mailroom::mailbox<T, mailroom::mpsc_queue<T>, Wait>;
};
struct mpsc_park : waiting_unbounded<mailroom::wait_policy::park> {};
struct mpsc_yield : waiting_unbounded<mailroom::wait_policy::yield> {};
struct mpsc_spin : waiting_unbounded<mailroom::wait_policy::spin> {};

// All of it takes long to compile. With sanitizers it is run on what sleeps.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAILROOM_WITHOUT_A_BOUND(claim) TEST_CASE_TEMPLATE_INVOKE(claim, mpsc_park)
#else
#define MAILROOM_WITHOUT_A_BOUND(claim)                                                            \
  TEST_CASE_TEMPLATE_INVOKE(claim, mpsc_park, mpsc_yield, mpsc_spin)
#endif

MAILROOM_WITHOUT_A_BOUND(destroyed);
MAILROOM_WITHOUT_A_BOUND(pop_waits);
MAILROOM_WITHOUT_A_BOUND(one_each);
MAILROOM_WITHOUT_A_BOUND(fifo);
MAILROOM_WITHOUT_A_BOUND(message_first);
MAILROOM_WITHOUT_A_BOUND(pop_closed_first);
MAILROOM_WITHOUT_A_BOUND(close_wakes_pops);
MAILROOM_WITHOUT_A_BOUND(delivered);
MAILROOM_WITHOUT_A_BOUND(push_after_close);
MAILROOM_WITHOUT_A_BOUND(drained);
MAILROOM_WITHOUT_A_BOUND(drained_while_pushing);
MAILROOM_WITHOUT_A_BOUND(discarded);
MAILROOM_WITHOUT_A_BOUND(discarded_while_pushing);
MAILROOM_WITHOUT_A_BOUND(end_waited);
MAILROOM_WITHOUT_A_BOUND(end_waited_for);
MAILROOM_WITHOUT_A_BOUND(end_raced);
MAILROOM_WITHOUT_A_BOUND(close_in_handler);
MAILROOM_WITHOUT_A_BOUND(range_throws);
MAILROOM_WITHOUT_A_BOUND(consumed);
MAILROOM_WITHOUT_A_BOUND(pop_n);
MAILROOM_WITHOUT_A_BOUND(run_closed);
MAILROOM_WITHOUT_A_BOUND(run_throws);

TEST_CASE_TEMPLATE("mailbox: without a bound no push waits, whatever the policy", Flavor, mpsc_park,
                   mpsc_yield, mpsc_spin) {
  for (const auto policy : {overflow::block, overflow::reject, overflow::drop_newest}) {
    box<Flavor, 1> mail{policy};
    CHECK(mail.capacity() == std::numeric_limits<std::size_t>::max());
    for (int i = 0; i != 1000; ++i) REQUIRE(mail.push(i));
    CHECK(mail.try_push_for(1000, 0s) == queue_status::success);
    CHECK(take_all(mail) == numbers(0, 1001));
    CHECK(mail.stats().push_waits == 0);
    CHECK(mail.stats().dropped + mail.stats().rejected == 0);
  }
  CHECK_THROWS_AS((box<Flavor, 1>{overflow::drop_oldest}), std::invalid_argument);
}

TEST_CASE_TEMPLATE("mailbox: without a bound a timed pop ends in time, or with a message", Flavor,
                   mpsc_park, mpsc_yield, mpsc_spin) {
  box<Flavor, 1> mail;
  const auto begin = std::chrono::steady_clock::now();
  CHECK(mail.try_pop_for(20ms).error() == queue_status::timeout);
  CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  background popping{[&] { return mail.try_pop_for(60s).value_or(-1); }};
  wait_for_pops(mail, 1);
  CHECK(mail.push(7));
  CHECK(popping.get() == 7);
}

} // namespace contract
