// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_QUEUED_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_QUEUED_SUBSCRIBER_HPP

// A subscriber with a mailbox of its own, where its messages wait for pop, try_pop or run.
//
// Use it       never: it is the inside of subscription.
//
// Invariants
//   (I1)  a counter for statistics orders nothing

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/mailbox_access.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/subscriber.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint64_t
#include <optional> // optional
#include <utility>  // as_const, move

namespace mailroom::inline MAILROOM_ABI::detail {

/// A subscriber with a mailbox.
template <class T>
class queued_subscriber final : public subscriber<T> {
public:
  queued_subscriber(topic_filter wanted, const subscription_options& options,
                    ref<subscriber_list<T>> list)
      : subscriber<T>{std::move(wanted), options, std::move(list)}, on_full_{options.on_full},
        box_{mailbox_options{options.capacity, options.on_full, options.name}} {}

  queue_status offer(envelope<T>& sent, transfer how, std::size_t& dropped) override {
    sent.lost = missed();
    counted_loss lost{*this, dropped};
    for (;;) {
      const queue_status status = how == transfer::move
                                      ? box_.try_push(std::move(sent), lost.messages)
                                      : box_.try_push(std::as_const(sent), lost.messages);
      if (status != queue_status::busy) return status;
      yield();
    }
  }
  queued_subscriber* queue() noexcept override { return this; }

  /// The same, but waits for room. Only if full is worth waiting on.
  ///
  /// Returns   success; closed; timeout; stopped
  template <class Deadline, stoppable_token S>
  queue_status offer_until(envelope<T>& sent, transfer how, const Deadline& deadline,
                           const S& token) {
    sent.lost = missed();
    if (how == transfer::copy) {
      return mailbox_access::push_until(box_, std::as_const(sent), deadline, token);
    }
    return mailbox_access::push_until(box_, std::move(sent), deadline, token);
  }

  /// Is it? Not for who is in a handler of it: that would wait for itself.
  bool is_worth_waiting() const noexcept {
    return on_full_ == overflow::block && is_open() && !this->runs_here();
  }
  bool blocks() const noexcept { return on_full_ == overflow::block; }

  /// Is there room, so that an offer would not have to wait or drop?
  bool has_room() const noexcept { return box_.size_approx() < box_.capacity(); }

  /// How many messages wait?
  std::size_t depth() const noexcept { return box_.size_approx(); }

  /// Ends the intake, and waits until all messages are taken; but not in a handler of its own,
  /// which keeps this thread from taking them.
  ///
  /// Returns   closed; timeout; stopped
  template <class Deadline, stoppable_token S>
  queue_status close_and_wait(const Deadline& deadline, const S& token) {
    if (this->runs_here()) return queue_status::closed;
    return mailbox_access::close_and_wait_until(box_, deadline, token);
  }

  void drain() noexcept override {
    box_.close();
    this->retire();
    if (!this->runs_here()) this->wait_for_runs();
  }
  bool is_open() const noexcept override { return !box_.is_closed(); }
  void close() noexcept override { box_.close(); }
  void announce_end() noexcept override { box_.close(); }
  void finish() noexcept override {}

  template <stoppable_token S>
  std::optional<delivery<T>> pop(S token) {
    auto taken = box_.pop(token);
    if (!taken || this->is_cancelled()) return std::nullopt;
    return open(std::move(*taken));
  }

  expected<delivery<T>, queue_status> try_pop() {
    auto taken = box_.try_pop();
    if (this->is_cancelled()) return unexpected{queue_status::closed};
    if (!taken) return unexpected{taken.error()};
    return open(std::move(*taken));
  }

  template <class F, stoppable_token S>
  queue_status run(F& handler, S token) {
    const typename handler_gate::ongoing_run here{*this};
    return box_.run(
        [&](envelope<T>&& taken) { (void)this->run_handler([&] { hand_over(handler, taken); }); },
        token);
  }

  std::uint64_t missed() const noexcept { return lost_.load(memory_order::relaxed); } // (I1)

private:
  template <class F>
  void hand_over(F& handler, envelope<T>& taken) {
    if constexpr (takes_delivery<F, T>) {
      delivery<T> next = open(std::move(taken));
      this->call_handler(next.value, next.sequence, next.topic(),
                         [&] { handler(std::move(next)); });
    } else {
      this->call_handler(taken.value, taken.sequence, taken.topic,
                         [&] { handler(std::as_const(taken.value)); });
    }
  }

  void drop_messages() noexcept override { box_.close(discard); }
  void drop_handler() noexcept override {}

  /// Messages that the policy discards during an offer; counted however the offer ends.
  struct counted_loss {
    queued_subscriber& of;
    std::size_t& told;
    std::size_t messages = 0;
    ~counted_loss() {
      told += messages;
      if (messages != 0) of.lost_.fetch_add(messages, memory_order::relaxed); // (I1)
    }
  };

  /// What was lost before this message and has not been told: under drop_oldest what was discarded
  /// until now, else what had been refused when the message was sent.
  delivery<T> open(envelope<T>&& taken) noexcept {
    const std::uint64_t until = on_full_ == overflow::drop_oldest ? missed() : taken.lost;
    std::uint64_t told = told_.load(memory_order::relaxed);                            // (I1)
    while (told < until && !told_.compare_exchange(told, until, memory_order::relaxed, // (I1)
                                                   memory_order::relaxed)) {           // (I1)
    }
    return {std::move(taken.value), taken.sequence, told < until ? until - told : 0, taken.topic,
            ref<const counted>{this}};
  }

  const overflow on_full_;
  mailbox<envelope<T>> box_;
  atomic<std::uint64_t> lost_;
  atomic<std::uint64_t> told_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_QUEUED_SUBSCRIBER_HPP
