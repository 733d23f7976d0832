// SPDX-License-Identifier: MIT
#ifndef MAILROOM_CORE_STATUS_HPP
#define MAILROOM_CORE_STATUS_HPP

// What an operation answers: a status, or a message and else a status.
//
// The state of a queue is never an exception. The first six statuses are those of P0260R20,
// Concurrent Queues, with its meanings.
//
// Decision: expected is a type of ours in every language mode, so that a C++20 and a C++23 unit of
//   one program agree about the type that an operation returns. It converts to std::expected.
// Decision: error() of an expected that holds a value answers E{}, which for queue_status is
//   success, where std::expected is undefined: a question about a status deserves a true answer.

#include <mailroom/detail/config.hpp>

#include <memory>      // addressof, construct_at, destroy_at
#include <string_view> // string_view
#include <type_traits> // is_copy_constructible, is_nothrow_move_constructible
#include <utility>     // forward, move
#include <version>     // __cpp_lib_expected

#if defined(__cpp_lib_expected)
#include <expected> // expected, unexpected
#endif

namespace mailroom::inline MAILROOM_ABI {

enum class [[nodiscard]] queue_status : unsigned char {
  success = 0,
  empty,
  full,
  closed,
  busy,       ///< somebody else is in the middle of an operation: retry; never empty, never full
  busy_async, ///< reserved for P0260's asynchronous operations
  timeout,    ///< the deadline came first
  stopped,    ///< a stop token ended the wait
  dropped,    ///< the overflow policy discarded the new message
  lagged,     ///< a reader was overtaken
};

/// The name of a status, as it is written in the program.
constexpr std::string_view to_string(queue_status status) noexcept {
  switch (status) {
  case queue_status::success: return "success";
  case queue_status::empty: return "empty";
  case queue_status::full: return "full";
  case queue_status::closed: return "closed";
  case queue_status::busy: return "busy";
  case queue_status::busy_async: return "busy_async";
  case queue_status::timeout: return "timeout";
  case queue_status::stopped: return "stopped";
  case queue_status::dropped: return "dropped";
  case queue_status::lagged: return "lagged";
  }
  return "unknown";
}

/// The reason why there is no value, on its way into an expected.
template <class E>
struct unexpected {
  E error;
};
template <class E>
unexpected(E) -> unexpected<E>;

namespace detail {

/// Chooses the constructor of expected that takes a message out of a queue.
struct take_t {
  explicit take_t() = default;
};
inline constexpr take_t take{};

} // namespace detail

/// A T, or the reason why there is none. Operations of one object are not synchronised.
template <class T, class E>
class [[nodiscard]] expected {
  static constexpr bool nothrow_move = std::is_nothrow_move_constructible_v<T>;

public:
  using value_type = T;
  using error_type = E;

  expected(T&& value) noexcept(nothrow_move) : value_(std::move(value)), has_value_{true} {}
  expected(const T& value) : value_(value), has_value_{true} {}
  expected(unexpected<E> reason) noexcept : error_{reason.error}, has_value_{false} {}

  /// Moves `from` in and then, only if that did not throw, calls `commit`, which ends the life of
  /// what was moved from. This is how a queue gives a message away without a moment to lose it in.
  template <class Commit>
  expected(detail::take_t, T& from, Commit&& commit) noexcept(nothrow_move)
      : value_(std::move(from)), has_value_{true} {
    std::forward<Commit>(commit)();
  }
  /// The same for a message that others still read: it is copied.
  template <class Commit>
  expected(detail::take_t, const T& from,
           Commit&& commit) noexcept(std::is_nothrow_copy_constructible_v<T>)
      : value_(from), has_value_{true} {
    std::forward<Commit>(commit)();
  }

  expected(expected&& other) noexcept(nothrow_move) : has_value_{other.has_value_} {
    adopt(std::move(other));
  }
  expected(const expected& other)
    requires std::is_copy_constructible_v<T>
      : has_value_{other.has_value_} {
    adopt(other);
  }
  expected& operator=(expected&& other) noexcept(nothrow_move) {
    if (this != &other) replace(std::move(other));
    return *this;
  }
  expected& operator=(const expected& other)
    requires std::is_copy_constructible_v<T>
  {
    if (this != &other) replace(expected(other));
    return *this;
  }
  ~expected() { end(); }

  constexpr bool has_value() const noexcept { return has_value_; }
  constexpr explicit operator bool() const noexcept { return has_value_; }

  /// The value. There must be one.
  T& operator*() & noexcept { return value_; }
  T&& operator*() && noexcept { return std::move(value_); }
  const T& operator*() const& noexcept { return value_; }
  T* operator->() noexcept { return std::addressof(value_); }
  const T* operator->() const noexcept { return std::addressof(value_); }

  /// The reason, or E{} when there is a value.
  E error() const noexcept { return has_value_ ? E{} : error_; }

  /// The value, or the given one instead.
  template <class U>
  T value_or(U&& instead) && {
    return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(instead));
  }
  template <class U>
  T value_or(U&& instead) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(instead));
  }

#if defined(__cpp_lib_expected)
  operator std::expected<T, E>() && {
    if (has_value_) return std::move(value_);
    return std::unexpected<E>{error_};
  }
#endif

private:
  template <class Other>
  void adopt(Other&& other) {
    if (has_value_) {
      std::construct_at(std::addressof(value_), std::forward<Other>(other).value_);
    } else {
      std::construct_at(std::addressof(error_), other.error_);
    }
  }
  /// What replaces the value may be a part of it, so it is taken out first.
  void replace(expected&& other) noexcept(nothrow_move) {
    expected kept(std::move(other));
    end();
    has_value_ = false; // what a throwing move leaves behind
    std::construct_at(std::addressof(error_), kept.error());
    if (!kept.has_value_) return;
    std::construct_at(std::addressof(value_), std::move(kept.value_));
    has_value_ = true;
  }
  void end() noexcept {
    if (has_value_) std::destroy_at(std::addressof(value_));
  }

  union {
    T value_;
    E error_;
  };
  bool has_value_;
};

} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_CORE_STATUS_HPP
