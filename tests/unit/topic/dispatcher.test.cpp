// SPDX-License-Identifier: MIT
#include <mailroom/topic/dispatcher.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>
#include <support/print.hpp>
#include <support/seed.hpp>
#include <support/threads.hpp>
#include <support/topics.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <array>       // array
#include <atomic>      // atomic
#include <chrono>      // steady_clock, system_clock
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // rethrow_exception
#include <functional>  // function
#include <memory>      // make_shared, make_unique, shared_ptr, unique_ptr
#include <optional>    // optional
#include <random>      // mt19937
#include <stdexcept>   // invalid_argument, runtime_error
#include <string>      // string, to_string
#include <string_view> // string_view
#include <thread>      // this_thread, thread
#include <type_traits> // is_copy_constructible
#include <utility>     // exchange, move
#include <vector>      // vector

#if defined(__unix__)
#include <sys/wait.h> // waitpid
#include <unistd.h>   // fork, _exit
#endif

namespace {

using mailroom::delivery;
using mailroom::dialect;
using mailroom::overflow;
using mailroom::publish_result;
using mailroom::queue_status;
using test::drain;
using test::fate;
using test::of;

using dispatcher = mailroom::dispatcher<int>;
using subscription = mailroom::subscription<int>;
using topic = mailroom::topic<int>;
using numbers = std::vector<int>;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<dispatcher>);
static_assert(!std::is_move_constructible_v<dispatcher>);
static_assert(!std::is_copy_constructible_v<subscription>);
static_assert(std::is_nothrow_move_constructible_v<subscription>);
static_assert(std::is_nothrow_move_assignable_v<subscription>);
static_assert(std::is_nothrow_copy_constructible_v<topic>);
static_assert(std::is_nothrow_move_constructible_v<topic>);

numbers zero_to(int end) {
  numbers all;
  for (int i = 0; i != end; ++i) all.push_back(i);
  return all;
}

/// What an exception of this kind says; empty if there is none.
template <class Error, class F>
std::string complaint(F&& call) {
  try {
    call();
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

} // namespace

// ---- Fan-out

TEST_CASE("dispatcher: every subscription that matches gets each message once, in order") {
  dispatcher hub;
  auto whole = hub.subscribe("orders.eu");
  auto star = hub.subscribe("orders.*");
  auto tail = hub.subscribe(">");
  auto other = hub.subscribe("orders.us");
  auto deeper = hub.subscribe("orders.eu.*");
  auto handle = hub.topic("orders.eu");
  for (int i = 0; i != 10; ++i) {
    CHECK(of(i % 2 == 0 ? hub.publish("orders.eu", i) : handle.publish(i)) == fate{3, 3, 0});
  }
  CHECK(drain(whole) == zero_to(10));
  CHECK(drain(star) == zero_to(10));
  CHECK(drain(tail) == zero_to(10));
  CHECK(drain(other).empty());
  CHECK(drain(deeper).empty());
}

TEST_CASE("dispatcher: R-51: filters that differ in one token do not hide each other") {
  dispatcher hub;
  auto left = hub.subscribe("a.*.c");
  auto right = hub.subscribe("a.b.*");
  auto both = hub.subscribe("a.*.*");
  auto other = hub.subscribe("a.*.d");
  auto above = hub.subscribe("a.b");
  CHECK(of(hub.publish("a.b.c", 1)) == fate{3, 3, 0});
  CHECK(of(hub.publish("a.x.d", 2)) == fate{2, 2, 0});
  CHECK(drain(left) == numbers{1});
  CHECK(drain(right) == numbers{1});
  CHECK(drain(both) == numbers{1, 2});
  CHECK(drain(other) == numbers{2});
  CHECK(drain(above).empty());
}

TEST_CASE("dispatcher: the same filter twice is two subscriptions, which get a message each") {
  dispatcher hub;
  auto one = hub.subscribe("a");
  auto two = hub.subscribe("a");
  CHECK(of(hub.publish("a", 1)) == fate{2, 2, 0});
  CHECK(drain(one) == numbers{1});
  CHECK(drain(two) == numbers{1});
}

TEST_CASE(
    "dispatcher: who subscribes gets what is published afterwards, whatever was known before") {
  dispatcher hub;
  auto handle = hub.topic("a.b");
  CHECK(of(hub.publish("a.b", 1)) == fate{0, 0, 0});
  CHECK(of(handle.publish(2)) == fate{0, 0, 0});
  auto early = hub.subscribe("a.*");
  CHECK(of(hub.publish("a.b", 3)) == fate{1, 1, 0});
  CHECK(of(handle.publish(4)) == fate{1, 1, 0});
  auto late = hub.subscribe("a.b");
  CHECK(of(hub.publish("a.b", 5)) == fate{2, 2, 0});
  CHECK(of(handle.publish(6)) == fate{2, 2, 0});
  CHECK(of(hub.publish("a.never.named", 7)) == fate{0, 0, 0});
  CHECK(drain(early) == numbers{3, 4, 5, 6});
  CHECK(drain(late) == numbers{5, 6});
}

TEST_CASE("dispatcher: to nobody is no failure, and is visible") {
  dispatcher hub;
  auto handle = hub.topic("a");
  CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});
  CHECK(of(hub.publish("never.named", 1)) == fate{0, 0, 0});
  CHECK(of(handle.publish(1)) == fate{0, 0, 0});
}

TEST_CASE("dispatcher: reads names and filters in the dialect it was made for") {
  dispatcher mqtt{dialect::mqtt};
  auto level = mqtt.subscribe("a/+");
  auto all = mqtt.subscribe("#");
  CHECK(of(mqtt.publish("a/", 1)) == fate{2, 2, 0});
  CHECK(of(mqtt.publish("$SYS/a", 2)) == fate{0, 0, 0});
  CHECK(complaint<std::invalid_argument>([&] { mqtt.publish("a/+", 3); }) != "");
  CHECK(drain(level) == numbers{1});
  CHECK(drain(all) == numbers{1});
  dispatcher amqp{dialect::amqp};
  auto inner = amqp.subscribe("a.#.b");
  auto none = amqp.subscribe("");
  CHECK(of(amqp.publish("a.x..b", 1)) == fate{1, 1, 0});
  CHECK(of(amqp.publish("a.b", 2)) == fate{1, 1, 0});
  CHECK(of(amqp.publish("", 3)) == fate{1, 1, 0});
  CHECK(drain(inner) == numbers{1, 2});
  CHECK(drain(none) == numbers{3});
}

TEST_CASE("dispatcher: in mqtt a filter may name its group, of which it is a part") {
  dispatcher hub{dialect::mqtt};
  auto one = hub.subscribe("$share/g/a/+");
  auto two = hub.subscribe("$share/g/a/+");
  auto wider = hub.subscribe("$share/g/#"); // another group, for the filter is another
  int handled = 0;
  const auto first = hub.on("$share/h/a/+", [&](int) { ++handled; });
  const auto second = hub.on("$share/h/a/+", [&](int) { ++handled; });
  for (int i = 0; i != 4; ++i) CHECK(of(hub.publish("a/b", i)) == fate{3, 3, 0});
  CHECK(drain(one).size() == 2);
  CHECK(drain(two).size() == 2);
  CHECK(drain(wider) == zero_to(4));
  CHECK(handled == 4);
  CHECK(complaint<std::invalid_argument>([&] {
          const auto both = hub.subscribe("$share/g/a", {.group = "h"});
        }) == "mailroom: a group in the filter and another one in the options");
}

TEST_CASE("dispatcher: a publisher can ask whether anybody is interested") {
  dispatcher hub;
  auto handle = hub.topic("known");
  CHECK_FALSE(hub.interested("known"));
  CHECK_FALSE(hub.interested("unknown"));
  CHECK_FALSE(handle.interested());
  {
    const auto one = hub.subscribe("known");
    const auto two = hub.on("un*", [](int) {});
    CHECK(hub.interested("known"));
    CHECK(handle.interested());
    CHECK_FALSE(hub.interested("unknown")); // inside a token * is a character
    const auto three = hub.on("unknown", [](int) {});
    CHECK(hub.interested("unknown"));
  }
  CHECK_FALSE(hub.interested("known"));
  CHECK_FALSE(hub.interested("unknown"));
  CHECK_FALSE(handle.interested());
}

TEST_CASE("dispatcher: nobody is interested in a name that is none, and asking is no error") {
  dispatcher hub;
  const auto all = hub.subscribe(">");
  CHECK(hub.interested("a.b"));
  for (const std::string_view bad : {"", ".", "a..b", "a.", ".a", "a b", "*", "a.>"}) {
    CAPTURE(bad);
    CHECK_FALSE(hub.interested(bad));
  }
}

