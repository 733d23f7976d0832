// SPDX-License-Identifier: MIT
// Mailboxes under everything at once: pushes and pops of every kind, timeouts, stops, and a close in
// the middle. No message is lost, none comes twice, each producer's come in order, and every thread
// comes back; if one does not, the roll is called and the program ends.

#include <mailroom/core/status.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/threads.hpp>
#include <support/waiting.hpp>

#include <algorithm>  // sort
#include <atomic>     // atomic
#include <chrono>     // microseconds, milliseconds, steady_clock
#include <cstddef>    // size_t
#include <cstdint>    // uint32_t, uint64_t
#include <deque>      // deque
#include <functional> // function
#include <iterator>   // back_inserter
#include <random>     // minstd_rand
#include <string>     // string, to_string
#include <thread>     // this_thread
#include <vector>     // vector

namespace {

using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::mpmc_queue;
using mailroom::overflow;
using mailroom::queue_status;
using mailroom::spsc_queue;
using test::background;
using namespace std::chrono_literals;
namespace wait_policy = mailroom::wait_policy;

using letter = std::uint64_t; // the producer above 32 bits, its count below
std::size_t producer_of(letter message) { return static_cast<std::size_t>(message >> 32); }

using over_mpmc = mpmc_queue<letter>;
using over_tickets = mailroom::mpmc_ticket_queue<letter>;
using over_mpsc = mailroom::mpsc_queue<letter>;
using over_spsc = spsc_queue<letter>;

using random_source = std::minstd_rand;

std::chrono::microseconds a_while(random_source& random) {
  return std::chrono::microseconds{1 + random() % 200};
}

/// Does nothing for about that long, without giving the core away.
void linger(std::chrono::nanoseconds span) {
  const auto end = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// ---- The storm

/// What one thread did, and its two stop sources.
struct worker {
  std::uint64_t count = 0; // messages that were accepted, or received
  std::uint64_t sum = 0;
  bool in_order = true;
  test::asked_source asked;
  test::calling_source calling;

  void note(letter message) {
    ++count;
    sum += message;
  }
  void stop() {
    asked.request_stop();
    calling.request_stop();
  }
  void go_on() {
    asked.reset();
    calling.reset();
  }
};

/// Pushes numbered messages in every way there is, until the mailbox is closed.
template <class Mailbox>
void produce(Mailbox& mail, std::uint64_t number, worker& own, test::roll_call::member& doing) {
  random_source random{static_cast<random_source::result_type>(number * 7919 + 1)};
  letter next = number << 32;
  const auto accepted = [&](bool is_in) {
    if (is_in) own.note(next++);
  };
  while (!mail.is_closed()) {
    switch (random() % 7) {
    case 0:
      doing = "push";
      accepted(mail.push(next));
      break;
    case 1:
      doing = "try_push";
      accepted(mail.try_push(next) == queue_status::success);
      break;
    case 2:
      doing = "try_push_for";
      accepted(mail.try_push_for(next, a_while(random)) == queue_status::success);
      break;
    case 3:
      doing = "push with a token that is asked";
      accepted(mail.push(next, own.asked.get_token()));
      break;
    case 4:
      doing = "push with a token that calls";
      accepted(mail.push(next, own.calling.get_token()));
      break;
    case 5:
      doing = "try_push_until with a token";
      accepted(mail.try_push_until(next, std::chrono::system_clock::now() + a_while(random),
                                   own.calling.get_token()) == queue_status::success);
      break;
    default: {
      doing = "push_range";
      const letter run[] = {next, next + 1, next + 2, next + 3};
      const auto taken = mail.push_range(run, run + 1 + random() % 4) - run;
      for (std::ptrdiff_t i = 0; i != taken; ++i) accepted(true);
    }
    }
    own.go_on();
  }
  doing = "has ended";
}

/// Pops in every way there is, until the mailbox is closed and empty.
template <class Mailbox>
void consume(Mailbox& mail, std::uint64_t number, worker& own, test::roll_call::member& doing) {
  random_source random{static_cast<random_source::result_type>(number * 104'729 + 3)};
  std::vector<letter> last(8, 0);
  const auto received = [&](letter message) {
    own.note(message);
    auto& before = last[producer_of(message)];
    own.in_order = own.in_order && before <= message;
    before = message + 1;
  };
  bool is_over = false;
  const auto seen = [&](const auto& result) {
    if (result) received(*result);
    is_over = result.error() == queue_status::closed;
  };
  while (!is_over) {
    switch (random() % 7) {
    case 0: {
      doing = "pop";
      const auto message = mail.pop();
      if (message) received(*message);
      is_over = !message;
      break;
    }
    case 1:
      doing = "try_pop";
      seen(mail.try_pop());
      break;
    case 2:
      doing = "try_pop_for";
      seen(mail.try_pop_for(a_while(random)));
      break;
    case 3:
      doing = "try_pop_until with a token that is asked";
      seen(mail.try_pop_until(std::chrono::steady_clock::now() + 1h, own.asked.get_token()));
      break;
    case 4: {
      doing = "pop with a token that calls";
      const auto message = mail.pop(own.calling.get_token());
      if (message) received(*message);
      break;
    }
    case 5: {
      doing = "pop_n";
      std::vector<letter> some;
      (void)mail.pop_n(std::back_inserter(some), 1 + random() % 5, own.calling.get_token());
      for (const letter message : some) received(message);
      break;
    }
    default:
      doing = "run";
      is_over = mail.run(received, own.calling.get_token()) == queue_status::closed;
    }
    own.go_on();
  }
  doing = "has ended";
}

/// One storm: everybody at work, stops from outside, and a close after `length`.
template <class Mailbox>
void storm(test::roll_call& roll, std::size_t capacity, std::size_t producers,
           std::size_t consumers, std::chrono::microseconds length) {
  INFO("capacity ", capacity, ", ", producers, " producers, ", consumers, " consumers");
  Mailbox mail{capacity};
  std::deque<worker> workers(producers + consumers);
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i != workers.size(); ++i) {
    const bool is_producer = i < producers;
    auto& doing = roll.add((is_producer ? "producer " : "consumer ") + std::to_string(i));
    auto& own = workers[i];
    if (is_producer) {
      bodies.emplace_back([&mail, &own, &doing, i] { produce(mail, i, own, doing); });
    } else {
      bodies.emplace_back([&mail, &own, &doing, i] { consume(mail, i, own, doing); });
    }
  }
  bodies.emplace_back([&] {
    random_source random{static_cast<random_source::result_type>(length.count() + 1)};
    const auto end = std::chrono::steady_clock::now() + length;
    while (std::chrono::steady_clock::now() < end) {
      workers[random() % workers.size()].stop();
      std::this_thread::sleep_for(a_while(random));
    }
    mail.close();
    // A consumer whose token was stopped when the mailbox closed comes back and looks again.
  });
  test::run_together(std::move(bodies));

  worker accepted;
  worker received;
  for (std::size_t i = 0; i != workers.size(); ++i) {
    auto& all = i < producers ? accepted : received;
    all.count += workers[i].count;
    all.sum += workers[i].sum;
    CHECK(workers[i].in_order);
  }
  CHECK(accepted.count == received.count);
  CHECK(accepted.sum == received.sum);
  const auto stats = mail.stats();
  CHECK(stats.pushed == accepted.count);
  CHECK(stats.popped == received.count);
  CHECK(stats.depth == 0);
  CHECK(mail.is_drained());
  roll.next_round();
}

template <class Mailbox>
void storms(const std::string& name, std::size_t most, double thousandths) {
  const test::time_box time{thousandths};
  test::roll_call roll{name};
  random_source random{17};
  int rounds = 0;
  while (!time.is_over()) {
    const std::size_t capacities[] = {1, 2, 3, 1000};
    storm<Mailbox>(roll, capacities[random() % 4], 1 + random() % most, 1 + random() % most,
                   std::chrono::microseconds{200 + random() % 9000});
    ++rounds;
  }
  MESSAGE(name, ": ", rounds, " storms");
}

} // namespace

TEST_CASE("mailbox: R-39: storms of push, pop, timeout, stop and close lose nothing and end") {
  storms<mailbox<letter, over_mpmc>>("mpmc, park", 4, 200);
  storms<mailbox<letter, over_spsc>>("spsc, park", 1, 140);
  storms<mailbox<letter, over_mpmc, wait_policy::yield>>("mpmc, yield", 4, 60);
  storms<mailbox<letter, over_spsc, wait_policy::yield>>("spsc, yield", 1, 40);
  storms<mailbox<letter, over_mpmc, wait_policy::spin>>("mpmc, spin", 2, 60);
  storms<mailbox<letter, over_spsc, wait_policy::spin>>("spsc, spin", 1, 40);
  storms<mailbox<letter, over_tickets>>("tickets, park", 4, 100);
  storms<mailbox<letter, over_tickets, wait_policy::yield>>("tickets, yield", 4, 40);
}

// ---- Close against those who fall asleep

namespace {

template <class Queue>
void check_close(const std::string& name, int threads, double thousandths) {
  const test::time_box time{thousandths};
  test::roll_call roll{name};
  random_source random{5};
  int rounds = 0;
  for (; !time.is_over(); ++rounds) {
    mailbox<letter, Queue> empty{1};
    mailbox<letter, Queue> full{1};
    (void)full.push(0);
    std::atomic<int> wrong{0};
    std::vector<std::function<void()>> bodies;
    for (int i = 0; i != threads; ++i) {
      bodies.emplace_back([&, i, &doing = roll.add("pop")] {
        doing = "waits";
        const bool got = i % 2 == 0 ? empty.pop().has_value() : empty.try_pop_for(1h).has_value();
        if (got) wrong.fetch_add(1);
        doing = "has ended";
      });
      bodies.emplace_back([&, i, &doing = roll.add("push")] {
        doing = "waits";
        const bool got =
            i % 2 == 0 ? full.push(1) : full.try_push_for(1, 1h) == queue_status::success;
        if (got) wrong.fetch_add(1);
        doing = "has ended";
      });
    }
    const std::chrono::nanoseconds delay{random() % 60'000};
    bodies.emplace_back([&] {
      linger(delay);
      empty.close();
      full.close();
    });
    test::run_together(std::move(bodies));
    REQUIRE(wrong.load() == 0);
    REQUIRE(full.pop() == 0U);
    REQUIRE(full.is_drained());
    roll.next_round();
  }
  MESSAGE(name, ": ", rounds, " rounds");
}

} // namespace

TEST_CASE("mailbox: R-28: close finds everybody, asleep, awake or in between") {
  check_close<over_mpmc>("mpmc", 3, 80);
  check_close<over_spsc>("spsc", 1, 60);
  check_close<over_tickets>("tickets", 3, 60);
}

// ---- One message, or room for one, beside somebody who sleeps

namespace {

/// Two wait for the same thing, and one of them gives up after 1 to 200 microseconds. Whatever that
/// one does, the other one is not left asleep beside a message, or beside room.
template <class Mailbox, class Patient, class Impatient, class Give, class Used>
void check_nobody_sleeps_beside(const std::string& name, double thousandths, Mailbox& mail,
                                const Patient& patient, const Impatient& impatient,
                                const Give& give, const Used& is_used) {
  const test::time_box time{thousandths};
  test::roll_call roll{name};
  std::atomic<int> round{0};
  std::atomic<int> round_done{0};
  background waits{[&, &doing = roll.add("the patient")] {
    doing = "waits";
    while (patient()) {
    }
    return 0;
  }};
  background gives_up{[&, &doing = roll.add("the impatient")] {
    random_source random{3};
    for (int seen = 0;; ++seen) {
      doing = "is between two rounds";
      while (round.load() == seen) {
        if (mail.is_closed()) return 0;
        std::this_thread::yield();
      }
      doing = "waits";
      impatient(a_while(random));
      round_done.store(seen + 1);
    }
  }};
  random_source random{4};
  int rounds = 0;
  for (; !time.is_over(); ++rounds) {
    round.store(rounds + 1);
    linger(std::chrono::nanoseconds{random() % 100'000});
    give();
    test::wait_until(is_used, "somebody sleeps beside a message, or beside room");
    test::wait_until([&] { return round_done.load() == rounds + 1; }, "the impatient gives up");
  }
  mail.close();
  CHECK(waits.get() == 0);
  CHECK(gives_up.get() == 0);
  MESSAGE(name, ": ", rounds, " rounds");
}

} // namespace

TEST_CASE_TEMPLATE("mailbox: R-07: nobody sleeps beside a message that another one left", Queue,
                   over_mpmc, over_tickets) {
  mailbox<letter, Queue> mail{4};
  check_nobody_sleeps_beside(
      "pop", 45, mail, [&] { return mail.pop().has_value(); },
      [&](auto span) { (void)mail.try_pop_for(span); }, [&] { (void)mail.push(1); },
      [&] { return mail.size_approx() == 0; });
}

TEST_CASE_TEMPLATE("mailbox: R-35: nobody sleeps beside room that another one left", Queue,
                   over_mpmc, over_tickets) {
  mailbox<letter, Queue> mail{1};
  (void)mail.push(1);
  check_nobody_sleeps_beside(
      "push", 45, mail, [&] { return mail.push(1); },
      [&](auto span) { (void)mail.try_push_for(1, span); }, [&] { (void)mail.pop(); },
      [&] { return mail.size_approx() == 1; });
}

// ---- Stop and deadline against push

TEST_CASE("mailbox: whoever is stopped has been given all that was pushed before the stop") {
  const test::time_box time{60};
  test::roll_call roll{"push, then stop"};
  random_source random{6};
  int rounds = 0;
  for (; !time.is_over(); ++rounds) {
    mailbox<letter> mail{8};
    test::calling_source source;
    const letter count = 1 + random() % 4;
    const std::chrono::nanoseconds delay{random() % 30'000};
    letter received = 0;
    test::run_together({[&, &doing = roll.add("consumer")] {
                          doing = "runs";
                          (void)mail.run([&](letter) { ++received; }, source.get_token());
                          doing = "has ended";
                        },
                        [&, &doing = roll.add("producer")] {
                          linger(delay);
                          for (letter i = 0; i != count; ++i) (void)mail.push(i);
                          doing = "stops";
                          source.request_stop();
                          doing = "has ended";
                        }});
    REQUIRE(received == count);
    roll.next_round();
  }
  MESSAGE(rounds, " rounds");
}

// ---- Two mailboxes, each waiting for the other

namespace {

template <class Queue, class Wait>
void ping_pong(const std::string& name, std::size_t capacity, double thousandths) {
  const test::time_box time{thousandths};
  test::roll_call roll{name};
  mailbox<letter, Queue, Wait> there{capacity};
  mailbox<letter, Queue, Wait> back{capacity};
  background answers{[&, &doing = roll.add("the one that answers")] {
    doing = "answers";
    random_source random{8};
    for (;;) { // sometimes patient, sometimes not
      const auto message =
          random() % 2 == 0 ? there.try_pop_for(a_while(random)) : there.try_pop_for(1h);
      if (message.error() == queue_status::closed) return back.close(), true;
      if (message && !back.push(*message + 1)) return false;
    }
  }};
  auto& doing = roll.add("the one that asks");
  letter asked = 0;
  bool right = true;
  while (right && !time.is_over()) {
    doing = "pushes";
    right = there.push(asked);
    doing = "pops";
    right = back.pop() == asked + 1 && right;
    ++asked;
  }
  doing = "closes";
  there.close();
  CHECK(right);
  CHECK(answers.get());
  CHECK_FALSE(back.pop().has_value());
  MESSAGE(name, ": ", asked, " times there and back");
}

} // namespace

TEST_CASE("mailbox: R-33: ping and pong, with every way to wait") {
  ping_pong<over_mpmc, wait_policy::park>("mpmc, park", 1, 25);
  ping_pong<over_spsc, wait_policy::park>("spsc, park", 2, 25);
  ping_pong<over_tickets, wait_policy::park>("tickets, park", 1, 25);
  ping_pong<over_mpmc, wait_policy::yield>("mpmc, yield", 3, 15);
  ping_pong<over_spsc, wait_policy::yield>("spsc, yield", 1, 15);
  ping_pong<over_mpmc, wait_policy::spin>("mpmc, spin", 1, 15);
  ping_pong<over_spsc, wait_policy::spin>("spsc, spin", 1, 15);
}

// ---- A ring of mailboxes, each waiting for the one before

namespace {

/// What one thread of a ring saw.
struct link {
  std::atomic<std::uint64_t> passed{0}; // relaxed: to count orders nothing that is tested
  bool in_order = true;
  std::vector<letter> kept; // what could not be passed on
};

/// Passes numbered tokens on from one mailbox to the next, until the end comes by. As they came in
/// order, from one thread, they go in order, from 0 again behind the last.
template <class Mailbox>
void pass_on(Mailbox& from, Mailbox& to, std::uint64_t tokens, random_source random, link& own,
             test::roll_call::member& doing) {
  letter expected = tokens; // any
  for (;;) {
    doing = "waits for a token";
    const auto token = random() % 4 == 0 ? from.try_pop_for(a_while(random)) : from.try_pop_for(1h);
    if (token.error() == queue_status::closed) break;
    if (!token) continue;
    own.in_order = own.in_order && (expected == tokens || *token == expected);
    expected = (*token + 1) % tokens;
    own.passed.store(own.passed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    doing = "waits for room";
    if (!to.push(*token)) own.kept.push_back(*token);
  }
  doing = "has ended";
  to.close();
}

/// `size` mailboxes and as many threads, with one token or with as many as there is room for.
template <class Queue>
std::uint64_t run_ring(test::roll_call& roll, std::size_t size, std::uint64_t tokens,
                       random_source& random) {
  INFO("a ring of ", size, ", ", tokens, " tokens");
  const test::time_box time{1.5};
  std::deque<mailbox<letter, Queue>> boxes;
  for (std::size_t i = 0; i != size; ++i) boxes.emplace_back(std::size_t{2});
  for (letter each = 0; each != tokens; ++each) { // the first is in front, in the last mailbox
    (void)boxes[size - 1 - static_cast<std::size_t>(each) / 2].push(each);
  }
  std::vector<link> links(size);
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i != size; ++i) {
    bodies.emplace_back([&boxes, size, i, tokens, seed = random(), &own = links[i],
                         &doing = roll.add("thread " + std::to_string(i))] {
      pass_on(boxes[i], boxes[(i + 1) % size], tokens, random_source{seed}, own, doing);
    });
  }
  bodies.emplace_back([&, &doing = roll.add("who closes")] {
    while (!time.is_over()) std::this_thread::sleep_for(1ms);
    doing = "waits for tokens that go on";
    const std::uint64_t before = links.front().passed.load();
    while (links.front().passed.load() < before + 3) std::this_thread::sleep_for(50us);
    boxes.front().close();
  });
  test::run_together(std::move(bodies));
  std::uint64_t passed = 0;
  for (const auto& each : links) {
    CHECK(each.in_order);
    CHECK(each.kept.size() == (&each == &links.back() ? tokens : 0));
    passed += each.passed.load();
  }
  auto kept = std::move(links.back().kept);
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = 0; i != kept.size(); ++i) CHECK(kept[i] == i);
  roll.next_round();
  return passed;
}

template <class Queue>
void rings(const std::string& name) {
  test::roll_call roll{name};
  random_source random{18};
  std::uint64_t passed = 0;
  for (std::size_t size = 1; size <= 8; ++size) {
    for (const std::uint64_t tokens : {std::uint64_t{1}, std::uint64_t{size} * 2}) {
      passed += run_ring<Queue>(roll, size, tokens, random);
    }
  }
  CHECK(passed != 0);
  MESSAGE(name, ": tokens were passed on ", passed, " times");
}

} // namespace

TEST_CASE("mailbox: R-33: tokens go round through one to eight mailboxes, in order, to the end") {
  rings<over_mpmc>("mpmc");
  rings<over_tickets>("tickets");
  rings<over_mpsc>("mpsc");
  rings<over_spsc>("spsc");
}

// ---- Lossy

TEST_CASE("mailbox: drop_oldest loses what it counts and no more, and never waits") {
  const test::time_box time{60};
  test::roll_call roll{"drop_oldest"};
  random_source random{9};
  int rounds = 0;
  for (; !time.is_over(); ++rounds) {
    const std::size_t capacities[] = {1, 2, 3, 1000};
    mailbox<letter> mail{
        mailbox_options{.capacity = capacities[random() % 4], .on_full = overflow::drop_oldest}};
    std::deque<worker> workers(6);
    std::atomic<int> producing{3};
    std::atomic<std::uint64_t> dropped{0};
    std::vector<std::function<void()>> bodies;
    for (std::size_t i = 0; i != 3; ++i) {
      bodies.emplace_back([&, i, &own = workers[i], &doing = roll.add("producer")] {
        doing = "pushes";
        std::size_t discarded = 0;
        for (letter each = 0; each != 2000; ++each) {
          const letter message = (letter{i} << 32) + each;
          if (mail.try_push(message, discarded) == queue_status::success) own.note(message);
        }
        dropped.fetch_add(discarded);
        if (producing.fetch_sub(1) == 1) mail.close();
        doing = "has ended";
      });
      bodies.emplace_back([&, &own = workers[3 + i], &doing = roll.add("consumer")] {
        doing = "runs";
        std::vector<letter> last(3, 0);
        (void)mail.run([&](letter message) {
          own.note(message);
          auto& before = last[producer_of(message)];
          own.in_order = own.in_order && before <= message;
          before = message + 1;
        });
        doing = "has ended";
      });
    }
    test::run_together(std::move(bodies));
    std::uint64_t pushed = 0;
    std::uint64_t received = 0;
    for (std::size_t i = 0; i != 3; ++i) {
      pushed += workers[i].count;
      received += workers[3 + i].count;
      CHECK(workers[3 + i].in_order);
    }
    CHECK(pushed == 6000);
    CHECK(pushed == received + dropped.load());
    const auto stats = mail.stats();
    CHECK(stats.pushed == pushed);
    CHECK(stats.popped == received);
    CHECK(stats.dropped == dropped.load());
    roll.next_round();
  }
  MESSAGE(rounds, " rounds");
}
