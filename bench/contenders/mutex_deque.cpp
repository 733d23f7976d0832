// SPDX-License-Identifier: MIT
// The baseline: what one writes without a library, with the same bound. One waits, one does not.
#include <bench/harness/program.hpp>

#include <algorithm>          // min
#include <condition_variable> // condition_variable
#include <cstddef>            // size_t, ptrdiff_t
#include <deque>              // deque
#include <mutex>              // lock_guard, mutex, unique_lock

namespace {

struct mutex_deque {
  static constexpr bench::facts about{
      .name = "std::mutex + std::deque", .header = "deque", .from = bench::origin::baseline};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : capacity_{capacity} {}

    bool try_push(const T& value) {
      const std::lock_guard held{lock_};
      if (values_.size() == capacity_) return false;
      values_.push_back(value);
      return true;
    }
    bool try_pop(T& into) {
      const std::lock_guard held{lock_};
      if (values_.empty()) return false;
      into = values_.front();
      values_.pop_front();
      return true;
    }
    std::size_t try_push_n(const T* first, std::size_t count) {
      const std::lock_guard held{lock_};
      count = std::min(count, capacity_ - values_.size());
      values_.insert(values_.end(), first, first + count);
      return count;
    }
    std::size_t try_pop_n(T* into, std::size_t max) {
      const std::lock_guard held{lock_};
      max = std::min(max, values_.size());
      const auto end = values_.begin() + static_cast<std::ptrdiff_t>(max);
      std::copy(values_.begin(), end, into);
      values_.erase(values_.begin(), end);
      return max;
    }

  private:
    std::size_t capacity_;
    std::mutex lock_;
    std::deque<T> values_;
  };
};

/// The same with two conditions to wait for.
struct condition_deque {
  static constexpr bench::facts about{.name = "std::mutex + std::condition_variable",
                                      .header = "deque",
                                      .from = bench::origin::baseline};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : capacity_{capacity} {}

    bool push(const T& value) {
      {
        std::unique_lock held{lock_};
        not_full_.wait(held, [this] { return is_over_ || values_.size() != capacity_; });
        if (is_over_) return false;
        values_.push_back(value);
      }
      not_empty_.notify_one();
      return true;
    }
    bool pop(T& into) {
      {
        std::unique_lock held{lock_};
        not_empty_.wait(held, [this] { return is_over_ || !values_.empty(); });
        if (values_.empty()) return false;
        into = values_.front();
        values_.pop_front();
      }
      not_full_.notify_one();
      return true;
    }
    bool try_pop(T& into) {
      const std::lock_guard held{lock_};
      if (values_.empty()) return false;
      into = values_.front();
      values_.pop_front();
      return true;
    }
    void end() {
      {
        const std::lock_guard held{lock_};
        is_over_ = true;
      }
      not_empty_.notify_all();
      not_full_.notify_all();
    }

  private:
    std::size_t capacity_;
    std::mutex lock_;
    std::condition_variable not_empty_;
    std::condition_variable not_full_;
    std::deque<T> values_;
    bool is_over_ = false;
  };
};

} // namespace

void bench::enter_all() {
  enter<mutex_deque>();
  enter_waiting<condition_deque>();
}