TEST_CASE("dispatcher: a delivery says what it was published to") {
  dispatcher hub;
  auto all = hub.subscribe(">");
  std::string name = "a.very.long.name.that.does.not.fit.into.a.string.without.the.heap";
  hub.publish(name, 1);
  const std::string kept = name;
  name.assign(name.size(), 'x'); // the caller's text is the caller's
  hub.topic("short").publish(2);
  CHECK(all.pop()->topic() == kept);
  CHECK(all.pop()->topic() == "short");
}

TEST_CASE("dispatcher: a delivery keeps its topic when everything else is gone") {
  std::optional<delivery<int>> kept;
  std::optional<delivery<int>> copy;
  {
    auto hub = std::make_unique<dispatcher>();
    auto sub = hub->subscribe(">");
    std::optional<topic> handle = hub->topic("a.name.that.is.too.long.for.the.string.itself");
    handle->publish(7);
    kept = sub.pop();
    copy = kept;
    sub = subscription{};
    handle.reset();
  }
  CHECK(kept->topic() == "a.name.that.is.too.long.for.the.string.itself");
  kept.reset();
  CHECK(copy->topic() == "a.name.that.is.too.long.for.the.string.itself");
  CHECK(copy->value == 7);
}

TEST_CASE("dispatcher: what a handler keeps of its delivery outlives everything else") {
  std::optional<delivery<int>> kept;
  {
    dispatcher hub;
    const auto sub = hub.on("*", [&](delivery<int> one) { kept = std::move(one); });
    hub.publish("a_name_that_is_too_long_for_the_string_itself", 7);
  }
  CHECK(kept->topic() == "a_name_that_is_too_long_for_the_string_itself");
}

TEST_CASE("dispatcher: a random script delivers what the filters say, in order") {
  std::mt19937 chance{test::seed()};
  INFO("MAILROOM_TEST_SEED=" << test::seed());
  const std::array<std::string_view, 9> filters{"a.b", "a.*", "*.b",   ">",    "a.>",
                                                "*",   "b",   "a.*.c", "*.*.>"};
  const std::array<std::string_view, 8> names{"a",     "b",     "a.b",     "b.b",
                                              "a.b.c", "a.c.c", "c.c.c.c", "c"};
  const auto pick = [&](std::size_t below) { return std::size_t{chance()} % below; };

  struct reader {
    subscription sub;
    mailroom::topic_filter filter;
    std::string group;
    numbers expected; // of one without a group
  };
  dispatcher hub;
  std::vector<reader> readers;
  std::vector<topic> handles;
  std::vector<std::size_t> to_group(3, 0); // messages that group g should have had
  std::vector<std::size_t> of_group(3, 0); // messages that members of group g took
  const auto settle = [&](reader& one) {
    const numbers got = drain(one.sub);
    if (one.group.empty()) {
      REQUIRE(got == one.expected);
      one.expected.clear();
    } else {
      of_group[static_cast<std::size_t>(one.group[0] - '0')] += got.size();
    }
  };
  int next = 0;
  for (int step = 0; step != 3000; ++step) {
    const std::size_t what = pick(10);
    if (what == 0 && readers.size() < 20) {
      const auto filter = filters[pick(filters.size())];
      const std::string group = pick(2) == 0 ? std::to_string(pick(3)) : "";
      readers.push_back({hub.subscribe(filter, {.capacity = 4096, .group = group}),
                         mailroom::topic_filter{filter},
                         group,
                         {}});
    } else if (what == 1 && !readers.empty()) {
      const std::size_t which = pick(readers.size());
      settle(readers[which]);
      readers[which] = std::move(readers.back());
      readers.pop_back();
    } else if (what == 2) {
      handles.push_back(hub.topic(names[pick(names.size())]));
    } else {
      const bool by_handle = !handles.empty() && pick(2) == 0;
      topic* const handle = by_handle ? &handles[pick(handles.size())] : nullptr;
      const auto name = by_handle ? handle->name() : names[pick(names.size())];
      std::array<bool, 3> hit{};
      std::size_t matched = 0;
      for (auto& one : readers) {
        if (!one.filter.matches(name)) continue;
        if (one.group.empty()) {
          one.expected.push_back(next);
          ++matched;
        } else if (bool& group = hit[static_cast<std::size_t>(one.group[0] - '0')]; !group) {
          group = true;
          ++matched;
        }
      }
      for (std::size_t g = 0; g != hit.size(); ++g) to_group[g] += hit[g] ? 1U : 0U;
      REQUIRE(hub.interested(name) == (matched != 0));
      const auto result = by_handle ? handle->publish(next) : hub.publish(name, next);
      REQUIRE(of(result) == fate{matched, matched, 0});
      ++next;
    }
  }
  for (auto& one : readers) settle(one);
  CHECK(of_group == to_group);
}

TEST_CASE("dispatcher: far more destinations than bits in a word are all served") {
  dispatcher hub;
  std::vector<subscription> subs;
  for (int i = 0; i != 200; ++i) subs.push_back(hub.subscribe("a"));
  for (int i = 0; i != 3; ++i) CHECK(of(hub.publish("a", i)) == fate{200, 200, 0});
  for (auto& sub : subs) CHECK(drain(sub) == zero_to(3));
}

TEST_CASE("dispatcher: a message is copied for each destination but one, and not for a handler") {
  test::ledger book;
  {
    mailroom::dispatcher<test::tracked> hub;
    const auto looks = hub.on("a", [](const test::tracked& one) { CHECK(one.value() == 5); });
    hub.publish("a", test::tracked{5});
    CHECK(book.copies() == 0);
    auto one = hub.subscribe("a");
    hub.publish("a", test::tracked{5});
    CHECK(book.copies() == 0);
    auto two = hub.subscribe("a");
    auto three = hub.subscribe("a");
    auto handle = hub.topic("a");
    handle.publish(test::tracked{5});
    CHECK(book.copies() == 2);
    const test::tracked mine{5};
    handle.publish(mine);
    CHECK(book.copies() == 5);
    CHECK(mine.value() == 5);
    for (auto* sub : {&one, &two, &three}) {
      while (auto got = sub->try_pop()) CHECK(got->value.value() == 5);
    }
  }
  CHECK(book.is_balanced());
}

TEST_CASE("dispatcher: messages may be aligned as they like, and hide their address") {
  const auto send = [](auto first, auto... others) {
    using message = decltype(first);
    mailroom::dispatcher<message> hub;
    int sum = 0;
    auto one = hub.subscribe("a", {.capacity = 2, .on_full = overflow::drop_oldest});
    auto two = hub.subscribe("a");
    const auto direct = hub.on("a", [&](const message& got) { sum += got.value(); });
    const auto whole = hub.on("a", [&](const delivery<message>& got) { sum += got.value.value(); });
    hub.publish("a", first);
    (hub.publish("a", others), ...);
    CHECK(sum == 12);
    CHECK(one.missed() == 1);
    CHECK(one.pop()->value.value() == 2);
    for (int i = 1; i <= 3; ++i) CHECK(two.pop()->value.value() == i);
  };
  test::ledger book;
  send(test::secretive{1}, test::secretive{2}, test::secretive{3});
  if (test::std_allocator_aligns()) {
    send(test::aligned<256>{1}, test::aligned<256>{2}, test::aligned<256>{3});
  }
  CHECK(book.is_balanced());
}

TEST_CASE("dispatcher: a message that nobody wants is not taken, and not copied") {
  test::ledger book;
  {
    mailroom::dispatcher<test::tracked> hub;
    auto handle = hub.topic("a");
    test::tracked mine{5};
    hub.publish("a", std::move(mine));
    handle.publish(std::move(mine));
    handle.publish(mine);
    CHECK(mine.value() == 5);
    CHECK(book.copies() == 0);
    CHECK(book.moves() == 0);
  }
  CHECK(book.is_balanced());
}

// ---- Handles

TEST_CASE("topic: each handle numbers its messages from 0") {
  dispatcher hub;
  auto sub = hub.subscribe("a");
  auto one = hub.topic("a");
  auto two = hub.topic("a");
  one.publish(0);
  one.publish(1);
  two.publish(0);
  one.publish(2);
  two.publish(1);
  while (auto got = sub.try_pop()) {
    CHECK(got->sequence == static_cast<std::uint64_t>(got->value));
  }
}

TEST_CASE("topic: a copy of a handle is a publisher of its own, a moved handle is the same one") {
  dispatcher hub;
  auto sub = hub.subscribe("a");
  auto one = hub.topic("a");
  one.publish(0);
  one.publish(1);
  auto two = one;
  two.publish(0);
  auto three = std::move(one);
  three.publish(2);
  two = three; // again a copy
  two.publish(0);
  three = std::move(two);
  three.publish(1);
  int count = 0;
  while (auto got = sub.try_pop()) {
    CHECK(got->sequence == static_cast<std::uint64_t>(got->value));
    ++count;
  }
  CHECK(count == 6);
}

