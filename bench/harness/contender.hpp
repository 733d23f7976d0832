// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_CONTENDER_HPP
#define MAILROOM_BENCH_HARNESS_CONTENDER_HPP

// What a contender looks like:
//
//      struct boost_spsc {
//        static constexpr bench::facts about{.name = "boost spsc_queue", ...};
//        template <class T>
//        class queue {
//          queue(std::size_t capacity, std::size_t threads);
//          bool try_push(const T&);
//          bool try_pop(T&);
//          std::size_t try_push_n(const T*, std::size_t);   optional
//          std::size_t try_pop_n(T*, std::size_t);          optional
//          P make_producer();    optional: what a thread pushes through, where it is not the queue
//          C make_consumer();
//          bool push(const T&);    optional: these wait for room, or for a message, and
//          bool pop(T&);           answer false if the wait was ended
//          void end();             ends all waits; called from another thread, if it is stuck
//        };
//      };
//
// A contender that cannot carry some T constrains its queue: template <std::same_as<number> T>.

#include <bench/harness/machine.hpp>
#include <bench/harness/message.hpp>

#include <mailroom/core/concepts.hpp>

#include <concepts> // convertible_to, same_as
#include <cstddef>  // size_t
#include <cstdint>  // uint64_t

namespace bench {

/// Ours, those of others, what one writes without a library, and what the machine itself can do.
enum class origin : unsigned char { ours, peer, baseline, limit };

/// What is known about a contender beforehand. Marks in the tables come from here.
struct facts {
  const char* name;
  const char* header;
  origin from = origin::peer;
  mailroom::arity producers = mailroom::arity::many;
  mailroom::arity consumers = mailroom::arity::many;
  mailroom::ordering order = mailroom::ordering::fifo;
  bool lock_free = false;  ///< a thread that stands still inside a call stops nobody
  bool own_memory = false; ///< it does not come from malloc, so that nobody can count it
};

template <class Contender, class T>
using queue_of = typename Contender::template queue<T>;

template <class Contender, class T>
concept carries = requires { typename Contender::template queue<T>; };

template <class Queue, class T>
concept takes_batches = requires(Queue& queue, T* messages, std::size_t count) {
  { queue.try_push_n(messages, count) } -> std::convertible_to<std::size_t>;
  { queue.try_pop_n(messages, count) } -> std::convertible_to<std::size_t>;
};

/// What a thread pushes through and pops through: a handle, or the queue itself.
template <class Queue>
decltype(auto) producer_of(Queue& queue) {
  if constexpr (requires { queue.make_producer(); }) {
    return queue.make_producer();
  } else {
    return (queue);
  }
}
template <class Queue>
decltype(auto) consumer_of(Queue& queue) {
  if constexpr (requires { queue.make_consumer(); }) {
    return queue.make_consumer();
  } else {
    return (queue);
  }
}

/// A queue's calls that wait, in the place of those that do not.
template <class Queue>
class unwaited {
public:
  unwaited(std::size_t capacity, std::size_t threads) : queue_{capacity, threads} {}
  bool try_push(const number& value) { return queue_.push(value); }
  bool try_pop(number& into) { return queue_.pop(into); }

private:
  Queue queue_;
};

/// Pushes until it succeeds; false when the patience is over.
template <class Producer, class T>
bool push(Producer& out, const T& value, patience& waits, std::uint64_t done) {
  while (!out.try_push(value)) {
    if (!waits.lasts(done)) return false;
  }
  return true;
}

template <class Consumer, class T>
bool pop(Consumer& in, T& value, patience& waits, std::uint64_t done) {
  while (!in.try_pop(value)) {
    if (!waits.lasts(done)) return false;
  }
  return true;
}

/// What a sample has measured. The three figures mean what the scenario says; the first one is the
/// one that is compared.
struct outcome {
  double ns = 0;
  double second = 0;
  double third = 0;
  bool disturbed = false; ///< the core was taken away meanwhile
  faults wrong;
};

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_CONTENDER_HPP
