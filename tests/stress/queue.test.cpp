// SPDX-License-Identifier: MIT
// Threads against each other. All that a thread can see of a queue is checked: nothing is lost, no
// message comes twice, the messages of one producer reach each consumer in their order, and full
// and empty are true. MAILROOM_STRESS_SECONDS changes how long it takes, MAILROOM_TEST_SEED repeats
// it.

#include <mailroom/queue/intrusive_mpsc_queue.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <doctest/doctest.h>
#include <support/positions.hpp>
#include <support/print.hpp>
#include <support/seed.hpp>
#include <support/threads.hpp>

#include <algorithm>  // min, sort
#include <atomic>     // atomic
#include <cstddef>    // size_t
#include <cstdint>    // int64_t, uint32_t, uint64_t
#include <functional> // function
#include <iterator>   // back_inserter, make_move_iterator
#include <memory>     // unique_ptr, make_unique
#include <mutex>      // mutex, lock_guard
#include <random>     // mt19937
#include <span>       // span
#include <string>     // string, to_string, stoul
#include <thread>     // this_thread
#include <utility>    // move
#include <vector>     // vector

namespace {

using mailroom::mpmc_queue;
using mailroom::mpmc_ticket_queue;
using mailroom::mpsc_queue;
using mailroom::queue_status;
using mailroom::spsc_queue;
using test::test_access;

constexpr std::size_t capacities[] = {1, 2, 3, 7, 1024};

/// Whether the answer is busy, and a push into this queue may be told so.
template <class Queue>
bool may_be_busy(queue_status status) {
  using facts = mailroom::queue_facts<Queue>;
  return facts::push_progress == mailroom::progress::blocking && status == queue_status::busy;
}

/// The first thing that went wrong in any thread, in words.
class findings {
public:
  void note(const std::string& what) {
    const std::lock_guard held{lock_};
    if (first_.empty()) first_ = what;
  }
  const std::string& first() const { return first_; }

private:
  std::mutex lock_;
  std::string first_;
};

// ---- Messages: who sent them, and as which of theirs

struct ticket {
  std::uint32_t producer;
  std::uint32_t number;
  friend bool operator==(const ticket&, const ticket&) = default;
};

/// A message that is its ticket.
struct plain {
  using message = ticket;
  static message make(ticket what) { return what; }
  static ticket read(const message& what) { return what; }
};

/// A message that owns its ticket. What was taken from it reads as no ticket.
struct owning {
  using message = std::unique_ptr<ticket>;
  static message make(ticket what) { return std::make_unique<ticket>(what); }
  static ticket read(const message& what) { return what ? *what : ticket{~0U, ~0U}; }
};

/// A message too long to be kept inside a string.
struct text {
  using message = std::string;
  static message make(ticket what) {
    return std::to_string(what.producer) + " sends its message number " +
           std::to_string(what.number);
  }
  static ticket read(const message& what) {
    const auto space = what.rfind(' ');
    if (space == std::string::npos) return {~0U, ~0U};
    return {static_cast<std::uint32_t>(std::stoul(what)),
            static_cast<std::uint32_t>(std::stoul(what.substr(space)))};
  }
};

// ---- One round: some producers, some consumers, one queue

template <class Payload, class Queue>
class producer {
public:
  producer(Queue& queue, findings& wrong, std::uint32_t id, std::uint32_t seed)
      : queue_{queue}, wrong_{wrong}, id_{id}, random_{seed} {}

  /// Sends `count` messages, one by one or in runs; fewer when the queue is closed on the way. Says
  /// how many the queue has taken.
  std::uint32_t send(std::uint32_t count) {
    while (sent_ < count && !closed_) {
      const std::uint32_t before = sent_;
      switch (random_() % 4) {
      case 0: send_one(); break;
      case 1: emplace_one(); break;
      case 2: send_run(count, false); break;
      case 3: send_run(count, true); break;
      }
      if (sent_ == before) std::this_thread::yield();
    }
    return sent_;
  }

private:
  typename Payload::message next(std::uint32_t ahead = 0) const {
    return Payload::make({id_, sent_ + ahead});
  }

