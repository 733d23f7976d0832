// SPDX-License-Identifier: MIT
// What is said of channels over every queue is in contract/channel.test.cpp. Here is the rest: what
// the compiler knows, empty ends, and ends that are passed around.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/print.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <algorithm>   // ranges::copy
#include <atomic>      // atomic
#include <chrono>      // steady_clock
#include <cstddef>     // size_t
#include <functional>  // function
#include <iterator>    // back_inserter, default_sentinel_t, input_iterator
#include <memory>      // make_shared, make_unique, shared_ptr, unique_ptr
#include <optional>    // optional
#include <ranges>      // input_range, range_reference_t, views::take
#include <string>      // string
#include <string_view> // string_view
#include <type_traits> // is_copy_constructible, is_nothrow_move_constructible, is_same
#include <utility>     // exchange, move
#include <vector>      // vector

namespace {

using mailroom::channel;
using mailroom::channel_ends;
using mailroom::consumer;
using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::overflow;
using mailroom::producer;
using mailroom::queue_status;
using mailroom::weak_producer;
using test::background;
using namespace std::chrono_literals;

using over_mpmc = mailbox<int>;
using over_ticket = mailbox<int, mailroom::mpmc_ticket_queue<int>>;
using over_mpsc = mailbox<int, mailroom::mpsc_queue<int>>;
using over_spsc = mailbox<int, mailroom::spsc_queue<int>>;

// ---- What the compiler knows

template <class End>
inline constexpr bool is_copied =
    std::is_copy_constructible_v<End> && std::is_copy_assignable_v<End>;
template <class End>
inline constexpr bool is_only_moved =
    !std::is_copy_constructible_v<End> && !std::is_copy_assignable_v<End>;
template <class End>
inline constexpr bool is_moved =
    std::is_nothrow_move_constructible_v<End> && std::is_nothrow_move_assignable_v<End>;

static_assert(is_copied<producer<over_mpmc>> && is_copied<consumer<over_mpmc>>);
static_assert(is_copied<producer<over_ticket>> && is_copied<consumer<over_ticket>>);
static_assert(is_copied<producer<over_mpsc>> && is_only_moved<consumer<over_mpsc>>);
static_assert(is_only_moved<producer<over_spsc>> && is_only_moved<consumer<over_spsc>>);
static_assert(is_moved<producer<over_mpmc>> && is_moved<consumer<over_mpmc>>);
static_assert(is_moved<producer<over_spsc>> && is_moved<consumer<over_spsc>>);
static_assert(is_copied<weak_producer<over_mpmc>> && is_moved<weak_producer<over_mpsc>>);

static_assert(std::is_same_v<decltype(channel<int>(1)), channel_ends<over_mpmc>>);
static_assert(
    std::is_same_v<decltype(channel<int, mailroom::spsc_queue<int>>(1)), channel_ends<over_spsc>>);
static_assert(std::is_same_v<producer<over_mpmc>::value_type, int>);

static_assert(std::ranges::input_range<consumer<over_mpmc>>);
static_assert(std::ranges::input_range<consumer<over_spsc>>);
static_assert(std::ranges::input_range<consumer<mailbox<std::unique_ptr<int>>>>);
static_assert(std::ranges::input_range<consumer<mailbox<test::unassignable>>>);
static_assert(std::is_same_v<std::ranges::range_reference_t<consumer<over_mpmc>>, int&>);
static_assert(
    std::is_same_v<std::ranges::sentinel_t<consumer<over_mpmc>>, std::default_sentinel_t>);
static_assert(!std::is_copy_constructible_v<consumer<over_mpmc>::iterator>);

} // namespace

// ---- Ends that are empty

