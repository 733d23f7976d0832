// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUSPENSION_WORLDS_HPP
#define MAILROOM_TESTS_SUSPENSION_WORLDS_HPP

// A queue, or a mailbox, with books on what went in and what came out, and the things that threads
// do with it.

#include "probe.hpp"

#include <mailroom/core/status.hpp>

#include <algorithm> // min
#include <cstddef>   // size_t
#include <iterator>  // back_inserter
#include <map>       // map
#include <memory>    // shared_ptr
#include <mutex>     // mutex, lock_guard
#include <string>    // string, to_string
#include <utility>   // forward
#include <vector>    // vector

namespace test {

using mailroom::queue_status;

/// What went in and what came out. Threads write into it between operations only.
class books {
public:
  int fresh() {
    const std::lock_guard held{lock_};
    return ++last_;
  }
  void in(int message) { add(message, 1); }
  void out(int message) { add(message, -1); }

  /// Once all is out: how many did not come; below 0 if one came twice.
  long lost() const {
    long count = 0;
    for (const auto& [message, missing] : inside_) {
      if (missing < 0) return missing;
      count += missing;
    }
    return count;
  }

  /// Once all is out.
  std::string fault() const {
    for (const auto& [message, missing] : inside_) {
      if (missing > 0) return "message " + std::to_string(message) + " was lost";
      if (missing < 0) return "message " + std::to_string(message) + " came once too often";
    }
    return "";
  }

private:
  void add(int message, int by) {
    const std::lock_guard held{lock_};
    inside_[message] += by;
  }

  std::mutex lock_;
  std::map<int, int> inside_;
  int last_ = 0;
};

template <class Box>
struct world {
  Box box;
  books book{};

  template <class... Args>
  explicit world(Args&&... args) : box(std::forward<Args>(args)...) {}

  queue_status push() {
    const int message = book.fresh();
    const queue_status status = box.try_push(message);
    if (status == queue_status::success) book.in(message);
    return status;
  }
  queue_status pop() {
    const auto result = box.try_pop();
    if (result) book.out(*result);
    return result.error();
  }
  std::size_t push_range(std::size_t count) {
    std::vector<int> messages(count);
    for (int& each : messages) each = book.fresh();
    const auto rest = box.try_push_range(messages.begin(), messages.end());
    const auto in = static_cast<std::size_t>(rest - messages.begin());
    for (std::size_t i = 0; i != in; ++i) book.in(messages[i]);
    return in;
  }
  std::size_t pop_n(std::size_t count) {
    std::vector<int> messages;
    box.try_pop_n(std::back_inserter(messages), count);
    for (const int each : messages) book.out(each);
    return messages.size();
  }
  std::size_t consume_all() {
    return box.consume_all([this](auto&& each) { book.out(each); });
  }

  /// Until it is full, or empty.
  std::size_t fill() {
    std::size_t count = 0;
    while (push() == queue_status::success) ++count;
    return count;
  }
  std::size_t drain() {
    std::size_t count = 0;
    while (pop() == queue_status::success) ++count;
    return count;
  }

  /// Once nobody is at work: it still carries exactly its capacity, and nothing was lost.
  std::string fault() {
    drain();
    const bool is_open = push() != queue_status::closed;
    if (is_open && (fill() + 1 != box.capacity() || drain() != box.capacity())) {
      return "it does not hold its capacity any more";
    }
    return book.fault();
  }
};

/// Where a queue stands when the victim begins: `passed` messages went through, `inside` are there.
struct state {
  std::size_t capacity;
  std::size_t passed;
  std::size_t inside;
};

template <class Box>
std::shared_ptr<world<Box>> world_at(const state& at) {
  auto made = std::make_shared<world<Box>>(at.capacity);
  for (std::size_t i = 0; i != at.passed; ++i) (void)made->push(), (void)made->pop();
  for (std::size_t i = 0; i != at.inside; ++i) (void)made->push();
  return made;
}

/// Capacities 1, 2 and 3, from empty to full. The hints of an mpmc_queue move at every eighth
/// position, so the front or the end stands just before one in some of them.
inline std::vector<state> all_states() {
  std::vector<state> all;
  for (std::size_t capacity = 1; capacity != 4; ++capacity) {
    for (std::size_t inside = 0; inside <= capacity; ++inside) {
      all.push_back({capacity, 0, inside});
      all.push_back({capacity, 7, inside});
      if (inside != 0) all.push_back({capacity, 7 - inside, inside});
    }
  }
  return all;
}

} // namespace test

#endif // MAILROOM_TESTS_SUSPENSION_WORLDS_HPP