TEST_CASE("topic: a handle that was moved from can still publish") {
  dispatcher hub;
  auto sub = hub.subscribe("a");
  auto one = hub.topic("a");
  one.publish(1);
  const auto two = std::move(one);
  CHECK(one.name() == "a");
  CHECK(of(one.publish(2)) == fate{1, 1, 0});
  CHECK(drain(sub) == numbers{1, 2});
  CHECK(two.name() == "a");
}

TEST_CASE("dispatcher: by name the dispatcher is the publishing handle, one for each name") {
  dispatcher hub;
  auto sub = hub.subscribe(">");
  hub.publish("a", 0);
  hub.publish("b", 0);
  hub.publish("a", 1);
  hub.topic("a").publish(0);
  hub.publish("a", 2);
  hub.publish("b", 1);
  while (auto got = sub.try_pop()) {
    CHECK(got->sequence == static_cast<std::uint64_t>(got->value));
  }
}

TEST_CASE("dispatcher: a sequence also counts what nobody wanted") {
  dispatcher hub;
  auto handle = hub.topic("a");
  for (int i = 0; i != 3; ++i) {
    handle.publish(i);
    hub.publish("a", i);
  }
  auto sub = hub.subscribe("a");
  handle.publish(3);
  hub.publish("a", 3);
  CHECK(sub.pop()->sequence == 3);
  CHECK(sub.pop()->sequence == 3);
}

TEST_CASE("topic: copies publish in threads of their own, and nothing is lost or reordered") {
  const test::watchdog dog{"topic: copies in threads"};
  constexpr int each = 500;
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 4 * each});
  const auto handle = hub.topic("a");
  std::vector<std::function<void()>> bodies;
  for (int p = 0; p != 4; ++p) {
    bodies.emplace_back([mine = handle, p]() mutable {
      for (int i = 0; i != each; ++i) mine.publish(p * each + i);
    });
  }
  test::run_together(std::move(bodies));
  std::array<int, 4> next{};
  int count = 0;
  while (auto got = sub.try_pop()) {
    int& expected = next[static_cast<std::size_t>(got->value / each)];
    REQUIRE(got->value % each == expected);
    REQUIRE(got->sequence == static_cast<std::uint64_t>(expected));
    ++expected;
    ++count;
  }
  CHECK(count == 4 * each);
}

// ---- Groups

TEST_CASE("dispatcher: plain subscriptions on overlapping filters get a message each") {
  dispatcher hub; // measured on nats-server: 2 deliveries
  auto star = hub.subscribe("foo.*");
  auto tail = hub.subscribe("foo.>");
  CHECK(of(hub.publish("foo.bar", 1)) == fate{2, 2, 0});
  CHECK(drain(star) == numbers{1});
  CHECK(drain(tail) == numbers{1});
}

TEST_CASE("dispatcher: one group on overlapping filters gets one message") {
  dispatcher hub; // measured on nats-server: 1 delivery
  auto star = hub.subscribe("foo.*", {.group = "g"});
  auto tail = hub.subscribe("foo.>", {.group = "g"});
  for (int i = 0; i != 6; ++i) CHECK(of(hub.publish("foo.bar", i)) == fate{1, 1, 0});
  CHECK(drain(star).size() + drain(tail).size() == 6);
  CHECK(of(hub.publish("foo.bar.baz", 7)) == fate{1, 1, 0}); // only one of them wants this
  CHECK(drain(star).empty());
  CHECK(drain(tail) == numbers{7});
}

TEST_CASE("dispatcher: two groups and a plain subscription get a message each") {
  dispatcher hub; // measured on nats-server: 3 deliveries
  std::vector<subscription> subs;
  for (const char* group : {"g", "h", "g", "h", ""}) {
    subs.push_back(hub.subscribe("foo", {.group = group}));
  }
  CHECK(of(hub.publish("foo", 1)) == fate{3, 3, 0});
  CHECK(drain(subs[0]).size() + drain(subs[2]).size() == 1);
  CHECK(drain(subs[1]).size() + drain(subs[3]).size() == 1);
  CHECK(drain(subs[4]) == numbers{1});
}

TEST_CASE("dispatcher: the members of a group take turns") {
  dispatcher hub;
  std::vector<subscription> members;
  for (int i = 0; i != 3; ++i) members.push_back(hub.subscribe("a", {.group = "g"}));
  auto handle = hub.topic("a");
  for (int i = 0; i != 30; ++i) CHECK(of(handle.publish(i)) == fate{1, 1, 0});
  for (auto& member : members) {
    const numbers got = drain(member);
    REQUIRE(got.size() == 10);
    for (std::size_t i = 1; i != got.size(); ++i) CHECK(got[i] == got[i - 1] + 3);
  }
}

TEST_CASE("dispatcher: a group keeps its turn over names, filters, and changes of others") {
  dispatcher hub;
  auto one = hub.subscribe("*", {.group = "g"});
  auto two = hub.subscribe(">", {.group = "g"});
  std::size_t to_one = 0;
  for (int i = 0; i != 40; ++i) {
    const auto passer_by = hub.subscribe(i % 2 == 0 ? "a" : "b"); // rebuilds the list
    hub.publish(i % 3 == 0 ? "a" : "b", i);
    to_one += drain(one).size();
  }
  CHECK(to_one == 20);
  CHECK(drain(two).size() == 20);
}

TEST_CASE("dispatcher: a member without room is passed over, whatever its policy") {
  for (const overflow policy :
       {overflow::block, overflow::reject, overflow::drop_newest, overflow::drop_oldest}) {
    dispatcher hub;
    auto small = hub.subscribe("a", {.capacity = 2, .on_full = policy, .group = "g"});
    auto large = hub.subscribe("a", {.capacity = 100, .on_full = policy, .group = "g"});
    for (int i = 0; i != 50; ++i) CHECK(of(hub.publish("a", i)) == fate{1, 1, 0});
    CHECK(drain(small).size() == 2);
    CHECK(drain(large).size() == 48);
    CHECK(small.missed() == 0);
    CHECK(large.missed() == 0);
  }
}

TEST_CASE("dispatcher: a group without any room is one destination that is full") {
  const auto full_group = [](overflow policy) {
    dispatcher hub;
    auto one = hub.subscribe("a", {.capacity = 1, .on_full = policy, .group = "g"});
    auto two = hub.subscribe("a", {.capacity = 1, .on_full = policy, .group = "g"});
    hub.publish("a", 1);
    hub.publish("a", 2);
    const fate result = of(hub.publish("a", 3));
    const auto lost = one.missed() + two.missed();
    CHECK(lost == result[2]);
    return result;
  };
  CHECK(full_group(overflow::reject) == fate{1, 0, 0});
  CHECK(full_group(overflow::drop_newest) == fate{1, 0, 1});
  CHECK(full_group(overflow::drop_oldest) == fate{1, 1, 1});
}

TEST_CASE("dispatcher: a publisher that waits for a group takes the first room in it") {
  const test::watchdog dog{"dispatcher: waiting for a group"};
  for (const std::size_t who : {0U, 1U, 2U}) {
    dispatcher hub;
    std::vector<subscription> members;
    for (int i = 0; i != 3; ++i) {
      members.push_back(hub.subscribe("a", {.capacity = 1, .group = "g"}));
    }
    for (int i = 0; i != 3; ++i) hub.publish("a", i);
    test::background waits{[&] { return of(hub.publish("a", 3)); }};
    test::let_it_sleep();
    CHECK_FALSE(waits.is_back());
    CHECK(members[who].pop().has_value());
    CHECK(waits.get() == fate{1, 1, 0});
    CHECK(drain(members[who]) == numbers{3});
  }
}

TEST_CASE("dispatcher: a publisher that waits for a group goes on when the last member leaves") {
  const test::watchdog dog{"dispatcher: the last member leaves"};
  dispatcher hub;
  auto one = hub.subscribe("a", {.capacity = 1, .group = "g"});
  auto two = hub.subscribe("a", {.capacity = 1, .group = "g"});
  hub.publish("a", 1);
  hub.publish("a", 2);
  test::background waits{[&] { return of(hub.publish("a", 3)); }};
  test::let_it_sleep();
  one.cancel();
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  two.cancel();
  CHECK(waits.get() == fate{0, 0, 0});
}

TEST_CASE("dispatcher: a publish with a limit waits no longer, and says who refused it") {
  const test::watchdog dog{"dispatcher: a limit"};
  dispatcher hub;
  auto slow = hub.subscribe("a", {.capacity = 1});
  auto quick = hub.subscribe("a");
  auto handle = hub.topic("a");
  handle.publish(0);
  const auto is_refused = [](const publish_result& result) {
    return of(result) == fate{2, 1, 0} && result.refused == 1;
  };
  const auto begin = std::chrono::steady_clock::now();
  CHECK(is_refused(hub.publish("a", 1, 20ms)));
  CHECK(is_refused(handle.publish(2, 20ms)));
  CHECK(is_refused(handle.publish(3, std::chrono::system_clock::now() + 20ms)));
  CHECK(std::chrono::steady_clock::now() - begin >= 60ms);
  const int four = 4;
  CHECK(is_refused(hub.publish("a", four, std::chrono::steady_clock::now())));
  CHECK(drain(slow) == numbers{0}); // nothing came in late
  CHECK(drain(quick) == zero_to(5));
  CHECK(of(hub.publish("a", 5, 0ms)) == fate{2, 2, 0}); // there is room
}