TEST_CASE("channel: an empty end answers like a closed mailbox") {
  const auto claim = [](auto& tx, auto& rx) {
    CHECK_FALSE(static_cast<bool>(tx));
    CHECK_FALSE(static_cast<bool>(rx));
    const int one = 1;
    CHECK_FALSE(tx.push(1));
    CHECK_FALSE(tx.push(one, mailroom::never_stop{}));
    CHECK_FALSE(tx.emplace(1));
    CHECK(tx.try_push(1) == queue_status::closed);
    CHECK(tx.try_push(one) == queue_status::closed);
    CHECK(tx.try_push_for(1, 1h) == queue_status::closed);
    CHECK(tx.try_push_for(one, 1h) == queue_status::closed);
    CHECK(tx.try_push_until(1, std::chrono::steady_clock::now() + 1h) == queue_status::closed);
    CHECK(tx.try_push_until(one, std::chrono::steady_clock::now() + 1h) == queue_status::closed);
    const std::vector some{1, 2};
    CHECK(tx.push_range(some.begin(), some.end()) == some.begin());

    int into = 7;
    std::vector<int> out;
    CHECK_FALSE(rx.pop().has_value());
    CHECK_FALSE(rx.pop(mailroom::never_stop{}).has_value());
    CHECK(rx.try_pop().error() == queue_status::closed);
    CHECK(rx.try_pop(into) == queue_status::closed);
    CHECK(rx.try_pop_for(1h).error() == queue_status::closed);
    CHECK(rx.try_pop_until(std::chrono::steady_clock::now() + 1h).error() == queue_status::closed);
    CHECK(rx.pop_n(std::back_inserter(out), 3) == 0);
    CHECK(rx.run([](int) {}) == queue_status::closed);
    CHECK(rx.begin() == rx.end());
    CHECK(into == 7);
  };
  producer<over_mpmc> no_producer;
  consumer<over_mpmc> no_consumer;
  claim(no_producer, no_consumer);
  auto [tx, rx] = channel<int>(2);
  const auto kept_open = tx;
  auto kept = std::move(tx);
  const auto received = std::move(rx);
  claim(tx, rx); // NOLINT(bugprone-use-after-move): that is what is asked here
  auto copy_of_none = no_producer;
  auto moved_none = std::move(no_consumer);
  claim(copy_of_none, moved_none);
  CHECK(kept.push(1));
  CHECK_FALSE(weak_producer<over_mpmc>{}.lock());
  CHECK_FALSE(weak_producer<over_mpmc>{copy_of_none}.lock());
}

// ---- What the ends pass on

TEST_CASE("channel: the ends push and pop in every way that the mailbox has") {
  auto [tx, rx] = channel<int>(8);
  const int two = 2;
  const std::vector some{7, 8};
  const auto in_an_hour = std::chrono::steady_clock::now() + 1h;
  CHECK(tx.push(1));
  CHECK(tx.push(two));
  CHECK(tx.emplace(3));
  CHECK(tx.try_push(4) == queue_status::success);
  CHECK(tx.try_push_for(5, 1h) == queue_status::success);
  CHECK(tx.try_push_until(6, in_an_hour) == queue_status::success);
  CHECK(tx.push_range(some.begin(), some.end()) == some.end());
  CHECK(tx.try_push(9) == queue_status::full);
  CHECK(tx.try_push_for(two, 1ms) == queue_status::timeout);

  int into = 0;
  std::vector<int> out;
  CHECK(rx.pop() == 1);
  CHECK(rx.try_pop().value_or(0) == 2);
  CHECK(rx.try_pop(into) == queue_status::success);
  CHECK(into == 3);
  CHECK(rx.try_pop_for(1h).value_or(0) == 4);
  CHECK(rx.try_pop_until(in_an_hour).value_or(0) == 5);
  CHECK(rx.pop_n(std::back_inserter(out), 2) == 2);
  CHECK(out == std::vector{6, 7});
  tx = {};
  CHECK(rx.run([&](int each) { out.push_back(each); }) == queue_status::closed);
  CHECK(out.back() == 8);
}

TEST_CASE("channel: a stop ends a push and a pop through an end") {
  test::with_every_stop_source([](auto& source) {
    auto [tx, rx] = channel<int>(1);
    background popped{[&from = rx, &source] { return from.pop(source.get_token()).has_value(); }};
    test::wait_for_pops(tx.box(), 1);
    source.request_stop();
    CHECK_FALSE(popped.get());
    CHECK(tx.push(1, source.get_token()));
    CHECK_FALSE(tx.push(2, source.get_token()));
    CHECK(tx.try_push_for(2, 1h, source.get_token()) == queue_status::stopped);
    CHECK(rx.run([](int) {}, source.get_token()) == queue_status::stopped);
  });
}

