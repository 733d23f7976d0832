// SPDX-License-Identifier: MIT
// Every way to wait in a mailbox against every way to end it. A message that was accepted is
// received once, or on_drop is told of it once: after close, close(discard), close_and_wait and the
// destructor, in threads, selects and coroutines, and in channels whose ends leave when they like.

#include <mailroom/core/concepts.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/async.hpp>
#include <mailroom/mailbox/channel.hpp>
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

#include <atomic>     // atomic
#include <chrono>     // microseconds, steady_clock
#include <cstddef>    // size_t
#include <cstdint>    // uint64_t
#include <functional> // function
#include <iterator>   // back_inserter
#include <memory>     // make_shared, shared_ptr
#include <optional>   // optional
#include <random>     // minstd_rand
#include <string>     // string, to_string
#include <thread>     // this_thread
#include <utility>    // move
#include <vector>     // vector
#include <version>    // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)
#include <support/task.hpp>
#endif

namespace {

using mailroom::after;
using mailroom::arity;
using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::on_pop;
using mailroom::on_push;
using mailroom::on_stop;
using mailroom::overflow;
using mailroom::queue_facts;
using mailroom::queue_status;
using namespace std::chrono_literals;

using letter = std::uint64_t; // the producer above 32 bits, its count below
using random_source = std::minstd_rand;

std::chrono::microseconds a_while(random_source& random) {
  return std::chrono::microseconds{1 + random() % 200};
}

/// Where messages end up, and their sums: by them one that came in place of another is found.
struct account {
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> sum{0};

  void add(letter message) noexcept {
    count.fetch_add(1);
    sum.fetch_add(message);
  }
};
struct books {
  account accepted;
  account received;
  account told; // on_drop was
  std::atomic<int> out_of_order{0};

