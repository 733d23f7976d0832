// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_CHANNEL_HPP
#define MAILROOM_MAILBOX_CHANNEL_HPP

// The two ends of a mailbox, which lives and closes with those who hold them.
//
// Use it       when threads come and go, and none of them is the one to close the mailbox; when
//              who sends should notice that nobody receives any more.
// Instead use  mailbox, when somebody outlives all who use it, and knows when to close it.
//
//      producer  --+                              +-->  consumer
//      producer  --+-->  [ mailbox, counts ]  --+
//      producer  --+                              +-->  consumer
//
//      auto [tx, rx] = channel<order>(64);
//      std::thread clerk([in = std::move(rx)]() mutable { for (auto& each : in) handle(each); });
//      tx.push(next);
//
// The last producer that goes closes the mailbox: consumers get what is inside, and then the end.
// The last consumer that goes closes it and discards what is inside: producers are refused. An end
// can be copied where the queue allows many of its kind, and it can always be moved. One that was
// moved from, or made from nothing, is empty: who pushes into it or pops from it is told closed.
//
// Invariants
//   (I1)  who makes another end holds one of its kind, so that the count is not 0
//   (I2)  a count that has been 0 stays 0: a weak_producer only counts upwards from a number that
//         it has seen, and that was not 0
//
// Memory order
//   (L)   left: all that was done through an end -> the closing by the last of its kind, and so
//         whoever is told closed.
//
// Decision: the mailbox is not destroyed with the last consumer, only emptied: a producer may be in
//   the middle of a push. It ends with the last end of either kind, and the last weak_producer.
// Decision: who iterates over a consumer gets an lvalue, so that an algorithm that looks twice does
//   not take the message away the first time. Who wants to keep the message moves it.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/mailbox/loss.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/options.hpp>

#include <chrono>      // duration, time_point
#include <concepts>    // constructible_from, convertible_to
#include <cstddef>     // ptrdiff_t, size_t
#include <iterator>    // default_sentinel_t, input_iterator, output_iterator, sentinel_for, ...
#include <memory>      // addressof
#include <optional>    // optional
#include <type_traits> // is_nothrow_move_assignable
#include <utility>     // forward, move, swap

namespace mailroom::inline MAILROOM_ABI {

template <class Mailbox>
class weak_producer;
template <class Mailbox>
struct channel_ends;

namespace detail {

/// How many ends of one kind there are. It begins with one.
class end_count {
public:
  void join() noexcept { count_.fetch_add(1, memory_order::relaxed); } // (I1)

  /// Joins unless all have left.
  bool try_join() noexcept {
    std::size_t seen = count_.load(memory_order::relaxed); // (I2)
    while (seen != 0) {
      if (count_.compare_exchange(seen, seen + 1, memory_order::relaxed, // (I2)
                                  memory_order::relaxed)) {              // (I2)
        return true;
      }
    }
    return false;
  }

  /// Returns   whether it was the last
  bool leave() noexcept { return count_.fetch_sub(1, memory_order::acq_rel) == 1; } // (L)

private:
  atomic<std::size_t> count_{1};
};

/// A mailbox, and how many ends it has.
template <class Mailbox>
struct shared_mailbox : counted {
  template <class... Args>
  explicit shared_mailbox(const mailbox_options& options, Args&&... args)
      : box(options, std::forward<Args>(args)...) {}

  end_count producers;
  end_count consumers;
  Mailbox box;
};

/// What distinguishes the two kinds of ends.
struct producing {
  template <class Mailbox>
  static constexpr arity how_many = queue_facts<typename Mailbox::queue_type>::producers;
  template <class Mailbox>
  static end_count& ends(shared_mailbox<Mailbox>& shared) noexcept {
    return shared.producers;
  }
  template <class Mailbox>
  static void all_gone(Mailbox& box) noexcept {
    box.close();
  }
};
struct consuming {
  template <class Mailbox>
  static constexpr arity how_many = queue_facts<typename Mailbox::queue_type>::consumers;
  template <class Mailbox>
  static end_count& ends(shared_mailbox<Mailbox>& shared) noexcept {
    return shared.consumers;
  }
  template <class Mailbox>
  static void all_gone(Mailbox& box) noexcept {
    box.close(discard);
  }
};

/// A reference to a mailbox that counts as an end of a kind, or none.
template <class Mailbox, class Kind>
class channel_end {
  static constexpr bool is_copied = Kind::template how_many<Mailbox> == arity::many;

public:
  using shared = ref<shared_mailbox<Mailbox>>;

  channel_end() noexcept = default;
  /// The end that is meant is counted already.
  explicit channel_end(shared counted_for) noexcept : shared_{std::move(counted_for)} {}
  channel_end(channel_end&& other) noexcept = default;
  channel_end(const channel_end& other) noexcept
    requires is_copied
      : shared_{other.shared_} {
    if (shared_) Kind::ends(*shared_).join();
  }
  channel_end& operator=(channel_end&& other) noexcept {
    channel_end taken{std::move(other)};
    std::swap(shared_, taken.shared_);
    return *this;
  }
  channel_end& operator=(const channel_end& other) noexcept
    requires is_copied
  {
    channel_end taken{other};
    std::swap(shared_, taken.shared_);
    return *this;
  }
  ~channel_end() {
    if (shared_ && Kind::ends(*shared_).leave()) Kind::all_gone(shared_->box);
  }

