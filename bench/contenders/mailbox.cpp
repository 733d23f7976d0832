// SPDX-License-Identifier: MIT
// A mailbox over a queue of ours, and the bare queue beside it where nobody waits: what is between
// them is the price of being able to wait. Built once for each queue.
#include <bench/contenders/ours.hpp>
#include <bench/harness/program.hpp>

#include <mailroom/mailbox/mailbox.hpp>

#include <named.hpp>

#include <cstddef> // size_t
#include <utility> // move

namespace {

using bench::named;

/// Called with no wait in it, a mailbox is as lock-free as its queue.
struct mailbox_over_named {
  static constexpr bench::facts about = [] {
    bench::facts all = bench::ours<named>::about;
    all.name = named::mailbox_name;
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
    mailroom::mailbox<T, named::type<T>> box_;
  };
};

constexpr bench::facts bare = [] {
  bench::facts all = bench::ours<named>::about;
  all.name = named::bare_name;
  all.from = bench::origin::limit;
  return all;
}();

} // namespace

void bench::enter_all() {
  enter_waiting<mailbox_over_named>();
  enter_waiting_single<ours<named>::queue<number>>(bare);
}
