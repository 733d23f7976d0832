// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_DELIVERY_HPP
#define MAILROOM_TOPIC_DELIVERY_HPP

// What a subscriber asks for and what it receives.
//
//      subscription_options   how much may wait for it, and what happens to more; its group
//      delivery               a message with the name that it was published to, its number, and how
//                             many were lost before it
//      handler_failure        what the dispatcher's on_error is told when a handler throws
//
// A handler takes a delivery, or just the message.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/mailbox/options.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // exception_ptr
#include <string_view> // string_view
#include <type_traits> // is_invocable
#include <utility>     // move

namespace mailroom::inline MAILROOM_ABI {

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

/// A handler has thrown.
template <message T>
struct handler_failure {
  const std::exception_ptr& error;
  const T& value;           ///< as the handler has left it
  std::uint64_t sequence;   ///< as in delivery
  std::string_view topic;   ///< likewise
  const char* subscription; ///< its name, from the options; empty for on(), which has none
  std::string_view filter;  ///< and what it was subscribed to
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

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_DELIVERY_HPP
