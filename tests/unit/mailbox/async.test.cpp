// SPDX-License-Identifier: MIT

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/async.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <version> // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)

#include <support/task.hpp>

#include <array>      // array
#include <atomic>     // atomic
#include <chrono>     // steady_clock
#include <coroutine>  // coroutine_handle
#include <cstdint>    // uint64_t
#include <functional> // function
#include <memory>     // make_unique, unique_ptr
#include <optional>   // optional
#include <random>     // minstd_rand
#include <string>     // string
#include <thread>     // this_thread
#include <utility>    // exchange, move
#include <vector>     // vector

#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_source
#endif

namespace {

using mailroom::arity;
using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::never_stop;
using mailroom::overflow;
using mailroom::queue_facts;
using mailroom::queue_status;
using test::queued_task;
using test::run_queue;
using test::task;
using namespace std::chrono_literals;

template <class T>
using over_mpmc = mailbox<T, mailroom::mpmc_queue<T>>;
template <class T>
using over_ticket = mailbox<T, mailroom::mpmc_ticket_queue<T>>;
template <class T>
using over_mpsc = mailbox<T, mailroom::mpsc_queue<T>>;
template <class T>
using over_spsc = mailbox<T, mailroom::spsc_queue<T>>;

static_assert(mailroom::basic_concurrent_queue<over_mpmc<int>>);
static_assert(mailroom::concurrent_queue<over_mpmc<int>>);
static_assert(mailroom::async_concurrent_queue<over_mpmc<int>>);
static_assert(mailroom::async_concurrent_queue<over_ticket<std::string>>);
static_assert(mailroom::async_concurrent_queue<over_mpsc<std::unique_ptr<int>>>);
static_assert(mailroom::async_concurrent_queue<over_spsc<int>>);
static_assert(!mailroom::async_concurrent_queue<mailroom::mpmc_queue<int>>);
static_assert(mailroom::scheduling_promise<test::queued_promise>);
static_assert(!mailroom::scheduling_promise<test::promise>);

// ---- Coroutines that do one thing

template <class Box, class S = never_stop, class Answer = std::optional<typename Box::value_type>>
task pop(Box& box, Answer& into, S token = {}) {
  into = co_await box.async_pop(std::move(token));
}

template <class Box, class S = never_stop>
task push(Box& box, typename Box::value_type& message, bool& is_in, S token = {}) {
  is_in = co_await box.async_push(std::move(message), std::move(token));
}

/// Pops to the end.
template <class Box>
task pop_all(Box& box, std::vector<typename Box::value_type>& into) {
  while (auto message = co_await box.async_pop()) into.push_back(std::move(*message));
}

/// Runs a claim with a new source of every kind that calls back.
template <class Claim>
void with_every_calling_source(const Claim& claim) {
  {
    INFO("a token that calls back");
    test::calling_source source;
    claim(source);
    CHECK(source.callbacks() == 0);
  }
#if defined(__cpp_lib_jthread)
  {
    INFO("std::stop_token");
    std::stop_source source;
    claim(source);
  }
#endif
}

/// A token that lets a test meddle: when its callback is made, which is before the coroutine stands
/// in the list, and when it is asked, which is when it does.
struct meddler {
  bool is_stopped = false;
  std::function<void()> when_made = [] {};
  std::function<void()> when_asked = [] {};
};
struct meddling_token {
  template <class F>
  struct callback_type {
    callback_type(const meddling_token& token, F) {
      std::exchange(token.who->when_made, [] {})();
    }
  };
  meddler* who;
  bool stop_requested() const noexcept {
    std::exchange(who->when_asked, [] {})();
    return who->is_stopped;
  }
  bool stop_possible() const noexcept { return true; }
};

/// Is in the middle of somebody else's operation for as long as it is told.
struct moody_queue {
  using value_type = int;
  moody_queue() = default; // it does not take a capacity

  static inline int busy = 0; // so many times
  std::optional<int> inside;

