// SPDX-License-Identifier: MIT
// atomic_queue by Maxim Egorushkin (libatomic-queue-dev): for several threads, and its SPSC mode. A
// call that has claimed a place waits there for the call before it.
#include <bench/harness/program.hpp>

#include <atomic_queue/atomic_queue.h>

#include <memory>      // allocator
#include <type_traits> // conditional_t, is_same_v

namespace {

/// Numbers are kept in std::atomic, where 0 stands for "empty"; anything else needs a state beside.
template <class T, bool Spsc>
using line = std::conditional_t<
    std::is_same_v<T, bench::number>,
    atomic_queue::AtomicQueueB<bench::number, std::allocator<bench::number>, 0, true, false, Spsc>,
    atomic_queue::AtomicQueueB2<T, std::allocator<T>, true, false, Spsc>>;

template <class T, bool Spsc>
class adapter {
public:
  adapter(std::size_t capacity, std::size_t /*threads*/) : line_(static_cast<unsigned>(capacity)) {}
  bool try_push(const T& value) { return line_.try_push(value); }
  bool try_pop(T& into) { return line_.try_pop(into); }

private:
  line<T, Spsc> line_;
};

struct for_many {
  static constexpr bench::facts about{.name = "atomic_queue",
                                      .header = "atomic_queue/atomic_queue.h"};
  template <class T>
  using queue = adapter<T, false>;
};

struct for_two {
  static constexpr bench::facts about{.name = "atomic_queue, SPSC",
                                      .header = "atomic_queue/atomic_queue.h",
                                      .producers = mailroom::arity::one,
                                      .consumers = mailroom::arity::one};
  template <class T>
  using queue = adapter<T, true>;
};

} // namespace

void bench::enter_all() {
  enter<for_many>();
  enter<for_two>();
}
