// SPDX-License-Identifier: MIT
// libcds (libcds-dev): Vyukov's ring, and the weak ring buffer for one producer and one consumer.
#include <bench/harness/program.hpp>

#include <cds/container/vyukov_mpmc_cycle_queue.h>
#include <cds/container/weak_ringbuffer.h>

namespace {

struct weak_ring {
  static constexpr bench::facts about{.name = "libcds WeakRingBuffer",
                                      .header = "cds/container/weak_ringbuffer.h",
                                      .producers = mailroom::arity::one,
                                      .consumers = mailroom::arity::one,
                                      .lock_free = true};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool try_push(const T& value) { return line_.push(value); }
    bool try_pop(T& into) { return line_.pop(into); }

  private:
    cds::container::WeakRingBuffer<T> line_;
  };
};

struct vyukov {
  static constexpr bench::facts about{.name = "libcds VyukovMPMCCycleQueue",
                                      .header = "cds/container/vyukov_mpmc_cycle_queue.h"};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool try_push(const T& value) { return line_.push(value); }
    bool try_pop(T& into) { return line_.pop(into); }

  private:
    cds::container::VyukovMPMCCycleQueue<T> line_;
  };
};

} // namespace

void bench::enter_all() {
  enter<weak_ring>();
  enter<vyukov>();
}
