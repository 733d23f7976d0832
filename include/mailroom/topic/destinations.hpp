// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_DESTINATIONS_HPP
#define MAILROOM_TOPIC_DESTINATIONS_HPP

// Who gets the messages of one topic, and how a message is given to all of them.
//
// Use it       never: it is the inside of dispatcher.
//
//      destinations: [ loner | loner | group: a, b ]
//      publish       first to each that need not be waited for, then to those that block
//
// Invariants
//   (I1)  a list never changes once publishers can see it
//   (I2)  a place in a round orders nothing

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/subscriber.hpp>

#include <bit>         // countr_zero
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // current_exception, exception_ptr, rethrow_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // forward
#include <vector>      // vector

namespace mailroom::inline v0 {

/// What became of a published message.
struct publish_result {
  std::size_t matched;   ///< destinations: subscriptions of their own, and groups
  std::size_t delivered; ///< of these, how many have it
  std::size_t dropped;   ///< messages, this or older ones, that overflow policies discarded for it
};

namespace detail {

/// The members of a group take turns. The place in the round outlives every list.
struct round : counted {
  explicit round(std::string_view group) : name{group} {}
  const std::string name;
  atomic<std::size_t> turn;
};

/// One or several subscribers of which one gets the message.
template <class T>
struct destination {
  std::vector<ref<subscriber<T>>> members;
  ref<round> turns; // none for a loner

  /// Offers the message to the member whose turn it is; to the next if that one has no room, or has
  /// left. While none has room, and it is to wait, it waits for each a moment.
  ///
  /// Returns   what the member answered; busy for full, if that is worth waiting for
  queue_status offer(envelope<T>& sent, transfer how, patience wait, std::size_t& dropped) const;

private:
  std::size_t first_choice(patience wait) const noexcept;
};

/// All destinations of one topic.
template <class T>
struct destinations : counted {
  std::vector<destination<T>> all;

  /// Gives the message to all of them: first to those that need no waiting, then, one after the
  /// other, to those that block. Moves it to the last one.
  ///
  /// Throws    the first exception of a handler, or of a copy of the message, after everybody else
  ///           was served
  publish_result publish(envelope<T>& sent) const;

private:
  static void count(queue_status status, publish_result& result) noexcept;
};

/// Runs `call`, and keeps the first exception for later.
template <class F>
void run_guarded(F&& call, [[maybe_unused]] std::exception_ptr& first) {
#if MAILROOM_EXCEPTIONS
  try {
    std::forward<F>(call)();
  } catch (...) {
    if (!first) first = std::current_exception();
  }
#else
  std::forward<F>(call)();
#endif
}

// ---- Definitions, in the order of the classes

template <class T>
std::size_t destination<T>::first_choice(patience wait) const noexcept {
  if (members.size() == 1) return 0;
  const std::size_t turn = wait == patience::none
                               ? turns->turn.fetch_add(1, memory_order::relaxed) // (I2)
                               : turns->turn.load(memory_order::relaxed);        // (I2)
  for (std::size_t i = 0; i != members.size(); ++i) {
    const std::size_t candidate = (turn + i) % members.size();
    if (members[candidate]->has_room()) return candidate;
  }
  return turn % members.size();
}

template <class T>
queue_status destination<T>::offer(envelope<T>& sent, transfer how, patience wait,
                                   std::size_t& dropped) const {
  const bool alone = members.size() == 1;
  for (;;) {
    const std::size_t first = first_choice(wait);
    queue_status status = queue_status::closed;
    for (std::size_t i = 0; i != members.size() && status == queue_status::closed; ++i) {
      subscriber<T>& member = *members[(first + i) % members.size()];
      status = member.offer(sent, how, alone || wait == patience::none ? wait : patience::moment,
                            dropped);
      if (status == queue_status::full && member.blocks()) status = queue_status::busy;
    }
    if (status != queue_status::busy || wait == patience::none) return status;
  }
}

template <class T>
void destinations<T>::count(queue_status status, publish_result& result) noexcept {
  if (status == queue_status::success) ++result.delivered;
  if (status == queue_status::closed) --result.matched; // it has left meanwhile
}

template <class T>
publish_result destinations<T>::publish(envelope<T>& sent) const {
  publish_result result{all.size(), 0, 0};
  std::exception_ptr failure;
  std::uint64_t waiting = 0; // a bit for each of the first 64 that has no room and blocks
  for (std::size_t i = 0; i != all.size(); ++i) {
    const bool is_last = i + 1 == all.size() && waiting == 0;
    run_guarded(
        [&] {
          const queue_status status =
              all[i].offer(sent, is_last ? transfer::move : transfer::copy,
                           i < 64 ? patience::none : patience::wait, result.dropped);
          if (status == queue_status::busy) waiting |= std::uint64_t{1} << i;
          count(status, result);
        },
        failure);
  }
  while (waiting != 0) {
    const auto& slow = all[static_cast<std::size_t>(std::countr_zero(waiting))];
    waiting &= waiting - 1;
    run_guarded(
        [&] {
          const auto how = waiting == 0 ? transfer::move : transfer::copy;
          count(slow.offer(sent, how, patience::wait, result.dropped), result);
        },
        failure);
  }
#if MAILROOM_EXCEPTIONS
  if (failure) std::rethrow_exception(failure);
#endif
  return result;
}

} // namespace detail
} // namespace mailroom::inline v0

#endif // MAILROOM_TOPIC_DESTINATIONS_HPP
