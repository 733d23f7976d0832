// SPDX-License-Identifier: MIT
// A contender that loses, doubles, reorders or damages messages is found out in every scenario.

#include <bench/harness/waiting.hpp>

#include <doctest/doctest.h>

#include <condition_variable> // condition_variable
#include <cstddef>            // size_t
#include <cstdint>            // uint64_t
#include <deque>              // deque
#include <memory>             // make_unique
#include <mutex>              // lock_guard, mutex, unique_lock
#include <string>             // string
#include <thread>             // this_thread
#include <utility>            // pair
#include <vector>             // vector

namespace {

using bench::number;

enum class defect : unsigned char {
  none,
  loses,
  doubles, ///< the same message twice in a row
  repeats, ///< the same message again, later
  reorders,
  damages,
  damages_last, ///< only a message that no other one follows
  sticks,
  oversleeps ///< who waits is not woken any more
};

/// A multiple of 64, so that a transport sends just so many.
constexpr std::uint64_t messages = 20'032;
constexpr auto how = bench::waiting::yield;

/// A queue under a lock, with a defect that shows now and then.
template <class T>
class broken_queue {
public:
  explicit broken_queue(defect what) : what_{what} {}

  bool try_push(const T& value) {
    const std::lock_guard held{lock_};
    if (values_.size() == capacity) return false;
    const bool now = ++pushes_ % period == 0;
    if (what_ == defect::sticks && pushes_ > period) return false;
    if (what_ == defect::loses && now) return true;
    values_.push_back(value);
    return true;
  }
  bool try_pop(T& into) {
    const std::lock_guard held{lock_};
    if (values_.empty()) return false;
    const bool now = ++pops_ % period == 0;
    if (what_ == defect::reorders && now && values_.size() > 1) std::swap(values_[0], values_[1]);
    into = values_.front();
    if (what_ == defect::damages && now) damage(into);
    if (what_ == defect::repeats && now) values_.push_back(into);
    if (what_ == defect::damages_last && pops_ == messages) damage_upwards(into);
    if (what_ != defect::doubles || !now) values_.pop_front();
    return true;
  }
  std::size_t try_push_n(const T* first, std::size_t count) {
    std::size_t done = 0;
    while (done != count && try_push(first[done])) ++done;
    return done;
  }
  std::size_t try_pop_n(T* into, std::size_t max) {
    std::size_t done = 0;
    while (done != max && try_pop(into[done])) ++done;
    return done;
  }

private:
  static constexpr std::size_t capacity = 256;
  static constexpr std::uint64_t period = 97;

  static void damage(number& value) { value ^= 1; }
  static void damage_upwards(number& value) { value += 1; }
  template <std::size_t Bytes>
  static void damage(bench::block<Bytes>& value) {
    value.words[0] ^= 1;
  }
  template <std::size_t Bytes>
  static void damage_upwards(bench::block<Bytes>& value) {
    for (number& word : value.words) ++word;
  }

  const defect what_;
  std::mutex lock_;
  std::deque<T> values_;
  std::uint64_t pushes_ = 0;
  std::uint64_t pops_ = 0;
};

/// The same, for who waits.
class broken_mailbox {
public:
  explicit broken_mailbox(defect what) : what_{what}, queue_{what} {}

  bool push(const number& value) {
    return await([&] { return queue_.try_push(value); });
  }
  bool pop(number& into) {
    return await([&] { return queue_.try_pop(into); });
  }
  bool try_pop(number& into) { return queue_.try_pop(into); }
  void end() {
    {
      const std::lock_guard held{lock_};
      is_over_ = true;
    }
    changed_.notify_all();
  }

private:
  template <class Attempt>
  bool await(Attempt attempt) {
    std::unique_lock held{lock_};
    while (!attempt()) {
      if (is_over_) return false;
      changed_.wait(held);
    }
    if (what_ != defect::oversleeps || ++changes_ < 97) changed_.notify_all();
    return true;
  }

