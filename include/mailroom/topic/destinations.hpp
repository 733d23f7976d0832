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
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/topic/patience.hpp>
#include <mailroom/topic/delivery.hpp>
#include <mailroom/topic/subscriber.hpp>
#include <mailroom/topic/queued_subscriber.hpp>

#include <bit>         // countr_zero
#include <chrono>      // milliseconds
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // current_exception, exception_ptr, rethrow_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // forward
#include <vector>      // vector

namespace mailroom::inline MAILROOM_ABI {

/// What became of a published message.
struct publish_result {
  std::size_t matched;   ///< destinations: subscriptions of their own, and groups
  std::size_t delivered; ///< of these, how many have it
  std::size_t dropped;   ///< messages, this or older ones, that overflow policies discarded for it
  std::size_t refused = 0; ///< of those that matched, how many had no room: their policy is reject,
                           ///< the wait for them has ended, or they wait for this thread's handler
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
  /// left.
  ///
  /// Returns   what the member answered; busy for full, if that is worth waiting for
  queue_status offer(envelope<T>& sent, transfer how, std::size_t& dropped) const;

  /// Waits until one of them has it, or the limit is over; for one member of several a millisecond
  /// at a time, by turns.
  ///
  /// Returns   what the member answered; timeout; stopped
  template <class Deadline, stoppable_token S>
  queue_status await(envelope<T>& sent, transfer how, const patience<Deadline, S>& limit,
                     std::size_t& dropped) const;

private:
  queue_status offer_from(std::size_t first, envelope<T>& sent, transfer how,
                          std::size_t& dropped) const;
  std::size_t first_with_room(std::size_t turn) const noexcept;
  queued_subscriber<T>* worth_waiting(std::size_t turn) const noexcept;
};

/// All destinations of one topic.
template <class T>
struct destinations : counted {
  std::vector<destination<T>> all;

  /// Gives the message to all of them: first to those that need no waiting, then, one after the
  /// other, to those that block, until the patience is over. Moves it to the last one.
  ///
  /// Throws    the first exception of a handler, or of a copy of the message, after everybody else
  ///           was served
  template <class Deadline, stoppable_token S>
  publish_result publish(envelope<T>& sent, const patience<Deadline, S>& limit) const;

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
queue_status destination<T>::offer(envelope<T>& sent, transfer how, std::size_t& dropped) const {
  if (members.size() == 1) return offer_from(0, sent, how, dropped);
  const std::size_t turn = turns->turn.fetch_add(1, memory_order::relaxed); // (I2)
  return offer_from(first_with_room(turn), sent, how, dropped);
}

template <class T>
template <class Deadline, stoppable_token S>
queue_status destination<T>::await(envelope<T>& sent, transfer how,
                                   const patience<Deadline, S>& limit, std::size_t& dropped) const {
  constexpr std::chrono::milliseconds moment{1};
  for (std::size_t turn = 0;; ++turn) {
    const queue_status verdict = limit.verdict(); // before the attempts: room comes before the end
    queued_subscriber<T>* const one =
        verdict == queue_status::success ? worth_waiting(turn) : nullptr;
    if (one != nullptr && members.size() == 1) {
      return one->offer_until(sent, how, limit.deadline, limit.token);
    }
    queue_status status = queue_status::timeout;
    if (one != nullptr) status = one->offer_until(sent, how, steady_deadline{moment}, limit.token);
    if (status != queue_status::success) status = offer_from(turn, sent, how, dropped);
    if (status != queue_status::busy) return status;
    if (verdict != queue_status::success) return verdict;
  }
}

/// Members that have left are passed over, also one that was found full before it left.
template <class T>
queue_status destination<T>::offer_from(std::size_t first, envelope<T>& sent, transfer how,
                                        std::size_t& dropped) const {
  queue_status result = queue_status::closed;
  for (std::size_t i = 0; i != members.size(); ++i) {
    subscriber<T>& member = *members[(first + i) % members.size()];
    const queue_status status = member.offer(sent, how, dropped);
    if (status == queue_status::closed) continue;
    if (status != queue_status::full || !member.queue()->blocks()) return status;
    if (member.runs_here()) result = status;
  }
  return worth_waiting(first) != nullptr ? queue_status::busy : result;
}

template <class T>
std::size_t destination<T>::first_with_room(std::size_t turn) const noexcept {
  for (std::size_t i = 0; i != members.size(); ++i) {
    const std::size_t candidate = (turn + i) % members.size();
    if (!members[candidate]->is_open()) continue;        // it has left
    const auto* const box = members[candidate]->queue(); // none: a handler, which needs no room
    if (box == nullptr || box->has_room()) return candidate;
  }
  return turn % members.size();
}

/// The first from `turn` on that blocks, and may be waited for.
template <class T>
queued_subscriber<T>* destination<T>::worth_waiting(std::size_t turn) const noexcept {
  for (std::size_t i = 0; i != members.size(); ++i) {
    auto* const one = members[(turn + i) % members.size()]->queue();
    if (one != nullptr && one->is_worth_waiting()) return one;
  }
  return nullptr;
}

template <class T>
void destinations<T>::count(queue_status status, publish_result& result) noexcept {
  switch (status) {
  case queue_status::success: ++result.delivered; break;
  case queue_status::closed: --result.matched; break; // it has left meanwhile
  case queue_status::full:
  case queue_status::timeout:
  case queue_status::stopped: ++result.refused; break;
  default: break; // busy: later; dropped is counted in messages
  }
}

template <class T>
template <class Deadline, stoppable_token S>
publish_result destinations<T>::publish(envelope<T>& sent,
                                        const patience<Deadline, S>& limit) const {
  publish_result result{all.size(), 0, 0};
  std::exception_ptr failure;
  std::uint64_t waiting = 0; // a bit for each of the first 64 that has no room and blocks
  for (std::size_t i = 0; i != all.size(); ++i) {
    const auto how = i + 1 == all.size() && waiting == 0 ? transfer::move : transfer::copy;
    run_guarded(
        [&] {
          queue_status status = all[i].offer(sent, how, result.dropped);
          if (status == queue_status::busy) {
            if (i < 64) {
              waiting |= std::uint64_t{1} << i;
            } else {
              status = all[i].await(sent, how, limit, result.dropped);
            }
          }
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
          count(slow.await(sent, how, limit, result.dropped), result);
        },
        failure);
  }
#if MAILROOM_EXCEPTIONS
  if (failure) std::rethrow_exception(failure);
#endif
  return result;
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_DESTINATIONS_HPP