  queue_status try_push(int&& value) {
    if (busy != 0) return --busy, queue_status::busy;
    if (inside) return queue_status::full;
    inside = value;
    return queue_status::success;
  }
  mailroom::expected<int, queue_status> try_pop() {
    if (busy != 0) return mailroom::unexpected{(--busy, queue_status::busy)};
    if (!inside) return mailroom::unexpected{queue_status::empty};
    return *std::exchange(inside, std::nullopt);
  }
  std::size_t size_approx() const noexcept { return inside ? 1 : 0; }
  std::size_t capacity() const noexcept { return 1; }
  std::uint64_t pushed() const noexcept { return 0; }
  std::uint64_t popped() const noexcept { return 0; }
};

} // namespace

template <>
struct mailroom::queue_facts<moody_queue> {
  static constexpr arity producers = arity::one;
  static constexpr arity consumers = arity::one;
  [[maybe_unused]] static constexpr ordering order = ordering::fifo;
  [[maybe_unused]] static constexpr progress push_progress = progress::obstruction_free;
  [[maybe_unused]] static constexpr progress pop_progress = progress::obstruction_free;
  static constexpr bool bounded = true;
  static constexpr bool sequentially_consistent = false;
};

// ---- Pop

TEST_CASE_TEMPLATE("async: a message that is there is popped at once", Box, over_mpmc<int>,
                   over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  Box box{2};
  CHECK(box.push(1));
  std::optional<int> got;
  const task popping = pop(box, got);
  CHECK(popping.is_done());
  CHECK(got == 1);
  CHECK(box.stats().pop_waits == 0);
}

TEST_CASE_TEMPLATE("async: a pop that finds nothing goes on inside the push", Box, over_mpmc<int>,
                   over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  Box box{2};
  std::optional<int> got;
  const task popping = pop(box, got);
  CHECK_FALSE(popping.is_done());
  CHECK(box.stats().pop_waits == 1);
  CHECK(box.push(1));
  CHECK(popping.is_done());
  CHECK(got == 1);
  CHECK(box.try_pop().error() == queue_status::empty);
}

