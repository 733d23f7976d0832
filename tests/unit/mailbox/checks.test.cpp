// SPDX-License-Identifier: MIT
// This program is compiled with MAILROOM_CHECKED=1.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/async.hpp>
#include <mailroom/mailbox/channel.hpp>
#include <mailroom/mailbox/checks.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/threads.hpp>
#include <support/waiting.hpp>

#include <array>      // array
#include <atomic>     // atomic
#include <chrono>     // milliseconds
#include <cstring>    // strcmp
#include <functional> // function
#include <mutex>      // lock_guard, mutex
#include <optional>   // optional
#include <string>     // string
#include <utility>    // exchange, in_place, move
#include <vector>     // vector
#include <version>    // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)
#include <support/task.hpp>
#endif

#if defined(__unix__)
#include <csignal>    // signal
#include <sys/wait.h> // waitpid
#include <unistd.h>   // close, dup2, fork, pipe, read
#endif
#if defined(__GLIBC__)
#include <pthread.h> // pthread_setname_np
#endif

namespace {

using namespace std::chrono_literals;
using mailroom::mailbox;
using mailroom::mpsc_queue;
using mailroom::overflow;
using mailroom::queue_status;
using mailroom::spsc_queue;
using mailroom::violation;
using mailroom::violation_rule;

using spsc_box = mailbox<int, spsc_queue<int>>;

/// While it lives, it is told of violations. It then does what the test wants: mostly it ends the
/// call that is there, so that what follows is no violation any more.
class witness {
public:
  explicit witness(std::function<void()> then = [] {})
      : then_{std::move(then)}, before_{mailroom::set_violation_handler(tell)} {
    current = this;
  }
  witness(const witness&) = delete;
  witness& operator=(const witness&) = delete;
  ~witness() {
    const bool was_set = mailroom::set_violation_handler(before_) == tell;
    CHECK(was_set);
  }

  std::size_t count() const { return seen_.size(); }
  bool is_silent() const { return seen_.empty(); }

  /// Was there just this one?
  bool saw(violation_rule rule, const char* comes, const char* is_there) const {
    for (const violation& each : seen_) {
      INFO(mailroom::to_string(each.rule), ": ", each.comes.call, ", ", each.is_there.call);
      CHECK(each.rule == rule);
      CHECK(std::strcmp(each.comes.call, comes) == 0);
      CHECK(std::strcmp(each.is_there.call, is_there) == 0);
    }
    return seen_.size() == 1;
  }
  const violation& operator[](std::size_t which) const { return seen_.at(which); }

private:
  static void tell(const violation& seen) noexcept {
    {
      const std::lock_guard held{current->lock_};
      current->seen_.push_back(seen);
    }
    current->then_();
  }
  static inline witness* current = nullptr;

  std::function<void()> then_;
  std::mutex lock_;
  std::vector<violation> seen_;
  mailroom::violation_handler before_;
};

/// A call that waits in a mailbox until that is closed, in a thread of its own.
template <class Box, class F>
class waiting_call {
public:
  waiting_call(Box& box, F call) : box_{box}, call_{std::move(call)} {}

  /// Ends it. Here a violation is stopped from doing harm.
  void end() {
    box_.close();
    test::wait_until([this] { return call_.is_back(); }, "the call that was there did not end");
  }

private:
  Box& box_;
  test::background<F> call_;
};

template <class Box>
auto waiting_push(Box& box) {
  return waiting_call{box, [&box] { return box.push(2); }};
}
template <class Box>
auto waiting_pop(Box& box) {
  return waiting_call{box, [&box] { return box.pop().has_value(); }};
}

} // namespace