TEST_CASE("dispatcher: a stop ends a publish that waits for room") {
  const test::watchdog dog{"dispatcher: a stop"};
  test::with_every_stop_source([](auto& source) {
    dispatcher hub;
    auto slow = hub.subscribe("a", {.capacity = 1});
    auto handle = hub.topic("a");
    auto token = source.get_token();
    CHECK(of(handle.publish(0, token)) == fate{1, 1, 0});
    test::background waits{[&] { return handle.publish(1, 1h, token).refused; }};
    test::let_it_sleep();
    CHECK_FALSE(waits.is_back());
    source.request_stop();
    CHECK(waits.get() == 1);
    const int two = 2;
    CHECK(hub.publish("a", two, token).refused == 1);
    CHECK(drain(slow) == numbers{0});
    CHECK(hub.publish("a", 3, token).delivered == 1); // a stop ends waiting, and nothing else
    CHECK(hub.close(token).status == queue_status::stopped);
  });
}

TEST_CASE("dispatcher: a publish with a limit to a group without room is refused when it is over") {
  const test::watchdog dog{"dispatcher: a limit, and a group"};
  dispatcher hub;
  auto one = hub.subscribe("a", {.capacity = 1, .group = "g"});
  auto two = hub.subscribe("a", {.capacity = 1, .group = "g"});
  hub.publish("a", 1);
  hub.publish("a", 2);
  const auto begin = std::chrono::steady_clock::now();
  const auto result = hub.publish("a", 3, 20ms);
  CHECK(of(result) == fate{1, 0, 0});
  CHECK(result.refused == 1);
  CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  test::background waits{[&] { return of(hub.publish("a", 4, 1h)); }};
  test::let_it_sleep();
  CHECK(two.pop().has_value());
  CHECK(waits.get() == fate{1, 1, 0});
}

TEST_CASE("dispatcher: a publisher that waits for a group finds the room beside one who has left") {
  const test::watchdog dog{"dispatcher: a member leaves during a wait"};
  for (const int gone : {0, 1, 2}) {
    CAPTURE(gone);
    dispatcher hub;
    std::vector<subscription> members;
    for (int i = 0; i != 3; ++i) {
      members.push_back(hub.subscribe("a", {.capacity = 1, .group = "g"}));
    }
    for (int i = 0; i != 3; ++i) hub.publish("a", i);
    test::background waits{[&] { return of(hub.publish("a", 3)); }};
    test::let_it_sleep();
    members[static_cast<std::size_t>(gone)].cancel();
    auto& other = members[static_cast<std::size_t>((gone + 2) % 3)];
    CHECK(other.pop().has_value());
    CHECK(waits.get() == fate{1, 1, 0});
    CHECK(drain(other) == numbers{3});
  }
}

TEST_CASE("dispatcher: room in a group comes before a stop, and no time is no wait") {
  const test::watchdog dog{"dispatcher: a group, and the end of a wait"};
  test::with_every_stop_source([](auto& source) {
    dispatcher hub;
    auto one = hub.subscribe("a", {.capacity = 1, .group = "g"});
    auto two = hub.subscribe("a", {.capacity = 1, .group = "g"});
    hub.publish("a", 1);
    hub.publish("a", 2);
    auto token = source.get_token();
    test::background waits{[&] { return of(hub.publish("a", 3, token)); }};
    test::let_it_sleep();
    CHECK(one.try_pop().has_value());
    source.request_stop();
    CHECK(waits.get() == fate{1, 1, 0});
  });
  dispatcher hub;
  std::vector<subscription> members;
  for (int g = 0; g != 50; ++g) {
    for (int i = 0; i != 2; ++i) {
      const std::string group = std::to_string(g);
      members.push_back(hub.subscribe("a", {.capacity = 1, .group = group}));
    }
  }
  for (int i = 0; i != 2; ++i) CHECK(of(hub.publish("a", i)) == fate{50, 50, 0});
  const auto begin = std::chrono::steady_clock::now();
  CHECK(hub.publish("a", 2, 0ms).refused == 50);
  CHECK(std::chrono::steady_clock::now() - begin < 25ms); // not a moment for each
}

TEST_CASE("dispatcher: a publish in a handler into its own full mailbox is refused, and returns") {
  const test::watchdog dog{"dispatcher: publishing to oneself"};
  dispatcher hub;
  auto sub = hub.subscribe("a", {.capacity = 2});
  auto other = hub.subscribe("a");
  hub.publish("a", 0);
  hub.publish("a", 1);
  std::vector<std::size_t> refused;
  numbers seen;
  const auto status = sub.run([&](int value) {
    seen.push_back(value);
    if (value == 0) {
      for (int i = 2; i != 5; ++i) refused.push_back(hub.publish("a", i).refused);
      hub.close();
    }
  });
  CHECK(status == queue_status::closed);
  CHECK(refused == std::vector<std::size_t>{0, 1, 1});
  CHECK(seen == numbers{0, 1, 2});
  CHECK(drain(other) == zero_to(5));
}

TEST_CASE("dispatcher: a publish in a handler waits for the others of its group") {
  const test::watchdog dog{"dispatcher: publishing to one's own group"};
  dispatcher hub;
  auto own = hub.subscribe("a", {.capacity = 1, .group = "g"});
  auto other = hub.subscribe("a", {.capacity = 1, .group = "g"});
  hub.publish("a", 0);
  hub.publish("a", 0);
  std::optional<test::background<std::function<bool()>>> pops;
  publish_result result{};
  (void)own.run([&](int value) {
    if (value == 1) return hub.close();
    hub.publish("a", 1); // its own mailbox is full again
    pops.emplace([&] {
      test::let_it_sleep();
      return other.pop().has_value();
    });
    result = hub.publish("a", 2);
  });
  CHECK(of(result) == fate{1, 1, 0});
  CHECK(pops->get());
  CHECK(drain(other) == numbers{2});
}

TEST_CASE("dispatcher: a member that has left gets nothing, and the group goes on") {
  dispatcher hub;
  auto one = hub.subscribe("a", {.group = "g"});
  auto two = hub.subscribe("a", {.group = "g"});
  auto handle = hub.topic("a");
  handle.publish(0);
  handle.publish(1);
  one.cancel();
  for (int i = 2; i != 6; ++i) CHECK(of(handle.publish(i)) == fate{1, 1, 0});
  CHECK(drain(two).size() == 5);
  two.cancel();
  CHECK(of(handle.publish(6)) == fate{0, 0, 0});
  CHECK_FALSE(handle.interested());
  auto three = hub.subscribe("a", {.group = "g"});
  CHECK(of(handle.publish(7)) == fate{1, 1, 0});
  CHECK(drain(three) == numbers{7});
}

TEST_CASE("dispatcher: a member that leaves during a publish is passed over") {
  dispatcher hub;
  std::optional<subscription> first;
  const auto meddler = hub.on("a", [&](int) { first.reset(); }); // is served before the group
  first = hub.subscribe("a", {.group = "g"});
  auto second = hub.subscribe("a", {.group = "g"});
  CHECK(of(hub.publish("a", 1)) == fate{2, 2, 0});
  CHECK(drain(second) == numbers{1});
}

TEST_CASE("dispatcher: a loner and a group that leave during a publish are not matched") {
  dispatcher hub;
  std::optional<subscription> loner;
  std::optional<subscription> member;
  const auto meddler = hub.on("a", [&](int) {
    loner.reset();
    member.reset();
  });
  loner = hub.subscribe("a");
  member = hub.subscribe("a", {.group = "g"});
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0});
}

// ---- Names

TEST_CASE("dispatcher: in dialect exact a name is a text without meaning") {
  dispatcher hub{dialect::exact};
  auto star = hub.subscribe("a.*");
  auto odd = hub.subscribe("..a b\t>");
  CHECK(of(hub.publish("a.b", 1)) == fate{0, 0, 0});
  CHECK(of(hub.publish("a.*", 2)) == fate{1, 1, 0});
  CHECK(of(hub.topic("..a b\t>").publish(3)) == fate{1, 1, 0});
  CHECK(drain(star) == numbers{2});
  CHECK(drain(odd) == numbers{3});
}

