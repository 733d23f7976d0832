// SPDX-License-Identifier: MIT
#ifndef MAILROOM_CORE_CONCEPTS_HPP
#define MAILROOM_CORE_CONCEPTS_HPP

// What may travel, what may stop a wait, and what a queue promises.
//
// A guarantee is a fact that a program can ask for, not a word in a manual:
//
//      static_assert(queue_facts<Q>::push_progress == progress::lock_free);
//
// Sources: P0260R20, C++ Concurrent Queues (the three concepts of a queue that closes).

#include <mailroom/core/status.hpp>

#include <concepts>    // constructible_from, convertible_to, copyable, destructible, same_as
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <optional>    // optional
#include <type_traits> // is_object, is_const, is_volatile, is_array
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

/// What may travel: an object that can be moved and destroyed. It needs no default constructor,
/// and no value is reserved.
template <class T>
concept message = std::is_object_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T> &&
                  !std::is_array_v<T> && std::move_constructible<T> && std::destructible<T>;

/// A message whose move cannot fail, so that it can always be handed back.
template <class T>
concept nothrow_message = message<T> && std::is_nothrow_move_constructible_v<T>;

/// What a message can be made of, from a range that may not fit whole: an element that does not fit
/// must still be there. It is copied or converted from a value that stays, or it is a message
/// itself, whose move can be undone.
template <class Element, class T>
concept range_element = std::constructible_from<T, Element> &&
                        (!std::is_rvalue_reference_v<Element> ||
                         (std::same_as<Element, T&&> && std::is_nothrow_move_constructible_v<T>));

/// A callable that takes a message.
template <class F, class T>
concept message_handler = requires(F& handler, T&& value) { handler(std::move(value)); };

/// Any stop token of the std::stop_token family; <stop_token> itself is not needed.
template <class S>
concept stoppable_token = std::copyable<S> && requires(const S& token) {
  { token.stop_requested() } noexcept -> std::convertible_to<bool>;
  { token.stop_possible() } noexcept -> std::convertible_to<bool>;
};

/// The token of a wait that nobody stops.
struct never_stop {
  static constexpr bool stop_requested() noexcept { return false; }
  static constexpr bool stop_possible() noexcept { return false; }
};

/// How many threads may be at one end of a queue at a time.
enum class arity : unsigned char { one, many };

/// Whose order a queue keeps.
enum class ordering : unsigned char { fifo, fifo_per_producer };

/// What a thread that stands still in the middle of an operation does to the others.
enum class progress : unsigned char {
  wait_free,        ///< nothing: every call ends after a bounded number of steps of its own
  lock_free,        ///< nothing: somebody's call always ends
  obstruction_free, ///< a call that runs alone ends
  blocking,         ///< others may have to wait for it
};

/// What queue Q promises. Specialised beside each queue, with the members
///   arity producers, consumers;  ordering order;  progress push_progress, pop_progress;
///   bool bounded;  bool sequentially_consistent (push and pop publish by a seq_cst
///   read-modify-write, so that whoever looks for a sleeper afterwards needs no fence).
template <class Q>
struct queue_facts;

/// A queue that never waits.
template <class Q>
concept queue =
    message<typename Q::value_type> && requires(Q& q, const Q& c, typename Q::value_type&& value) {
      { q.try_push(std::move(value)) } -> std::same_as<queue_status>;
      { q.try_pop() } -> std::same_as<expected<typename Q::value_type, queue_status>>;
      { c.size_approx() } noexcept -> std::same_as<std::size_t>;
      { c.capacity() } noexcept -> std::same_as<std::size_t>;
      { c.pushed() } noexcept -> std::convertible_to<std::uint64_t>;
      { c.popped() } noexcept -> std::convertible_to<std::uint64_t>;
      { queue_facts<Q>::producers } -> std::convertible_to<arity>;
      { queue_facts<Q>::consumers } -> std::convertible_to<arity>;
    };

/// P0260: a queue that can be closed, and is used without waiting.
template <class Q>
concept basic_concurrent_queue = requires(Q& q, const Q& c, typename Q::value_type&& value) {
  { c.is_closed() } noexcept -> std::same_as<bool>;
  { q.close() } noexcept -> std::same_as<void>;
  { q.try_push(std::move(value)) } -> std::same_as<queue_status>;
  { q.try_pop() } -> std::same_as<expected<typename Q::value_type, queue_status>>;
};

/// P0260: the same, with operations that wait.
template <class Q>
concept concurrent_queue =
    basic_concurrent_queue<Q> && requires(Q& q, typename Q::value_type&& value) {
      { q.push(std::move(value)) } -> std::same_as<bool>;
      { q.pop() } -> std::same_as<std::optional<typename Q::value_type>>;
    };

/// What a coroutine can wait for; <coroutine> itself is not needed.
template <class A>
concept awaitable = requires(A&& a) { std::forward<A>(a).operator co_await(); } || requires(A& a) {
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_resume();
};

/// P0260: a queue that can be closed, with operations that a coroutine waits for.
template <class Q>
concept async_concurrent_queue =
    basic_concurrent_queue<Q> && requires(Q& q, typename Q::value_type&& value) {
      { q.async_push(std::move(value)) } noexcept -> awaitable;
      { q.async_pop() } noexcept -> awaitable;
    };

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_CORE_CONCEPTS_HPP
