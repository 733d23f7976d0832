// SPDX-License-Identifier: MIT
// Which lists a change replaces, and what happens when there is no memory for them. The global
// operator new of this program counts, and fails when it is told to.

#include <mailroom/topic/routing.hpp>

#include <mailroom/topic/dispatcher.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/topics.hpp>

#include <atomic>     // atomic
#include <cstddef>    // size_t
#include <cstdlib>    // aligned_alloc, free, malloc
#include <functional> // function
#include <memory>     // make_shared, make_unique, unique_ptr
#include <new>        // align_val_t, bad_alloc, nothrow_t
#include <optional>   // optional
#include <string>     // string, to_string
#include <utility>    // move
#include <vector>     // vector

namespace {

std::atomic<long> allocations{0}; // ever made
std::atomic<long> blocks{0};      // not given back
std::atomic<int> fail_in{0};      // the n-th from now fails; 0: none; negative: all of them

bool is_refused() noexcept {
  const int left = fail_in.load();
  if (left == 0) return false;
  if (left < 0) return true;
  fail_in.store(left - 1);
  return left == 1;
}
void* count_and_allocate(std::size_t size, std::size_t alignment) noexcept {
  if (is_refused()) return nullptr;
  allocations.fetch_add(1);
  blocks.fetch_add(1);
  if (alignment == 0) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment) / alignment * alignment);
}
void* or_throw(void* block) {
  if (block == nullptr) throw std::bad_alloc{};
  return block;
}
void give_back(void* block) noexcept {
  if (block != nullptr) blocks.fetch_sub(1);
  std::free(block);
}

/// As long as it lives the n-th allocation fails, or all of them do.
class shortage {
public:
  static constexpr int of_everything = -1;

  explicit shortage(int nth) noexcept { fail_in.store(nth); }
  shortage(const shortage&) = delete;
  shortage& operator=(const shortage&) = delete;
  ~shortage() { fail_in.store(0); }

  bool has_come() const noexcept { return fail_in.load() == 0; }
};

using mailroom::dialect;
using mailroom::subscription_options;
using mailroom::topic_filter;
using mailroom::detail::make_counted;
using mailroom::detail::queued_subscriber;
using mailroom::detail::ref;
using mailroom::detail::subscriber;
using mailroom::detail::subscriber_list;
using test::drain;
using test::fate;
using test::of;

using dispatcher = mailroom::dispatcher<int>;
using subscription = mailroom::subscription<int>;
using routing = mailroom::detail::routing<int>;
using numbers = std::vector<int>;

ref<subscriber<int>> make(const ref<routing>& in, const char* filter, const char* group = "") {
  return make_counted<queued_subscriber<int>>(topic_filter{filter, in->rules()},
                                              subscription_options{.capacity = 4, .group = group},
                                              ref<subscriber_list<int>>{in});
}

/// Calls `attempt` until it succeeds, with a shortage that comes at the first allocation, then at
/// the second, and so on. After each failure everything must be as `check` has it.
/// Returns   how many failures there were
int sweep(const std::function<void()>& attempt, const std::function<void()>& check) {
  for (int nth = 1;; ++nth) {
    CAPTURE(nth);
    bool failed = false;
    {
      const shortage here{nth};
      try {
        attempt();
      } catch (const std::bad_alloc&) {
        failed = true;
      }
      if (!here.has_come()) return nth - 1; // it needs no more than that
    }
    REQUIRE(failed);
    check();
  }
}

} // namespace

