// SPDX-License-Identifier: MIT
// How long after its reason a wait ends. What a wake-up costs on this machine, and what else it has
// to do just then, is seen from a bare futex that is measured in turn with the mailboxes: on a
// machine that is busy, all of them are late.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/mailbox/async.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/waiting.hpp>

#include <algorithm>  // count_if, max, min, sort
#include <atomic>     // atomic
#include <chrono>     // microseconds, nanoseconds, steady_clock
#include <cstddef>    // size_t
#include <functional> // function
#include <map>        // map
#include <random>     // minstd_rand
#include <string>     // string, to_string
#include <thread>     // thread, this_thread
#include <utility>    // move
#include <vector>     // vector
#include <version>    // __cpp_lib_coroutine, __cpp_lib_jthread

#if defined(__cpp_lib_coroutine)
#include <support/task.hpp>
#endif
#if defined(__cpp_lib_jthread)
#include <stop_token> // stop_source
#endif

namespace {

using mailroom::mailbox;
using mailroom::on_pop;
using mailroom::on_push;
using mailroom::queue_facts;
using mailroom::queue_status;
using std::chrono::nanoseconds;
using watch = std::chrono::steady_clock;
using namespace std::chrono_literals;
namespace detail = mailroom::detail;

/// Calls with a pointer to a queue, which is none, for each kind. With the address sanitizer all of
/// them take half a minute to compile; there, only those are asked that fence differently.
template <class F>
void over_every_queue(const F& call) {
  call(static_cast<mailroom::mpmc_queue<int>*>(nullptr));
  call(static_cast<mailroom::spsc_queue<int>*>(nullptr));
#if !defined(__SANITIZE_ADDRESS__)
  call(static_cast<mailroom::mpmc_ticket_queue<int>*>(nullptr));
  call(static_cast<mailroom::mpsc_queue<int>*>(nullptr));
#endif
}

#if defined(__cpp_lib_jthread)
using stop_source = std::stop_source;
#else
using stop_source = test::calling_source;
#endif

// ---- How long it took, many times

class spans {
public:
  void add(nanoseconds one) { all_.push_back(one); }
  void add(const spans& others) { all_.insert(all_.end(), others.all_.begin(), others.all_.end()); }
  std::size_t count() const noexcept { return all_.size(); }

  /// The one that is longer than so many thousandths of them.
  nanoseconds longer_than(std::size_t thousandths) const {
    auto sorted = all_;
    std::sort(sorted.begin(), sorted.end());
    return sorted.at(std::min(sorted.size() * thousandths / 1000, sorted.size() - 1));
  }
  /// How many took longer than a millisecond, of one.
  double share_of_late() const {
    const auto late = std::count_if(all_.begin(), all_.end(), [](auto one) { return one > 1ms; });
    return static_cast<double>(late) / static_cast<double>(all_.size());
  }
  std::string in_words() const {
    const auto microseconds = [this](std::size_t thousandths) {
      return std::to_string(longer_than(thousandths).count() / 1000);
    };
    return "p50 " + microseconds(500) + " us, p99 " + microseconds(990) + " us, p99.9 " +
           microseconds(999) + " us, longest " + microseconds(1000) + " us, of " +
           std::to_string(count()) + ", of which late " + std::to_string(100 * share_of_late()) +
           "%";
  }

private:
  std::vector<nanoseconds> all_;
};

/// What was measured in one go: the mailboxes by what they did, and the bare futex.
struct measured {
  std::map<std::string, spans> ours;
  spans bare;

