// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_SUBSCRIBER_HPP
#define MAILROOM_TOPIC_SUBSCRIBER_HPP

// A subscription as the publishers see it: somebody to offer a message to.
//
// Use it       never: it is the inside of subscription and dispatcher. What a user meets of it are
//              subscription_options and delivery.
//
//      queued_subscriber   a mailbox; the messages wait there for pop, try_pop or run
//      direct_subscriber   a handler, which runs in the publisher's thread
//
// Invariants
//   (I1)  after cancel() has returned no handler of the subscriber begins, and none runs but for
//         those that the calling thread is in, and, if it is in one, those excused by (I4)
//   (I2)  a handler that throws costs the message that it was given, and no other
//   (I3)  a counter for statistics orders nothing
//   (I4)  a handler that has cancelled is excused until it leaves: others that cancel inside do not
//         wait for it. It stops being excused before it stops running, and is looked at in the
//         opposite order, so nobody is excused for another
//   (I5)  whoever wants to destroy the handler has seen that nobody runs it; one of them does
//
// Memory order
//   (D)   Dekker: whoever runs a handler counts itself and then looks at cancelled; cancel() sets
//         cancelled and then looks at the count; all four are seq_cst. One sees the other. And:
//         whoever changes what others wait for does so by a seq_cst RMW, then looks for sleepers.
//   (L)   left: what a handler did -> the cancel() that waited for it.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/event_count.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/topic/filter.hpp>

#include <chrono>      // milliseconds
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <optional>    // optional
#include <string>      // string
#include <string_view> // string_view
#include <type_traits> // is_invocable
#include <utility>     // as_const, forward, move

namespace mailroom::inline v0 {

struct subscription_options {
  std::size_t capacity = 1024;        ///< messages that wait at most
  overflow on_full = overflow::block; ///< what a publish does when they do
  std::string_view group = {};        ///< members of one group share its messages
  const char* name = "";              ///< for statistics and traces; must outlive the subscription
};

/// What a subscriber receives.
template <message T>
struct delivery {
  T value;
  std::uint64_t sequence; ///< counts the messages of the publishing handle, from 0

  /// Messages that the overflow policy discarded, told here for the first time: those before this
  /// one. (Under drop_oldest, a message that is discarded in the very moment in which this one is
  /// taken may be told with this one or the next.) The sum is exact. What overflow::reject refused
  /// was told to the publisher, and is not counted.
  std::uint64_t missed;

  /// The name that it was published to. Lives as long as the delivery, whatever else ends.
  std::string_view topic() const noexcept { return topic_; }

  delivery(T&& message, std::uint64_t number, std::uint64_t lost, std::string_view topic,
           detail::ref<const detail::counted> keeper) noexcept
      : value(std::move(message)), sequence{number}, missed{lost}, topic_{topic},
        keeper_{std::move(keeper)} {}

private:
  std::string_view topic_;
  detail::ref<const detail::counted> keeper_; // what the name lives in
};

namespace detail {

/// A message on its way to one subscriber.
template <class T>
struct envelope {
  T value;
  std::uint64_t sequence;
  std::string_view topic; // lives as long as the routing
  std::uint64_t lost;     // what the subscriber had lost when it was sent
};

template <class F, class T>
concept takes_delivery = std::is_invocable_v<F&, delivery<T>&&>;
template <class F, class T>
concept takes_message = std::is_invocable_v<F&, const T&>;

/// A handler takes a delivery, or just the message.
template <class F, class T>
concept handler_of = takes_delivery<F, T> || takes_message<F, T>;

template <class T>
class subscriber;

/// A handler that the current thread is running, and the one around it.
struct handler_frame {
  const void* owner;
  handler_frame* outer;
  bool has_cancelled = false; // its own subscription
};

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
class subscriber : public counted {
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

  /// Destroys what is queued; the handler.
  virtual void drop_messages() noexcept = 0;
  virtual void drop_handler() noexcept = 0;

  bool is_cancelled() const noexcept { return cancelled_.load(memory_order::seq_cst) != 0; } // (D)

  /// Lets no handler begin any more.
  void refuse() noexcept { cancelled_.store(1, memory_order::seq_cst); } // (D)