  void take_answer(queue_status status) {
    if (status == queue_status::success) {
      ++sent_;
    } else if (status == queue_status::closed) {
      closed_ = true;
    } else if (status != queue_status::full && !may_be_busy<Queue>(status)) {
      wrong_.note("a push answered " + std::string{mailroom::to_string(status)});
    }
  }

  void send_one() {
    auto message = next();
    const auto status = queue_.try_push(std::move(message));
    if (status != queue_status::success && Payload::read(message) != ticket{id_, sent_}) {
      wrong_.note("a push that was refused took its argument");
    }
    take_answer(status);
  }

  void emplace_one() { take_answer(queue_.try_emplace(next())); }

  void send_run(std::uint32_t count, bool by_iterator) {
    std::vector<typename Payload::message> run;
    const auto wanted = static_cast<std::uint32_t>(1 + random_() % 6);
    const std::uint32_t length = std::min(wanted, count - sent_);
    for (std::uint32_t i = 0; i != length; ++i) run.push_back(next(i));
    std::size_t taken = 0;
    if (by_iterator) {
      const auto begin = std::make_move_iterator(run.begin());
      const auto rest = queue_.try_push_range(begin, std::make_move_iterator(run.end()));
      taken = static_cast<std::size_t>(rest - begin);
    } else {
      taken = run.size() - queue_.try_move_range(run).size();
    }
    for (std::size_t i = taken; i != run.size(); ++i) {
      if (Payload::read(run[i]) != ticket{id_, sent_ + static_cast<std::uint32_t>(i)}) {
        wrong_.note("a run that was refused lost a message");
      }
    }
    sent_ += static_cast<std::uint32_t>(taken);
    // A run does not say why it stopped: the next single message does.
    if (taken == 0) send_one();
  }

  Queue& queue_;
  findings& wrong_;
  std::uint32_t id_;
  std::mt19937 random_;
  std::uint32_t sent_ = 0;
  bool closed_ = false;
};

template <class Payload, class Queue>
class consumer {
public:
  consumer(Queue& queue, findings& wrong, std::size_t producers, std::uint32_t seed)
      : queue_{queue}, wrong_{wrong}, received_(producers), random_{seed} {}

  /// Receives until the queue is closed, or empty after the last producer has finished.
  void receive(const std::atomic<std::size_t>& producing) {
    for (;;) {
      const bool last_look = producing.load() == 0;
      const std::size_t before = total_;
      switch (random_() % 4) {
      case 0: break;
      case 1: receive_into(); break;
      case 2: receive_run(); break;
      case 3: receive_in_place(); break;
      }
      if (total_ != before) continue;
      const auto message = queue_.try_pop();
      if (message) {
        record(*message);
      } else if (message.error() == queue_status::closed || last_look) {
        if (message.error() != queue_status::closed && message.error() != queue_status::empty) {
          wrong_.note("a pop answered " + std::string{mailroom::to_string(message.error())});
        }
        return;
      } else {
        std::this_thread::yield();
      }
    }
  }

  /// The numbers received from each producer, in the order they came.
  const std::vector<std::vector<std::uint32_t>>& received() const { return received_; }

private:
  void record(const typename Payload::message& message) {
    ++total_;
    const ticket what = Payload::read(message);
    if (what.producer >= received_.size()) return wrong_.note("a message that nobody sent");
    auto& numbers = received_[what.producer];
    if (!numbers.empty() && numbers.back() >= what.number) {
      wrong_.note("number " + std::to_string(what.number) + " came after number " +
                  std::to_string(numbers.back()) + " of the same producer");
    }
    numbers.push_back(what.number);
  }

  void receive_into() {
    auto message = Payload::make({~0U, 0});
    if (queue_.try_pop(message) == queue_status::success) {
      record(message);
    } else if (Payload::read(message) != ticket{~0U, 0}) {
      wrong_.note("a pop that failed changed its target");
    }
  }
  void receive_run() {
    std::vector<typename Payload::message> run;
    const std::size_t count = queue_.try_pop_n(std::back_inserter(run), 1 + random_() % 6);
    if (count != run.size()) wrong_.note("a run out miscounted");
    for (const auto& message : run) record(message);
  }
  void receive_in_place() {
    const std::size_t before = total_;
    const std::size_t count =
        queue_.consume_all([this](typename Payload::message&& message) { record(message); });
    if (count != total_ - before) wrong_.note("consume_all miscounted");
  }