  spans all() const {
    spans together;
    for (const auto& each : ours) together.add(each.second);
    return together;
  }
  /// Is one of 1000 late, or are five times as many late as of the bare futex? Not more.
  bool is_prompt() const {
    return all().share_of_late() <= std::max(0.001, 5 * bare.share_of_late());
  }
};

/// Measures until it is prompt, three times at most: something else may have kept the machine.
template <class Measure>
void check_prompt(const Measure& measure) {
  bool is_prompt = false;
  for (int i = 0; i != 3 && !is_prompt; ++i) {
    const measured found = measure();
    is_prompt = found.is_prompt();
    MESSAGE("mailboxes: ", found.all().in_words());
    MESSAGE("a bare futex: ", found.bare.in_words());
    if (is_prompt) continue;
    for (const auto& [what, each] : found.ours) MESSAGE("  ", what, ": ", each.in_words());
  }
  CHECK(is_prompt);
}

/// So many rounds in `seconds`, when all stress tests of a program may take ten.
int rounds_of(int in_ten_seconds) {
  return std::max(static_cast<int>(in_ten_seconds * test::stress_seconds() / 10), 10);
}

// ---- One who waits

/// A thread that waits in whatever it is given, and notes when it was back.
class patient {
public:
  patient() : thread_{[this] { live(); }} {}
  patient(const patient&) = delete;
  patient& operator=(const patient&) = delete;
  ~patient() {
    wait_in(nullptr);
    thread_.join();
  }

  void wait_in(std::function<void()> call) {
    call_ = std::move(call);
    round_.fetch_add(1);
  }
  watch::time_point back(const char* what) const {
    test::wait_until([this] { return ended_.load() == round_.load(); }, what);
    return woken_;
  }

private:
  void live() {
    for (int round = 1;; ++round) {
      while (round_.load() != round) std::this_thread::yield();
      if (!call_) return;
      call_();
      woken_ = watch::now();
      ended_.store(round);
    }
  }

  std::function<void()> call_;
  watch::time_point woken_;
  std::atomic<int> round_{0};
  std::atomic<int> ended_{0};
  std::thread thread_; // last: it uses the others
};

/// Longer than anybody looks again and again before it sleeps.
void let_it_park(std::minstd_rand& random) {
  const auto end =
      watch::now() + nanoseconds{detail::longest_spin} + std::chrono::microseconds{random() % 40};
  while (watch::now() < end) std::this_thread::yield();
}

/// One wait after the other, each measured from what ends it to who is back.
struct measuring {
  measured& into;
  patient who{};
  std::minstd_rand random{1};

  template <class Wait, class IsWaiting, class End>
  nanoseconds time(const char* what, const Wait& wait, const IsWaiting& is_waiting,
                   const End& end) {
    who.wait_in(wait);
    test::wait_until(is_waiting, what);
    let_it_park(random);
    const auto ended = watch::now();
    end();
    return who.back(what) - ended;
  }
  template <class Wait, class IsWaiting, class End>
  void ours(const char* what, const Wait& wait, const IsWaiting& is_waiting, const End& end) {
    into.ours[what].add(time(what, wait, is_waiting, end));
    bare();
  }
  void bare() {
    detail::futex place;
    std::atomic<bool> waits{false};
    const auto wait = [&] {
      waits.store(true);
      while (place.word.load(detail::memory_order::acquire) == 0) {
        (void)detail::futex_wait(place, 0, detail::never);
      }
    };
    const auto wake = [&] {
      place.word.store(1, detail::memory_order::release);
      detail::futex_wake_one(place);
    };
    into.bare.add(time("a bare futex", wait, [&] { return waits.load(); }, wake));
  }
};

template <class Queue>
void end_pops(measuring& all) {
  using box = mailbox<int, Queue>;
  const auto pops_in = [](box& mail) { return [&mail] { return mail.stats().pop_waits == 1; }; };
  const auto ignore = [](int) {};
  {
    box mail{1};
    const auto push = [&] { (void)mail.push(1); };
    all.ours("a pop, by a push", [&] { (void)mail.pop(); }, pops_in(mail), push);
  }
  {
    box mail{1};
    const auto close = [&] { mail.close(); };
    all.ours("a pop, by close", [&] { (void)mail.pop(); }, pops_in(mail), close);
  }
  {
    box mail{1};
    stop_source source;
    const auto pop = [&] { (void)mail.pop(source.get_token()); };
    all.ours("a pop, by a stop", pop, pops_in(mail), [&] { source.request_stop(); });
  }
  {
    box mail{1};
    mailbox<int> other{1};
    const auto selects = [&] {
      (void)mailroom::select(on_pop(other, ignore), on_pop(mail, ignore));
    };
    all.ours("a select, by a push", selects, pops_in(mail), [&] { (void)mail.push(1); });
  }
}

template <class Queue>
void end_pushes(measuring& all) {
  using box = mailbox<int, Queue>;
  const auto pushes_in = [](box& mail) { return [&mail] { return mail.stats().push_waits == 1; }; };
  if constexpr (queue_facts<Queue>::bounded) {
    box mail{1};
    box other{1};
    (void)mail.push(1);
    (void)other.push(1);
    const auto pop = [&] { (void)mail.pop(); };
    all.ours("a push, by a pop", [&] { (void)mail.push(2); }, pushes_in(mail), pop);
    const auto selects = [&] { (void)mailroom::select(on_push(other, 2)); };
    all.ours("a select, by a pop", selects, pushes_in(other), [&] { (void)other.pop(); });
  }
  box mail{1};
  (void)mail.push(1);
  const auto drain = [&] {
    while (mail.pop()) {
    }
  };
  all.ours("a close_and_wait, by pops", [&] { mail.close_and_wait(); }, pushes_in(mail), drain);
}

#if defined(__cpp_lib_coroutine)

template <class Box>
test::task note_when_back(Box& mail, watch::time_point& back) {
  (void)co_await mail.async_pop();
  back = watch::now();
}

template <class Queue>
void end_coroutines(measuring& all) {
  mailbox<int, Queue> mail{1};
  watch::time_point back;
  const test::task waits = note_when_back(mail, back);
  const auto ended = watch::now();
  (void)mail.push(1);
  all.into.ours["an async_pop, by a push"].add(back - ended);
}

#else

template <class Queue>
void end_coroutines(measuring&) {}

#endif

template <class Queue>
void end_waits(measuring& all) {
  end_pops<Queue>(all);
  end_pushes<Queue>(all);
  end_coroutines<Queue>(all);
}

} // namespace