TEST_CASE("dispatcher: in dialect nats, the default, names have tokens and filters wildcards") {
  dispatcher hub;
  dispatcher same{dialect::nats};
  for (auto* each : {&hub, &same}) {
    auto star = each->subscribe("a.*.c");
    CHECK(of(each->publish("a.b.c", 1)) == fate{1, 1, 0});
    CHECK(of(each->publish("a.b.b.c", 1)) == fate{0, 0, 0});
    CHECK(of(each->publish("$SYS.a*", 1)) == fate{0, 0, 0});
    auto tail = each->subscribe(">");
    CHECK(of(each->publish("$SYS.a*", 1)) == fate{1, 1, 0});
  }
}

TEST_CASE("dispatcher: a bad name is refused: what is wrong, and where") {
  dispatcher hub;
  auto all = hub.subscribe(">");
  const auto text = complaint<std::invalid_argument>([&] { hub.publish("a..b", 1); });
  CHECK(text == "mailroom: topic \"a..b\": empty token at byte 2");
  CHECK(complaint<std::invalid_argument>([&] { (void)hub.topic("a.*"); }) ==
        "mailroom: topic \"a.*\": wildcard in a topic name at byte 2");
  CHECK_THROWS_AS(hub.publish("", 1), std::invalid_argument);
  CHECK_THROWS_AS(hub.publish("a b", 1), std::invalid_argument);
  CHECK_THROWS_AS((void)hub.topic(std::string_view{"a\0b", 3}), std::invalid_argument);
  CHECK(drain(all).empty());
  dispatcher exact{dialect::exact};
  CHECK(complaint<std::invalid_argument>([&] { exact.publish("", 1); }) ==
        "mailroom: topic \"\": empty name at byte 0");
}

TEST_CASE("dispatcher: a bad filter is refused: what is wrong, and where, and nobody subscribed") {
  dispatcher hub;
  CHECK(complaint<std::invalid_argument>([&] { (void)hub.subscribe("a.>.b"); }) ==
        "mailroom: filter \"a.>.b\": '>' before the last token at byte 2");
  CHECK(complaint<std::invalid_argument>([&] { (void)hub.on("a b", [](int) {}); }) ==
        "mailroom: filter \"a b\": forbidden space at byte 1");
  CHECK_THROWS_AS((void)hub.subscribe(""), std::invalid_argument);
  CHECK_FALSE(hub.interested("a"));
  CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});
}

TEST_CASE("dispatcher: a handler that cannot be copied into place leaves nobody subscribed") {
  struct reluctant {
    reluctant() = default;
    reluctant(const reluctant&) { throw std::runtime_error{"no copies"}; }
    reluctant& operator=(const reluctant&) = delete;
    ~reluctant() = default;
    void operator()(int) const {}
  };
  dispatcher hub;
  const reluctant handler;
  CHECK_THROWS_AS((void)hub.on("a", handler), std::runtime_error);
  CHECK_FALSE(hub.interested("a"));
  CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});
}

TEST_CASE("dispatcher: a mailbox without room is refused, and nobody subscribed") {
  dispatcher hub;
  const auto text =
      complaint<std::invalid_argument>([&] { (void)hub.subscribe("a", {.capacity = 0}); });
  CHECK(text.find("mailroom: ") == 0);
  CHECK(text.find("capacity") != text.npos);
  CHECK_FALSE(hub.interested("a"));
  CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});
}

TEST_CASE("dispatcher: two dispatchers share nothing") {
  dispatcher one;
  dispatcher two;
  auto sub_of_one = one.subscribe(">");
  auto sub_of_two = two.subscribe(">");
  CHECK(of(one.publish("a", 1)) == fate{1, 1, 0});
  one.close();
  CHECK(of(two.publish("a", 2)) == fate{1, 1, 0});
  CHECK(drain(sub_of_one) == numbers{1});
  CHECK(drain(sub_of_two) == numbers{2});
}

// ---- Handlers

namespace {
int last_seen = 0;
void see(const int& value) { last_seen = value; }
} // namespace

TEST_CASE("dispatcher: a handler takes the message or the delivery, in any form") {
  dispatcher hub;
  int sum = 0;
  const auto add = [&](const delivery<int>& one, int sign) {
    CHECK(one.topic() == "a");
    CHECK(one.sequence == 0);
    CHECK(one.missed == 0);
    sum += sign * one.value;
  };
  std::vector<subscription> subs;
  subs.push_back(hub.on("a", [&](int value) { sum += value; }));
  subs.push_back(hub.on("a", [&](const int& value) { sum += value; }));
  subs.push_back(hub.on("a", [&](long value) { sum += static_cast<int>(value); }));
  subs.push_back(hub.on("a", [&](const delivery<int>& one) { add(one, 1); }));
  subs.push_back(hub.on("a", [&](delivery<int>&& one) { add(one, 1); }));
  subs.push_back(hub.on("a", [&](delivery<int> one) { add(one, 1); }));
  subs.push_back(hub.on("a", [&](const auto& one) { add(one, 1); })); // both: the delivery
  subs.push_back(hub.on("a", [own = std::make_unique<int>(0), &sum](int value) mutable {
    *own += value;
    sum += *own;
  }));
  subs.push_back(hub.on("a", see));
  CHECK(of(hub.publish("a", 3)) == fate{9, 9, 0});
  CHECK(sum == 24);
  CHECK(last_seen == 3);
}

TEST_CASE("dispatcher: a handler runs in the publisher's thread, before publish returns") {
  dispatcher hub;
  std::thread::id ran_in;
  const auto sub = hub.on("a", [&](int) { ran_in = std::this_thread::get_id(); });
  hub.publish("a", 1);
  CHECK(ran_in == std::this_thread::get_id());
  std::thread::id other;
  std::thread publisher{[&] {
    other = std::this_thread::get_id();
    hub.publish("a", 1);
  }};
  publisher.join();
  CHECK(ran_in == other);
}

TEST_CASE("dispatcher: a handler runs in several threads at a time") {
  const test::watchdog dog{"dispatcher: a handler in two threads"};
  dispatcher hub;
  test::start_barrier both{2};
  const auto sub = hub.on("a", [&](int) { both.arrive_and_wait(); });
  test::run_together({[&] { hub.publish("a", 1); }, [&] { hub.publish("a", 1); }});
  CHECK(true); // they met
}

TEST_CASE("dispatcher: a handler that takes its time holds up nobody else") {
  const test::watchdog dog{"dispatcher: a handler that takes its time"};
  dispatcher hub;
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  const auto slow = hub.on("slow", [&](int) {
    inside = true;
    test::wait_until([&] { return leave.load(); }, "nobody lets the handler go");
  });
  auto queued = hub.subscribe(">");
  test::background waits{[&] { return of(hub.publish("slow", 1)); }};
  test::wait_until([&] { return inside.load(); }, "the handler did not begin");
  CHECK(of(hub.publish("new.name", 2)) == fate{1, 1, 0});
  auto more = hub.subscribe("slow"); // the very list that is being published through
  CHECK(hub.interested("slow"));
  more.cancel();
  {
    const auto short_lived = hub.on(">", [](int) {});
  }
  CHECK(hub.topic("slow").name() == "slow");
  CHECK_FALSE(waits.is_back());
  leave = true;
  CHECK(waits.get() == fate{2, 2, 0});
  CHECK(drain(queued) == numbers{2, 1});
}

// ---- Inside handlers

TEST_CASE("dispatcher: a handler may subscribe, and what is published afterwards is received") {
  dispatcher hub;
  std::vector<subscription> added;
  const auto sub = hub.on("a", [&](int) {
    added.push_back(hub.subscribe("a"));
    added.push_back(hub.on(">", [](int) {}));
  });
  auto handle = hub.topic("a");
  CHECK(of(handle.publish(0)) == fate{1, 1, 0});
  CHECK(of(handle.publish(1)) == fate{3, 3, 0});
  CHECK(of(hub.publish("a", 2)) == fate{5, 5, 0});
  CHECK(drain(added[0]) == numbers{1, 2});
}

TEST_CASE("dispatcher: a handler may cancel another subscription, which then gets nothing more") {
  dispatcher hub;
  subscription victim;
  subscription queued;
  int after_cancel = 0;
  const auto sub = hub.on("a", [&](int) {
    victim.cancel();
    queued.cancel();
  });
  victim = hub.on("a", [&](int) { ++after_cancel; });
  queued = hub.subscribe("a");
  CHECK(of(hub.publish("a", 1)) == fate{1, 1, 0});
  CHECK(after_cancel == 0);
  CHECK_FALSE(queued.try_pop());
}

TEST_CASE("dispatcher: a handler may publish to its own topic and to others") {
  for (const bool by_handle : {true, false}) {
    CAPTURE(by_handle);
    dispatcher hub;
    auto handle = hub.topic("a");
    std::size_t calls = 0;
    const auto sub = hub.on("a", [&](int depth) {
      ++calls;
      if (depth == 0) return;
      const auto result = by_handle ? handle.publish(depth - 1) : hub.publish("a", depth - 1);
      CHECK(of(result) == fate{2, 2, 0});
      CHECK(of(hub.publish("b", depth)) == fate{1, 1, 0});
    });
    auto queued = hub.subscribe("a");
    auto other = hub.subscribe("b");
    CHECK(of(by_handle ? handle.publish(5) : hub.publish("a", 5)) == fate{2, 2, 0});
    CHECK(calls == 6);
    CHECK(drain(queued) == numbers{0, 1, 2, 3, 4, 5}); // each after what it was the reason of
    CHECK(drain(other) == numbers{1, 2, 3, 4, 5});
  }
}

