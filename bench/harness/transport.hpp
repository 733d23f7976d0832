// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_TRANSPORT_HPP
#define MAILROOM_BENCH_HARNESS_TRANSPORT_HPP

// one_to_one and many_to_many: so many messages from some threads to others, through one queue.

#include <bench/harness/contender.hpp>
#include <bench/harness/threads.hpp>

#include <algorithm>  // max, min
#include <cstddef>    // size_t
#include <cstdint>    // int64_t, uint64_t
#include <functional> // function
#include <limits>     // numeric_limits
#include <numeric>    // lcm
#include <vector>     // vector

namespace bench {

struct shape {
  std::size_t producers = 1;
  std::size_t consumers = 1;
  std::size_t batch = 1;
  waiting how = waiting::pause;

  bool is_private() const { return producers == 1 && consumers == 1; }
  bool fits() const { return producers + consumers <= cores().size(); }
};

/// Sends `count` messages, and answers how many were taken before nothing moved any more.
template <class T, class Producer>
std::uint64_t send(Producer& out, number next, std::uint64_t count, const shape& form) {
  patience waits{form.how};
  T value{};
  for (std::uint64_t done = 0; done != count; ++done) {
    write(value, ++next);
    if (!push(out, value, waits, done)) return done;
  }
  return count;
}

template <class T, class Producer>
std::uint64_t send_batches(Producer& out, number next, std::uint64_t count, const shape& form) {
  patience waits{form.how};
  std::vector<T> buffer(form.batch);
  for (std::uint64_t done = 0; done != count;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(form.batch, count - done));
    for (std::size_t i = 0; i != size; ++i) write(buffer[i], ++next);
    for (std::size_t sent = 0; sent != size;) {
      const std::size_t taken = out.try_push_n(buffer.data() + sent, size - sent);
      if (taken == 0 && !waits.lasts(done)) return done;
      sent += taken;
      done += taken;
    }
  }
  return count;
}

/// Receives `count` messages, or as many as come.
template <class T, class Consumer, class Book>
bool receive(Consumer& in, Book& book, std::uint64_t count, patience& waits) {
  T value{};
  for (std::uint64_t done = 0; done != count; ++done) {
    if (!pop(in, value, waits, done)) return false;
    book.enter(read(value));
  }
  return true;
}

template <class T, class Consumer, class Book>
bool receive_batches(Consumer& in, Book& book, std::uint64_t count, patience& waits,
                     std::vector<T>& buffer) {
  for (std::uint64_t done = 0; done != count;) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), count - done));
    const std::size_t got = in.try_pop_n(buffer.data(), wanted);
    if (got == 0 && !waits.lasts(done)) return false;
    for (std::size_t i = 0; i != got; ++i) book.enter(read(buffer[i]));
    done += got;
  }
  return true;
}

/// One thread's part in a transport, as it was in the end.
struct account {
  receipt got;
  std::uint64_t sent = 0;
  parts times;
  bool has_waited_in_vain = false;
};

template <class T, class Queue>
void produce(Queue& queue, std::size_t sender, std::uint64_t count, const shape& form,
             account& mine) {
  auto&& out = producer_of(queue);
  mine.times.start();
  if constexpr (takes_batches<Queue, T>) {
    mine.sent = form.batch == 1 ? send<T>(out, first_number(sender), count, form)
                                : send_batches<T>(out, first_number(sender), count, form);
  } else {
    mine.sent = send<T>(out, first_number(sender), count, form);
  }
  mine.has_waited_in_vain = mine.sent != count;
}

template <class T, class Book, class Queue>
void consume(Queue& queue, std::uint64_t count, const shape& form, account& mine) {
  auto&& in = consumer_of(queue);
  patience waits{form.how};
  Book book{form.producers};
  std::vector<T> buffer(form.batch);
  bool all = true;
  mine.times.start();
  for (std::uint64_t part = 0; part != parts::count; ++part) {
    const std::uint64_t share = parts::share(count, part);
    if constexpr (takes_batches<Queue, T>) {
      all = all && (form.batch == 1 ? receive<T>(in, book, share, waits)
                                    : receive_batches<T>(in, book, share, waits, buffer));
    } else {
      all = all && receive<T>(in, book, share, waits);
    }
    mine.times.end_of_part(part);
  }
  mine.got = book.close();
  mine.has_waited_in_vain = !all;
}

/// What is still in a queue when everybody has got his share: more than was sent, or what others
/// have waited for in vain.
template <class T, class Queue>
void take_the_rest(Queue& queue, account& into, std::uint64_t at_most) {
  auto&& in = consumer_of(queue);
  for (T value{}; at_most != 0 && in.try_pop(value); --at_most) {
    ++into.got.count;
    into.got.sum += read(value);
  }
}

/// What is wrong with the accounts of a transport in which some senders wanted to send `each`.
inline faults balance(const std::vector<account>& accounts, std::uint64_t senders,
                      std::uint64_t each) {
  faults wrong;
  std::uint64_t sent = 0;
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  bool has_waited_in_vain = false;
  for (const account& one : accounts) {
    wrong |= one.got.wrong;
    has_waited_in_vain |= one.has_waited_in_vain;
    sent += one.sent;
    count += one.got.count;
    sum += one.got.sum;
  }
  std::uint64_t expected = 0;
  for (std::size_t sender = 0; sender != senders; ++sender) {
    expected += each * first_number(sender) + each * (each + 1) / 2;
  }
  wrong.lost |= count < sent;
  wrong.doubled |= count > sent;
  wrong.stuck |= has_waited_in_vain && count == sent;
  wrong.damaged |= count == senders * each && sum != expected;
  return wrong;
}

/// What a transport has shown: the nanoseconds for each message, and whether all were well.
inline outcome transported(const std::vector<account>& accounts, const shape& form,
                           std::uint64_t each) {
  std::int64_t begin = std::numeric_limits<std::int64_t>::max();
  std::int64_t end = 0;
  outcome result;
  for (const account& one : accounts) {
    begin = std::min(begin, one.times.first());
    end = std::max(end, one.times.last());
    if (one.got.count != 0) result.disturbed |= form.fits() && one.times.one_is_far_longer();
  }
  result.ns = static_cast<double>(end - begin) / static_cast<double>(each * form.producers);
  result.wrong = balance(accounts, form.producers, each);
  return result;
}

/// Sends about `messages` in all, and answers the nanoseconds that each has taken.
template <class T, class Queue>
outcome transport(Queue& queue, const shape& form, std::uint64_t messages) {
  const std::uint64_t unit = std::lcm(form.producers, form.consumers) * form.batch;
  messages = (messages + unit - 1) / unit * unit;
  const std::uint64_t each = messages / form.producers;

  std::vector<account> accounts(form.producers + form.consumers);
  std::vector<std::function<void()>> bodies; // by turns, so that a pair gets two cores
  for (std::size_t i = 0; i != std::max(form.producers, form.consumers); ++i) {
    if (i < form.producers) {
      account& mine = accounts[bodies.size()];
      bodies.emplace_back([&, i] { produce<T>(queue, i, each, form, mine); });
    }
    if (i < form.consumers) {
      account& mine = accounts[bodies.size()];
      bodies.emplace_back([&] {
        const std::uint64_t share = messages / form.consumers;
        form.is_private() ? consume<T, private_book>(queue, share, form, mine)
                          : consume<T, shared_book>(queue, share, form, mine);
      });
    }
  }
  run_pinned(bodies);
  take_the_rest<T>(queue, accounts.front(), messages);
  return transported(accounts, form, each);
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_TRANSPORT_HPP
