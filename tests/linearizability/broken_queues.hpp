// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_LINEARIZABILITY_BROKEN_QUEUES_HPP
#define MAILROOM_TESTS_LINEARIZABILITY_BROKEN_QUEUES_HPP

// Queues with a fault, to see that the checker finds it in a real run.
//
//   faulty_queue   a deque behind a lock that does one thing wrong, once in a hundred chances; with
//                  fault::none it does nothing wrong, and must not be accused
//   ticket_ring    Vyukov's ring of tickets, as it is used everywhere: a producer that stands still
//                  inside makes it answer empty though later pushes are over, and full likewise
//   late_count     looks for room first and counts afterwards, so that two producers take one place
//   shared_front   a ring for one consumer, used by two
//
// Source: Vyukov, Bounded MPMC queue, 1024cores.net (the ring of tickets).

#include <mailroom/core/status.hpp>

#include <linearizability/history.hpp>

#include <atomic>  // atomic
#include <cstddef> // size_t
#include <cstdint> // int64_t, uint64_t
#include <deque>   // deque
#include <memory>  // unique_ptr, make_unique
#include <mutex>   // lock_guard, mutex
#include <thread>  // this_thread
#include <utility> // swap

namespace linearizability {

using mailroom::queue_status;

enum class fault {
  none,
  early_full,     ///< full, though one place is free
  early_empty,    ///< empty, though there is a message
  one_too_many,   ///< the size is compared with <= instead of <
  swaps,          ///< a message overtakes the one before it
  loses,          ///< a push succeeds, and its message is gone
  doubles,        ///< a pop leaves its message inside
  invents,        ///< a pop answers a message that nobody sent
  closed_early,   ///< somebody is told closed before close
  admits_late,    ///< a push succeeds though it began after close
  empty_at_end,   ///< a pop says empty after somebody was told closed
  forgets_at_end, ///< a pop is told closed while a message is inside
};

template <fault Fault>
class faulty_queue {
public:
  using value_type = number;

  explicit faulty_queue(std::size_t capacity) : capacity_{capacity} {}

  queue_status try_push(number value) {
    const std::lock_guard held{lock_};
    if (closed_ && !is_time(fault::admits_late)) return queue_status::closed;
    if (is_time(fault::closed_early)) return queue_status::closed;
    const std::size_t most = capacity_ + (Fault == fault::one_too_many ? 1 : 0);
    if (messages_.size() >= most) return queue_status::full;
    if (messages_.size() + 1 == most && is_time(fault::early_full)) return queue_status::full;
    if (is_time(fault::loses)) return queue_status::success;
    messages_.push_back(value);
    if (messages_.size() > 1 && is_time(fault::swaps)) {
      std::swap(messages_.back(), messages_[messages_.size() - 2]);
    }
    return queue_status::success;
  }

  queue_status try_pop(number& into) {
    const std::lock_guard held{lock_};
    if (closed_ && is_time(fault::forgets_at_end)) return queue_status::closed;
    if (messages_.empty()) {
      if (closed_ && !is_time(fault::empty_at_end)) return queue_status::closed;
      return queue_status::empty;
    }
    if (is_time(fault::early_empty)) return queue_status::empty;
    into = is_time(fault::invents) ? invented + static_cast<number>(chances_) : messages_.front();
    if (!is_time(fault::doubles)) messages_.pop_front();
    return queue_status::success;
  }

  void close() {
    const std::lock_guard held{lock_};
    closed_ = true;
  }

private:
  static constexpr number invented = 100'000; // more than are sent

  /// Is this the chance to do the one thing that this queue does wrong?
  bool is_time(fault which) { return which == Fault && ++chances_ % period == 0; }
  static constexpr int period =
      Fault == fault::admits_late || Fault == fault::empty_at_end || Fault == fault::forgets_at_end
          ? 1 // there are few chances after the end
          : 100;

  const std::size_t capacity_;
  std::mutex lock_;
  std::deque<number> messages_;
  int chances_ = 0;
  bool closed_ = false;
};

/// A ring whose slots say whose turn it is. Its answers are those of the slot, not of the queue.
class ticket_ring {
public:
  using value_type = number;