  Queue& queue_;
  findings& wrong_;
  std::vector<std::vector<std::uint32_t>> received_;
  std::mt19937 random_;
  std::size_t total_ = 0;
};

/// What was sent is what was received: of each producer 0, 1, 2, ..., each once.
template <class Consumer>
void compare(const std::vector<std::uint32_t>& sent, const std::vector<Consumer>& consumers,
             findings& wrong) {
  for (std::size_t id = 0; id != sent.size(); ++id) {
    std::vector<std::uint32_t> all;
    for (const auto& one : consumers) {
      const auto& part = one.received()[id];
      all.insert(all.end(), part.begin(), part.end());
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i != all.size(); ++i) {
      if (all[i] < i) return wrong.note("number " + std::to_string(all[i]) + " came twice");
      if (all[i] > i) return wrong.note("number " + std::to_string(i) + " was lost");
    }
    if (all.size() != sent[id]) {
      return wrong.note("producer " + std::to_string(id) + " sent " + std::to_string(sent[id]) +
                        " messages, " + std::to_string(all.size()) + " came");
    }
  }
}

/// Runs one round. `besides` runs in a thread of its own.
template <class Payload, class Queue>
void exchange(Queue& queue, std::size_t producers, std::size_t consumers, std::uint32_t messages,
              std::uint32_t seed, findings& wrong,
              const std::function<void(const std::atomic<std::size_t>&)>& besides = nullptr) {
  std::atomic<std::size_t> producing{producers};
  std::vector<std::uint32_t> sent(producers);
  std::vector<consumer<Payload, Queue>> receivers;
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i != consumers; ++i) {
    receivers.emplace_back(queue, wrong, producers, seed + 100 + static_cast<std::uint32_t>(i));
  }
  for (auto& one : receivers) bodies.push_back([&] { one.receive(producing); });
  for (std::size_t i = 0; i != producers; ++i) {
    bodies.push_back([&, id = static_cast<std::uint32_t>(i)] {
      sent[id] = producer<Payload, Queue>{queue, wrong, id, seed + id}.send(messages);
      producing.fetch_sub(1);
    });
  }
  if (besides) bodies.push_back([&] { besides(producing); });
  test::run_together(bodies);
  compare(sent, receivers, wrong);
}

/// The same with one of the payloads, a new queue, and a position that soon wraps.
template <template <class> class Queue>
std::string exchange_any(std::size_t capacity, std::size_t producers, std::size_t consumers,
                         std::uint32_t seed) {
  findings wrong;
  const auto round = [&]<class Payload>(Payload) {
    using queue_type = Queue<typename Payload::message>;
    const test::watchdog guard{"an exchange of " + std::to_string(producers) + " producers and " +
                               std::to_string(consumers) + " consumers, capacity " +
                               std::to_string(capacity) + ", seed " + std::to_string(seed)};
    auto queue = test_access::starting_at<queue_type>(capacity, std::uint64_t{0} - seed % 2000);
    exchange<Payload>(queue, producers, consumers, 1000, seed, wrong);
    if (queue.size_approx() != 0) wrong.note("the queue is not empty in the end");
    if constexpr (requires { queue_type::spare_cells; }) {
      if (!test_access::each_cell_is_in_one_place(queue)) wrong.note("a cell was lost");
    }
  };
  switch (seed % 3) {
  case 0: round(plain{}); break;
  case 1: round(owning{}); break;
  case 2: round(text{}); break;
  }
  return wrong.first();
}

template <class T>
using spsc = spsc_queue<T>;
template <class T>
using mpmc = mpmc_queue<T>;
template <class T>
using tickets = mpmc_ticket_queue<T>;
template <class T>
using mpsc = mpsc_queue<T>;

/// Seeds for one test, all from the seed of the run.
std::mt19937 random_for(std::uint32_t which) { return std::mt19937{test::seed() + which}; }

} // namespace