TEST_CASE("checks: a producer that comes while the one producer waits is reported, in every call") {
  const auto second = [](const char* name, const std::function<void(spsc_box&)>& call) {
    spsc_box box{{.capacity = 1, .name = "orders"}};
    box.push(1);
    auto first = waiting_push(box);
    test::wait_for_pushes(box, 1);
    const witness told{[&] { first.end(); }};
    call(box);
    CHECK(told.saw(violation_rule::one_producer, name, "push"));
    CHECK(std::strcmp(told[0].mailbox, "orders") == 0);
    CHECK(told[0].comes.thread.number != told[0].is_there.thread.number);
  };
  int value = 3;
  second("push", [](spsc_box& box) { CHECK_FALSE(box.push(3)); });
  second("push", [](spsc_box& box) { CHECK_FALSE(box.emplace(3)); });
  second("try_push", [](spsc_box& box) { CHECK(box.try_push(3) == queue_status::closed); });
  second("try_push_for",
         [](spsc_box& box) { CHECK(box.try_push_for(3, 1h) == queue_status::closed); });
  second("push_range", [](spsc_box& box) {
    const std::array<int, 2> more{3, 4};
    CHECK(box.push_range(more.begin(), more.end()) == more.begin());
  });
  second("on_push of select", [&](spsc_box& box) {
    CHECK(mailroom::select(mailroom::on_push(box, value)).status == queue_status::closed);
  });
  second("on_push of try_select", [&](spsc_box& box) {
    CHECK(mailroom::try_select(mailroom::on_push(box, value)).status == queue_status::closed);
  });
}

TEST_CASE("checks: a consumer that comes while the one consumer waits is reported, in every call") {
  const auto second = [](const char* name, const auto& call) {
    const auto in = [&](auto&& box) {
      auto first = waiting_pop(box);
      test::wait_for_pops(box, 1);
      const witness told{[&] { first.end(); }};
      call(box);
      CHECK(told.saw(violation_rule::one_consumer, name, "pop"));
    };
    in(spsc_box{1});
    in(mailbox<int, mpsc_queue<int>>{1});
  };
  second("pop", [](auto& box) { CHECK_FALSE(box.pop().has_value()); });
  second("try_pop", [](auto& box) { CHECK(box.try_pop().error() == queue_status::closed); });
  second("try_pop", [](auto& box) {
    int into = 0;
    CHECK(box.try_pop(into) == queue_status::closed);
  });
  second("try_pop_for",
         [](auto& box) { CHECK(box.try_pop_for(1h).error() == queue_status::closed); });
  second("pop_n", [](auto& box) {
    std::array<int, 2> into{};
    CHECK(box.pop_n(into.begin(), 2) == 0);
  });
  second("run", [](auto& box) { CHECK(box.run([](int) {}) == queue_status::closed); });
  second("close(discard)", [](auto& box) { box.close(mailroom::discard); });
  second("on_pop of select", [](auto& box) {
    CHECK(mailroom::select(mailroom::on_pop(box, [](int) {})).status == queue_status::closed);
  });
}

TEST_CASE("checks: who waits in a select or a coroutine is at its end of the mailbox") {
  SUBCASE("a select") {
    spsc_box box{1};
    waiting_call first{box, [&] {
                         return mailroom::select(mailroom::on_pop(box, [](int) {})).status ==
                                queue_status::closed;
                       }};
    test::wait_for_pops(box, 1);
    const witness told{[&] { first.end(); }};
    CHECK(box.try_pop().error() == queue_status::closed);
    CHECK(told.saw(violation_rule::one_consumer, "try_pop", "on_pop of select"));
  }
#if defined(__cpp_lib_coroutine)
  SUBCASE("a coroutine") {
    spsc_box box{1};
    bool was_told_closed = false;
    const auto wait = [&]() -> test::task {
      const std::optional<int> got = co_await box.async_pop();
      was_told_closed = !got.has_value();
    };
    const witness told{[&] { box.close(); }}; // which resumes it
    const auto waiting = wait();
    test::background other{[&] { return box.try_pop().error() == queue_status::closed; }};
    CHECK(other.get());
    CHECK(was_told_closed);
    CHECK(told.saw(violation_rule::one_consumer, "try_pop", "async_pop"));
  }
#endif
}

