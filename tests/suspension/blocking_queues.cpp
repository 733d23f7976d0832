// SPDX-License-Identifier: MIT
// Queues in which a thread that stands still does stop others: what the probe must find.
#include "worlds.hpp"

#include <mailroom/detail/mutex.hpp>
#include <mailroom/detail/platform.hpp>

#include <deque> // deque

namespace test {
namespace {

using mailroom::detail::memory_order;

/// A deque with a lock.
class locked_queue {
public:
  explicit locked_queue(std::size_t capacity) noexcept : capacity_{capacity} {}
  std::size_t capacity() const noexcept { return capacity_; }

  queue_status try_push(int message) {
    const mailroom::detail::lock_guard held{lock_};
    if (messages_.size() == capacity_) return queue_status::full;
    messages_.push_back(message);
    return queue_status::success;
  }
  mailroom::expected<int, queue_status> try_pop() {
    const mailroom::detail::lock_guard held{lock_};
    if (messages_.empty()) return mailroom::unexpected{queue_status::empty};
    const int first = messages_.front();
    messages_.pop_front();
    return first;
  }

private:
  const std::size_t capacity_;
  mailroom::detail::mutex lock_;
  std::deque<int> messages_;
};

/// Vyukov's ring of tickets: whoever has drawn a ticket owns its slot until the message is in.
class ticket_ring {
public:
  explicit ticket_ring(std::size_t capacity) : slots_(capacity) {
    std::size_t at = 0;
    for (slot& each : slots_) each.turn.store(at++, memory_order::relaxed);
  }
  std::size_t capacity() const noexcept { return slots_.size(); }

  queue_status try_push(int message) {
    std::size_t at = 0;
    slot* const own = draw(tail_, 0, at);
    if (own == nullptr) return queue_status::full;
    own->message = message;
    own->turn.store(at + 1, memory_order::release);
    return queue_status::success;
  }
  mailroom::expected<int, queue_status> try_pop() {
    std::size_t at = 0;
    slot* const own = draw(head_, 1, at);
    if (own == nullptr) return mailroom::unexpected{queue_status::empty};
    const int message = own->message;
    own->turn.store(at + slots_.size(), memory_order::release);
    return message;
  }

private:
  struct slot {
    mailroom::detail::atomic<std::size_t> turn;
    int message = 0;
  };

  slot* draw(mailroom::detail::atomic<std::size_t>& tickets, std::size_t state, std::size_t& at) {
    at = tickets.load(memory_order::relaxed);
    for (;;) {
      slot& next = slots_[at % slots_.size()];
      const std::size_t turn = next.turn.load(memory_order::acquire);
      if (turn < at + state) return nullptr;
      if (turn > at + state) {
        at = tickets.load(memory_order::relaxed);
      } else if (tickets.compare_exchange(at, at + 1, memory_order::relaxed,
                                          memory_order::relaxed)) {
        return &next;
      }
    }
  }

  std::deque<slot> slots_;
  mailroom::detail::atomic<std::size_t> tail_;
  mailroom::detail::atomic<std::size_t> head_;
};

template <class Queue>
scenery carrying(void (*victim)(world<Queue>&)) {
  return [=] {
    const auto all = world_at<Queue>({4, 0, 2});
    const auto carry = [all] {
      (void)all->fill();
      return all->drain() == all->box.capacity();
    };
    return scene{
        [=] { victim(*all); }, {{"others", {}, {{carry}}}}, {}, [=] { return all->fault(); }};
  };
}

template <class Queue>
void add(const std::string& name, std::vector<finding>& into) {
  const auto push = [](world<Queue>& of) { (void)of.push(); };
  const auto pop = [](world<Queue>& of) { (void)of.pop(); };
  into.push_back(examine(name + " try_push", "blocking", {carrying<Queue>(push)}));
  into.push_back(examine(name + " try_pop", "blocking", {carrying<Queue>(pop)}));
}

} // namespace

std::vector<finding> examine_blocking_queues() {
  std::vector<finding> all;
  add<locked_queue>("locked queue", all);
  add<ticket_ring>("ticket ring", all);
  return all;
}

} // namespace test