TEST_CASE("stress: a run can be repeated, as far as threads can") {
  MESSAGE("MAILROOM_TEST_SEED=", test::seed(), ", for ", test::stress_seconds(), " s");
}

TEST_CASE("stress: R-09: spsc_queue loses nothing, doubles nothing and keeps the order") {
  auto random = random_for(1);
  const test::time_box box{150};
  do {
    for (const std::size_t capacity : capacities) {
      const auto seed = static_cast<std::uint32_t>(random());
      INFO("capacity ", capacity, ", seed ", seed);
      REQUIRE(exchange_any<spsc>(capacity, 1, 1, seed) == "");
    }
  } while (!box.is_over());
}

TEST_CASE(
    "stress: R-08: mpmc_queue loses nothing, doubles nothing and keeps every producer's order") {
  auto random = random_for(2);
  const test::time_box box{400};
  do {
    for (const std::size_t capacity : capacities) {
      for (std::size_t producers = 1; producers != 5; ++producers) {
        for (std::size_t consumers = 1; consumers != 5; ++consumers) {
          const auto seed = static_cast<std::uint32_t>(random());
          INFO("capacity ", capacity, ", ", producers, " producers, ", consumers,
               " consumers, seed ", seed);
          REQUIRE(exchange_any<mpmc>(capacity, producers, consumers, seed) == "");
        }
      }
    }
  } while (!box.is_over());
}

TEST_CASE("stress: mpmc_ticket_queue loses nothing, doubles nothing and keeps every producer's "
          "order") {
  auto random = random_for(10);
  const test::time_box box{150};
  do {
    for (const std::size_t capacity : capacities) {
      for (std::size_t producers = 1; producers != 5; ++producers) {
        for (std::size_t consumers = 1; consumers != 5; ++consumers) {
          const auto seed = static_cast<std::uint32_t>(random());
          INFO("capacity ", capacity, ", ", producers, " producers, ", consumers,
               " consumers, seed ", seed);
          REQUIRE(exchange_any<tickets>(capacity, producers, consumers, seed) == "");
        }
      }
    }
  } while (!box.is_over());
}

TEST_CASE("stress: mpsc_queue loses nothing, doubles nothing and keeps every producer's order") {
  auto random = random_for(8);
  const test::time_box box{100};
  do {
    for (std::size_t producers = 1; producers != 5; ++producers) {
      const auto seed = static_cast<std::uint32_t>(random());
      INFO(producers, " producers, seed ", seed);
      REQUIRE(exchange_any<mpsc>(0, producers, 1, seed) == "");
    }
  } while (!box.is_over());
}

TEST_CASE("stress: what mpsc_queue took before it was sealed is received before it is closed") {
  auto random = random_for(9);
  const test::time_box box{75};
  do {
    for (std::size_t producers = 1; producers != 5; ++producers) {
      const auto seed = static_cast<std::uint32_t>(random());
      INFO(producers, " producers, seed ", seed);
      const test::watchdog guard{"a seal among " + std::to_string(producers) + " producers"};
      findings wrong;
      auto queue = test_access::starting_at<mpsc_queue<std::unique_ptr<ticket>>>(0, seed % 100);
      const auto seal = [&](const std::atomic<std::size_t>&) {
        for (auto pause = seed % 64; pause != 0; --pause) std::this_thread::yield();
        while (!queue.seal()) std::this_thread::yield();
        if (queue.try_push(nullptr) != queue_status::closed) wrong.note("a push after the seal");
      };
      exchange<owning>(queue, producers, 1, 400, seed, wrong, seal);
      if (!queue.seal()) wrong.note("the seal broke");
      if (queue.size_approx() != 0) wrong.note("a sealed queue with a message");
      REQUIRE(wrong.first() == "");
    }
  } while (!box.is_over());
}