TEST_CASE("dispatcher: publishing, subscribing and cancelling nest in handlers to any depth") {
  dispatcher hub;
  auto handle = hub.topic("a");
  std::vector<subscription> subs;
  int calls = 0;
  const auto root = hub.on("a", [&](int depth) {
    ++calls;
    if (depth == 0) return;
    auto mine = hub.on("a", [&](int) { ++calls; });
    handle.publish(depth - 1);
    mine.cancel();
    CHECK(of(hub.publish("unheard", 1)) == fate{0, 0, 0});
  });
  CHECK(of(handle.publish(10)) == fate{1, 1, 0});
  // At depth d there are 10 - d others, all of which hear it.
  CHECK(calls == 11 + 55);
  CHECK(of(handle.publish(0)) == fate{1, 1, 0});
}

TEST_CASE("dispatcher: a handler may destroy the handle, or assign to it") {
  dispatcher hub;
  dispatcher other;
  std::unique_ptr<topic> handle;
  int what = 0;
  const auto sub = hub.on(">", [&](int) {
    if (what == 0) handle.reset();
    if (what == 1) *handle = other.topic("b");
    if (what == 2) *handle = hub.topic("c");
    if (what == 3) {
      auto moved = std::make_unique<topic>(std::move(*handle));
      handle = std::move(moved);
    }
  });
  auto queued = hub.subscribe(">");
  auto elsewhere = other.subscribe(">");
  for (what = 0; what != 4; ++what) {
    CAPTURE(what);
    handle = std::make_unique<topic>(hub.topic("a"));
    CHECK(of(handle->publish(what)) == fate{2, 2, 0});
    const auto got = queued.try_pop();
    CHECK(got->topic() == "a");
    const int now = std::exchange(what, -1);
    if (now == 1) CHECK(of(handle->publish(10)) == fate{1, 1, 0});
    if (now == 2) CHECK(of(handle->publish(20)) == fate{2, 2, 0});
    if (now == 3) CHECK(of(handle->publish(30)) == fate{2, 2, 0});
    what = now;
    CHECK(drain(queued) == (now < 2 ? numbers{} : numbers{10 * now}));
  }
  CHECK(drain(elsewhere) == numbers{10});
}

TEST_CASE("dispatcher: a handler may destroy the last handle of a dispatcher that is gone") {
  auto hub = std::make_unique<dispatcher>();
  auto handle = std::make_unique<topic>(hub->topic("a.name.that.is.too.long.for.the.string"));
  std::string seen;
  auto sub = hub->on(">", [&](const delivery<int>& one) {
    hub.reset();
    handle.reset();
    seen = one.topic();
  });
  auto queued = hub->subscribe(">");
  const auto result = handle->publish(1);
  CHECK(seen == "a.name.that.is.too.long.for.the.string");
  CHECK(of(result) == fate{1, 1, 0}); // the other was closed by the end of the dispatcher
  CHECK_FALSE(queued.pop());
}

TEST_CASE("dispatcher: a handler may close the dispatcher") {
  const test::watchdog dog{"dispatcher: closed by a handler"};
  dispatcher hub;
  int calls = 0;
  auto before = hub.subscribe("a");
  const auto sub = hub.on("a", [&](int) {
    ++calls;
    hub.close();
    CHECK(of(hub.publish("a", 9)) == fate{0, 0, 0});
  });
  auto after = hub.subscribe("a");
  CHECK(of(hub.publish("a", 1)) == fate{2, 2, 0});
  CHECK(of(hub.publish("a", 2)) == fate{0, 0, 0});
  CHECK(calls == 1);
  CHECK(drain(before) == numbers{1});
  CHECK_FALSE(before.pop());
  CHECK_FALSE(after.pop());
}

TEST_CASE("dispatcher: handlers in two threads may close it at the same time") {
  const test::watchdog dog{"dispatcher: closed by two handlers"};
  for (int round = 0; round != 20; ++round) {
    dispatcher hub;
    test::start_barrier both{2};
    const auto close = [&](int) {
      both.arrive_and_wait();
      hub.close();
    };
    const auto one = hub.on("a", close);
    const auto two = hub.on("b", close);
    test::run_together({[&] { hub.publish("a", 1); }, [&] { hub.publish("b", 1); }});
    CHECK_FALSE(one.is_active());
    CHECK_FALSE(two.is_active());
  }
}

// ---- Failure

TEST_CASE(
    "dispatcher: a handler that throws costs its own message only, and the publisher is told") {
  dispatcher hub;
  std::vector<subscription> subs;
  int served = 0;
  const auto count = [&](int) { ++served; };
  subs.push_back(hub.on("a", count));
  subs.push_back(hub.on("a", [](int value) {
    if (value % 2 == 1) throw std::runtime_error{"odd"};
  }));
  subs.push_back(hub.on("a", count));
  auto queued = hub.subscribe("a");
  auto member = hub.subscribe("a", {.group = "g"});
  auto handle = hub.topic("a");
  for (int i = 0; i != 6; ++i) {
    if (i % 2 == 0) {
      CHECK(of(handle.publish(i)) == fate{5, 5, 0});
    } else if (i == 3) {
      CHECK_THROWS_WITH_AS(hub.publish("a", i), "odd", std::runtime_error);
    } else {
      CHECK_THROWS_WITH_AS(handle.publish(i), "odd", std::runtime_error);
    }
    CHECK(served == 2 * (i + 1));
  }
  CHECK(drain(queued) == zero_to(6));
  CHECK(drain(member) == zero_to(6));
}

TEST_CASE("dispatcher: of several exceptions the publisher gets the first, once all are served") {
  dispatcher hub;
  std::vector<subscription> subs;
  int calls = 0;
  for (const char* text : {"first", "second", "third"}) {
    subs.push_back(hub.on("a", [&calls, text](int) {
      ++calls;
      throw std::runtime_error{text};
    }));
  }
  CHECK_THROWS_WITH_AS(hub.publish("a", 1), "first", std::runtime_error);
  CHECK(calls == 3);
  subs.erase(subs.begin());
  CHECK_THROWS_WITH_AS(hub.publish("a", 1), "second", std::runtime_error);
  CHECK(calls == 5);
}

TEST_CASE("dispatcher: what handlers throw goes to on_error, and everything is delivered") {
  struct told {
    std::string what;
    int value;
    std::uint64_t sequence;
    std::string topic;
    std::string subscription;
    std::string filter;
  };
  std::vector<told> failures;
  dispatcher hub{dialect::nats, [&](const mailroom::handler_failure<int>& one) noexcept {
                   try {
                     std::rethrow_exception(one.error);
                   } catch (const std::runtime_error& error) {
                     failures.push_back({error.what(), one.value, one.sequence,
                                         std::string{one.topic}, one.subscription,
                                         std::string{one.filter}});
                   }
                 }};
  const auto odd = [](int value) {
    if (value % 2 == 1) throw std::runtime_error{"odd"};
  };
  const auto direct = hub.on("a", odd);
  auto queued = hub.subscribe("*", {.name = "ledger"});
  auto last = hub.subscribe("a");
  for (int i = 0; i != 5; ++i) CHECK(of(hub.publish("a", i)) == fate{3, 3, 0});
  CHECK(failures.size() == 2); // of the direct one
  hub.close();
  numbers handled;
  CHECK(queued.run([&](delivery<int> next) {
    handled.push_back(next.value);
    odd(next.value);
  }) == queue_status::closed);
  CHECK(handled == zero_to(5));
  CHECK(drain(last) == zero_to(5));
  REQUIRE(failures.size() == 4);
  CHECK(failures[0].what == "odd");
  CHECK(failures[0].subscription.empty());
  CHECK(failures[3].value == 3);
  CHECK(failures[3].sequence == 3);
  CHECK(failures[3].topic == "a");
  CHECK(failures[3].subscription == "ledger");
  CHECK(failures[0].filter == "a");
  CHECK(failures[3].filter == "*");
}

TEST_CASE("dispatcher: an exception does not hide who has to be waited for") {
  const test::watchdog dog{"dispatcher: an exception and a full mailbox"};
  dispatcher hub;
  auto full = hub.subscribe("a", {.capacity = 1});
  hub.publish("a", 1);
  const auto throws = hub.on("a", [](int) { throw std::runtime_error{"no"}; });
  test::background waits{
      [&] { return complaint<std::runtime_error>([&] { hub.publish("a", 2); }); }};
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  CHECK(full.pop()->value == 1);
  CHECK(waits.get() == "no");
  CHECK(drain(full) == numbers{2});
}