  const defect what_;
  broken_queue<number> queue_;
  std::mutex lock_;
  std::condition_variable changed_;
  bool is_over_ = false;
  std::uint64_t changes_ = 0;
};

bench::faults waiting_ping_pong(defect what, bench::haste speed, std::uint64_t count) {
  const auto there = std::make_unique<broken_mailbox>(what);
  const auto back = std::make_unique<broken_mailbox>(defect::none);
  return bench::waiting_ping_pong<number>(*there, *back, speed, count).wrong;
}

template <class T>
bench::faults transported(defect what, std::size_t producers, std::size_t consumers,
                          std::size_t batch = 1) {
  const auto queue = std::make_unique<broken_queue<T>>(what);
  const bench::shape form{producers, consumers, batch, how};
  return bench::transport<T>(*queue, form, messages).wrong;
}

struct scenario {
  const char* name;
  bool can_reorder; ///< is there ever more than one message inside?
  bench::faults (*run)(defect);
};

const std::vector<scenario>& scenarios() {
  static const std::vector<scenario> all{
      {"one_to_one, 8 bytes", true, [](defect what) { return transported<number>(what, 1, 1); }},
      {"one_to_one, 64 bytes", true,
       [](defect what) { return transported<bench::message<64>>(what, 1, 1); }},
      {"one_to_one, batches", true,
       [](defect what) { return transported<number>(what, 1, 1, 64); }},
      {"many_to_many", true, [](defect what) { return transported<number>(what, 2, 2); }},
      {"pairs", true,
       [](defect what) {
         const auto queue = std::make_unique<broken_queue<number>>(what);
         return bench::pairs<number>(*queue, 2, how, messages).wrong;
       }},
      {"ping_pong", false,
       [](defect what) {
         const auto there = std::make_unique<broken_queue<number>>(what);
         const auto back = std::make_unique<broken_queue<number>>(defect::none);
         return bench::ping_pong<number>(*there, *back, how, messages / 10).wrong;
       }},
      {"burst", true,
       [](defect what) {
         const auto queue = std::make_unique<broken_queue<number>>(what);
         return bench::burst<number>(*queue, 128, how, messages).wrong;
       }},
      {"waiting_throughput", true,
       [](defect what) {
         const auto box = std::make_unique<broken_mailbox>(what);
         return bench::waiting_throughput<number>(*box, {.producers = 2, .consumers = 2}, messages)
             .wrong;
       }},
      {"waiting_ping_pong, at once", false,
       [](defect what) { return waiting_ping_pong(what, bench::haste::at_once, messages / 10); }},
      {"waiting_ping_pong, asleep", false,
       [](defect what) { return waiting_ping_pong(what, bench::haste::when_asleep, 200); }},
      {"waiting_push", false,
       [](defect what) {
         const auto box = std::make_unique<broken_mailbox>(what);
         return bench::waiting_push<number>(*box, 200).wrong;
       }},
  };
  return all;
}

/// Runs every scenario with the defect, and asks whether that fault was noticed.
void check_noticed(defect what, bool bench::faults::* fault) {
  bench::patience::limit = 200'000'000;
  for (const scenario& one : scenarios()) {
    if (what == defect::reorders && !one.can_reorder) continue;
    const bench::faults found = one.run(what);
    INFO(std::string{one.name}, ": ", found.words());
    CHECK(found.*fault);
  }
}

TEST_CASE("a queue that keeps its messages has no faults") {
  for (const scenario& one : scenarios()) {
    const bench::faults found = one.run(defect::none);
    INFO(std::string{one.name}, ": ", found.words());
    CHECK_FALSE(found.any());
  }
}

TEST_CASE("lost messages are noticed") { check_noticed(defect::loses, &bench::faults::lost); }
TEST_CASE("doubled messages are noticed") {
  check_noticed(defect::doubles, &bench::faults::doubled);
}
TEST_CASE("reordered messages are noticed") {
  check_noticed(defect::reorders, &bench::faults::reordered);
}

TEST_CASE("messages that come again later are noticed") {
  check_noticed(defect::repeats, &bench::faults::doubled);
}

TEST_CASE("a damaged message is noticed, though all came in order") {
  CHECK(transported<number>(defect::damages_last, 1, 1).damaged);
  CHECK(transported<number>(defect::damages_last, 1, 1, 64).damaged);
  CHECK(transported<bench::message<64>>(defect::damages_last, 1, 1).damaged);
}

TEST_CASE("damaged messages are noticed, one way or another") {
  for (const scenario& one : scenarios()) {
    INFO(std::string{one.name});
    CHECK(one.run(defect::damages).any());
  }
}

TEST_CASE("a queue that takes nothing any more ends the sample, and is not said to lose") {
  bench::patience::limit = 200'000'000;
  for (const scenario& one : scenarios()) {
    if (std::string{one.name} == "burst") continue; // it pushes only what fits
    const bench::faults found = one.run(defect::sticks);
    INFO(std::string{one.name}, ": ", found.words());
    CHECK(found.any());
    CHECK_FALSE(found.doubled);
    CHECK_FALSE(found.reordered);
  }
  CHECK(transported<number>(defect::sticks, 1, 1).stuck);
  CHECK_FALSE(transported<number>(defect::sticks, 1, 1).lost);
}

TEST_CASE("who is not woken any more is let go, and that is noticed") {
  bench::patience::limit = 200'000'000;
  CHECK(waiting_ping_pong(defect::oversleeps, bench::haste::at_once, messages / 10).lost);
  CHECK(waiting_ping_pong(defect::oversleeps, bench::haste::when_asleep, 200).lost);
  broken_mailbox box{defect::oversleeps};
  CHECK(bench::waiting_push<number>(box, 200).wrong.lost);
}

TEST_CASE("it is known who has slept") {
  broken_mailbox box{defect::none};
  CHECK(bench::waiting_push<number>(box, 200).third > 0.5);
  broken_mailbox there{defect::none};
  broken_mailbox back{defect::none};
  const auto asleep = bench::haste::when_asleep;
  CHECK(bench::waiting_ping_pong<number>(there, back, asleep, 200).third > 0.5);
}

TEST_CASE("a part in which the core was taken away is noticed") {
  const auto times = [](std::uint64_t slow_part) {
    bench::parts all;
    all.start();
    for (std::uint64_t part = 0; part != bench::parts::count; ++part) {
      if (part == slow_part) std::this_thread::sleep_for(std::chrono::milliseconds{200});
      all.end_of_part(part);
    }
    return all;
  };
  CHECK(times(7).one_is_far_longer());
  CHECK(times(0).one_is_far_longer());
}

TEST_CASE("the parts of a transport are all of it") {
  for (const std::uint64_t total : {0U, 1U, 31U, 32U, 33U, 1000U}) {
    std::uint64_t sum = 0;
    for (std::uint64_t part = 0; part != bench::parts::count; ++part) {
      sum += bench::parts::share(total, part);
    }
    CHECK(sum == total);
  }
}

} // namespace