TEST_CASE("checks: an end that is handed over between two calls, and an end for many, are silent") {
  const witness told;
  SUBCASE("handed over") {
    spsc_box box{4};
    for (int i = 0; i != 20; ++i) {
      test::background pushing{[&] { return box.push(i); }};
      CHECK(pushing.get());
      test::background popping{[&] { return box.pop() == i; }};
      CHECK(popping.get());
    }
  }
  SUBCASE("for many") {
    const auto in = [](auto&& box) {
      auto first = waiting_pop(box);
      auto second = waiting_pop(box);
      test::wait_for_pops(box, 2);
      CHECK(box.try_pop().error() == queue_status::empty);
      first.end();
      second.end();
    };
    in(mailbox<int>{1});
    in(mailbox<int, mailroom::mpmc_ticket_queue<int>>{1});
  }
  SUBCASE("one thread at both ends") {
    auto [tx, rx] = mailroom::channel<int, spsc_queue<int>>(4);
    CHECK(tx.push(1));
    CHECK(rx.pop() == 1);
    mailroom::producer taken = std::move(tx);
    test::background other{[&] { return taken.push(2); }};
    CHECK(other.get());
    CHECK(rx.pop() == 2);
  }
  CHECK(told.is_silent());
}

TEST_CASE("checks: two producers that do not wait, and that nothing orders, soon meet") {
  spsc_box box{{.capacity = 1, .on_full = overflow::reject}};
  std::atomic<bool> is_found{false};
  std::atomic<int> inside{2};
  const auto push_until_found = [&] {
    while (!is_found) (void)box.try_push(1);
    return --inside == 0;
  };
  const witness told{[&] { // both may have seen it; one leaves, and then there is one producer
    if (is_found.exchange(true)) return;
    test::wait_until([&] { return inside == 1; }, "the other producer did not leave");
  }};
  {
    test::background one{push_until_found};
    test::background other{push_until_found};
  }
  CHECK(told.count() != 0);
  CHECK(told[0].rule == violation_rule::one_producer);
}

TEST_CASE("checks: a mailbox that is destroyed while somebody waits in it says who it is") {
  const auto destroyed = [](const char* is_there, auto call) {
    std::optional<mailbox<int>> box{std::in_place, mailroom::mailbox_options{.name = "orders"}};
    mailbox<int>& inside = *box;
    waiting_call waiting{inside, [&] { return call(inside), true; }};
    test::wait_for_pops(inside, 1);
    const witness told{[&] { waiting.end(); }};
    box.reset();
    CHECK(told.saw(violation_rule::destroyed_in_use, "~mailbox", is_there));
    CHECK(told[0].comes.thread.number != told[0].is_there.thread.number);
  };
  destroyed("pop", [](mailbox<int>& box) { (void)box.pop(); });
  destroyed("try_pop_for", [](mailbox<int>& box) { (void)box.try_pop_for(1h); });
  destroyed("run", [](mailbox<int>& box) { (void)box.run([](int) {}); });
  destroyed("on_pop of select",
            [](mailbox<int>& box) { (void)mailroom::select(mailroom::on_pop(box, [](int) {})); });
}

TEST_CASE("checks: a mailbox that is destroyed while somebody waits for its end, or for room") {
  std::optional<spsc_box> box{std::in_place, std::size_t{1}};
  spsc_box& inside = *box;
  inside.push(1);
  SUBCASE("close_and_wait") {
    waiting_call waiting{inside, [&] { return inside.close_and_wait(), true; }};
    test::wait_for_pushes(inside, 1);
    const witness told{[&] {
      CHECK(inside.try_pop().has_value());
      waiting.end();
    }};
    box.reset();
    CHECK(told.saw(violation_rule::destroyed_in_use, "~mailbox", "close_and_wait"));
  }
  SUBCASE("push") {
    auto waiting = waiting_push(inside);
    test::wait_for_pushes(inside, 1);
    const witness told{[&] { waiting.end(); }};
    box.reset();
    CHECK(told.saw(violation_rule::destroyed_in_use, "~mailbox", "push"));
  }
}