TEST_CASE_TEMPLATE("async: a coroutine pops everything, in order, until the end", Box,
                   over_mpmc<int>, over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  Box box{4};
  std::vector<int> got;
  CHECK(box.push(0));
  const task popping = pop_all(box, got);
  for (int i = 1; i != 10; ++i) CHECK(box.push(i));
  CHECK_FALSE(popping.is_done());
  box.close();
  CHECK(popping.is_done());
  CHECK(got == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE_TEMPLATE("async: what was in a closed mailbox is popped before the end", Box,
                   over_mpmc<int>, over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  Box box{2};
  CHECK(box.push(1));
  box.close();
  std::vector<int> got;
  CHECK(pop_all(box, got).is_done());
  CHECK(got == std::vector{1});
}

TEST_CASE_TEMPLATE("async: who came first is served first", Box, over_mpmc<int>, over_ticket<int>) {
  Box box{2};
  std::vector<std::optional<int>> got(3);
  std::vector<task> waiting;
  for (auto& each : got) waiting.push_back(pop(box, each));
  CHECK(box.push(0));
  CHECK(box.push(1));
  CHECK((got[0] == 0 && got[1] == 1 && !waiting[2].is_done()));
  box.close();
  CHECK((waiting[2].is_done() && !got[2]));
}

TEST_CASE("async: close lets all go that wait") {
  over_mpmc<int> full{1};
  over_mpmc<int> empty{1};
  CHECK(full.push(0));
  std::vector<std::optional<int>> got(5, 7);
  std::vector<int> messages{1, 2, 3, 4, 5};
  std::array<bool, 5> is_in{true, true, true, true, true};
  std::vector<task> waiting;
  for (std::size_t i = 0; i != 5; ++i) {
    waiting.push_back(pop(empty, got[i]));
    waiting.push_back(push(full, messages[i], is_in[i]));
  }
  empty.close();
  full.close();
  for (const auto& each : waiting) CHECK(each.is_done());
  for (std::size_t i = 0; i != 5; ++i) CHECK((!got[i] && !is_in[i]));
  CHECK(full.size_approx() == 1);
}

// ---- Push

TEST_CASE_TEMPLATE("async: a push that finds room is done at once", Box, over_mpmc<int>,
                   over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  Box box{1};
  int message = 1;
  bool is_in = false;
  CHECK(push(box, message, is_in).is_done());
  CHECK(is_in);
  CHECK(box.stats().push_waits == 0);
  CHECK(box.pop() == 1);
}

TEST_CASE_TEMPLATE("async: a push that finds no room goes on inside the pop", Box, over_mpmc<int>,
                   over_ticket<int>, over_spsc<int>) {
  Box box{1};
  CHECK(box.push(1));
  int message = 2;
  bool is_in = false;
  const task pushing = push(box, message, is_in);
  CHECK_FALSE(pushing.is_done());
  CHECK(box.stats().push_waits == 1);
  CHECK(box.pop() == 1);
  CHECK(pushing.is_done());
  CHECK(is_in);
  CHECK(box.pop() == 2);
}

TEST_CASE_TEMPLATE("async: a push into a closed mailbox leaves its message alone", Box,
                   over_mpmc<std::string>, over_ticket<std::string>, over_mpsc<std::string>,
                   over_spsc<std::string>) {
  Box box{1};
  std::string message = "a letter";
  bool is_in = true;
  box.close();
  CHECK(push(box, message, is_in).is_done());
  CHECK_FALSE(is_in);
  CHECK(message == "a letter");
}

TEST_CASE_TEMPLATE("async: close ends a push that waits, and leaves its message alone", Box,
                   over_mpmc<std::string>, over_ticket<std::string>, over_spsc<std::string>) {
  Box box{1};
  CHECK(box.push("the first"));
  std::string message = "a letter";
  bool is_in = true;
  const task pushing = push(box, message, is_in);
  CHECK_FALSE(pushing.is_done());
  box.close();
  CHECK(pushing.is_done());
  CHECK_FALSE(is_in);
  CHECK(message == "a letter");
}

TEST_CASE("async: a push waits only where the overflow policy lets it") {
  const auto push_into_full = [](overflow policy) {
    over_mpmc<int> box{mailbox_options{.capacity = 1, .on_full = policy}};
    CHECK(box.push(1));
    int message = 2;
    bool is_in = false;
    CHECK(push(box, message, is_in).is_done());
    CHECK(box.stats().push_waits == 0);
    CHECK(box.stats().rejected == (policy == overflow::reject ? 1 : 0));
    CHECK(box.stats().dropped == (policy == overflow::reject ? 0 : 1));
    CHECK(box.pop() == (is_in ? 2 : 1));
    return is_in;
  };
  CHECK_FALSE(push_into_full(overflow::reject));
  CHECK_FALSE(push_into_full(overflow::drop_newest));
  CHECK(push_into_full(overflow::drop_oldest));
}

TEST_CASE("async: messages are only moved, and none is left behind") {
  over_mpmc<std::unique_ptr<int>> box{1};
  std::optional<std::unique_ptr<int>> got;
  const task popping = pop(box, got);
  bool is_in = false;
  for (int i = 0; i != 3; ++i) {
    auto message = std::make_unique<int>(i);
    const task pushing = push(box, message, is_in);
    if (i == 2) {
      CHECK_FALSE(pushing.is_done());
      CHECK(message);
      CHECK(**box.pop() == 1);
    }
    CHECK((pushing.is_done() && is_in && !message));
  }
  CHECK((got && **got == 0));
}

// ---- Stopping

TEST_CASE_TEMPLATE("async: a stop ends a pop, before, during or after", Box, over_mpmc<int>,
                   over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  with_every_calling_source([](auto& source) {
    Box box{2};
    std::optional<int> got{7};
    const task popping = pop(box, got, source.get_token());
    CHECK_FALSE(popping.is_done());
    source.request_stop();
    CHECK(popping.is_done());
    CHECK_FALSE(got);
    CHECK(pop(box, got, source.get_token()).is_done());
    CHECK_FALSE(got);
    CHECK(box.push(1)); // nobody is taken for one who waits
    CHECK(pop(box, got, source.get_token()).is_done());
    CHECK(got == 1); // a message comes before a stop
  });
}

TEST_CASE_TEMPLATE("async: a stop ends a push, before, during or after", Box,
                   over_mpmc<std::string>, over_ticket<std::string>, over_spsc<std::string>) {
  with_every_calling_source([](auto& source) {
    Box box{1};
    CHECK(box.push("the first"));
    std::string message = "a letter";
    bool is_in = true;
    const task pushing = push(box, message, is_in, source.get_token());
    CHECK_FALSE(pushing.is_done());
    source.request_stop();
    CHECK(pushing.is_done());
    CHECK((!is_in && message == "a letter"));
    CHECK(push(box, message, is_in, source.get_token()).is_done());
    CHECK((!is_in && message == "a letter"));
    CHECK(box.pop() == "the first");
    CHECK(push(box, message, is_in, source.get_token()).is_done());
    CHECK(is_in); // room comes before a stop
    CHECK(box.pop() == "a letter");
  });
}

TEST_CASE("async: a wait that ended otherwise knows of no stop") {
  with_every_calling_source([](auto& source) {
    over_mpmc<int> box{1};
    std::optional<int> got;
    const task popping = pop(box, got, source.get_token());
    CHECK(box.push(1));
    CHECK((popping.is_done() && got == 1));
    source.request_stop();
    CHECK(got == 1);
  });
}

TEST_CASE("async: a callback that cannot be made throws in the coroutine, which waits no longer") {
  over_mpmc<int> box{1};
  meddler who;
  who.when_made = [] { throw test::boom{}; };
  std::optional<int> got;
  const task popping = pop(box, got, meddling_token{&who});
  CHECK(popping.is_done());
  CHECK_THROWS_AS(popping.get(), test::boom);
  CHECK(box.push(1));
  CHECK(box.pop() == 1);
}

// ---- Wake-ups

TEST_CASE("async: a message that comes while a coroutine is being suspended is found") {
  over_mpmc<int> box{1};
  for (const bool is_late : {false, true}) {
    meddler who;
    (is_late ? who.when_asked : who.when_made) = [&] { CHECK(box.push(1)); };
    std::optional<int> got;
    CHECK(pop(box, got, meddling_token{&who}).is_done());
    CHECK(got == 1);
  }
}

TEST_CASE("async: a coroutine that was woken for a message that is gone waits on") {
  over_mpmc<int> box{1};
  meddler who;
  std::optional<int> got;
  const task popping = pop(box, got, meddling_token{&who});
  who.when_asked = [&] { CHECK(box.pop() == 1); };
  CHECK(box.push(1));
  CHECK_FALSE(popping.is_done());
  CHECK(box.push(2));
  CHECK((popping.is_done() && got == 2));
}

TEST_CASE("async: who is destroyed while it waits is forgotten, and takes no wake-up along") {
  over_mpmc<int> box{1};
  std::optional<int> first;
  std::optional<int> second;
  auto gone = std::make_unique<task>(pop(box, first));
  const task stays = pop(box, second);
  gone.reset();
  CHECK(box.push(1));
  CHECK((stays.is_done() && second == 1));
}

TEST_CASE("async: who is woken twice along with others is not taken for one of the first time") {
  over_mpmc<int> box{2};
  meddler who;
  std::optional<int> first;
  std::optional<int> second;
  const task stays = pop(box, first, meddling_token{&who});
  auto gone = std::make_unique<task>(pop(box, second));
  who.when_asked = [&] { CHECK(box.pop() == 1); };
  const std::array<int, 1> run{1};
  CHECK(box.push_range(run.begin(), run.end()) == run.end()); // wakes both, for nothing
  CHECK((!stays.is_done() && !gone->is_done()));
  gone.reset();
  box.close();
  CHECK((stays.is_done() && !first));
}

namespace {

task drop_another(over_mpmc<int>& box, std::unique_ptr<task>& other) {
  const auto got = co_await box.async_pop();
  other.reset();
  CHECK_FALSE(got.has_value());
}

} // namespace

TEST_CASE("async: who is resumed by close may destroy another that waits in the same mailbox") {
  for (const bool is_first : {true, false}) {
    over_mpmc<int> box{2};
    std::optional<int> got;
    std::unique_ptr<task> other;
    if (!is_first) other = std::make_unique<task>(pop(box, got));
    const task drops = drop_another(box, other);
    if (is_first) other = std::make_unique<task>(pop(box, got));
    box.close();
    CHECK(drops.is_done());
    CHECK(other == nullptr);
  }
}

TEST_CASE("async: a wake-up that is not needed is handed on") {
  over_mpmc<int> box{2};
  auto& list = mailroom::detail::mailbox_access::not_empty(box);
  mailroom::detail::sleeper behind;
  behind.begin();
  std::optional<mailroom::detail::wait_list::place> place;
  meddler who;
  who.when_made = [&] { CHECK(box.push(1)); }; // wakes nobody
  who.when_asked = [&] {
    place.emplace(list, behind);
    CHECK(box.push(2)); // wakes the coroutine, which takes the first message
  };
  std::optional<int> got;
  CHECK(pop(box, got, meddling_token{&who}).is_done());
  CHECK(got == 1);
  CHECK(behind.is_fired());
}

TEST_CASE("async: nobody is suspended on busy") {
  mailbox<int, moody_queue> box;
  CHECK(box.push(1));
  moody_queue::busy = 5;
  std::optional<int> got;
  CHECK(pop(box, got).is_done());
  CHECK(got == 1);
  moody_queue::busy = 5;
  int message = 2;
  bool is_in = false;
  CHECK(push(box, message, is_in).is_done());
  CHECK(is_in);
}

TEST_CASE("async: a stop ends busy too, and the wake-up that was for nothing is handed on") {
  mailbox<int, moody_queue> box;
  mailroom::detail::sleeper behind;
  behind.begin();
  meddler who;
  std::optional<int> got;
  const task popping = pop(box, got, meddling_token{&who});
  mailroom::detail::wait_list::place place{mailroom::detail::mailbox_access::not_empty(box),
                                           behind};
  who.is_stopped = true;
  who.when_asked = [&] { moody_queue::busy = 1000; };
  CHECK(box.push(1));
  CHECK((popping.is_done() && !got));
  CHECK(behind.is_fired());
  moody_queue::busy = 0;
  CHECK(box.pop() == 1);
}

TEST_CASE("async: a thread and a coroutine that wait get a message each") {
  over_mpmc<int> box{4};
  std::optional<int> got;
  const task popping = pop(box, got);
  test::background thread{[&] { return box.pop(); }};
  test::wait_for_pops(box, 2);
  CHECK(box.push(1));
  CHECK(box.push(2));
  const auto other = thread.get();
  CHECK(popping.is_done());
  CHECK(*got + *other == 3);
}

// ---- Where a coroutine goes on

namespace {

queued_task pop_in_turn(run_queue&, over_mpmc<int>& box, std::vector<int>& into) {
  while (auto message = co_await box.async_pop()) into.push_back(*message);
}

queued_task push_in_turn(run_queue&, over_mpmc<int>& box, int count) {
  for (int i = 0; i != count; ++i) (void)co_await box.async_push(int{i});
  box.close();
}

task move_on(over_mpmc<int>& from, over_mpmc<int>& to) {
  while (auto message = co_await from.async_pop()) {
    (void)co_await to.async_push(std::move(*message));
  }
  to.close();
}

} // namespace

TEST_CASE("async: a promise that schedules is asked, and the coroutine goes on in its turn") {
  run_queue turns;
  over_mpmc<int> box{2};
  std::vector<int> got;
  const queued_task popping = pop_in_turn(turns, box, got);
  CHECK(box.push(1));
  CHECK(got.empty());
  CHECK(turns.size() == 1);
  CHECK(test::run_all(turns) == 1);
  CHECK(got == std::vector{1});
  box.close();
  CHECK_FALSE(popping.is_done());
  CHECK(test::run_all(turns) == 1);
  CHECK(popping.is_done());
}

TEST_CASE("async: coroutines of one thread that wake each other in turns use no stack") {
  run_queue turns;
  over_mpmc<int> box{1};
  std::vector<int> got;
  const queued_task popping = pop_in_turn(turns, box, got);
  const queued_task pushing = push_in_turn(turns, box, 100'000);
  test::run_all(turns);
  CHECK((popping.is_done() && pushing.is_done()));
  CHECK(got.size() == 100'000);
}

TEST_CASE("async: what is pushed at one end of a chain comes out of the other inside the push") {
  std::vector<std::unique_ptr<over_mpmc<int>>> boxes;
  for (int i = 0; i != 100; ++i) boxes.push_back(std::make_unique<over_mpmc<int>>(1));
  std::vector<task> links;
  for (std::size_t i = 1; i != boxes.size(); ++i) {
    links.push_back(move_on(*boxes[i - 1], *boxes[i]));
  }
  CHECK(boxes.front()->push(1));
  CHECK(boxes.back()->try_pop().value_or(0) == 1);
  boxes.front()->close();
  for (const auto& each : links) CHECK(each.is_done());
  CHECK(boxes.back()->is_drained());
}

// ---- Whose code runs while somebody stands in the list: with no lock held

namespace {

/// Pushes where it is asked to schedule.
struct pushing_promise : test::basic_promise<pushing_promise> {
  pushing_promise(over_mpmc<int>& to, std::vector<int>&) noexcept : box{&to} {}
  void schedule(std::coroutine_handle<> self) {
    (void)box->try_push(2);
    self.resume();
  }
  over_mpmc<int>* box;
};

test::basic_task<pushing_promise> pop_scheduled(over_mpmc<int>& box, std::vector<int>& into) {
  const auto message = co_await box.async_pop();
  into.push_back(message.value_or(0));
}

} // namespace

TEST_CASE("async: W5: a stop callback may push when it is made, and when it ends") {
  const test::watchdog dog{"async: W5: a stop callback"};
  over_mpmc<int> box{2};
  std::optional<int> before;
  std::optional<int> got;
  std::optional<int> behind;
  const task first = pop(box, before);
  std::optional<task> last;
  test::callback_life life;
  life.when_made = [&] { CHECK(box.push(1)); };
  life.when_gone = [&] {
    last.emplace(pop(box, behind));
    CHECK(box.push(3));
  };
  const task middle = pop(box, got, test::lively_token{life});
  CHECK((first.is_done() && before == 1));
  CHECK_FALSE(middle.is_done());
  CHECK(box.push(2));
  CHECK((middle.is_done() && got == 2));
  CHECK((last->is_done() && behind == 3));
}

TEST_CASE("async: W5: a promise may push where it is asked to schedule") {
  const test::watchdog dog{"async: W5: a promise that pushes"};
  over_mpmc<int> box{2};
  std::vector<int> scheduled;
  std::optional<int> behind;
  const auto first = pop_scheduled(box, scheduled);
  const task last = pop(box, behind);
  SUBCASE("when it is woken by a push") {
    CHECK(box.push(1));
    CHECK((first.is_done() && scheduled == std::vector{1}));
    CHECK((last.is_done() && behind == 2));
  }
  SUBCASE("when it is woken by close") {
    box.close();
    CHECK((first.is_done() && scheduled == std::vector{0}));
    CHECK((last.is_done() && !behind));
  }
}

TEST_CASE("async: an operation may be handed around before it is awaited") {
  over_mpmc<int> box{1};
  std::optional<int> got;
  const auto wait = [](auto operation, std::optional<int>& into) -> task {
    into = co_await std::move(operation);
  };
  auto operation = box.async_pop();
  CHECK(box.stats().pop_waits == 0);
  const task popping = wait(std::move(operation), got);
  CHECK(box.push(1));
  CHECK((popping.is_done() && got == 1));
}

// ---- Threads

namespace {

/// Passes about that long without giving the core away.
void linger(std::minstd_rand& random, unsigned most) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::nanoseconds{random() % (most + 1)};
  while (std::chrono::steady_clock::now() < end) {
  }
}

/// What went in and what came out.
struct balance {
  std::atomic<std::uint64_t> pushed{0};
  std::atomic<std::uint64_t> popped{0};
  std::atomic<std::uint64_t> sum_in{0};
  std::atomic<std::uint64_t> sum_out{0};
};

template <class Box>
void produce(Box& box, balance& all, unsigned seed, const std::atomic<bool>& over) {
  std::minstd_rand random{seed};
  while (!over.load()) {
    const int value = static_cast<int>(random() % 1000);
    int message = value;
    bool is_in = false;
    if (random() % 3 == 0) {
      is_in = box.push(std::move(message));
    } else {
      test::calling_source source;
      const task pushing = push(box, message, is_in, source.get_token());
      linger(random, 3000);
      if (random() % 2 == 0) source.request_stop();
      test::wait_until([&] { return pushing.is_done(); }, "a push that is stopped ends");
    }
    if (is_in) {
      all.pushed.fetch_add(1);
      all.sum_in.fetch_add(static_cast<std::uint64_t>(value));
    } else if (box.is_closed()) {
      return;
    }
  }
}

template <class Box>
void consume(Box& box, balance& all, unsigned seed) {
  std::minstd_rand random{seed};
  while (!box.is_drained()) {
    std::optional<int> got;
    test::calling_source source;
    const task popping = pop(box, got, source.get_token());
    linger(random, 3000);
    if (random() % 2 == 0) source.request_stop();
    test::wait_until([&] { return popping.is_done(); }, "a pop ends");
    if (!got) continue;
    all.popped.fetch_add(1);
    all.sum_out.fetch_add(static_cast<std::uint64_t>(*got));
  }
}

/// Some threads on each side, until somebody closes the box.
template <class Box>
void storm(std::chrono::microseconds span, unsigned seed, balance& all) {
  using facts = queue_facts<typename Box::queue_type>;
  Box box{2};
  std::atomic<bool> over{false};
  std::vector<std::function<void()>> threads;
  for (unsigned i = 0; i != (facts::producers == arity::many ? 2U : 1U); ++i) {
    threads.emplace_back([&, i] { produce(box, all, seed + i, over); });
  }
  for (unsigned i = 0; i != (facts::consumers == arity::many ? 2U : 1U); ++i) {
    threads.emplace_back([&, i] { consume(box, all, seed + 7 + i); });
  }
  threads.emplace_back([&] {
    std::this_thread::sleep_for(span);
    box.close();
    over.store(true);
  });
  test::run_together(std::move(threads));
  CHECK(box.is_drained());
}

} // namespace

TEST_CASE_TEMPLATE("async: pushes, pops, stops and the end at once lose nothing", Box,
                   over_mpmc<int>, over_ticket<int>, over_mpsc<int>, over_spsc<int>) {
  const test::watchdog guard{"async: a storm"};
  balance all;
  storm<Box>(200ms, 1, all);
  for (unsigned round = 0; round != 100; ++round) storm<Box>(300us, round, all);
  CHECK(all.pushed.load() == all.popped.load());
  CHECK(all.sum_in.load() == all.sum_out.load());
  MESSAGE("messages: ", all.pushed.load());
}

TEST_CASE("async: a coroutine that goes from thread to thread sees what it has done") {
  const test::watchdog guard{"async: from thread to thread"};
  over_mpmc<int> box{4};
  std::vector<int> got; // touched by every thread, never by two at once
  const task popping = pop_all(box, got);
  const auto push_many = [&] {
    for (int i = 0; i != 20'000; ++i) (void)box.push(1);
  };
  test::run_together({push_many, push_many, push_many});
  box.close();
  test::wait_until([&] { return popping.is_done(); }, "the end");
  CHECK(got.size() == 60'000);
}

#else

TEST_CASE("async: without coroutines there is nothing to await") {
  static_assert(!mailroom::async_concurrent_queue<mailroom::mailbox<int>>);
  CHECK(mailroom::mailbox<int>{1}.capacity() == 1);
}

#endif
