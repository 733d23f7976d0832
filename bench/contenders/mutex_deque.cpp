// SPDX-License-Identifier: MIT
// The baseline: what one writes without a library, with the same bound.
#include <bench/harness/program.hpp>

#include <algorithm> // min
#include <cstddef>   // size_t, ptrdiff_t
#include <deque>     // deque
#include <mutex>     // lock_guard, mutex

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

} // namespace

void bench::enter_all() { enter<mutex_deque>(); }