TEST_CASE("channel: it is made from what a mailbox is made from") {
  auto named = channel<int>(mailbox_options{.capacity = 3, .name = "orders"});
  CHECK(named.tx.box().capacity() == 3);
  CHECK(std::string_view{named.rx.box().name()} == "orders");
  CHECK(&named.tx.box() == &named.rx.box());
  CHECK(channel<int>().tx.box().capacity() == 1024);
  CHECK(channel<int, mailroom::mpmc_queue<int, 5>>().tx.box().capacity() == 5);
  CHECK(channel<int, mailroom::mpmc_queue<int>, mailroom::wait_policy::spin>(2).tx.push(1));

  int dropped = 0;
  auto leaky = channel<int>({.capacity = 1, .on_full = overflow::drop_oldest},
                            [&](int each) noexcept { dropped += each; });
  CHECK(leaky.tx.push(1));
  CHECK(leaky.tx.push(2));
  CHECK(dropped == 1);
  leaky.rx = {};
  CHECK(dropped == 3);

  using alloc = test::logging_allocator<int>;
  test::allocation_log log;
  {
    using queue = mailroom::mpmc_queue<int, mailroom::dynamic_capacity, alloc>;
    auto own = channel<int, queue>(mailbox_options{.capacity = 4}, alloc{log});
    CHECK(log.blocks > 0);
    CHECK(own.tx.push(1));
  }
  CHECK(log.blocks == 0);
}

// ---- A consumer is a range

TEST_CASE("channel: who iterates over a consumer gets every message, and then the end") {
  auto [tx, rx] = channel<int>(8);
  background sending{[own = std::move(tx)]() mutable {
    for (int i = 0; i != 100; ++i) (void)own.push(i);
    own = {};
    return true;
  }};
  int next = 0;
  for (auto&& each : rx) CHECK(each == next++);
  CHECK(next == 100);
  CHECK(sending.get());
  CHECK(rx.begin() == rx.end());
}

TEST_CASE("channel: messages that can only be moved are moved out of the range") {
  auto [tx, rx] = channel<std::unique_ptr<int>>(4);
  for (int i = 0; i != 3; ++i) CHECK(tx.push(std::make_unique<int>(i)));
  tx = {};
  std::vector<std::unique_ptr<int>> kept;
  for (auto& each : rx) kept.push_back(std::move(each));
  REQUIRE(kept.size() == 3);
  CHECK(*kept[2] == 2);
}

TEST_CASE("channel: a loop that breaks off has taken no more than it has seen") {
  auto [tx, rx] = channel<int>(8);
  for (int i = 0; i != 5; ++i) CHECK(tx.push(i));
  int sum = 0;
  for (const int each : rx | std::views::take(3)) sum += each;
  CHECK(sum == 3);
  CHECK(rx.box().size_approx() == 2);
  for (const int each : rx) {
    if (each == 3) break;
  }
  CHECK(rx.try_pop().value_or(-1) == 4);
}

TEST_CASE("channel: a message is gone before the next one is waited for") {
  auto [tx, rx] = channel<std::shared_ptr<int>>(4);
  std::weak_ptr<int> sent;
  {
    const auto message = std::make_shared<int>(1);
    sent = message;
    CHECK(tx.push(message));
  }
  background receiving{[&rx = rx] {
    int count = 0;
    for (const auto& each : rx) count += *each;
    return count;
  }};
  test::wait_until([&] { return sent.expired(); }, "the message goes");
  tx = {};
  CHECK(receiving.get() == 1);
}

TEST_CASE("channel: an iterator takes one message at a time, and keeps it") {
  const test::ledger book;
  {
    auto [tx, rx] = channel<test::unassignable>(4);
    for (int i = 0; i != 3; ++i) CHECK(tx.emplace(i));
    auto at = rx.begin();
    CHECK(rx.box().size_approx() == 3); // nobody has asked for it
    CHECK(at->value() == 0);
    CHECK(rx.box().size_approx() == 2);
    CHECK((*at).value() == 0);
    ++at;
    CHECK(at->value() == 1);
    auto other = std::move(at);
    CHECK(other->value() == 1);
    at = std::move(other);
    CHECK(at->value() == 1);
    tx = {};
    at++;
    CHECK(at->value() == 2);
    CHECK(at != rx.end());
    ++at;
    CHECK(at == rx.end());
    CHECK(consumer<mailbox<test::unassignable>>::iterator{} == rx.end());
  }
  CHECK(book.is_balanced());
}

