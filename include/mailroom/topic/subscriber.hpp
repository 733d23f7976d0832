// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_SUBSCRIBER_HPP

// A subscription as the publishers see it: somebody to offer a message to.
//
// Use it       never: it is the inside of subscription and dispatcher.
//
//      queued_subscriber   a mailbox; the messages wait there for pop, try_pop or run
//      direct_subscriber   a handler, which runs in the publisher's thread

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/detail/hook.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/handler_gate.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // current_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T>
class subscriber;
template <class T>
class queued_subscriber;

/// May the message be moved out of the envelope?
enum class transfer : unsigned char { copy, move };

template <class T>
using error_hook = hook<const handler_failure<T>&>;

/// Who knows the subscribers, can forget one, and is told when a handler throws.
template <class T>
class subscriber_list : public counted {
public:
  explicit subscriber_list(error_hook<T> told) noexcept : on_error{std::move(told)} {}
  /// Gives it no message any more; the one forgets it, the other knows it while it is emptied.
  virtual void remove(subscriber<T>& gone) noexcept = 0;
  virtual void retire(subscriber<T>& ended) noexcept = 0;

  const error_hook<T> on_error;
};

/// The group of a subscription. In mqtt a filter may name one: the filter is part of it then, so
/// that `$share/g/a/+` and `$share/g/#` are two groups.
///
/// Throws    std::invalid_argument when both name one
inline std::string group_for(const topic_filter& filter, const subscription_options& options) {
  if (filter.group().empty()) return std::string{options.group};
  if (!options.group.empty()) {
    throw_invalid_argument("mailroom: a group in the filter and another one in the options");
  }
  return std::string{filter.pattern()};
}

/// One subscription, as the publishers see it.
template <class T>
class subscriber : public handler_gate {
public:
  subscriber(topic_filter wanted, const subscription_options& options, ref<subscriber_list<T>> list)
      : filter_{std::move(wanted)}, group_{group_for(filter_, options)}, name_{options.name},
        list_{std::move(list)} {}

  const topic_filter& filter() const noexcept { return filter_; }
  const std::string& group() const noexcept { return group_; }
  const char* name() const noexcept { return name_; }

  /// Gives the message to the subscriber, without waiting for room.
  ///
  /// Throws    what a handler or the copy of a message throws
  /// Returns   success; full; dropped; closed. The envelope keeps its message unless success
  virtual queue_status offer(envelope<T>& sent, transfer how, std::size_t& dropped) = 0;

  /// The subscriber, if it is one with a mailbox.
  virtual queued_subscriber<T>* queue() noexcept { return nullptr; }

  /// Can it still get new messages?
  virtual bool is_open() const noexcept = 0;

  /// Ends the intake, and waits until what is queued was handed out by those who do that; if
  /// nobody does, or this thread, does not wait.
  virtual void drain() noexcept = 0;

  /// Ends the intake. What is queued stays.
  virtual void close() noexcept = 0;

  /// The dispatcher ends: first all are told, so that none waits for another, then each is waited
  /// for. A mailbox stays until it is empty; a handler must not run any more.
  virtual void announce_end() noexcept = 0;
  virtual void finish() noexcept = 0;

  /// Ends everything, and waits for the handlers that run in other threads.
  void cancel() noexcept {
    this->refuse();
    close();
    list_->remove(*this);
    const bool nobody_runs = this->wait_for_handlers();
    drop_messages();
    if (nobody_runs) this->drop_handler_once();
  }

protected:
  /// Gets no message any more; what is queued is still to be taken.
  void retire() noexcept { list_->retire(*this); }

  /// Calls a handler with a message. What it throws goes to the dispatcher's on_error, if there is
  /// one.
  template <class Call>
  void call_handler([[maybe_unused]] const T& value, [[maybe_unused]] std::uint64_t sequence,
                    [[maybe_unused]] std::string_view topic, Call&& call) {
#if MAILROOM_EXCEPTIONS
    if (list_->on_error) {
      try {
        std::forward<Call>(call)();
      } catch (...) {
        list_->on_error(
            {std::current_exception(), value, sequence, topic, name_, filter_.pattern()});
      }
      return;
    }
#endif
    std::forward<Call>(call)();
  }

private:
  /// Destroys what is queued.
  virtual void drop_messages() noexcept = 0;

  const topic_filter filter_;
  const std::string group_;
  const char* const name_;
  const ref<subscriber_list<T>> list_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_SUBSCRIBER_HPP