  /// Ends everything, and waits for the handlers that run in other threads. A handler that cancels
  /// its own subscriber is itself not waited for by others who do the same. (I1)
  void cancel() noexcept {
    refuse();
    close();
    list_->remove(*this);
    const bool nobody_runs = wait_for_handlers();
    drop_messages();
    if (nobody_runs) drop_handler_once();
  }

protected:
  /// Runs `call` as a handler, unless the subscription is cancelled.
  template <class F>
  queue_status run_handler(F&& call) {
    const running_handler frame{*this};
    if (is_cancelled()) return queue_status::closed;
    std::forward<F>(call)();
    return queue_status::success;
  }

private:
  /// Counts a handler while it runs, and remembers in which thread.
  struct running_handler {
    subscriber& of;
    handler_frame frame;
    explicit running_handler(subscriber& owner) noexcept
        : of{owner}, frame{&owner, innermost_handler} {
      innermost_handler = &frame;
      of.running_.fetch_add(1, memory_order::seq_cst); // (D)
    }
    running_handler(const running_handler&) = delete;
    running_handler& operator=(const running_handler&) = delete;
    ~running_handler() {
      innermost_handler = frame.outer;
      if (frame.has_cancelled) of.excused_.fetch_sub(1, memory_order::relaxed); // (I4)
      const bool is_over = of.is_cancelled(); // before leaving, so that nobody comes in after us
      const bool is_last = of.running_.fetch_sub(1, memory_order::seq_cst) == 1; // (D) (L)
      of.idle_.notify_all();
      if (is_over && is_last) of.drop_handler_once();
    }
  };

  /// Returns   whether nobody runs a handler now, not even this thread
  bool wait_for_handlers() noexcept {
    const bool is_inside = excuse_own_handlers();
    (void)idle_.await(no_deadline{}, never_stop{}, [this, is_inside]() noexcept {
      const std::size_t running = running_.load(memory_order::seq_cst);                 // (D) (L)
      const std::size_t excused = is_inside ? excused_.load(memory_order::relaxed) : 0; // (I4)
      return running <= excused ? queue_status::success : queue_status::empty;
    });
    return !is_inside;
  }

  /// Returns   whether this thread is in a handler of the subscriber
  bool excuse_own_handlers() noexcept {
    bool is_inside = false;
    std::size_t added = 0;
    for (auto* frame = innermost_handler; frame != nullptr; frame = frame->outer) {
      if (frame->owner != this) continue;
      is_inside = true;
      added += frame->has_cancelled ? 0 : 1;
      frame->has_cancelled = true;
    }
    if (added != 0) {
      excused_.fetch_add(added, memory_order::seq_cst); // (D)
      idle_.notify_all();
    }
    return is_inside;
  }

  /// Whoever has seen, after the cancellation, that no handler runs destroys it: it may own what
  /// keeps the subscriber alive. Who comes in later sees the cancellation and does not touch it.
  void drop_handler_once() noexcept {
    if (dropped_.exchange(1, memory_order::relaxed) == 0) drop_handler(); // (I5)
  }

  const topic_filter filter_;
  const std::string group_;
  const char* const name_;
  const ref<subscriber_list<T>> list_;
  atomic<std::uint32_t> cancelled_;
  atomic<std::uint32_t> dropped_;
  atomic<std::size_t> running_;
  atomic<std::size_t> excused_; // of these, how many have called cancel() themselves
  event_count<wait_policy::park> idle_;
};

/// A subscriber with a mailbox.
template <class T>
class queued_subscriber final : public subscriber<T> {
public:
  queued_subscriber(topic_filter wanted, const subscription_options& options,
                    ref<subscriber_list<T>> list)
      : subscriber<T>{std::move(wanted), options, std::move(list)}, on_full_{options.on_full},
        box_{mailbox_options{options.capacity, options.on_full, options.name}} {}