TEST_CASE("dispatcher: R-41: a copy that throws costs one destination its message, and no other") {
  for (int which = 1; which <= 3; ++which) {
    CAPTURE(which);
    test::ledger book;
    {
      mailroom::dispatcher<test::tracked> hub;
      std::vector<mailroom::subscription<test::tracked>> subs;
      for (int i = 0; i != 4; ++i) subs.push_back(hub.subscribe("a"));
      auto handle = hub.topic("a");
      handle.publish(test::tracked{1});
      {
        test::tracked two{2};
        book.fail_at(which); // the copies for the first three; the last gets the message itself
        CHECK_THROWS_AS(handle.publish(std::move(two)), test::boom);
        CHECK_FALSE(book.is_armed());
      }
      handle.publish(test::tracked{3});
      for (int i = 0; i != 4; ++i) {
        CAPTURE(i);
        auto& sub = subs[static_cast<std::size_t>(i)];
        CHECK(sub.pop()->value.value() == 1);
        if (i + 1 != which) CHECK(sub.pop()->value.value() == 2);
        CHECK(sub.pop()->value.value() == 3);
        CHECK_FALSE(sub.try_pop());
      }
    }
    CHECK(book.is_balanced());
  }
}

TEST_CASE("dispatcher: a message that cannot be copied at all reaches nobody") {
  test::ledger book;
  {
    mailroom::dispatcher<test::tracked> hub;
    auto sub = hub.subscribe("a");
    const test::tracked mine{1};
    book.fail_at(1);
    CHECK_THROWS_AS(hub.publish("a", mine), test::boom);
    CHECK_FALSE(sub.try_pop());
    hub.publish("a", mine);
    CHECK(sub.try_pop()->value.value() == 1);
  }
  CHECK(book.is_balanced());
}

TEST_CASE(
    "dispatcher: a handler whose delivery cannot be copied is passed by, the others are not") {
  test::ledger book;
  {
    mailroom::dispatcher<test::tracked> hub;
    int calls = 0;
    const auto sub = hub.on("a", [&](const delivery<test::tracked>&) { ++calls; });
    auto queued = hub.subscribe("a");
    {
      test::tracked mine{1};
      book.fail_at(1);
      CHECK_THROWS_AS(hub.publish("a", std::move(mine)), test::boom);
    }
    CHECK(calls == 0);
    CHECK(queued.try_pop()->value.value() == 1);
    hub.publish("a", test::tracked{2});
    CHECK(calls == 1);
  }
  CHECK(book.is_balanced());
}

TEST_CASE("dispatcher: a copy that throws does not cost another message that waits already") {
  // Under drop_oldest too: either the old message is still there, or its loss is told.
  for (int when = 1; when <= 4; ++when) {
    CAPTURE(when);
    test::ledger book;
    {
      mailroom::dispatcher<test::tracked> hub;
      auto lossy = hub.subscribe("a", {.capacity = 1, .on_full = overflow::drop_oldest});
      auto last = hub.subscribe("a");
      hub.publish("a", test::tracked{1});
      bool threw = false;
      {
        test::tracked two{2};
        book.fail_at(when);
        try {
          hub.publish("a", std::move(two));
        } catch (const test::boom&) {
          threw = true;
        }
        book.fail_at(0);
      }
      std::size_t received = 0;
      while (lossy.try_pop()) ++received;
      const std::size_t sent_to_it = threw ? 1 : 2; // the one that threw was never in
      CHECK(received + lossy.missed() == sent_to_it);
    }
    CHECK(book.is_balanced());
  }
}

// ---- The slow and the others

TEST_CASE("dispatcher: who blocks is waited for last, when all others have the message") {
  const test::watchdog dog{"dispatcher: who blocks is last"};
  dispatcher hub;
  auto stalled = hub.subscribe("a", {.capacity = 1});
  int handled = 0;
  auto queued = hub.subscribe("a");
  auto lossy = hub.subscribe("a", {.capacity = 1, .on_full = overflow::drop_oldest});
  auto other = hub.subscribe("a", {.capacity = 1});
  const auto direct = hub.on("a", [&](int) { ++handled; });
  CHECK(of(hub.publish("a", 1)) == fate{5, 5, 0});
  CHECK(drain(other) == numbers{1});
  test::background waits{[&] { return of(hub.publish("a", 2)); }};
  CHECK(queued.pop()->value == 1);
  CHECK(queued.pop()->value == 2);
  CHECK(other.pop()->value == 2);
  CHECK(lossy.pop()->value == 2);
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  CHECK(stalled.pop()->value == 1);
  CHECK(waits.get() == fate{5, 5, 1});
  CHECK(stalled.pop()->value == 2);
  CHECK(handled == 2);
}

TEST_CASE("dispatcher: many stalled mailboxes are waited for one after the other, none forgotten") {
  const test::watchdog dog{"dispatcher: many stalled mailboxes"};
  constexpr std::size_t many = 70; // more than there are bits to remember them by
  dispatcher hub;
  std::vector<subscription> stalled;
  for (std::size_t i = 0; i != many; ++i) stalled.push_back(hub.subscribe("a", {.capacity = 1}));
  CHECK(of(hub.publish("a", 1)) == fate{many, many, 0});
  test::background waits{[&] { return of(hub.publish("a", 2)); }};
  for (std::size_t i = many; i-- != 0;) {
    CHECK_FALSE(waits.is_back());
    CHECK(stalled[i].pop()->value == 1);
  }
  CHECK(waits.get() == fate{many, many, 0});
  for (auto& sub : stalled) CHECK(drain(sub) == numbers{2});
}

TEST_CASE("dispatcher: a publisher that waits does not hold up another that need not") {
  const test::watchdog dog{"dispatcher: one publisher waits"};
  dispatcher hub;
  auto stalled = hub.subscribe("slow", {.capacity = 1});
  std::atomic<int> begun{0};
  const auto witness = hub.on("slow", [&](int value) { begun = value; });
  auto quick = hub.subscribe("quick", {.capacity = 1000});
  hub.publish("slow", 1);
  test::background waits{[&] { return of(hub.publish("slow", 2)); }};
  test::wait_until([&] { return begun.load() == 2; }, "the publish did not begin");
  test::let_it_sleep();
  for (int i = 0; i != 1000; ++i) hub.publish("quick", i);
  CHECK(drain(quick).size() == 1000);
  auto late = hub.subscribe(">");
  CHECK(of(hub.publish("quick", 1)) == fate{2, 2, 0});
  CHECK_FALSE(waits.is_back());
  stalled.cancel();
  CHECK(waits.get() == fate{1, 1, 0});
}

// ---- The end

TEST_CASE("dispatcher: after close subscribers get what is queued, then the end") {
  dispatcher hub;
  auto queued = hub.subscribe("a");
  auto tried = hub.subscribe("a");
  auto ran = hub.subscribe("a");
  int calls = 0;
  const auto direct = hub.on("a", [&](int) { ++calls; });
  auto handle = hub.topic("a");
  handle.publish(1);
  handle.publish(2);
  hub.close();
  CHECK(of(handle.publish(3)) == fate{0, 0, 0});
  CHECK(of(hub.publish("a", 3)) == fate{0, 0, 0});
  CHECK(of(hub.publish("b", 3)) == fate{0, 0, 0});
  CHECK_FALSE(hub.interested("a"));
  CHECK_FALSE(hub.interested("new"));
  CHECK_FALSE(handle.interested());
  CHECK(queued.pop()->value == 1);
  CHECK(queued.pop()->value == 2);
  CHECK_FALSE(queued.pop());
  CHECK_FALSE(queued.pop());
  CHECK(drain(tried) == numbers{1, 2});
  CHECK(tried.try_pop().error() == queue_status::closed);
  numbers seen;
  CHECK(ran.run([&](int value) { seen.push_back(value); }) == queue_status::closed);
  CHECK(seen == numbers{1, 2});
  CHECK(calls == 2);
  hub.close();
}