TEST_CASE("checks: a mailbox that is destroyed while a selector waits in it is reported") {
  std::optional<mailbox<int>> box{std::in_place};
  std::optional<mailroom::selector> all{std::in_place};
  auto one = all->add(mailroom::on_pop(*box, [](int) {}));
  (void)all->native_handle();
  CHECK(all->try_select() == queue_status::empty);
  const witness told{[&] { one.cancel(); }};
  box.reset();
  CHECK(told.saw(violation_rule::destroyed_in_use, "~mailbox", "on_pop of select"));
}

#if defined(__cpp_lib_coroutine)

TEST_CASE("checks: a mailbox that is destroyed while a coroutine waits in it is reported") {
  std::optional<mailbox<int>> box{std::in_place};
  mailbox<int>& inside = *box;
  const auto wait = [&]() -> test::task {
    const std::optional<int> got = co_await inside.async_pop();
    CHECK_FALSE(got.has_value());
  };
  const auto waiting = wait();
  const witness told{[&] { inside.close(); }}; // which resumes it
  box.reset();
  CHECK(waiting.is_done());
  CHECK(told.saw(violation_rule::destroyed_in_use, "~mailbox", "async_pop"));
}

TEST_CASE("checks: a coroutine that has got its message is in the mailbox no more") {
  const witness told;
  std::optional<mailbox<int>> box{std::in_place};
  const auto wait = [&]() -> test::task {
    const std::optional<int> got = co_await box->async_pop();
    CHECK(got == 1);
  };
  const auto waiting = wait();
  box->push(1);
  CHECK(waiting.is_done());
  box.reset();
  CHECK(told.is_silent());
}

#endif

TEST_CASE("checks: a handler that pushes into its own full mailbox waits for itself") {
  spsc_box box{{.capacity = 1, .name = "loop"}};
  const witness told{[&] { box.close(); }};
  box.push(1);
  int handled = 0;
  CHECK(box.run([&](int value) {
    ++handled;
    if (value != 1) return;
    CHECK(box.push(2)); // there is room
    CHECK_FALSE(box.push(3));
  }) == queue_status::closed);
  CHECK(handled == 2);
  CHECK(told.saw(violation_rule::waits_for_itself, "push", "the handler of run"));
  CHECK(told[0].comes.thread.number == told[0].is_there.thread.number);
}

TEST_CASE("checks: a handler that waits for the end while messages are inside waits for itself") {
  mailbox<int, mpsc_queue<int>> box{1};
  const witness told{[&] { CHECK(box.pop() == 2); }};
  box.push(1);
  box.push(2);
  CHECK(box.run([&](int) { box.close_and_wait(); }) == queue_status::closed);
  CHECK(told.saw(violation_rule::waits_for_itself, "close_and_wait", "the handler of run"));
}

TEST_CASE("checks: a handler that can go on is silent") {
  const witness told;
  SUBCASE("it does not wait, or not for ever") {
    spsc_box box{1};
    test::asked_source source;
    source.request_stop();
    box.push(1);
    CHECK(box.run([&](int value) {
      if (value != 1) return;
      CHECK(box.push(2));
      CHECK(box.try_push(3) == queue_status::full);
      CHECK(box.try_push_for(3, 1ms) == queue_status::timeout);
      CHECK_FALSE(box.push(3, source.get_token()));
      CHECK(box.close_and_wait_for(1ms) == queue_status::timeout);
    }) == queue_status::closed);
  }
  SUBCASE("it takes the next messages itself") {
    spsc_box box{4};
    for (int i = 0; i != 4; ++i) box.push(i);
    box.close();
    CHECK(box.run([&](int first) { CHECK(box.pop() == first + 1); }) == queue_status::closed);
  }
  SUBCASE("somebody else makes room") {
    mailbox<int> box{1};
    box.push(1);
    test::background other{[&] {
      test::wait_for_pushes(box, 1);
      return box.pop() == 2;
    }};
    CHECK(box.run([&](int value) {
      if (value != 1) return;
      CHECK(box.push(2));
      CHECK(box.push(3)); // waits for the other
      box.close();
    }) == queue_status::closed);
    CHECK(other.get());
  }
  CHECK(told.is_silent());
}

