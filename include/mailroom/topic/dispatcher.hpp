// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_DISPATCHER_HPP
#define MAILROOM_TOPIC_DISPATCHER_HPP

// Publish and subscribe inside one program: a message goes to everybody whose filter matches its
// topic, and to one member of each group.
//
// Use it       when the same message is for several receivers, or the sender should not know them.
// Instead use  mailbox for one receiver, or for several that share the work.
//
//      publish("orders.eu", m) --> "orders.*"   a mailbox of its own  --> pop, run
//                              --> ">"          a handler, called here and now
//                              --> "orders.eu"  group "audit": one of its members
//
// Publishing to a name that was used before takes no lock. A handle from topic() also spares the
// look-up: as long as no subscription changes, a publish is one load and then the pushes.
//
// Guarantees
//   Order    the messages of one handle, or of one thread that publishes by name, reach a
//            subscription in the order in which they were published. Between publishers there is no
//            order, nor between a message and one that was published because of it.
//   Loss     none with overflow::block and reject answers it; what a policy discards is counted,
//            told to the subscriber with the next delivery, and to the publisher.
//   Failure  a handler that throws costs its own message; all others are still served. The
//            exception goes to on_error, if the dispatcher was made with one.
//   Life     subscribing, cancelling, publishing and closing are legal inside handlers. Dispatcher,
//            subscriptions, handles and deliveries may be destroyed in any order.
//
// A publish in a handler never waits for the subscription of that handler, which would be for
// ever: it is refused there, and says so. Where several handlers wait for each other in a circle,
// only a limit of the publish ends it.
//
// Sources: the words and rules are those of NATS (subjects, queue groups). In dialect mqtt a filter
// `$share/group/filter` makes a group too, as in MQTT Version 5.0 (OASIS Standard), 4.8.2.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/patience.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/subscriber.hpp>
#include <mailroom/topic/queued_subscriber.hpp>
#include <mailroom/topic/direct_subscriber.hpp>
#include <mailroom/topic/subscription.hpp>
#include <mailroom/topic/destinations.hpp>
#include <mailroom/topic/routing.hpp>

#include <concepts>    // copy_constructible, invocable
#include <cstdint>     // uint64_t
#include <string_view> // string_view
#include <type_traits> // decay
#include <utility>     // exchange, forward, move

namespace mailroom::inline MAILROOM_ABI {

template <message T>
class dispatcher;

/// A name to publish to, looked up once. Each copy is a publisher of its own, for one thread, whose
/// sequence begins at 0; a move keeps the publisher.
template <message T>
class topic {
public:
  topic(const topic& other) noexcept : routing_{other.routing_}, route_{other.route_} {}
  topic(topic&& other) noexcept
      : routing_{other.routing_}, route_{other.route_}, seen_{std::move(other.seen_)},
        sequence_{other.sequence_} {}
  topic& operator=(topic other) noexcept {
    routing_ = std::move(other.routing_);
    route_ = other.route_;
    seen_ = std::move(other.seen_);
    sequence_ = other.sequence_;
    return *this;
  }
  ~topic() {
    for (borrowed* each = publishing_; each != nullptr; each = each->outer) each->handle = nullptr;
  }

  /// Publishes to the name. Waits for subscribers whose mailbox is full and whose policy is block.
  ///
  /// Caller    one thread at a time, for each copy
  /// Progress  lock-free with other policies than block, and no handlers; else blocking: waits for
  ///           room, one full mailbox after the other, when all others (of the first 64) have the
  ///           message
  /// Cost      one load, and a push for each destination; a copy of the message for each but one
  /// Throws    the first exception of a handler (unless there is an on_error), or of a copy of the
  ///           message, after everybody else was served
  /// Orders    all before the call happens before the handling of the message
  publish_result publish(const T& value) { return send(value, detail::for_ever); }
  publish_result publish(T&& value) { return send(std::move(value), detail::for_ever); }

  /// The same, but waits for room no longer than a duration, a point in time on any clock, a stop
  /// token, or one of the first two and a token say: publish(value, 10ms, token).
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(const T& value, Limits... limits) {
    return send(value, detail::patience_of(std::move(limits)...));
  }
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(T&& value, Limits... limits) {
    return send(std::move(value), detail::patience_of(std::move(limits)...));
  }