TEST_CASE("mailbox: R-31: a wait ends within a millisecond of what ends it, of 1000 times 999") {
  check_prompt([] {
    measured found;
    measuring all{found};
    for (int i = rounds_of(360); i != 0; --i) {
      over_every_queue([&]<class Queue>(Queue*) { end_waits<Queue>(all); });
    }
    return found;
  });
}

// ---- Deadlines

namespace {

/// Whatever comes back by itself is measured from its deadline on.
struct timing_out {
  measured& into;
  std::minstd_rand random{2};
  int early = 0;

  template <class Wait>
  nanoseconds lateness(const Wait& wait) {
    const std::chrono::microseconds span{1 + random() % 200};
    const auto deadline = watch::now() + span;
    wait(span);
    const auto late = watch::now() - deadline;
    if (late < 0ns) ++early;
    return late;
  }
  template <class Wait>
  void ours(const char* what, const Wait& wait) {
    into.ours[what].add(lateness([&](auto span) {
      if (wait(span) != queue_status::timeout) ++early;
    }));
  }
  void bare() {
    detail::futex place;
    into.bare.add(lateness([&](nanoseconds span) {
      const detail::nanoseconds deadline = detail::now() + span.count();
      while (detail::futex_wait(place, 0, deadline)) {
      }
    }));
  }
};

template <class Queue>
void let_time_out(timing_out& all) {
  mailbox<int, Queue> mail{1};
  test::asked_source source;
  const auto ignore = [](int) {};
  all.ours("a pop", [&](auto span) { return mail.try_pop_for(span).error(); });
  all.bare();
  all.ours("a pop with a token",
           [&](auto span) { return mail.try_pop_for(span, source.get_token()).error(); });
  all.bare();
  all.ours("a select", [&](auto span) {
    return mailroom::select(on_pop(mail, ignore), mailroom::after(span)).status;
  });
  all.bare();
  (void)mail.push(1);
  if constexpr (queue_facts<Queue>::bounded) {
    all.ours("a push", [&](auto span) { return mail.try_push_for(2, span); });
    all.bare();
  }
  all.ours("a close_and_wait_for", [&](auto span) { return mail.close_and_wait_for(span); });
  all.bare();
}

} // namespace

TEST_CASE("mailbox: R-38: no timeout is early, and of 1000 times 999 none a millisecond late") {
  check_prompt([] {
    measured found;
    timing_out all{found};
    for (int i = rounds_of(200); i != 0; --i) {
      over_every_queue([&]<class Queue>(Queue*) { let_time_out<Queue>(all); });
    }
    CHECK(all.early == 0);
    return found;
  });
}