TEST_CASE("channel: an algorithm reads from a consumer") {
  auto [tx, rx] = channel<std::string>(4);
  CHECK(tx.push("one"));
  CHECK(tx.push("two"));
  tx = {};
  std::vector<std::string> seen;
  std::ranges::copy(rx, std::back_inserter(seen));
  CHECK(seen == std::vector<std::string>{"one", "two"});
}

// ---- Ends that are copied, moved and assigned

TEST_CASE("channel: a channel stays open as long as there is one producer, however it came about") {
  auto [tx, rx] = channel<int>(4);
  producer<over_mpmc> second = tx;
  producer<over_mpmc> third;
  third = second;
  auto& same = third;
  third = same;
  third = std::move(same);
  tx = {};
  second = third;
  CHECK_FALSE(rx.box().is_closed());
  second = producer<over_mpmc>{};
  CHECK(third.push(1));
  producer<over_mpmc> fourth{std::move(third)};
  CHECK_FALSE(rx.box().is_closed());
  {
    const auto last = std::move(fourth);
    CHECK_FALSE(rx.box().is_closed());
  }
  CHECK(rx.box().is_closed());
  CHECK(rx.pop() == 1);
  CHECK_FALSE(rx.pop().has_value());
}

TEST_CASE("channel: an end that is assigned to leaves its channel") {
  auto first = channel<int>(1);
  auto second = channel<int>(1);
  first.tx = second.tx;
  CHECK(first.rx.box().is_closed());
  second.rx = first.rx;
  CHECK(second.tx.box().is_closed());
  CHECK(first.tx.try_push(1) == queue_status::closed);
}

TEST_CASE("channel: a message may hold ends of its own channel, and is discarded with the rest") {
  const auto alive = std::make_shared<int>(0);
  using letter = std::shared_ptr<void>;
  struct enclosed {
    producer<mailbox<letter>> tx;
    std::shared_ptr<int> kept;
  };
  {
    auto [tx, rx] = channel<letter>(4);
    CHECK(tx.push(std::make_shared<enclosed>(enclosed{tx, alive})));
    CHECK(tx.push(std::make_shared<enclosed>(enclosed{tx, alive})));
    tx = {};
    CHECK_FALSE(rx.box().is_closed()); // the letters hold it open
    CHECK(alive.use_count() == 3);
  }
  CHECK(alive.use_count() == 1);
}

// ---- Knowing without keeping

TEST_CASE("channel: a weak producer makes one more producer as long as there is one") {
  auto [tx, rx] = channel<int>(4);
  const weak_producer<over_mpmc> weak{tx};
  const auto copy = weak;
  {
    auto second = copy.lock();
    REQUIRE(static_cast<bool>(second));
    tx = {};
    CHECK(second.push(1));
    CHECK(static_cast<bool>(weak.lock()));
    CHECK_FALSE(rx.box().is_closed());
  }
  CHECK(rx.box().is_closed());
  CHECK_FALSE(static_cast<bool>(weak.lock()));
  CHECK(rx.pop() == 1);
  rx = {};
  CHECK_FALSE(static_cast<bool>(copy.lock())); // though no other end is left
}

TEST_CASE("channel: a weak producer that meets the last one leaving either gets in or is told") {
  const test::watchdog guard{"channel: weak producers against the last"};
  for (int round = 0; round != 300; ++round) {
    auto [tx, rx] = channel<int>(8);
    std::atomic<int> accepted{0};
    const auto look = [&accepted, weak = weak_producer<over_mpmc>{tx}] {
      for (auto own = weak.lock(); own; own = weak.lock()) {
        if (accepted.load() >= 4) return;
        if (own.push(1)) accepted.fetch_add(1);
      }
    };
    int received = 0;
    test::run_together(
        {look, look, [last = std::make_shared<producer<over_mpmc>>(std::move(tx))] { *last = {}; },
         [&from = rx, &received] {
           while (from.pop()) ++received;
         }});
    CHECK(received == accepted.load());
    CHECK(rx.box().is_drained());
  }
}
