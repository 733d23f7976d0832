// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_CONTENDERS_MAILBOX_HPP
#define MAILROOM_BENCH_CONTENDERS_MAILBOX_HPP

// A mailbox over a queue of ours as a contender.

#include <bench/contenders/ours.hpp>

#include <mailroom/mailbox/mailbox.hpp>

#include <cstddef> // size_t
#include <utility> // move

namespace bench {

/// Named gives mailbox_name too. With no wait in it, a call is as lock-free as the queue's.
template <class Named>
struct mailbox_over {
  static constexpr facts about = [] {
    facts all = ours<Named>::about;
    all.name = Named::mailbox_name;
    all.header = "mailroom/mailbox/mailbox.hpp";
    return all;
  }();

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : box_(capacity) {}
    bool push(const T& value) { return box_.push(value); }
    bool pop(T& into) {
      auto got = box_.pop();
      if (got) into = std::move(*got);
      return got.has_value();
    }
    bool try_pop(T& into) { return box_.try_pop(into) == mailroom::queue_status::success; }
    void end() { box_.close(); }

  private:
    mailroom::mailbox<T, typename Named::template type<T>> box_;
  };
};

} // namespace bench

#endif // MAILROOM_BENCH_CONTENDERS_MAILBOX_HPP