TEST_CASE("dispatcher: close with a limit waits for what is queued, and reports what is left") {
  const test::watchdog dog{"dispatcher: close with a limit"};
  {
    dispatcher hub;
    auto sub = hub.subscribe("a");
    auto stuck = hub.subscribe("a");
    const auto direct = hub.on("a", [](int) {});
    for (int i = 0; i != 3; ++i) hub.publish("a", i);
    test::background runs{[&] { return sub.run([](int) {}); }};
    const auto begin = std::chrono::steady_clock::now();
    const auto report = hub.close(20ms);
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
    CHECK(report.status == queue_status::timeout);
    CHECK(report.subscriptions == 1);
    CHECK(report.messages == 3);
    CHECK(runs.get() == queue_status::closed);
    CHECK(drain(stuck) == zero_to(3)); // still there
    const auto later = hub.close(0ms); // and again
    CHECK(later.status == queue_status::closed);
    CHECK(later.messages == 0);
  }
  {
    dispatcher hub;
    auto sub = hub.subscribe("a");
    hub.publish("a", 1);
    CHECK(hub.close(0ms).messages == 1);
    sub.cancel(); // nothing can be left of it
    CHECK(hub.close(1h).status == queue_status::closed);
  }
  {
    dispatcher hub; // also for what was drained
    auto sub = hub.subscribe("a");
    hub.publish("a", 1);
    sub.drain();
    const auto report = hub.close(1ms);
    CHECK(report.status == queue_status::timeout);
    CHECK(report.messages == 1);
    CHECK(drain(sub) == numbers{1});
    CHECK(hub.close(1h).status == queue_status::closed);
  }
  {
    dispatcher hub; // a handler waits for all but its own
    auto sub = hub.subscribe("a");
    hub.publish("a", 1);
    hub.publish("a", 2);
    std::vector<std::size_t> left;
    (void)sub.run([&](int) { left.push_back(hub.close(1h).messages); });
    CHECK(left == std::vector<std::size_t>{1, 0});
  }
}

TEST_CASE("dispatcher: a subscription that is made after close has ended already") {
  dispatcher hub;
  hub.close();
  auto queued = hub.subscribe("a");
  int calls = 0;
  const auto state = std::make_shared<int>(0);
  const auto direct = hub.on("a", [&calls, state](int) { ++calls; });
  CHECK_FALSE(queued.is_active());
  CHECK_FALSE(direct.is_active());
  CHECK(of(hub.publish("a", 1)) == fate{0, 0, 0});
  CHECK_FALSE(queued.pop());
  CHECK(queued.try_pop().error() == queue_status::closed);
  CHECK(calls == 0);
  CHECK_THROWS_AS((void)hub.subscribe("a..b"), std::invalid_argument);
  CHECK_THROWS_AS(hub.publish("a..b", 1), std::invalid_argument);
}

TEST_CASE("dispatcher: close wakes whoever waits for a message") {
  const test::watchdog dog{"dispatcher: close wakes readers"};
  dispatcher hub;
  auto popped = hub.subscribe("a");
  auto ran = hub.subscribe("a");
  test::background pops{[&] { return popped.pop().has_value(); }};
  test::background runs{[&] { return ran.run([](int) {}); }};
  test::let_it_sleep();
  hub.close();
  CHECK_FALSE(pops.get());
  CHECK(runs.get() == queue_status::closed);
}

TEST_CASE(
    "dispatcher: R-41: close releases publishers that wait for room, and keeps what is queued") {
  const test::watchdog dog{"dispatcher: close releases publishers"};
  dispatcher hub;
  auto loner = hub.subscribe("a", {.capacity = 1});
  auto member = hub.subscribe("a", {.capacity = 1, .group = "g"});
  auto roomy = hub.subscribe("a");
  hub.publish("a", 1);
  auto handle = hub.topic("a");
  test::background waits{[&] { return of(handle.publish(2)); }};
  CHECK(roomy.pop()->value == 1);
  CHECK(roomy.pop()->value == 2);
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  hub.close();
  CHECK(waits.get() == fate{1, 1, 0});
  CHECK(drain(loner) == numbers{1});
  CHECK(drain(member) == numbers{1});
  CHECK_FALSE(loner.pop());
}

TEST_CASE("dispatcher: close waits for handlers that run in other threads") {
  const test::watchdog dog{"dispatcher: close waits for handlers"};
  auto hub = std::make_unique<dispatcher>();
  auto state = std::make_unique<int>(0); // plain: only the close orders its last use and its end
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  const auto sub = hub->on("a", [&](int) {
    inside = true;
    test::wait_until([&] { return leave.load(); }, "nobody lets the handler go");
    ++*state;
  });
  auto handle = hub->topic("a");
  std::thread publisher{[&] { handle.publish(1); }};
  test::wait_until([&] { return inside.load(); }, "the handler did not begin");
  test::background closes{[&] {
    hub.reset(); // closes
    return true;
  }};
  test::let_it_sleep();
  CHECK_FALSE(closes.is_back());
  leave = true;
  CHECK(closes.get());
  CHECK(*state == 1);
  state.reset();
  publisher.join();
}

TEST_CASE("dispatcher: close does not wait for ever for a handler that waits for room") {
  const test::watchdog dog{"dispatcher: close and a handler that is blocked"};
  dispatcher hub;
  std::atomic<bool> inside{false};
  fate inner{9, 9, 9};
  const auto forwards = hub.on("a", [&](int value) {
    inside = true;
    inner = of(hub.publish("b", value));
  });
  auto full = hub.subscribe("b", {.capacity = 1});
  hub.publish("b", 0);
  test::background waits{[&] { return of(hub.publish("a", 1)); }};
  test::wait_until([&] { return inside.load(); }, "the handler did not begin");
  test::let_it_sleep();
  CHECK_FALSE(waits.is_back());
  hub.close();
  CHECK(waits.get() == fate{1, 1, 0});
  CHECK(inner == fate{0, 0, 0});
  CHECK(drain(full) == numbers{0});
}

TEST_CASE("dispatcher: no handler begins once close has returned") {
  const test::watchdog dog{"dispatcher: no handler after close"};
  for (int round = 0; round != 100; ++round) {
    dispatcher hub;
    std::atomic<bool> is_closed{false};
    std::atomic<int> late{0};
    const auto sub = hub.on("a", [&](int) {
      if (is_closed) ++late;
    });
    test::run_together({[&, handle = hub.topic("a")]() mutable {
                          for (int i = 0; handle.publish(i).matched != 0; ++i) {
                          }
                        },
                        [&] {
                          for (int i = 0; hub.publish("a", i).matched != 0; ++i) {
                          }
                        },
                        [&] {
                          hub.close();
                          is_closed = true;
                        }});
    CHECK(late == 0);
  }
}

TEST_CASE("dispatcher: whatever is destroyed first, nothing dangles") {
  for (int order = 0; order != 6; ++order) {
    CAPTURE(order);
    auto hub = std::make_unique<dispatcher>();
    auto subs = std::make_unique<std::vector<subscription>>();
    subs->push_back(hub->subscribe("a"));
    subs->push_back(hub->subscribe("a", {.group = "g"}));
    subs->push_back(hub->on("a", [](int) {}));
    auto handle = std::make_unique<topic>(hub->topic("a"));
    handle->publish(1);
    const auto end = [&](int which) {
      if (which == 0) hub.reset();
      if (which == 1) subs.reset();
      if (which == 2) handle.reset();
      if (handle) CHECK(of(handle->publish(2)) == (hub && subs ? fate{3, 3, 0} : fate{0, 0, 0}));
      if (handle) CHECK(handle->name() == "a");
      if (hub) CHECK(of(hub->publish("a", 3)) == (subs ? fate{3, 3, 0} : fate{0, 0, 0}));
      if (subs && !hub) {
        for (auto& each : *subs) {
          while (each.pop()) {
          }
          CHECK_FALSE(each.is_active());
        }
      }
    };
    end(order / 2);
    end((order / 2 + 1 + order % 2) % 3);
    end((order / 2 + 2 - order % 2) % 3);
  }
}

TEST_CASE("dispatcher: a handler, a message and a handle may own each other in any way") {
  // Everything is given back when the dispatcher ends; the sanitizer would name a leak.
  struct knot {
    std::optional<mailroom::topic<std::shared_ptr<knot>>> handle;
    mailroom::subscription<std::shared_ptr<knot>> direct;
  };
  std::weak_ptr<knot> watched;
  {
    mailroom::dispatcher<std::shared_ptr<knot>> hub;
    auto tied = std::make_shared<knot>();
    watched = tied;
    tied->handle = hub.topic("a");
    tied->direct = hub.on("a", [tied](const std::shared_ptr<knot>&) {});
    CHECK(of(tied->handle->publish(tied)) == fate{1, 1, 0});
  }
  CHECK(watched.expired());
}

#if defined(__unix__)

TEST_CASE("dispatcher: R-47: a child process may leave what it inherited as it is") {
  const test::watchdog guard{"dispatcher: fork"};
  dispatcher hub;
  std::atomic<int> handled{0};
  const auto direct = hub.on("a", [&](int) { handled.fetch_add(1); });
  const std::function<void()> publish = [&] {
    for (int i = 0; i != 1000; ++i) {
      const auto short_lived = hub.subscribe("b", {.capacity = 1}); // a fork may fall into the lock
      (void)hub.publish("a", i);
    }
  };
  int right = 0;
  const std::function<void()> fork = [&right] {
    for (int i = 0; i != 10; ++i) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(7);
      int status = 0;
      if (::waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7) ++right;
    }
  };
  test::run_together({publish, publish, fork});
  CHECK(right == 10);
  CHECK(handled.load() == 2000);
}

#endif
