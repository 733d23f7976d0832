// SPDX-License-Identifier: MIT
// oneTBB (libtbb-dev). Its memory comes from an allocator of its own.
#include <bench/harness/program.hpp>

#include <tbb/concurrent_queue.h>

namespace {

struct tbb_queue {
  static constexpr bench::facts about{.name = "tbb concurrent_bounded_queue",
                                      .header = "tbb/concurrent_queue.h",
                                      .own_memory = true};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) {
      line_.set_capacity(static_cast<std::ptrdiff_t>(capacity));
    }
    bool try_push(const T& value) { return line_.try_push(value); }
    bool try_pop(T& into) { return line_.try_pop(into); }

    bool push(const T& value) try {
      line_.push(value);
      return true;
    } catch (const tbb::user_abort&) {
      return false;
    }
    bool pop(T& into) try {
      line_.pop(into);
      return true;
    } catch (const tbb::user_abort&) {
      return false;
    }
    void end() { line_.abort(); }

  private:
    tbb::concurrent_bounded_queue<T> line_;
  };
};

} // namespace

void bench::enter_all() {
  enter<tbb_queue>();
  enter_waiting<tbb_queue>();
}
