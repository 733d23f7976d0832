// SPDX-License-Identifier: MIT
// moodycamel::ConcurrentQueue (libconcurrentqueue-dev), plain and with tokens, and the one that
// waits. It keeps the order of each producer only.
//
// It has no bound. try_enqueue takes no new memory, but a producer keeps what it once had, so that
// others may then wait for ever; so a push may take some as long as the queue is not too long.
#include <bench/harness/program.hpp>

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <concurrentqueue/concurrentqueue.h>

namespace {

constexpr bench::facts plain_facts{.name = "moodycamel ConcurrentQueue",
                                   .header = "concurrentqueue/concurrentqueue.h",
                                   .order = mailroom::ordering::fifo_per_producer,
                                   .lock_free = true};
constexpr bench::facts token_facts = [] {
  bench::facts all = plain_facts;
  all.name = "moodycamel ConcurrentQueue, tokens";
  return all;
}();

template <class T, class... Token>
bool push_within(moodycamel::ConcurrentQueue<T>& line, std::size_t capacity, const T& value,
                 const Token&... token) {
  return line.try_enqueue(token..., value) ||
         (line.size_approx() < capacity && line.enqueue(token..., value));
}

struct concurrent_queue {
  static constexpr bench::facts about = plain_facts;

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t threads)
        : capacity_{capacity}, line_(capacity, 0, threads) {}
    bool try_push(const T& value) { return push_within(line_, capacity_, value); }
    bool try_pop(T& into) { return line_.try_dequeue(into); }
    std::size_t try_pop_n(T* into, std::size_t max) { return line_.try_dequeue_bulk(into, max); }

  private:
    std::size_t capacity_;
    moodycamel::ConcurrentQueue<T> line_;
  };
};

struct with_tokens {
  static constexpr bench::facts about = token_facts;

  template <class T>
  class queue {
    using line = moodycamel::ConcurrentQueue<T>;
    struct producer {
      line& all;
      std::size_t capacity;
      moodycamel::ProducerToken token{all};
      bool try_push(const T& value) { return push_within(all, capacity, value, token); }
    };
    struct consumer {
      line& all;
      moodycamel::ConsumerToken token{all};
      bool try_pop(T& into) { return all.try_dequeue(token, into); }
    };

  public:
    queue(std::size_t capacity, std::size_t threads)
        : capacity_{capacity}, line_(capacity, threads, 0) {}
    producer make_producer() { return {line_, capacity_}; }
    consumer make_consumer() { return {line_}; }

  private:
    std::size_t capacity_;
    line line_;
  };
};

/// Waits for messages, never for room. A message without a number ends a wait.
struct blocking_queue {
  static constexpr bench::facts about = [] {
    bench::facts all = plain_facts;
    all.name = "moodycamel BlockingConcurrentQueue";
    all.header = "concurrentqueue/blockingconcurrentqueue.h";
    return all;
  }();

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t threads) : line_(capacity, 0, threads) {}
    bool push(const T& value) { return line_.enqueue(value); }
    bool pop(T& into) {
      line_.wait_dequeue(into);
      return bench::read(into) != 0;
    }
    bool try_pop(T& into) { return line_.try_dequeue(into); }
    void end() { line_.enqueue(T{}); }

  private:
    moodycamel::BlockingConcurrentQueue<T> line_;
  };
};

} // namespace

void bench::enter_all() {
  enter<concurrent_queue>();
  enter<with_tokens>();
  enter_waiting<blocking_queue>();
}