namespace {

struct mail : mailroom::intrusive_node {
  std::uint32_t sender = 0;
  std::uint32_t number = 0;
};

/// Senders, of which each runs the actor when its push has ended the actor's rest.
std::string run_an_actor(std::size_t senders, std::uint32_t mails) {
  mailroom::intrusive_mpsc_queue<mail> inbox;
  std::vector<std::vector<mail>> all(senders);
  std::vector<std::uint32_t> next(senders); // no atomics: a race, if two run the actor
  findings wrong;
  const auto run = [&] {
    do {
      inbox.consume_all([&](mail& one) {
        if (next[one.sender]++ != one.number) wrong.note("out of order, or lost");
      });
    } while (!inbox.try_rest());
  };
  std::vector<std::function<void()>> bodies;
  for (std::size_t id = 0; id != senders; ++id) {
    all[id].resize(mails);
    bodies.push_back([&, id] {
      for (std::uint32_t i = 0; i != mails; ++i) {
        all[id][i].sender = static_cast<std::uint32_t>(id);
        all[id][i].number = i;
        if (inbox.push(all[id][i])) run();
      }
    });
  }
  test::run_together(bodies);
  for (const auto count : next) {
    if (count != mails) wrong.note("mail was left lying");
  }
  return wrong.first();
}

} // namespace

TEST_CASE("stress: of the senders to one actor each runs it alone, and no mail is left lying") {
  const test::time_box box{75};
  do {
    for (std::size_t senders = 1; senders != 5; ++senders) {
      INFO(senders, " senders");
      const test::watchdog guard{"an actor of " + std::to_string(senders) + " senders"};
      REQUIRE(run_an_actor(senders, 5000) == "");
    }
  } while (!box.is_over());
}

// ---- Full and empty are true

namespace {

/// Counts pushes and pops that have begun and that have ended, and compares every answer with what
/// these counts allow. A count of begun calls is never below the calls that have taken effect, one
/// of ended calls never above.
class accounts {
public:
  accounts(std::size_t capacity, findings& wrong)
      : capacity_{static_cast<std::int64_t>(capacity)}, wrong_{wrong} {}

  template <class Queue>
  bool push(Queue& queue) {
    const std::int64_t popped_before = pops_ended_.load();
    pushes_begun_.fetch_add(1);
    const auto status = queue.try_push(1);
    if (status == queue_status::success) {
      if (pushes_ended_.fetch_add(1) + 1 - pops_begun_.load() > capacity_) {
        wrong_.note("there were more messages than fit");
      }
      return true;
    }
    const std::int64_t others = pushes_begun_.fetch_sub(1) - 1;
    if (others - popped_before < capacity_ && !may_be_busy<Queue>(status)) {
      wrong_.note("a push was refused though there was room all the time");
    }
    return false;
  }

  template <class Queue>
  bool pop(Queue& queue) {
    const std::int64_t pushed_before = pushes_ended_.load();
    pops_begun_.fetch_add(1);
    const auto result = queue.try_pop();
    if (result) {
      pops_ended_.fetch_add(1);
      return true;
    }
    const std::int64_t others = pops_begun_.fetch_sub(1) - 1;
    if (pushed_before > others && !may_be_busy<Queue>(result.error())) {
      wrong_.note("a pop found nothing though there was a message all the time");
    }
    return false;
  }

private:
  const std::int64_t capacity_;
  findings& wrong_;
  std::atomic<std::int64_t> pushes_begun_{0};
  std::atomic<std::int64_t> pushes_ended_{0};
  std::atomic<std::int64_t> pops_begun_{0};
  std::atomic<std::int64_t> pops_ended_{0};
};

template <class Queue>
std::string audit(std::size_t capacity, std::size_t producers, std::size_t consumers,
                  std::uint32_t seed) {
  findings wrong;
  const test::watchdog guard{"an audit of " + std::to_string(producers) + " producers and " +
                             std::to_string(consumers) + " consumers, capacity " +
                             std::to_string(capacity)};
  auto queue = test_access::starting_at<Queue>(capacity, std::uint64_t{0} - seed % 3000);
  accounts books{capacity, wrong};
  std::vector<std::function<void()>> bodies;
  for (std::size_t i = 0; i != producers; ++i) {
    bodies.push_back([&] {
      for (int tries = 0; tries != 2000; ++tries) {
        if (!books.push(queue)) std::this_thread::yield();
      }
    });
  }
  for (std::size_t i = 0; i != consumers; ++i) {
    bodies.push_back([&] {
      for (int tries = 0; tries != 2000; ++tries) {
        if (!books.pop(queue)) std::this_thread::yield();
      }
    });
  }
  bodies.push_back([&] {
    for (int looks = 0; looks != 500; ++looks) {
      const auto popped = queue.popped();
      const auto pushed = queue.pushed();
      if (static_cast<std::int64_t>(pushed - popped) < 0) wrong.note("more was popped than pushed");
      if (queue.size_approx() > capacity) wrong.note("size_approx is above the capacity");
      if (queue.popped() - popped > 1U << 20U) wrong.note("popped went back");
      if (queue.pushed() - pushed > 1U << 20U) wrong.note("pushed went back");
      if (looks % 16 == 0) std::this_thread::yield();
    }
  });
  test::run_together(bodies);
  return wrong.first();
}

} // namespace

