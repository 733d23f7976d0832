// SPDX-License-Identifier: MIT
// Where nobody waits in a list, or who stands there has been woken, an event takes no lock. Here
// detail/mutex.hpp is the one from support/counting_mutex, which counts; so this file needs a
// program of its own.

#include <mailroom/detail/mutex.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>
#include <mailroom/mailbox/waiter.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>

#if __has_include(<sys/eventfd.h>)
#include <sys/eventfd.h> // eventfd_read
#endif

namespace {

using mailroom::mailbox;
using mailroom::on_pop;
using mailroom::queue_status;
using mailroom::selector;
using mailroom::detail::mutex;
using mailroom::detail::wait_list;

constexpr auto ignore = [](int) {};

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

TEST_CASE("no_lock: pushes into the mailboxes of a selector are free again once it is woken") {
  mailbox<int> a{8}, b{8};
  selector all;
  const auto first = all.add(on_pop(a, ignore));
  const auto second = all.add(on_pop(b, ignore));
  CHECK(locks_of([&] { CHECK(all.try_select() == queue_status::empty); }) == 0); // no descriptor
  (void)all.native_handle();
  CHECK(locks_of([&] { CHECK(all.try_select() == queue_status::empty); }) == 2);
  CHECK(locks_of([&] { CHECK(all.try_select() == queue_status::empty); }) == 0);
  CHECK(locks_of([&] { CHECK(a.push(1)); }) == 1);
  CHECK(locks_of([&] { CHECK(a.push(2)); }) == 0);
  CHECK(locks_of([&] { CHECK(b.push(3)); }) == 1);
  CHECK(locks_of([&] { CHECK(b.push(4)); }) == 0);
  CHECK(locks_of([&] { CHECK(all.try_select() == queue_status::success); }) == 2);
  CHECK(locks_of([&] { CHECK(all.try_select() == queue_status::success); }) == 0);
  CHECK(locks_of([&] { CHECK(a.push(5)); }) == 0);
}

#if __has_include(<sys/eventfd.h>)
TEST_CASE("no_lock: however much is pushed, the descriptor is raised once") {
  mailbox<int> a{8}, b{8};
  selector all;
  const auto first = all.add(on_pop(a, ignore));
  const auto second = all.add(on_pop(b, ignore));
  const int wire = all.native_handle();
  CHECK(all.try_select() == queue_status::empty);
  for (int i = 0; i != 5; ++i) CHECK((a.push(i) && b.push(i)));
  eventfd_t raises = 0;
  REQUIRE(eventfd_read(wire, &raises) == 0);
  CHECK(raises == 1);
}

#endif