void* operator new(std::size_t size) { return or_throw(count_and_allocate(size, 0)); }
void* operator new[](std::size_t size) { return or_throw(count_and_allocate(size, 0)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(count_and_allocate(size, static_cast<std::size_t>(alignment)));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return or_throw(count_and_allocate(size, static_cast<std::size_t>(alignment)));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return count_and_allocate(size, 0);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return count_and_allocate(size, 0);
}
void operator delete(void* block) noexcept { give_back(block); }
void operator delete[](void* block) noexcept { give_back(block); }
void operator delete(void* block, std::size_t) noexcept { give_back(block); }
void operator delete[](void* block, std::size_t) noexcept { give_back(block); }
void operator delete(void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete[](void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { give_back(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { give_back(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { give_back(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { give_back(block); }

// ---- Lists

TEST_CASE("routing: a change replaces the lists of the topics that its filter matches, no others") {
  const auto all = make_counted<routing>(dialect::nats);
  auto& a = all->intern("x.a");
  auto& b = all->intern("x.b");
  auto& c = all->intern("y");
  struct seen {
    ref<const mailroom::detail::destinations<int>> a, b, c;
  };
  const auto look = [&] {
    return seen{a.list.load(all->period()), b.list.load(all->period()), c.list.load(all->period())};
  };
  const auto changed = [&](const seen& before) {
    return std::string{a.list.is_current(before.a) ? "" : "a"} +
           (b.list.is_current(before.b) ? "" : "b") + (c.list.is_current(before.c) ? "" : "c");
  };
  const auto star = make(all, "x.*");
  const auto literal = make(all, "y");
  const auto unheard = make(all, "nobody.says.this");
  const auto tail = make(all, ">");
  auto before = look();
  all->add(star);
  CHECK(changed(before) == "ab");
  before = look();
  all->add(literal);
  CHECK(changed(before) == "c");
  before = look();
  all->add(unheard);
  all->remove(*unheard);
  CHECK(changed(before).empty());
  all->add(tail);
  CHECK(changed(before) == "abc");
  before = look();
  all->remove(*star);
  CHECK(changed(before) == "ab");
  CHECK(a.list.load(all->period())->all.size() == 1);
  CHECK(c.list.load(all->period())->all.size() == 2);
  before = look();
  all->remove(*star); // is not there any more
  CHECK(changed(before).empty());
  all->close();
  CHECK(changed(before) == "abc");
  CHECK(a.list.load(all->period())->all.empty());
  for (const auto& each : {literal, tail}) each->cancel(); // as the end of a subscription does
}

TEST_CASE("routing: a list never changes, whatever is subscribed and cancelled") {
  const auto all = make_counted<routing>(dialect::nats);
  auto& a = all->intern("a");
  const auto one = make(all, "a", "g");
  const auto two = make(all, "*", "g");
  const auto three = make(all, ">");
  all->add(one);
  const auto old = a.list.load(all->period());
  all->add(two);
  all->add(three);
  CHECK(old->all.size() == 1);
  CHECK(old->all[0].members.size() == 1);
  const auto now = a.list.load(all->period());
  CHECK(now->all.size() == 2);
  CHECK(now->all[0].members.size() == 2);
  all->close();
  CHECK(now->all.size() == 2);
  for (const auto& each : {one, two, three}) each->cancel(); // as the end of a subscription does
}

TEST_CASE("routing: a name is one route, however often it is asked for") {
  const auto all = make_counted<routing>(dialect::nats);
  auto& a = all->intern("a");
  for (int i = 0; i != 1000; ++i) (void)all->intern("n." + std::to_string(i));
  CHECK(&all->intern("a") == &a);
  CHECK(&all->intern("b") != &a);
  CHECK(a.name() == "a");
}

// ---- Memory

TEST_CASE("routing: publishing to a known name allocates nothing") {
  dispatcher hub;
  auto handle = hub.topic("a.name.that.is.too.long.for.the.string.itself");
  auto queued = hub.subscribe(">", {.capacity = 4});
  auto member = hub.subscribe("a.>", {.capacity = 4, .group = "g"});
  auto lossy = hub.subscribe("a.>", {.capacity = 1, .on_full = mailroom::overflow::drop_oldest});
  int sum = 0;
  const auto direct = hub.on(">", [&](const mailroom::delivery<int>& one) { sum += one.value; });
  handle.publish(1);
  const long before = allocations.load();
  for (int i = 0; i != 100; ++i) {
    hub.publish(handle.name(), 1);
    handle.publish(1);
    while (queued.try_pop()) sum += 1;
    while (member.try_pop()) sum += 1;
  }
  const bool wanted = hub.interested(handle.name()) && handle.interested();
  const auto copy = handle;
  const long after = allocations.load();
  CHECK(after == before);
  CHECK(wanted);
  CHECK(sum == 1 + 200 + 200 + 2 + 200);
  (void)lossy;
}

TEST_CASE("routing: everything is given back when all are gone, in whatever order") {
  const long before = blocks.load();
  {
    std::optional<subscription> late;
    std::optional<mailroom::topic<int>> handle;
    {
      dispatcher hub;
      for (int i = 0; i != 300; ++i) hub.publish("name." + std::to_string(i), i);
      late = hub.subscribe("name.*", {.group = "a group with a name that is long"});
      const auto other = hub.subscribe("name.*", {.group = "a group with a name that is long"});
      const auto direct = hub.on(">", [text = std::string(100, 'x')](int) { (void)text; });
      handle = hub.topic("name.7");
      handle->publish(1);
      hub.publish("name.8", 1);
    }
    late->cancel();
  }
  CHECK(blocks.load() == before);
}

TEST_CASE("routing: what was subscribed and cancelled leaves no memory in use") {
  dispatcher hub;
  for (int i = 0; i != 100; ++i) hub.publish("name." + std::to_string(i), i);
  long after_first = 0;
  for (int round = 0; round != 50; ++round) {
    {
      auto one = hub.subscribe("name.*", {.group = "group." + std::to_string(round)});
      const auto two = hub.subscribe("name.*", {.group = "group." + std::to_string(round)});
      const auto three = hub.on(">", [](int) {});
      hub.publish("name.5", 1);
    }
    if (round == 0) after_first = blocks.load();
  }
  CHECK(blocks.load() == after_first);
}

TEST_CASE("routing: without memory for a subscription nothing is subscribed, and later one is") {
  for (const char* filter : {"*.b", "a.b", ">", "never.named"}) {
    for (const char* group : {"", "a group with a name that is long"}) {
      CAPTURE(filter);
      CAPTURE(group);
      dispatcher hub;
      auto handle = hub.topic("a.b");
      std::vector<mailroom::topic<int>> others;
      for (int i = 0; i != 5; ++i) others.push_back(hub.topic(std::to_string(i) + ".b"));
      auto before = hub.subscribe("a.b");
      auto member = hub.subscribe("a.b", {.group = group});
      std::optional<subscription> made;
      int value = 0;
      const auto subscribe = [&] {
        made = hub.subscribe(
            filter, {.capacity = 8, .on_full = mailroom::overflow::reject, .group = group});
      };
      const auto handle_it = [&] { made = hub.on(filter, [&](int) { value = -1; }); };
      const auto check = [&] {
        CHECK_FALSE(made);
        CHECK(of(handle.publish(value)) == fate{2, 2, 0});
        CHECK(of(hub.publish("a.b", value)) == fate{2, 2, 0});
        for (auto& each : others) CHECK(of(each.publish(1)) == fate{0, 0, 0});
        CHECK(drain(before) == numbers{value, value});
        CHECK(drain(member) == numbers{value, value});
        ++value;
      };
      check();
      const long in_use = blocks.load();
      CHECK(sweep(subscribe, check) > 3);
      CHECK(made->is_active());
      const fate whole = of(hub.publish("a.b", 1));
      CHECK(whole[1] == whole[0]);
      made.reset();
      CHECK(drain(before) == numbers{1});
      drain(member);
      check(); // handles let go of a list when they are used again
      // What the failures began is gone. A vector may have more in reserve; there are two.
      CHECK(blocks.load() <= in_use + 2);
      CHECK(sweep(handle_it, check) >= 1);
      CHECK(made->is_active());
    }
  }
}

TEST_CASE("routing: without memory for a new name nothing is published, and later it is") {
  dispatcher hub;
  auto sub = hub.subscribe(">", {.capacity = 1000});
  const auto check = [&] {
    CHECK_FALSE(sub.try_pop());
    CHECK(hub.interested("a.name.that.is.too.long.for.the.string.itself"));
  };
  for (int i = 0; i != 31; ++i) (void)hub.topic("known." + std::to_string(i));
  int value = 0;
  int failures =
      sweep([&] { hub.publish("a.name.that.is.too.long.for.the.string.itself", ++value); }, check);
  CHECK(failures >= 3);
  CHECK(drain(sub) == numbers{value});
  // With this one the table of names has to grow.
  failures = sweep([&] { (void)hub.topic("another.name.that.is.too.long.for.the.string"); }, check);
  CHECK(failures >= 4);
  for (int i = 0; i != 31; ++i) {
    CHECK(of(hub.publish("known." + std::to_string(i), i)) == fate{1, 1, 0});
  }
}

TEST_CASE("routing: cancel needs no memory") {
  const long before = blocks.load();
  {
    dispatcher hub;
    auto handle = hub.topic("a");
    const auto state = std::make_shared<int>(0);
    auto stays = hub.subscribe("a", {.group = "g"});
    auto queued = hub.subscribe("*", {.group = "g"});
    auto loner = hub.subscribe(">");
    auto direct = hub.on("a", [state](int) { ++*state; });
    CHECK(of(handle.publish(1)) == fate{3, 3, 0});
    {
      const shortage here{shortage::of_everything};
      queued.cancel();
      loner.cancel();
      direct.cancel();
    }
    CHECK(state.use_count() == 1);
    CHECK(of(handle.publish(2)) == fate{1, 1, 0});
    CHECK(of(hub.publish("a", 3)) == fate{1, 1, 0});
    CHECK(*state == 1);
    CHECK_FALSE(queued.pop());
    CHECK_FALSE(loner.pop());
    const auto later = hub.subscribe("a");
    CHECK(of(handle.publish(4)) == fate{2, 2, 0});
    {
      const shortage here{shortage::of_everything};
      stays.cancel();
    }
    CHECK(of(handle.publish(5)) == fate{1, 1, 0});
  }
  CHECK(blocks.load() == before);
}

TEST_CASE("routing: close needs no memory, and releases what a cancel without memory left") {
  const long before = blocks.load();
  {
    std::optional<subscription> kept;
    {
      dispatcher hub;
      auto handle = hub.topic("a");
      kept = hub.subscribe("a");
      auto direct = hub.on("a", [](int) {});
      handle.publish(1);
      const shortage here{shortage::of_everything};
      direct.cancel();
      hub.close();
    }
    CHECK(drain(*kept) == numbers{1});
    CHECK_FALSE(kept->pop());
  }
  CHECK(blocks.load() == before);
}