  queue_status offer(envelope<T>& sent, transfer how, patience wait,
                     std::size_t& dropped) override {
    sent.lost = missed();
    counted_loss lost{*this, dropped};
    queue_status status = put(sent, how, lost.messages);
    if (status == queue_status::full && blocks() && wait != patience::none) {
      status = how == transfer::move ? push(std::move(sent), wait) : push(sent, wait);
    }
    return status;
  }
  bool blocks() const noexcept override { return on_full_ == overflow::block; }
  bool has_room() const noexcept override { return box_.size_approx() < box_.capacity(); }
  bool is_open() const noexcept override { return !box_.is_closed(); }
  void close() noexcept override { box_.close(); }
  void announce_end() noexcept override { box_.close(); }
  void finish() noexcept override {}
  void drop_messages() noexcept override {
    while (box_.try_pop()) {
    }
  }
  void drop_handler() noexcept override {}

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
    return box_.run(
        [&](envelope<T>&& taken) {
          (void)this->run_handler([&] {
            if constexpr (takes_delivery<F, T>) {
              handler(open(std::move(taken)));
            } else {
              handler(std::as_const(taken.value));
            }
          });
        },
        token);
  }

  std::uint64_t missed() const noexcept { return lost_.load(memory_order::relaxed); } // (I3)

private:
  /// Messages that the policy discards during an offer; counted however the offer ends.
  struct counted_loss {
    queued_subscriber& of;
    std::size_t& told;
    std::size_t messages = 0;
    ~counted_loss() {
      told += messages;
      if (messages != 0) of.lost_.fetch_add(messages, memory_order::relaxed); // (I3)
    }
  };

  template <class Sent>
  queue_status push(Sent&& sent, patience wait) {
    if (wait == patience::wait) {
      const bool in = box_.push(std::forward<Sent>(sent));
      return in ? queue_status::success : queue_status::closed;
    }
    const auto status = box_.try_push_for(std::forward<Sent>(sent), std::chrono::milliseconds{1});
    return status == queue_status::timeout ? queue_status::full : status;
  }

  queue_status put(envelope<T>& sent, transfer how, std::size_t& lost) {
    for (;;) {
      const queue_status status =
          how == transfer::move ? box_.try_push(std::move(sent), lost) : box_.try_push(sent, lost);
      if (status != queue_status::busy) return status;
      yield();
    }
  }

  /// What was lost before this message and has not been told: under drop_oldest what was discarded
  /// until now, else what had been refused when the message was sent.
  delivery<T> open(envelope<T>&& taken) noexcept {
    const std::uint64_t until = on_full_ == overflow::drop_oldest ? missed() : taken.lost;
    std::uint64_t told = told_.load(memory_order::relaxed);                            // (I3)
    while (told < until && !told_.compare_exchange(told, until, memory_order::relaxed, // (I3)
                                                   memory_order::relaxed)) {           // (I3)
    }
    return {std::move(taken.value), taken.sequence, told < until ? until - told : 0, taken.topic,
            ref<const counted>{this}};
  }

  const overflow on_full_;
  mailbox<envelope<T>> box_;
  atomic<std::uint64_t> lost_;
  atomic<std::uint64_t> told_;
};

/// A subscriber whose handler runs in the publisher's thread.
template <class T, class F>
class direct_subscriber final : public subscriber<T> {
public:
  template <class G>
  direct_subscriber(topic_filter wanted, ref<subscriber_list<T>> list, G&& handler)
      : subscriber<T>{std::move(wanted), subscription_options{}, std::move(list)},
        handler_(std::in_place, std::forward<G>(handler)) {}

  queue_status offer(envelope<T>& sent, transfer, patience, std::size_t&) override {
    return this->run_handler([&] {
      if constexpr (takes_delivery<F, T>) {
        const ref<const counted> keeper{this};
        (*handler_)(delivery<T>{T(sent.value), sent.sequence, 0, sent.topic, keeper});
      } else {
        (*handler_)(std::as_const(sent.value));
      }
    });
  }
  bool blocks() const noexcept override { return false; }
  bool has_room() const noexcept override { return true; }
  bool is_open() const noexcept override { return !this->is_cancelled(); }
  void close() noexcept override {}
  void announce_end() noexcept override { this->refuse(); }
  void finish() noexcept override { this->cancel(); }
  void drop_messages() noexcept override {}
  void drop_handler() noexcept override { handler_.reset(); }

private:
  std::optional<F> handler_; // none once cancelled
};

} // namespace detail
} // namespace mailroom::inline v0

#endif // MAILROOM_TOPIC_SUBSCRIBER_HPP
