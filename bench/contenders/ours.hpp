// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_CONTENDERS_OURS_HPP
#define MAILROOM_BENCH_CONTENDERS_OURS_HPP

// A queue of ours as a contender. What can be known about it comes from its queue_facts; batches
// and handles take part where it has them.

#include <bench/harness/contender.hpp>

#include <cstddef> // size_t

namespace bench {

/// Named gives name, handles_name and header, and `type<T>`, the queue.
template <class Named>
struct ours {
  using promises = mailroom::queue_facts<typename Named::template type<number>>;
  static constexpr bool is_lock_free = promises::push_progress <= mailroom::progress::lock_free &&
                                       promises::pop_progress <= mailroom::progress::lock_free;
  static constexpr facts about{.name = Named::name,
                               .header = Named::header,
                               .from = origin::ours,
                               .producers = promises::producers,
                               .consumers = promises::consumers,
                               .order = promises::order,
                               .lock_free = is_lock_free};

  template <class T>
  class queue {
    using line = typename Named::template type<T>;
    static constexpr auto success = mailroom::queue_status::success;

  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(make(capacity)) {}

    bool try_push(const T& value) { return line_.try_push(value) == success; }
    bool try_pop(T& into) { return line_.try_pop(into) == success; }
    std::size_t try_push_n(const T* first, std::size_t count)
      requires requires(line& all) { all.try_push_range(first, first); }
    {
      return static_cast<std::size_t>(line_.try_push_range(first, first + count) - first);
    }
    std::size_t try_pop_n(T* into, std::size_t max)
      requires requires(line& all) { all.try_pop_n(into, max); }
    {
      return line_.try_pop_n(into, max);
    }

    line& whole() { return line_; }

  private:
    static line make([[maybe_unused]] std::size_t capacity) {
      if constexpr (promises::bounded) {
        return line(capacity);
      } else {
        return line();
      }
    }
    line line_;
  };
};

/// The same through handles.
template <class Named>
struct ours_by_handles {
  static constexpr facts about = [] {
    facts all = ours<Named>::about;
    all.name = Named::handles_name;
    return all;
  }();

  template <class T>
  class queue {
    using line = typename Named::template type<T>;
    using whole = typename ours<Named>::template queue<T>;
    static constexpr auto success = mailroom::queue_status::success;

    struct producer {
      typename line::producer handle;
      bool try_push(const T& value) { return handle.try_push(value) == success; }
    };
    struct consumer {
      typename line::consumer handle;
      bool try_pop(T& into) { return handle.try_pop(into) == success; }
    };

  public:
    queue(std::size_t capacity, std::size_t threads) : whole_{capacity, threads} {}

    producer make_producer() { return {typename line::producer{whole_.whole()}}; }
    consumer make_consumer() { return {typename line::consumer{whole_.whole()}}; }

  private:
    whole whole_;
  };
};

/// Whether the queue has handles.
template <class Named>
concept has_handles = requires(typename Named::template type<number>& line) {
  (typename Named::template type<number>::producer{line});
  (typename Named::template type<number>::consumer{line});
};

} // namespace bench

#endif // MAILROOM_BENCH_CONTENDERS_OURS_HPP
