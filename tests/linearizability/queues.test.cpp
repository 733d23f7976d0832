// SPDX-License-Identifier: MIT
// Real runs of the queues and mailboxes, checked for linearizability: every answer of every call,
// success, full, empty and closed, could have come from a plain queue that does one thing at a time,
// each within its own call. MAILROOM_LIN_OPERATIONS is how many operations are checked in all, 10^8
// if it is not set.
//
// Is an spsc_queue linearizable, though its push says that "a pop in flight may not be seen"? As it
// is recorded here, yes: the recorder's fence makes what a call has stored visible before the call
// counts as ended. A push that answers full has then missed only pops that had not ended when it
// began; let full take effect when the push begins, and those pops after that. No later answer
// forbids it: the push that uses the place of such a pop comes after the full one, in the same
// thread, and the consumer is told nothing about when its own pops take effect. The same holds for
// empty, with pushes in flight. Without that fence, no: each side may still have its last store in
// its store buffer when it looks at the other's, so that one is told full and the other empty, and
// no order explains both (tests/model finds it). Hence the words of its contract.

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <linearizability/checker.hpp>
#include <linearizability/history.hpp>
#include <linearizability/record.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/threads.hpp>

#include <array>   // array
#include <chrono>  // duration, steady_clock
#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <cstdio>  // printf, fflush
#include <cstdlib> // getenv, strtod
#include <string>  // string

