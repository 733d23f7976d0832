// SPDX-License-Identifier: MIT

#include <mailroom/core/concepts.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/mailbox/stop.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>
#include <support/waiting.hpp>

#include <atomic>   // atomic
#include <chrono>   // milliseconds
#include <optional> // optional
#include <thread>   // this_thread
#include <utility>  // move
#include <version>  // __cpp_lib_jthread

#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_source, stop_token
#endif

namespace {

using mailroom::never_stop;
using mailroom::stoppable_token;
using mailroom::detail::calls_back;
using mailroom::detail::never;
using mailroom::detail::now;
using mailroom::detail::stop_watch;
using namespace std::chrono_literals;

/// What a watch calls: it counts.
struct counter {
  std::atomic<int>* calls;
  void operator()() const noexcept { calls->fetch_add(1); }
};

using asked = test::asked_source::token;
using calling = test::calling_source::token;

static_assert(stoppable_token<never_stop>);
static_assert(stoppable_token<asked>);
static_assert(stoppable_token<calling>);
static_assert(!calls_back<never_stop, counter>);
static_assert(!calls_back<asked, counter>);
static_assert(calls_back<calling, counter>);
#if defined(__cpp_lib_jthread)
static_assert(stoppable_token<std::stop_token>);
#endif

/// A token whose source has gone: it can never ask for a stop.
struct orphan {
  bool stop_requested() const noexcept { return false; }
  bool stop_possible() const noexcept { return false; }
};

/// Runs a claim about watches that are called back, with a new source of every such kind.
template <class Claim>
void with_every_calling_source(const Claim& claim) {
  {
    INFO("a token that names its callback");
    test::calling_source source;
    claim(source, source.get_token());
  }
#if defined(__cpp_lib_jthread)
  {
    INFO("std::stop_token");
    std::stop_source source;
    claim(source, source.get_token());
  }
#endif
}

} // namespace

TEST_CASE("stop_watch: nobody stops never_stop, and nobody is to look again") {
  std::atomic<int> calls{0};
  const stop_watch<never_stop, counter> watch{never_stop{}, counter{&calls}};
  CHECK(watch.look_again_at() == never);
  CHECK(calls == 0);
}

TEST_CASE("stop_watch: a token that only answers is asked again within a millisecond or two") {
  const test::asked_source source;
  std::atomic<int> calls{0};
  const stop_watch<asked, counter> watch{source.get_token(), counter{&calls}};
  for (int i = 0; i != 3; ++i) {
    const auto before = now();
    const auto again = watch.look_again_at();
    CHECK(again > before);
    CHECK(again <= now() + 2'000'000);
    std::this_thread::sleep_for(2ms); // the next time counts from the next sleep
  }
  CHECK(calls == 0);
}

TEST_CASE("stop_watch: a token that cannot be stopped is not asked again") {
  std::atomic<int> calls{0};
  const stop_watch<orphan, counter> watch{orphan{}, counter{&calls}};
  CHECK(watch.look_again_at() == never);
#if defined(__cpp_lib_jthread)
  const stop_watch<std::stop_token, counter> empty{std::stop_token{}, counter{&calls}};
  CHECK(empty.look_again_at() == never);
#endif
  CHECK(calls == 0);
}

TEST_CASE("stop_watch: R-37: a token that calls back calls when the stop is requested, once") {
  with_every_calling_source([](auto& source, auto token) {
    std::atomic<int> calls{0};
    const stop_watch<decltype(token), counter> watch{token, counter{&calls}};
    CHECK(watch.look_again_at() == never);
    CHECK(calls == 0);
    source.request_stop();
    CHECK(calls == 1);
    source.request_stop();
    CHECK(calls == 1);
  });
}

TEST_CASE("stop_watch: R-37: a stop that was requested before calls at once") {
  with_every_calling_source([](auto& source, auto token) {
    std::atomic<int> calls{0};
    source.request_stop();
    const stop_watch<decltype(token), counter> watch{token, counter{&calls}};
    CHECK(calls == 1);
  });
}

TEST_CASE("stop_watch: R-37: nobody is called after its destructor") {
  with_every_calling_source([](auto& source, auto token) {
    std::atomic<int> calls{0};
    {
      const stop_watch<decltype(token), counter> watch{token, counter{&calls}};
    }
    source.request_stop();
    CHECK(calls == 0);
  });
}

TEST_CASE("stop_watch: R-40: its destructor waits for a call in progress") {
  with_every_calling_source([](auto& source, auto token) {
    std::atomic<int> stage{0};
    const auto slow = [&stage]() noexcept {
      stage.store(1);
      std::this_thread::sleep_for(10ms);
      stage.store(2);
    };
    test::background stops{[&source, &stage] {
      test::wait_until([&] { return stage.load() == -1; }, "the watch is made");
      source.request_stop();
      return 0;
    }};
    {
      const stop_watch<decltype(token), decltype(slow)> watch{token, slow};
      stage.store(-1);
      test::wait_until([&] { return stage.load() > 0; }, "the stop calls");
    }
    CHECK(stage == 2);
    CHECK(stops.get() == 0);
  });
}

#if defined(__cpp_lib_jthread)

namespace {

/// Ends a watch, its own or another one, in the middle of a call.
struct ender {
  std::optional<stop_watch<std::stop_token, ender>>* watch;
  int* calls;
  void operator()() const noexcept {
    ++*calls;
    watch->reset();
  }
};
using ending_watch = std::optional<stop_watch<std::stop_token, ender>>;

} // namespace

TEST_CASE("stop_watch: R-37: a watch may end in its own call, in the thread that stops") {
  const test::watchdog guard{"stop_watch: a watch ends in its own call"};
  std::stop_source source;
  int first_calls = 0;
  int second_calls = 0;
  ending_watch first;
  ending_watch second;
  first.emplace(source.get_token(), ender{&first, &first_calls});
  second.emplace(source.get_token(), ender{&second, &second_calls});
  CHECK(source.request_stop());
  CHECK(first_calls == 1);
  CHECK(second_calls == 1);
  CHECK_FALSE(first.has_value());
  CHECK_FALSE(second.has_value());
}

TEST_CASE("stop_watch: R-37: a watch may end another one in its call") {
  const test::watchdog guard{"stop_watch: a watch ends another one"};
  for (const bool ends_older : {true, false}) {
    std::stop_source source;
    int calls = 0;
    ending_watch older;
    ending_watch newer;
    ending_watch& ended = ends_older ? older : newer;
    older.emplace(source.get_token(), ender{&ended, &calls});
    newer.emplace(source.get_token(), ender{&ended, &calls});
    CHECK(source.request_stop());
    CHECK((calls == 1 || calls == 2)); // the order of the calls is not ours
    CHECK_FALSE(ended.has_value());
  }
}

#endif