TEST_CASE("checks: an on_drop that pushes into the mailbox that discards is reported") {
  const auto in = [](overflow policy, const char* is_there, std::size_t violations,
                     const auto& call) {
    mailbox<int>* self = nullptr;
    bool is_first = true;
    const witness told;
    {
      mailbox<int> box{{.capacity = 1, .on_full = policy}, [&](int&& value) noexcept {
                         if (std::exchange(is_first, false)) (void)self->try_push(value);
                       }};
      self = &box;
      call(box);
    }
    CHECK(told.count() == violations);
    if (violations != 0) CHECK(told.saw(violation_rule::push_from_on_drop, "try_push", is_there));
  };
  const auto push_two = [](mailbox<int>& box) {
    CHECK(box.push(1));
    (void)box.try_push(2);
  };
  in(overflow::drop_newest, "on_drop", 1, push_two);
  in(overflow::drop_oldest, "on_drop", 1, push_two);
  in(overflow::block, "on_drop of ~mailbox", 1, push_two);
  in(overflow::drop_newest, "", 0, [](mailbox<int>& box) {
    CHECK(box.push(1));
    box.close(mailroom::discard); // nothing comes in, so nothing is discarded again
  });
}

TEST_CASE("checks: an on_drop that pops, closes or asks is silent") {
  const witness told;
  mailbox<int>* self = nullptr;
  mailbox<int> box{{.capacity = 1, .on_full = overflow::drop_newest}, [&](int&&) noexcept {
                     (void)self->try_pop();
                     (void)self->stats();
                     self->close();
                   }};
  self = &box;
  CHECK(box.push(1));
  CHECK(box.try_push(2) == queue_status::dropped);
  CHECK(told.is_silent());
}

TEST_CASE("checks: each rule has words") {
  for (const auto rule : {violation_rule::one_producer, violation_rule::one_consumer,
                          violation_rule::destroyed_in_use, violation_rule::waits_for_itself,
                          violation_rule::push_from_on_drop}) {
    CHECK(std::string{mailroom::to_string(rule)} != "?");
  }
  CHECK(std::string{mailroom::to_string(static_cast<violation_rule>(9))} == "?");
}

#if defined(__unix__)

namespace {

/// What a child of this program says on stderr before it is aborted.
template <class F>
std::string last_words_of(F call) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    ::dup2(ends[1], STDERR_FILENO);
    call();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 256> part{};
  for (::ssize_t length = 1; length > 0;) {
    length = ::read(ends[0], part.data(), part.size());
    if (length > 0) said.append(part.data(), static_cast<std::size_t>(length));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  return said;
}

} // namespace

TEST_CASE("checks: without a handler a violation is one line, and the end of the program") {
  const std::string said = last_words_of([] {
#if defined(__GLIBC__)
    ::pthread_setname_np(::pthread_self(), "worker");
#endif
    std::optional<mailbox<int>> box{std::in_place, mailroom::mailbox_options{.name = "orders"}};
    box->push(1);
    (void)box->run([&](int) { box.reset(); });
  });
  INFO(said);
  CHECK(said.rfind("mailroom: mailbox \"orders\": destroyed in use: ~mailbox in thread 0x", 0) ==
        0);
  CHECK(said.find(", while the handler of run is not over in thread 0x") != std::string::npos);
  CHECK(said.find('\n') == said.size() - 1);
#if defined(__GLIBC__)
  CHECK(said.find(" (worker), while") != std::string::npos);
  CHECK(said.find(" (worker)\n") != std::string::npos);
#endif
}

#endif
