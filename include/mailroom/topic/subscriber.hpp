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
#include <mailroom/core/status.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/handler_gate.hpp>

#include <cstddef> // size_t
#include <string>  // string
#include <utility> // move

namespace mailroom::inline v0::detail {

template <class T>
class subscriber;

/// How long a full mailbox is waited for, and whether the message may be moved out of the envelope.
enum class patience : unsigned char { none, moment, wait };
enum class transfer : unsigned char { copy, move };

/// Who knows the subscribers, and can forget one.
template <class T>
class subscriber_list : public counted {
public:
  virtual void remove(subscriber<T>& gone) noexcept = 0;
};

/// One subscription, as the publishers see it.
template <class T>
class subscriber : public handler_gate {
public:
  subscriber(topic_filter wanted, const subscription_options& options, ref<subscriber_list<T>> list)
      : filter_{std::move(wanted)}, group_{options.group}, name_{options.name},
        list_{std::move(list)} {}

  const topic_filter& filter() const noexcept { return filter_; }
  const std::string& group() const noexcept { return group_; }
  const char* name() const noexcept { return name_; }

  /// Gives the message to the subscriber.
  ///
  /// Throws    what a handler or the copy of a message throws
  /// Returns   success; full; dropped; closed. The envelope keeps its message unless success
  virtual queue_status offer(envelope<T>& sent, transfer how, patience wait,
                             std::size_t& dropped) = 0;

  /// Is full an answer that is worth waiting on?
  virtual bool blocks() const noexcept = 0;

  /// Is there room, so that an offer would not have to wait or drop?
  virtual bool has_room() const noexcept = 0;

  /// Can it still get new messages?
  virtual bool is_open() const noexcept = 0;

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

private:
  /// Destroys what is queued.
  virtual void drop_messages() noexcept = 0;

  const topic_filter filter_;
  const std::string group_;
  const char* const name_;
  const ref<subscriber_list<T>> list_;
};

} // namespace mailroom::inline v0::detail

#endif // MAILROOM_TOPIC_SUBSCRIBER_HPP