namespace {

using namespace linearizability;
using mailroom::mailbox;
using mailroom::mpmc_queue;
using mailroom::mpmc_ticket_queue;
using mailroom::mpsc_queue;
using mailroom::spsc_queue;

/// A number in a message that does not fit into a line.
struct large_number {
  large_number(number message = 0) noexcept : value{message} {} // NOLINT: it is a number
  operator number() const noexcept { return value; }
  number value;
  number padding[3] = {};
};

template <class T>
using spsc_mailbox = mailbox<T, spsc_queue<T>>;
template <class T>
using mpmc_mailbox = mailbox<T, mpmc_queue<T>>;
template <class T>
using ticket_mailbox = mailbox<T, mpmc_ticket_queue<T>>;
template <class T>
using mpsc_mailbox = mailbox<T, mpsc_queue<T>>;

constexpr std::size_t capacities[] = {1, 2, 3, 8, 1000};
constexpr std::size_t no_bound = std::size_t{1} << 30; // more than any run has messages

double wanted_operations() {
  const char* const wanted = std::getenv("MAILROOM_LIN_OPERATIONS");
  const double count = wanted == nullptr ? 0 : std::strtod(wanted, nullptr);
  return count > 0 ? count : 1e8;
}

/// All that this program has done so far, and the memory that it does it in.
struct campaign {
  history run;
  checker judge;
  std::uint64_t operations = 0;
  std::uint64_t histories = 0;
  std::uint64_t violations = 0;
  double thousandths = 0; ///< of the wanted operations
  double seconds = 0;
  std::array<std::uint64_t, 7> answers{};
};
campaign& all() {
  static campaign one;
  return one;
}

void count_answers(const history& run, std::array<std::uint64_t, 7>& answers) {
  for (const auto& log : run.logs) {
    for (const auto& one : log) ++answers[static_cast<std::size_t>(one.what)];
  }
}

/// A new queue; every other one has positions that wrap in the round.
template <class Queue>
Queue make(std::size_t capacity, std::uint64_t round) {
  if constexpr (requires { typename Queue::queue_type; }) {
    return Queue(mailroom::mailbox_options{.capacity = capacity},
                 [](auto&& message) noexcept { note_discarded(message); });
  } else {
    return test::test_access::starting_at<Queue>(capacity, round % 2 == 0 ? 0 : 0 - round * 100);
  }
}

/// 64 calls must stand still before an mpmc_queue is busy. A mailbox over spsc_queue may be, at its
/// end. An mpsc_queue is wherever a push stands in front, and an mpmc_ticket_queue wherever a call
/// does; but what they call empty is empty, and what is called full is full.
template <class Queue>
constexpr bool may_be_busy = false;
template <class T>
constexpr bool may_be_busy<spsc_mailbox<T>> = true;
template <class T>
constexpr bool may_be_busy<mpmc_ticket_queue<T>> = true;
template <class T>
constexpr bool may_be_busy<ticket_mailbox<T>> = true;
template <class T>
constexpr bool may_be_busy<mpsc_queue<T>> = true;
template <class T>
constexpr bool may_be_busy<mpsc_mailbox<T>> = true;

/// One recorded run, and its verdict.
template <style Style, class Queue>
std::string check_round(const shape& how) {
  const test::watchdog guard{"a recorded run, capacity " + std::to_string(how.capacity)};
  Queue queue = make<Queue>(how.capacity, all().histories);
  const std::uint64_t busy = record<Style>(queue, how, all().run);
  verdict found = all().judge.check(all().run);
  if (busy != 0 && !may_be_busy<Queue>) found.why += "an operation was busy";
  ++all().histories;
  all().operations += all().run.size();
  if (!found.why.empty()) ++all().violations;
  count_answers(all().run, all().answers);
  return found.why;
}

/// Rounds of one shape, until that many thousandths of all operations are checked. They are shorter
/// where that is little.
template <style Style, class Queue>
void check_rounds(shape how, double thousandths) {
  INFO(how.producers, " producers, ", how.consumers, " consumers, capacity ", how.capacity);
  const auto begin = std::chrono::steady_clock::now();
  const auto before = static_cast<double>(all().operations);
  const double share = wanted_operations() * thousandths / 1000;
  const double most = 100 + share / 4 / static_cast<double>(how.producers);
  if (most < how.messages) how.messages = static_cast<number>(most);
  while (static_cast<double>(all().operations) - before < share) {
    const std::string wrong = check_round<Style, Queue>(how);
    REQUIRE(wrong == "");
  }
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  all().seconds += passed.count();
  all().thousandths += thousandths;
}

/// With 1, 2 and 4 threads on each side, and every capacity.
template <class Claim>
void each_shape(number messages, bool closes, const Claim& claim) {
  for (const std::size_t capacity : capacities) {
    for (const std::size_t threads : {1U, 2U, 4U}) {
      const auto each = static_cast<number>(messages / threads);
      claim(shape{threads, threads, capacity, each, closes});
    }
  }
}

} // namespace

TEST_CASE("linearizability: every history of an spsc_queue is that of a queue") {
  for (const std::size_t capacity : capacities) {
    const shape how{1, 1, capacity, 100'000, false};
    check_rounds<style::singles, spsc_queue<number>>(how, 8);
    check_rounds<style::singles, spsc_queue<stalling_number>>(how, 8);
    check_rounds<style::runs, spsc_queue<number>>(how, 4);
    check_rounds<style::singles, spsc_queue<large_number>>(how, 8);
    check_rounds<style::runs, spsc_queue<large_number>>(how, 4);
  }
}

TEST_CASE("linearizability: every history of an mpmc_queue is that of a queue") {
  each_shape(100'000, false, [](const shape& how) {
    check_rounds<style::singles, mpmc_queue<number>>(how, 6);
    check_rounds<style::singles, mpmc_queue<stalling_number>>(how, 6);
    check_rounds<style::runs, mpmc_queue<stalling_number>>(how, 2);
    check_rounds<style::handles, mpmc_queue<number>>(how, 3);
    check_rounds<style::handles, mpmc_queue<stalling_number>>(how, 3);
  });
}