  const shared& shared_with() const noexcept { return shared_; }
  explicit operator bool() const noexcept { return static_cast<bool>(shared_); }
  Mailbox& box() const noexcept { return shared_->box; }

private:
  shared shared_;
};

} // namespace detail

/// The way into a channel. Its members promise what those of the mailbox do, and those of an empty
/// end answer like a closed mailbox.
///
/// Caller    as for the mailbox, but not while the end is moved, assigned or destroyed
template <class Mailbox>
class [[nodiscard]] producer {
public:
  using mailbox_type = Mailbox;
  using value_type = typename Mailbox::value_type;

  /// An empty end.
  producer() noexcept = default;

  /// Is this an end of a channel?
  explicit operator bool() const noexcept { return static_cast<bool>(end_); }

  template <stoppable_token S = never_stop>
  bool push(const value_type& value, S token = {}) {
    return end_ && end_.box().push(value, token);
  }
  template <stoppable_token S = never_stop>
  bool push(value_type&& value, S token = {}) {
    return end_ && end_.box().push(std::move(value), token);
  }
  template <class... Args>
    requires std::constructible_from<value_type, Args...>
  bool emplace(Args&&... args) {
    return end_ && end_.box().emplace(std::forward<Args>(args)...);
  }
  queue_status try_push(const value_type& value) {
    return end_ ? end_.box().try_push(value) : queue_status::closed;
  }
  queue_status try_push(value_type&& value) {
    return end_ ? end_.box().try_push(std::move(value)) : queue_status::closed;
  }
  template <class Duration, stoppable_token S = never_stop>
  queue_status try_push_for(const value_type& value, Duration timeout, S token = {}) {
    return end_ ? end_.box().try_push_for(value, timeout, token) : queue_status::closed;
  }
  template <class Duration, stoppable_token S = never_stop>
  queue_status try_push_for(value_type&& value, Duration timeout, S token = {}) {
    return end_ ? end_.box().try_push_for(std::move(value), timeout, token) : queue_status::closed;
  }
  template <class TimePoint, stoppable_token S = never_stop>
  queue_status try_push_until(const value_type& value, TimePoint deadline, S token = {}) {
    return end_ ? end_.box().try_push_until(value, deadline, token) : queue_status::closed;
  }
  template <class TimePoint, stoppable_token S = never_stop>
  queue_status try_push_until(value_type&& value, TimePoint deadline, S token = {}) {
    return end_ ? end_.box().try_push_until(std::move(value), deadline, token)
                : queue_status::closed;
  }
  template <std::input_iterator I, std::sentinel_for<I> E>
    requires range_element<std::iter_reference_t<I>, value_type> &&
             std::convertible_to<std::iter_reference_t<I>, value_type>
  I push_range(I first, E last) {
    return end_ ? end_.box().push_range(std::move(first), std::move(last)) : std::move(first);
  }

  /// The mailbox, for what concerns both sides: close(), stats(). Not of an empty end.
  Mailbox& box() const noexcept { return end_.box(); }

private:
  friend channel_ends<Mailbox>;
  friend weak_producer<Mailbox>;
  using end = detail::channel_end<Mailbox, detail::producing>;
  explicit producer(typename end::shared counted_for) noexcept : end_{std::move(counted_for)} {}

  end end_;
};

/// The way out of a channel; the messages are also a range, which ends with the channel. Everything
/// else is as for producer.
template <class Mailbox>
class [[nodiscard]] consumer {
public:
  using mailbox_type = Mailbox;
  using value_type = typename Mailbox::value_type;
  class iterator;

  /// An empty end.
  consumer() noexcept = default;

  /// Is this an end of a channel?
  explicit operator bool() const noexcept { return static_cast<bool>(end_); }

  template <stoppable_token S = never_stop>
  std::optional<value_type> pop(S token = {}) {
    return end_ ? end_.box().pop(token) : std::nullopt;
  }
  expected<value_type, queue_status> try_pop() {
    if (!end_) return unexpected{queue_status::closed};
    return end_.box().try_pop();
  }
  queue_status try_pop(value_type& into)
    requires std::is_nothrow_move_assignable_v<value_type>
  {
    return end_ ? end_.box().try_pop(into) : queue_status::closed;
  }
  template <class Duration, stoppable_token S = never_stop>
  expected<value_type, queue_status> try_pop_for(Duration timeout, S token = {}) {
    if (!end_) return unexpected{queue_status::closed};
    return end_.box().try_pop_for(timeout, token);
  }
  template <class TimePoint, stoppable_token S = never_stop>
  expected<value_type, queue_status> try_pop_until(TimePoint deadline, S token = {}) {
    if (!end_) return unexpected{queue_status::closed};
    return end_.box().try_pop_until(deadline, token);
  }
  template <std::output_iterator<value_type> O, stoppable_token S = never_stop>
  std::size_t pop_n(O out, std::size_t max, S token = {}) {
    return end_ ? end_.box().pop_n(std::move(out), max, token) : 0;
  }
  template <message_handler<value_type> F, stoppable_token S = never_stop>
  queue_status run(F&& handler, S token = {}) {
    return end_ ? end_.box().run(std::forward<F>(handler), token) : queue_status::closed;
  }

