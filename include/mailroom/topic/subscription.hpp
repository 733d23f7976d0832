// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_SUBSCRIPTION_HPP
#define MAILROOM_TOPIC_SUBSCRIPTION_HPP

// The right to receive what is published to the topics that a filter matches; given back when it is
// destroyed or cancelled. Made by dispatcher.
//
//      dispatcher::subscribe   a subscription with a mailbox of its own: pop, try_pop, run
//      dispatcher::on          a subscription with a handler, which runs in the publisher's thread
//
// A slow subscriber is its own problem: its mailbox has a capacity and an overflow policy. What the
// policy discards is told with the next delivery (missed) and to the publisher (publish_result).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/subscriber.hpp>
#include <mailroom/topic/queued_subscriber.hpp>

#include <cstdint>  // uint64_t
#include <optional> // optional
#include <utility>  // exchange, move

namespace mailroom::inline MAILROOM_ABI {

/// Keep it: a subscription that is thrown away is cancelled at once.
template <message T>
class [[nodiscard]] subscription {
public:
  /// Subscribed to nothing.
  subscription() noexcept = default;
  subscription(subscription&& other) noexcept
      : subscriber_{std::move(other.subscriber_)}, box_{std::exchange(other.box_, nullptr)} {}
  subscription& operator=(subscription&& other) noexcept {
    if (this != &other) {
      cancel();
      subscriber_ = std::move(other.subscriber_);
      box_ = std::exchange(other.box_, nullptr);
    }
    return *this;
  }

  /// Cancels.
  ~subscription() { cancel(); }

  /// Takes the next message; waits for one.
  ///
  /// Caller    anyone, but not while the subscription is moved or destroyed
  /// Progress  blocking: waits for a message
  /// Returns   the message; nullopt once the dispatcher is closed, or this drained, and everything
  ///           was delivered; after cancel(), when stopped, and for a subscription with a handler
  std::optional<delivery<T>> pop() { return pop(never_stop{}); }
  template <stoppable_token S>
  std::optional<delivery<T>> pop(S token) {
    if (box_ == nullptr) return std::nullopt;
    return box_->pop(token);
  }

  /// Takes the next message if there is one.
  ///
  /// Caller    as for pop
  /// Progress  lock-free
  /// Returns   the message; empty; closed; busy
  expected<delivery<T>, queue_status> try_pop() {
    if (box_ == nullptr) return unexpected{queue_status::closed};
    return box_->try_pop();
  }

  /// Hands every message to `handler`, waiting for the next one. It takes a delivery<T>, or just a
  /// T; what takes both gets the delivery.
  ///
  /// Caller    as for pop; several threads share the messages
  /// Progress  blocking: waits for messages
  /// Throws    what `handler` throws; its message is consumed, and run may be called again
  /// Returns   closed, when everything was delivered or after cancel(); or stopped
  template <detail::handler_of<T> F, stoppable_token S = never_stop>
  queue_status run(F&& handler, S token = {}) {
    if (box_ == nullptr) return queue_status::closed;
    const auto kept = subscriber_; // the handler may destroy the subscription
    auto* const box = box_;
    return box->run(handler, token);
  }

  /// Ends the subscription. When it returns no handler of it runs in another thread, and none will;
  /// what was queued is gone, and publishers that waited for room are released. Called by a handler
  /// of the subscription, it does not wait for other handlers of it that have called it too.
  ///
  /// Caller    anyone, also a handler of the subscription itself, even in several threads at once.
  ///           But handlers of two subscriptions that cancel each other's at the same time wait for
  ///           each other
  /// Progress  blocking: waits for handlers in other threads, for other changes of subscriptions,
  ///           and for publishers that are just picking up their list
  void cancel() noexcept {
    const auto kept = subscriber_; // a handler that is destroyed may own this subscription
    if (kept) kept->cancel();
  }

  /// Ends the intake, and waits until the threads that are in run() have handed out what is queued.
  /// What nobody runs is not waited for: it can be popped, and then the answer is closed. Called by
  /// a handler of the subscription, it waits for nobody, and run() goes on to the end of what is
  /// queued. A subscription that was made with on() is cancelled.
  ///
  /// Caller    anyone, also a handler of the subscription; but not a stop callback of its run.
  ///           Handlers of two subscriptions that drain each other's at the same time wait for each
  ///           other
  /// Progress  blocking: waits for handlers, for other changes of subscriptions, and for publishers
  ///           that are just picking up their list
  void drain() noexcept {
    const auto kept = subscriber_; // a handler may destroy the subscription
    if (kept) kept->drain();
  }

  /// Can it still get new messages? Not after cancel() or drain(), nor when the dispatcher is
  /// closed.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  bool is_active() const noexcept { return subscriber_ && subscriber_->is_open(); }

  /// What it was called in the options.
  const char* name() const noexcept { return subscriber_ ? subscriber_->name() : ""; }

  /// How many messages the overflow policy has discarded so far.
  std::uint64_t missed() const noexcept { return box_ == nullptr ? 0 : box_->missed(); }

private:
  template <message U>
  friend class dispatcher;
  explicit subscription(detail::ref<detail::queued_subscriber<T>> made) noexcept
      : subscriber_{made}, box_{made.get()} {}
  explicit subscription(detail::ref<detail::subscriber<T>> made) noexcept
      : subscriber_{std::move(made)} {}

  detail::ref<detail::subscriber<T>> subscriber_;
  detail::queued_subscriber<T>* box_ = nullptr; // the same, if it has a mailbox
};

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_SUBSCRIPTION_HPP