TEST_CASE("stress: spsc_queue is full and empty only when it is") {
  auto random = random_for(3);
  const test::time_box box{50};
  do {
    for (const std::size_t capacity : capacities) {
      INFO("capacity ", capacity);
      REQUIRE(audit<spsc_queue<int>>(capacity, 1, 1, static_cast<std::uint32_t>(random())) == "");
    }
  } while (!box.is_over());
}

TEST_CASE("stress: R-01: mpmc_queue is full and empty only when it is") {
  auto random = random_for(4);
  const test::time_box box{150};
  do {
    for (const std::size_t capacity : {1U, 2U, 3U, 5U, 7U}) {
      for (std::size_t threads = 1; threads != 5; ++threads) {
        INFO("capacity ", capacity, ", ", threads, " producers and consumers");
        const auto seed = static_cast<std::uint32_t>(random());
        REQUIRE(audit<mpmc_queue<int>>(capacity, threads, threads, seed) == "");
      }
    }
  } while (!box.is_over());
}

TEST_CASE("stress: R-01: mpmc_ticket_queue is full and empty only when it is, and busy otherwise") {
  auto random = random_for(11);
  const test::time_box box{100};
  do {
    for (const std::size_t capacity : {1U, 2U, 3U, 5U, 7U}) {
      for (std::size_t threads = 1; threads != 5; ++threads) {
        INFO("capacity ", capacity, ", ", threads, " producers and consumers");
        const auto seed = static_cast<std::uint32_t>(random());
        REQUIRE(audit<mpmc_ticket_queue<int>>(capacity, threads, threads, seed) == "");
      }
    }
  } while (!box.is_over());
}

TEST_CASE("stress: producers that race to fill mpmc_queue fill exactly its capacity") {
  auto random = random_for(5);
  const test::time_box box{75};
  do {
    for (const std::size_t capacity : {1U, 2U, 3U, 5U, 7U, 9U, 100U}) {
      INFO("capacity ", capacity);
      const test::watchdog guard{"producers that race to fill " + std::to_string(capacity)};
      auto queue = test_access::starting_at<mpmc_queue<int>>(
          capacity, std::uint64_t{0} - random() % (8 * capacity));
      for (int lap = 0; lap != 4; ++lap) {
        std::atomic<std::size_t> in{0};
        std::atomic<std::size_t> out{0};
        const std::function<void()> fill = [&] {
          while (queue.try_push(1) == queue_status::success) in.fetch_add(1);
        };
        const std::function<void()> drain = [&] {
          while (queue.try_pop()) out.fetch_add(1);
        };
        test::run_together({fill, fill, fill});
        REQUIRE(in.load() == capacity);
        test::run_together({drain, drain, drain});
        REQUIRE(out.load() == capacity);
      }
    }
  } while (!box.is_over());
}