  /// Would anybody get a message that is published now?
  ///
  /// Caller    as for publish
  /// Progress  wait-free
  bool interested() { return !current().all.empty(); }

  /// Lives as long as the handle.
  std::string_view name() const noexcept { return route_->name(); }

private:
  friend class dispatcher<T>;
  using destinations = detail::destinations<T>;
  using list = detail::ref<const destinations>;

  topic(detail::ref<detail::routing<T>> routing, detail::route<T>& to) noexcept
      : routing_{std::move(routing)}, route_{&to} {}

  /// The list that a publish goes through. A handler may publish through the same handle meanwhile,
  /// assign to it, or destroy it.
  struct borrowed {
    topic* handle;
    borrowed* outer;
    list held;
    explicit borrowed(topic& from) noexcept
        : handle{&from}, outer{std::exchange(from.publishing_, this)}, held{std::move(from.seen_)} {
    }
    borrowed(const borrowed&) = delete;
    borrowed& operator=(const borrowed&) = delete;
    ~borrowed() {
      if (handle == nullptr) return;
      handle->publishing_ = outer;
      if (!handle->seen_) handle->seen_ = std::move(held);
    }
  };

  const destinations& current() {
    if (!seen_ || !route_->list.is_current(seen_)) seen_ = route_->list.load(routing_->period());
    return *seen_;
  }
  template <class U, class Limit>
  publish_result send(U&& value, const Limit& limit);

  detail::ref<detail::routing<T>> routing_; // keeps the route
  detail::route<T>* route_;
  list seen_; // of the last publish
  borrowed* publishing_ = nullptr;
  std::uint64_t sequence_ = 0;
};

template <message T>
class dispatcher {
  static_assert(std::copy_constructible<T>,
                "mailroom: a message for several receivers must be copyable; send a shared_ptr");
  static_assert(nothrow_message<T>,
                "mailroom: a dispatcher needs a message whose move cannot throw");

public:
  /// Makes a dispatcher whose names and filters are read in one dialect.
  explicit dispatcher(dialect rules = dialect::nats)
      : routing_{detail::make_counted<detail::routing<T>>(rules)} {}

  /// The same with somebody who is told, by the thread in which it happens, in several perhaps at
  /// once, when a handler throws. `on_error` gets a `const handler_failure<T>&` and may not throw.
  /// Without one the exception goes to the publisher, or to the caller of run.
  template <class F>
    requires std::invocable<std::decay_t<F>&, const handler_failure<T>&>
  dispatcher(dialect rules, F&& on_error)
      : routing_{detail::make_counted<detail::routing<T>>(
            rules, detail::error_hook<T>{std::forward<F>(on_error)})} {}

  /// Closes. Subscriptions and handles may live on.
  ~dispatcher() { close(); }

  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;

  /// Publishes to a name. The dispatcher is then the publishing handle of that name; everything
  /// else is as for topic::publish.
  ///
  /// Caller    anyone
  /// Progress  as for topic::publish; the first use of a name takes the dispatcher's lock
  /// Cost      finding the name and five RMWs more than with a handle; a name is remembered as long
  ///           as the dispatcher or anything of it lives
  /// Throws    also std::invalid_argument for a name that the dialect does not allow
  publish_result publish(std::string_view name, const T& value) {
    return send(name, value, detail::for_ever);
  }
  publish_result publish(std::string_view name, T&& value) {
    return send(name, std::move(value), detail::for_ever);
  }

  /// The same with a limit, as for topic::publish: publish(name, value, 10ms, token).
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(std::string_view name, const T& value, Limits... limits) {
    return send(name, value, detail::patience_of(std::move(limits)...));
  }
  template <class... Limits>
    requires wait_limit<Limits...>
  publish_result publish(std::string_view name, T&& value, Limits... limits) {
    return send(name, std::move(value), detail::patience_of(std::move(limits)...));
  }

  /// Makes a handle for a name.
  ///
  /// Caller    anyone
  /// Progress  blocking: takes the lock, which a change of subscriptions may hold, unless the name
  ///           was used before
  /// Cost      a name is remembered as long as the dispatcher or anything of it lives
  /// Throws    std::invalid_argument for a name that the dialect does not allow; std::bad_alloc
  mailroom::topic<T> topic(std::string_view name) {
    return mailroom::topic<T>{routing_, routing_->intern(name)};
  }

