// SPDX-License-Identifier: MIT
// Boost.Lockfree (libboost-dev)
#include <bench/harness/program.hpp>

#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

namespace {

struct boost_spsc_queue {
  static constexpr bench::facts about{.name = "boost spsc_queue",
                                      .header = "boost/lockfree/spsc_queue.hpp",
                                      .producers = mailroom::arity::one,
                                      .consumers = mailroom::arity::one,
                                      .lock_free = true};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool try_push(const T& value) { return line_.push(value); }
    bool try_pop(T& into) { return line_.pop(into); }
    std::size_t try_push_n(const T* first, std::size_t count) { return line_.push(first, count); }
    std::size_t try_pop_n(T* into, std::size_t max) { return line_.pop(into, max); }

  private:
    boost::lockfree::spsc_queue<T> line_;
  };
};

/// Nodes from a list that is filled beforehand; bounded_push takes no others.
struct boost_queue {
  static constexpr bench::facts about{
      .name = "boost queue", .header = "boost/lockfree/queue.hpp", .lock_free = true};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool try_push(const T& value) { return line_.bounded_push(value); }
    bool try_pop(T& into) { return line_.pop(into); }

  private:
    boost::lockfree::queue<T> line_;
  };
};

} // namespace

void bench::enter_all() {
  enter<boost_spsc_queue>();
  enter<boost_queue>();
}
