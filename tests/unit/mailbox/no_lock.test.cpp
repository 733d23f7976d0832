// SPDX-License-Identifier: MIT
// Where nobody waits in a list, or who stands there has been woken, an event takes no lock. Here
// detail/mutex.hpp is the one from support/counting_mutex, which counts; so this file needs a
// program of its own.

#include <mailroom/detail/mutex.hpp>
#include <mailroom/mailbox/waiter.hpp>

#include <doctest/doctest.h>

namespace {

using mailroom::detail::mutex;
using mailroom::detail::wait_list;

/// How many locks a call takes.
template <class F>
int locks_of(F&& call) {
  const int before = mutex::taken.load();
  call();
  return mutex::taken.load() - before;
}

/// Does nothing when it is woken.
class silent final : public mailroom::detail::waiter {
public:
  silent() { begin(); }

private:
  bool wake() noexcept override { return false; }
};

} // namespace

TEST_CASE("no_lock: each list of a waiter pays for it once, and those it has left do too") {
  wait_list one, other, third;
  silent a, b;
  const wait_list::place first{one, a}, second{other, a}, beside{third, a}, behind{third, b};
  CHECK(locks_of([&] { one.wake_one(); }) == 1);
  CHECK(locks_of([&] { one.wake_one(); }) == 0);
  CHECK(locks_of([&] { other.wake_one(); }) == 1); // finds that it has been woken
  CHECK(locks_of([&] { other.wake_one(); }) == 0);
  CHECK(locks_of([&] { third.wake_one(); }) == 1);
  CHECK(b.is_fired());
  CHECK(locks_of([&] { third.wake_all(); }) == 0);
}