TEST_CASE("linearizability: every history of an mpmc_ticket_queue is that of a queue") {
  each_shape(100'000, false, [](const shape& how) {
    check_rounds<style::singles, mpmc_ticket_queue<number>>(how, 3);
    check_rounds<style::singles, mpmc_ticket_queue<stalling_number>>(how, 3);
    check_rounds<style::runs, mpmc_ticket_queue<number>>(how, 1);
    check_rounds<style::runs, mpmc_ticket_queue<stalling_number>>(how, 1);
  });
}

TEST_CASE("linearizability: every history of an mpsc_queue is that of a queue without a bound") {
  for (const std::size_t producers : {1U, 2U, 4U}) {
    const shape how{producers, 1, no_bound, static_cast<number>(20'000 / producers), false};
    check_rounds<style::singles, mpsc_queue<number>>(how, 15);
    check_rounds<style::singles, mpsc_queue<stalling_number>>(how, 15);
    check_rounds<style::runs, mpsc_queue<stalling_number>>(how, 8);
  }
}

TEST_CASE(
    "linearizability: every history of a mailbox over spsc_queue is that of a queue that closes") {
  for (const std::size_t capacity : capacities) {
    const shape how{1, 1, capacity, 2000, true};
    check_rounds<style::singles, spsc_mailbox<stalling_number>>(how, 10);
    check_rounds<style::waiting, spsc_mailbox<number>>(how, 10);
  }
}

TEST_CASE(
    "linearizability: every history of a mailbox over mpmc_queue is that of a queue that closes") {
  each_shape(4000, true, [](const shape& how) {
    check_rounds<style::singles, mpmc_mailbox<stalling_number>>(how, 6);
    check_rounds<style::waiting, mpmc_mailbox<number>>(how, 4);
  });
}

TEST_CASE("linearizability: pops that come too late were told empty, pushes full, at some moment") {
  each_shape(4000, true, [](const shape& how) {
    check_rounds<style::timed, mpmc_mailbox<stalling_number>>(how, 0.1);
  });
}

TEST_CASE("linearizability: what close(discard) throws away it has popped, up to the end") {
  each_shape(1000, true, [](shape how) {
    how.discards = true;
    check_rounds<style::waiting, mpmc_mailbox<stalling_number>>(how, 0.1);
    check_rounds<style::timed, mpmc_mailbox<number>>(how, 0.1);
    check_rounds<style::singles, ticket_mailbox<number>>(how, 0.1);
  });
}

TEST_CASE("linearizability: every history of a mailbox over mpmc_ticket_queue is that of a queue "
          "that closes") {
  each_shape(4000, true, [](const shape& how) {
    check_rounds<style::singles, ticket_mailbox<stalling_number>>(how, 2);
    check_rounds<style::waiting, ticket_mailbox<number>>(how, 1);
  });
}

TEST_CASE(
    "linearizability: every history of a mailbox over mpsc_queue is that of a queue that closes") {
  for (const std::size_t producers : {1U, 2U, 4U}) {
    const shape how{producers, 1, no_bound, static_cast<number>(4000 / producers), true};
    check_rounds<style::singles, mpsc_mailbox<stalling_number>>(how, 4);
    check_rounds<style::waiting, mpsc_mailbox<number>>(how, 4);
  }
}

TEST_CASE("linearizability: the run in figures") {
  const campaign& done = all();
  const auto operations = static_cast<double>(done.operations);
  std::printf("linearizability: %.0f operations in %llu histories, %llu violations, %.1f s, "
              "%.1f M ops/s\n",
              operations, static_cast<unsigned long long>(done.histories),
              static_cast<unsigned long long>(done.violations), done.seconds,
              done.seconds > 0 ? operations / done.seconds / 1e6 : 0);
  std::fflush(stdout);
  if (done.thousandths < 999) return; // only some of the tests ran, or one has failed
  CHECK(operations >= wanted_operations());
  for (std::size_t i = 0; i != done.answers.size(); ++i) {
    INFO(std::string{name_of(static_cast<answer>(i))}, " was answered by none");
    CHECK(done.answers[i] != 0);
  }
}