  /// The messages, one after the other, as the iterator is asked for them.
  ///
  /// Progress  wait-free; the iterator waits for a message where it is compared or dereferenced
  iterator begin() noexcept { return iterator{end_ ? &end_.box() : nullptr}; }
  static std::default_sentinel_t end() noexcept { return {}; }

  /// As of producer.
  Mailbox& box() const noexcept { return end_.box(); }

private:
  friend channel_ends<Mailbox>;
  using counted_end = detail::channel_end<Mailbox, detail::consuming>;
  explicit consumer(typename counted_end::shared counted_for) noexcept
      : end_{std::move(counted_for)} {}

  counted_end end_;
};

/// Takes a message when it is first asked for it, or whether there is one, and holds it until it
/// moves on: a loop that breaks off, or takes so many, takes no more than it has seen. The consumer
/// outlives it.
template <class Mailbox>
class consumer<Mailbox>::iterator {
public:
  using value_type = typename Mailbox::value_type;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  iterator() noexcept = default;
  iterator(iterator&& other) noexcept
      : box_{other.box_}, is_due_{other.is_due_}, held_{std::move(other.held_)} {}
  iterator& operator=(iterator&& other) noexcept {
    if (this == &other) return *this;
    box_ = other.box_;
    is_due_ = other.is_due_;
    held_.reset();
    if (other.held_) held_.emplace(std::move(*other.held_));
    return *this;
  }
  ~iterator() = default;

  value_type& operator*() const { return take(), *held_; }
  value_type* operator->() const { return take(), std::addressof(*held_); }
  iterator& operator++() {
    take(); // one that nobody has looked at is passed over
    held_.reset();
    is_due_ = true;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const iterator& at, std::default_sentinel_t) {
    return at.take(), !at.held_.has_value();
  }

private:
  friend consumer;
  explicit iterator(Mailbox* box) noexcept : box_{box}, is_due_{box != nullptr} {}

  /// Waits for the message that is due.
  void take() const {
    if (!is_due_) return;
    is_due_ = false;
    if (auto next = box_->pop()) held_.emplace(std::move(*next));
  }

  Mailbox* box_ = nullptr;
  mutable bool is_due_ = false;
  mutable std::optional<value_type> held_;
};

/// Knows a channel without keeping it open.
///
/// Caller    one thread at a time
template <class Mailbox>
class weak_producer {
  static_assert(queue_facts<typename Mailbox::queue_type>::producers == arity::many,
                "mailroom: a weak_producer needs a queue with many producers");

public:
  /// Of no channel.
  weak_producer() noexcept = default;
  weak_producer(const producer<Mailbox>& of) noexcept : shared_{of.end_.shared_with()} {}

  /// One more producer.
  ///
  /// Progress  lock-free
  /// Returns   the producer; an empty one if the last has gone
  producer<Mailbox> lock() const noexcept {
    if (!shared_ || !shared_->producers.try_join()) return {};
    return producer<Mailbox>{shared_};
  }

private:
  typename producer<Mailbox>::end::shared shared_;
};

/// Both ends of a channel.
template <class Mailbox>
struct channel_ends {
  producer<Mailbox> tx;
  consumer<Mailbox> rx;

  explicit channel_ends(const detail::ref<detail::shared_mailbox<Mailbox>>& made) noexcept
      : tx{made}, rx{made} {}
};

/// Makes a mailbox, and its two ends. It is made from the options, and from what else the mailbox
/// can be made from: an allocator, or an on_drop.
///
/// Cost      one allocation, and those of the mailbox
/// Throws    what the constructor of the mailbox and the allocation throw
template <message T, class Queue = mpmc_queue<T>, class Wait = wait_policy::park, class... Args>
  requires std::constructible_from<mailbox<T, Queue, Wait>, mailbox_options, Args...>
channel_ends<mailbox<T, Queue, Wait>> channel(mailbox_options options = {}, Args&&... args) {
  using shared = detail::shared_mailbox<mailbox<T, Queue, Wait>>;
  return channel_ends{detail::make_counted<shared>(options, std::forward<Args>(args)...)};
}
template <message T, class Queue = mpmc_queue<T>, class Wait = wait_policy::park,
          std::integral Size>
channel_ends<mailbox<T, Queue, Wait>> channel(Size capacity) {
  return channel<T, Queue, Wait>(mailbox_options{.capacity = static_cast<std::size_t>(capacity)});
}

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_CHANNEL_HPP