  void check() const {
    CHECK(accepted.count.load() == received.count.load() + told.count.load());
    CHECK(accepted.sum.load() == received.sum.load() + told.sum.load());
    CHECK(out_of_order.load() == 0);
  }
};

/// The messages of one consumer: each producer's must come in order.
class inbox {
public:
  explicit inbox(books& all) noexcept : all_{all} {}
  void operator()(letter message) {
    all_.received.add(message);
    letter& before = last_[static_cast<std::size_t>(message >> 32)];
    if (message < before) all_.out_of_order.fetch_add(1);
    before = message + 1;
  }

private:
  books& all_;
  std::vector<letter> last_ = std::vector<letter>(8, 0);
};

/// How many threads take part: as many as the queue allows, and no more than three.
int threads_of(arity how_many, random_source& random) {
  return how_many == arity::many ? 1 + static_cast<int>(random() % 3) : 1;
}

// ---- Coroutines, where there are any; threads in their place

#if defined(__cpp_lib_coroutine)

template <class Box>
test::task push_in_coroutine(Box& mail, letter& message, bool& is_in,
                             test::calling_source::token token) {
  is_in = co_await mail.async_push(std::move(message), token);
}
template <class Box>
test::task pop_in_coroutine(Box& mail, std::optional<letter>& got,
                            test::calling_source::token token) {
  got = co_await mail.async_pop(token);
}

/// Stops the coroutine after a while, unless it was done before.
void see_through(const test::task& one, test::calling_source& source, random_source& random) {
  const auto end = std::chrono::steady_clock::now() + a_while(random);
  while (!one.is_done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  source.request_stop();
  test::wait_until([&] { return one.is_done(); }, "a coroutine that is stopped ends");
}
template <class Box>
bool async_push(Box& mail, letter message, random_source& random) {
  test::calling_source source;
  bool is_in = false;
  const test::task pushing = push_in_coroutine(mail, message, is_in, source.get_token());
  see_through(pushing, source, random);
  return is_in;
}
template <class Box>
std::optional<letter> async_pop(Box& mail, random_source& random) {
  test::calling_source source;
  std::optional<letter> got;
  const test::task popping = pop_in_coroutine(mail, got, source.get_token());
  see_through(popping, source, random);
  return got;
}

#else

template <class Box>
bool async_push(Box& mail, letter message, random_source& random) {
  return mail.try_push_for(message, a_while(random)) == queue_status::success;
}
template <class Box>
std::optional<letter> async_pop(Box& mail, random_source& random) {
  auto got = mail.try_pop_for(a_while(random));
  return got ? std::optional<letter>{*got} : std::nullopt;
}

#endif

// ---- One call, of any kind

/// Pushes `next` in one of the ways that there are. Says whether it is in.
template <class Box>
bool push_somehow(Box& mail, letter next, random_source& random, test::roll_call::member& doing) {
  switch (random() % 7) {
  case 0: doing = "push"; return mail.push(next);
  case 1: doing = "try_push"; return mail.try_push(next) == queue_status::success;
  case 2: {
    doing = "try_push_for with a token";
    test::asked_source source;
    return mail.try_push_for(next, a_while(random), source.get_token()) == queue_status::success;
  }
  case 3: doing = "select with a push"; return select(on_push(mail, next)).index == 0;
  case 4:
    doing = "select with a push and a time";
    return select(on_push(mail, next), after(a_while(random))).index == 0;
  case 5: doing = "try_select with a push"; return try_select(on_push(mail, next)).index == 0;
  default: doing = "async_push"; return async_push(mail, next, random);
  }
}

/// Pops in one of the ways that there are. Says whether it was told that the mailbox is closed.
template <class Box>
bool pop_somehow(Box& mail, inbox& into, random_source& random, test::roll_call::member& doing) {
  const auto take = [&](auto&& message) { into(message); };
  const auto note = [&](const auto& got) {
    if (got) into(*got);
    return got.error() == queue_status::closed;
  };
  switch (random() % 8) {
  case 0: {
    doing = "pop";
    const auto got = mail.pop();
    if (got) take(*got);
    return !got;
  }
  case 1: doing = "try_pop_for"; return note(mail.try_pop_for(a_while(random)));
  case 2:
    doing = "select with a pop and a time";
    return select(on_pop(mail, take), after(a_while(random))).status == queue_status::closed;
  case 3: {
    doing = "select with two pops and a stop";
    mailbox<letter> other{1};
    test::calling_source source;
    if (random() % 2 == 0) source.request_stop();
    (void)select(on_pop(other, take), on_pop(mail, take), on_stop(source.get_token()), after(1ms));
    return false;
  }
  case 4:
    doing = "try_select with a pop";
    return try_select(on_pop(mail, take)).status == queue_status::closed;
  case 5:
    doing = "async_pop";
    if (const auto got = async_pop(mail, random)) take(*got);
    return false;
  case 6: {
    doing = "pop_n";
    test::asked_source source;
    source.request_stop();
    std::vector<letter> some;
    (void)mail.pop_n(std::back_inserter(some), 1 + random() % 5, source.get_token());
    for (const letter each : some) take(each);
    return false;
  }
  default: doing = "try_pop"; return note(mail.try_pop());
  }
}

// ---- The storms

enum class ending { close, discard, wait, wait_a_little, destroy };

template <class Box>
void produce(Box& mail, std::uint64_t number, books& all, test::roll_call::member& doing) {
  random_source random{static_cast<random_source::result_type>(number * 7919 + 1)};
  letter next = number << 32;
  while (!mail.is_closed()) {
    if (push_somehow(mail, next, random, doing)) all.accepted.add(next++);
    doing = "yields";
    while (mail.size_approx() > 100 && !mail.is_closed()) std::this_thread::yield(); // no bound
  }
  doing = "has ended";
}

/// Pops until the end, or until it is time for the end that only a consumer can bring about.
template <class Box>
void consume(Box& mail, std::uint64_t number, ending how, const std::atomic<bool>& is_time,
             books& all, test::roll_call::member& doing) {
  random_source random{static_cast<random_source::result_type>(number * 104'729 + 3)};
  inbox into{all};
  while (!pop_somehow(mail, into, random, doing)) {
    if (is_time.load() && how == ending::destroy) break;
    if (is_time.load() && how == ending::discard) {
      doing = "close(discard)";
      mail.close(mailroom::discard);
    }
  }
  doing = "has ended";
}

/// Brings about the end that anybody can.
template <class Box>
void end(Box& mail, ending how, random_source& random) {
  if (how == ending::wait_a_little) {
    (void)mail.close_and_wait_for(a_while(random));
    CHECK(mail.is_closed());
  }
  if (how == ending::wait || how == ending::wait_a_little) {
    mail.close_and_wait();
    CHECK(mail.is_drained());
  } else if (how != ending::discard) {
    mail.close();
  }
}

/// Returns   how many messages were accepted
template <class Queue>
std::uint64_t storm(test::roll_call& roll, ending how, overflow on_full, random_source& random) {
  using facts = queue_facts<Queue>;
  INFO("ending ", static_cast<int>(how), ", policy ", static_cast<int>(on_full));
  books all;
  {
    mailbox<letter, Queue> mail{mailbox_options{.capacity = 1 + random() % 3, .on_full = on_full},
                                [&all](letter&& lost) noexcept { all.told.add(lost); }};
    std::atomic<bool> is_time{false};
    std::vector<std::function<void()>> bodies;
    for (int i = threads_of(facts::producers, random); i != 0; --i) {
      bodies.emplace_back([&, i, &doing = roll.add("producer " + std::to_string(i))] {
        produce(mail, static_cast<std::uint64_t>(i), all, doing);
      });
    }
    for (int i = threads_of(facts::consumers, random); i != 0; --i) {
      bodies.emplace_back([&, i, &doing = roll.add("consumer " + std::to_string(i))] {
        consume(mail, static_cast<std::uint64_t>(i), how, is_time, all, doing);
      });
    }
    const auto span = 10 * a_while(random);
    bodies.emplace_back([&, span, &doing = roll.add("who ends it")] {
      std::this_thread::sleep_for(span);
      is_time.store(true);
      doing = "ends it";
      end(mail, how, random);
      doing = "has ended";
    });
    test::run_together(std::move(bodies));
    const auto stats = mail.stats();
    CHECK(stats.pushed == all.accepted.count.load());
    CHECK(stats.popped == all.received.count.load());
    CHECK(stats.dropped + stats.discarded == all.told.count.load());
    CHECK((mail.is_drained() || how == ending::destroy));
  }
  all.check();
  roll.next_round();
  return all.accepted.count.load();
}

template <class Queue>
void storms(const std::string& name, double thousandths) {
  constexpr ending endings[] = {ending::close, ending::discard, ending::wait, ending::wait_a_little,
                                ending::destroy};
  const test::time_box time{thousandths};
  test::roll_call roll{name};
  random_source random{19};
  int rounds = 0;
  std::uint64_t messages = 0;
  for (; !time.is_over() || rounds < 10; ++rounds) {
    const bool may_drop = queue_facts<Queue>::consumers == arity::many && random() % 4 == 0;
    const auto policy = may_drop ? overflow::drop_oldest : overflow::block;
    messages += storm<Queue>(roll, endings[rounds % 5], policy, random);
  }
  MESSAGE(name, ": ", rounds, " storms, ", messages, " messages");
}

} // namespace

TEST_CASE("mailbox: R-39: however it is waited in and ended, all is received or on_drop told") {
  storms<mailroom::mpmc_queue<letter>>("mpmc", 60);
  storms<mailroom::spsc_queue<letter>>("spsc", 50);
#if !defined(__SANITIZE_ADDRESS__) // which makes them take half a minute to compile
  storms<mailroom::mpmc_ticket_queue<letter>>("tickets", 50);
  storms<mailroom::mpsc_queue<letter>>("mpsc", 50);
#endif
}

// ---- Channels

namespace {

/// The end that one thread has: a copy if there can be several, else the only one.
template <arity HowMany, class End>
std::shared_ptr<End> own(End& end) {
  if constexpr (HowMany == arity::many) return std::make_shared<End>(end);
  return std::make_shared<End>(std::move(end));
}

/// Pushes some messages, where it can also through ends of its own, and leaves.
template <class End>
void send(End& tx, std::uint64_t number, random_source random, books& all,
          test::roll_call::member& doing) {
  using box = typename End::mailbox_type;
  letter next = number << 32;
  for (auto left = random() % 40; left != 0 && !tx.box().is_closed(); --left) {
    bool is_in = false;
    if (random() % 3 == 0) {
      is_in = push_somehow(tx.box(), next, random, doing);
    } else if constexpr (queue_facts<typename box::queue_type>::producers == arity::many) {
      doing = "pushes by another end";
      const mailroom::weak_producer<box> weak{tx};
      End other = random() % 2 == 0 ? weak.lock() : End{tx};
      is_in = other.push(next);
    } else {
      doing = "pushes";
      is_in = tx.push(next);
    }
    if (is_in) all.accepted.add(next++);
  }
  doing = "leaves";
  tx = {};
  doing = "has ended";
}

/// Pops some messages, and leaves, perhaps before the end.
template <class End>
void receive(End& rx, random_source random, books& all, test::roll_call::member& doing) {
  inbox into{all};
  for (auto left = random() % 60; left != 0; --left) {
    if (random() % 3 != 0) {
      if (pop_somehow(rx.box(), into, random, doing)) break;
      continue;
    }
    doing = "iterates";
    for (const letter each : rx) {
      into(each);
      if (random() % 4 == 0) break;
    }
  }
  doing = "leaves";
  rx = {};
  doing = "has ended";
}

template <class Queue>
void channel_storm(test::roll_call& roll, random_source& random) {
  using facts = queue_facts<Queue>;
  books all;
  {
    auto ends =
        mailroom::channel<letter, Queue>(mailbox_options{.capacity = 1 + random() % 3},
                                         [&all](letter&& lost) noexcept { all.told.add(lost); });
    std::vector<std::function<void()>> bodies;
    for (int i = threads_of(facts::producers, random); i != 0; --i) {
      bodies.emplace_back([&all, i, tx = own<facts::producers>(ends.tx), seed = random(),
                           &doing = roll.add("producer " + std::to_string(i))] {
        send(*tx, static_cast<std::uint64_t>(i), random_source{seed}, all, doing);
      });
    }
    for (int i = threads_of(facts::consumers, random); i != 0; --i) {
      bodies.emplace_back([&all, rx = own<facts::consumers>(ends.rx), seed = random(),
                           &doing = roll.add("consumer " + std::to_string(i))] {
        receive(*rx, random_source{seed}, all, doing);
      });
    }
    ends.tx = {};
    ends.rx = {};
    test::run_together(std::move(bodies));
  }
  all.check();
  roll.next_round();
}

template <class Queue>
void channel_storms(const std::string& name, double thousandths) {
  const test::time_box time{thousandths};
  test::roll_call roll{name};
  random_source random{20};
  int rounds = 0;
  for (; !time.is_over() || rounds < 10; ++rounds) channel_storm<Queue>(roll, random);
  MESSAGE(name, ": ", rounds, " channels");
}

} // namespace

TEST_CASE("channel: whoever comes and goes, all is received or on_drop told, and nobody waits on") {
  channel_storms<mailroom::mpmc_queue<letter>>("mpmc", 30);
  channel_storms<mailroom::spsc_queue<letter>>("spsc", 25);
#if !defined(__SANITIZE_ADDRESS__)
  channel_storms<mailroom::mpmc_ticket_queue<letter>>("tickets", 25);
  channel_storms<mailroom::mpsc_queue<letter>>("mpsc", 25);
#endif
}