  explicit ticket_ring(std::size_t capacity)
      : capacity_{capacity}, slots_{std::make_unique<slot[]>(capacity)} {
    for (std::size_t i = 0; i != capacity; ++i) slots_[i].turn.store(i);
  }

  queue_status try_push(number value) {
    std::uint64_t at = tail_.load();
    for (;;) {
      slot& mine = slots_[at % capacity_];
      const auto ahead = static_cast<std::int64_t>(mine.turn.load() - at);
      if (ahead < 0) return queue_status::full;
      if (ahead == 0 && tail_.compare_exchange_weak(at, at + 1)) {
        dawdle(at);
        mine.value = value;
        mine.turn.store(at + 1);
        return queue_status::success;
      }
      if (ahead > 0) at = tail_.load();
    }
  }

  queue_status try_pop(number& into) {
    std::uint64_t at = head_.load();
    for (;;) {
      slot& mine = slots_[at % capacity_];
      const auto ahead = static_cast<std::int64_t>(mine.turn.load() - (at + 1));
      if (ahead < 0) return queue_status::empty;
      if (ahead == 0 && head_.compare_exchange_weak(at, at + 1)) {
        dawdle(at);
        into = mine.value;
        mine.turn.store(at + capacity_);
        return queue_status::success;
      }
      if (ahead > 0) at = head_.load();
    }
  }

private:
  struct slot {
    std::atomic<std::uint64_t> turn{0};
    number value = 0;
  };

  /// Stands still in the middle now and then, as a thread does when its core is taken away.
  static void dawdle(std::uint64_t at) {
    if (at % 64 == 0) std::this_thread::yield();
  }

  const std::size_t capacity_;
  const std::unique_ptr<slot[]> slots_;
  std::atomic<std::uint64_t> tail_{0};
  std::atomic<std::uint64_t> head_{0};
};

/// Whoever finds room goes in, and only then is counted.
class late_count {
public:
  using value_type = number;

  explicit late_count(std::size_t capacity) : capacity_{capacity} {}

  queue_status try_push(number value) {
    if (size_.load() >= capacity_) return queue_status::full;
    if (value % 16 == 0) std::this_thread::yield();
    size_.fetch_add(1);
    const std::lock_guard held{lock_};
    messages_.push_back(value);
    return queue_status::success;
  }
  queue_status try_pop(number& into) {
    const std::lock_guard held{lock_};
    if (messages_.empty()) return queue_status::empty;
    into = messages_.front();
    messages_.pop_front();
    size_.fetch_sub(1);
    return queue_status::success;
  }

private:
  const std::size_t capacity_;
  std::atomic<std::size_t> size_{0};
  std::mutex lock_;
  std::deque<number> messages_;
};

/// The front is read, and written later: two consumers may have read the same.
class shared_front {
public:
  using value_type = number;

  explicit shared_front(std::size_t capacity)
      : capacity_{capacity}, slots_{std::make_unique<std::atomic<number>[]>(capacity)} {}

  queue_status try_push(number value) {
    const std::uint64_t tail = tail_.load();
    if (tail - head_.load() >= capacity_) return queue_status::full;
    slots_[tail % capacity_].store(value);
    tail_.store(tail + 1);
    return queue_status::success;
  }
  queue_status try_pop(number& into) {
    const std::uint64_t head = head_.load();
    if (head >= tail_.load()) return queue_status::empty;
    into = slots_[head % capacity_].load();
    if (head % 64 == 0) std::this_thread::yield();
    head_.store(head + 1);
    return queue_status::success;
  }

private:
  const std::size_t capacity_;
  const std::unique_ptr<std::atomic<number>[]> slots_;
  std::atomic<std::uint64_t> tail_{0};
  std::atomic<std::uint64_t> head_{0};
};

} // namespace linearizability

#endif // MAILROOM_TESTS_LINEARIZABILITY_BROKEN_QUEUES_HPP