  /// Subscribes with a mailbox. What is published after the return is received.
  ///
  /// Caller    anyone, also a handler
  /// Progress  blocking: waits for other changes of subscriptions, and for publishers that are just
  ///           picking up their list
  /// Cost      O(names that the filter matches * subscriptions)
  /// Throws    std::invalid_argument for a filter that the dialect does not allow, no capacity, or
  ///           groups in filter and options; std::bad_alloc; nothing is subscribed then
  /// Returns   the subscription; closed already if the dispatcher is
  subscription<T> subscribe(std::string_view filter, subscription_options options = {}) {
    using made = detail::queued_subscriber<T>;
    auto subscriber = detail::make_counted<made>(topic_filter{filter, routing_->rules()}, options,
                                                 detail::ref<detail::subscriber_list<T>>{routing_});
    routing_->add(subscriber);
    return subscription<T>{std::move(subscriber)};
  }

  /// Subscribes with a handler, which every publisher calls in its own thread: it may run in
  /// several threads at a time. It takes a delivery<T>, which costs a copy of the message, or just
  /// a T; what takes both gets the delivery. Otherwise as subscribe. The handler is destroyed as
  /// soon as the subscription is cancelled and no thread runs it.
  template <class F>
    requires detail::handler_of<std::decay_t<F>, T>
  subscription<T> on(std::string_view filter, F&& handler) {
    using made = detail::direct_subscriber<T, std::decay_t<F>>;
    detail::ref<detail::subscriber<T>> subscriber = detail::make_counted<made>(
        topic_filter{filter, routing_->rules()}, detail::ref<detail::subscriber_list<T>>{routing_},
        std::forward<F>(handler));
    routing_->add(subscriber);
    return subscription<T>{std::move(subscriber)};
  }

  /// Would anybody get a message that is published to this name now?
  ///
  /// Caller    anyone
  /// Progress  wait-free for a name that was used before; else blocking: takes the lock
  /// Returns   false also for a name that the dialect does not allow
  bool interested(std::string_view name) const noexcept { return routing_->is_wanted(name); }

  /// Ends the intake: what is published from now on matches nobody. Subscribers still get what is
  /// queued, and then closed. Publishers that wait for room are released. Waits for handlers that
  /// run in other threads; a call that finds the dispatcher closed already does not.
  ///
  /// Caller    anyone, also a handler
  /// Progress  blocking: waits for handlers, for changes of subscriptions, and for publishers that
  ///           are just picking up their list
  void close() noexcept { routing_->close(); }

  /// The same, and waits until what is queued was taken, for a duration, until a point in time, a
  /// stop, or one of the first two and a stop: close(1s, token). In a handler that a subscription's
  /// run calls, that subscription is not waited for. The limit is for what is queued, not for
  /// handlers of on(). May be called behind close().
  ///
  /// Caller    anyone, also a handler
  /// Progress  blocking: as close(), and waits for the pops of all subscriptions
  /// Throws    std::bad_alloc; it is closed then
  /// Returns   closed, or why it was not waited for any longer; and how much was left then
  template <class... Limits>
    requires wait_limit<Limits...>
  close_report close(Limits... limits) {
    return routing_->close(detail::patience_of(std::move(limits)...));
  }

private:
  template <class U, class Limit>
  publish_result send(std::string_view name, U&& value, const Limit& limit);

  detail::ref<detail::routing<T>> routing_;
};

// ---- Definitions, in the order of the classes

template <message T>
template <class U, class Limit>
publish_result topic<T>::send(U&& value, const Limit& limit) {
  const std::uint64_t number = sequence_++;
  if (current().all.empty()) return {0, 0, 0};
  detail::envelope<T> sent{T(std::forward<U>(value)), number, route_->name(), 0};
  const borrowed now{*this}; // its subscribers keep the name, should a handler destroy the handle
  return now.held->publish(sent, limit);
}

template <message T>
template <class U, class Limit>
publish_result dispatcher<T>::send(std::string_view name, U&& value, const Limit& limit) {
  detail::route<T>& to = routing_->intern(name);
  const std::uint64_t number = to.next_sequence();
  const auto list = to.list.load(routing_->period());
  if (list->all.empty()) return {0, 0, 0};
  detail::envelope<T> sent{T(std::forward<U>(value)), number, to.name(), 0};
  return list->publish(sent, limit);
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_DISPATCHER_HPP