TEST_CASE("stress: R-02: as many messages as fit into mpmc_queue can always be put back") {
  auto random = random_for(6);
  const test::time_box box{75};
  do {
    for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
      INFO("capacity ", capacity);
      const test::watchdog guard{"messages put back by their handlers"};
      auto queue = test_access::starting_at<mpmc_queue<std::unique_ptr<std::size_t>>>(
          capacity, std::uint64_t{0} - random() % 500);
      for (std::size_t i = 0; i != capacity; ++i)
        (void)queue.try_push(std::make_unique<std::size_t>(i));
      std::atomic<int> refused{0};
      const std::function<void()> hand_round = [&] {
        for (int i = 0; i != 500; ++i) {
          const auto count = queue.consume_all([&](std::unique_ptr<std::size_t>&& message) {
            if (queue.try_push(std::move(message)) != queue_status::success) refused.fetch_add(1);
          });
          if (count == 0) std::this_thread::yield();
        }
      };
      test::run_together({hand_round, hand_round, hand_round, hand_round});
      REQUIRE(refused.load() == 0);
      std::vector<bool> seen(capacity, false);
      std::size_t count = 0;
      while (auto message = queue.try_pop()) {
        seen[**message] = true;
        ++count;
      }
      REQUIRE(count == capacity);
      REQUIRE(seen == std::vector<bool>(capacity, true));
      REQUIRE(test_access::each_cell_is_in_one_place(queue));
    }
  } while (!box.is_over());
}

// ---- Seals

TEST_CASE("stress: what mpmc_queue took before it was sealed is received before it is closed") {
  auto random = random_for(7);
  const test::time_box box{100};
  do {
    for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
      for (std::size_t threads = 1; threads != 5; ++threads) {
        const auto seed = static_cast<std::uint32_t>(random());
        INFO("capacity ", capacity, ", ", threads, " producers and consumers, seed ", seed);
        const test::watchdog guard{"a seal among " + std::to_string(threads) +
                                   " producers and consumers, capacity " +
                                   std::to_string(capacity)};
        findings wrong;
        auto queue = test_access::starting_at<mpmc_queue<std::unique_ptr<ticket>>>(
            capacity, std::uint64_t{0} - seed % 100);
        const auto seal = [&](const std::atomic<std::size_t>&) {
          for (auto pause = seed % 64; pause != 0; --pause) std::this_thread::yield();
          while (!queue.seal()) std::this_thread::yield();
          if (queue.try_pop().error() != queue_status::closed) wrong.note("a pop after the seal");
          if (queue.try_push(nullptr) != queue_status::closed) wrong.note("a push after the seal");
        };
        exchange<owning>(queue, threads, threads, 400, seed, wrong, seal);
        if (!queue.seal()) wrong.note("the seal broke");
        if (queue.size_approx() != 0) wrong.note("a sealed queue with a message");
        if (!test_access::each_cell_is_in_one_place(queue)) wrong.note("a cell was lost");
        REQUIRE(wrong.first() == "");
      }
    }
  } while (!box.is_over());
}

TEST_CASE("stress: what mpmc_ticket_queue took before it was sealed is received before it is "
          "closed") {
  auto random = random_for(12);
  const test::time_box box{75};
  do {
    for (const std::size_t capacity : {1U, 2U, 3U, 7U}) {
      for (std::size_t threads = 1; threads != 5; ++threads) {
        const auto seed = static_cast<std::uint32_t>(random());
        INFO("capacity ", capacity, ", ", threads, " producers and consumers, seed ", seed);
        const test::watchdog guard{"a seal among " + std::to_string(threads) + " threads"};
        findings wrong;
        auto queue = test_access::starting_at<mpmc_ticket_queue<std::unique_ptr<ticket>>>(
            capacity, std::uint64_t{0} - seed % 100);
        const auto seal = [&](const std::atomic<std::size_t>&) {
          for (auto pause = seed % 64; pause != 0; --pause) std::this_thread::yield();
          while (!queue.seal()) std::this_thread::yield();
          if (queue.try_pop().error() != queue_status::closed) wrong.note("a pop after the seal");
          if (queue.try_push(nullptr) != queue_status::closed) wrong.note("a push after the seal");
        };
        exchange<owning>(queue, threads, threads, 400, seed, wrong, seal);
        if (!queue.seal()) wrong.note("the seal broke");
        if (queue.size_approx() != 0) wrong.note("a sealed queue with a message");
        REQUIRE(wrong.first() == "");
      }
    }
  } while (!box.is_over());
}
