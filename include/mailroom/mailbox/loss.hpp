// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_LOSS_HPP
#define MAILROOM_MAILBOX_LOSS_HPP

// What becomes of the messages that a mailbox does not deliver: who gets them, and how many
// they were.
//
// Use it       never: it is the inside of mailbox. What a user meets of it are discard, and the
//              on_drop that a mailbox can be made with.
//
//      drop_newest     the message of the push    --+
//      drop_oldest     the message in front         |     counted, then given to on_drop; if there
//      close(discard)  all that is inside           +-->  is none, what was in the mailbox is
//      ~mailbox        what is still inside       --+     destroyed, and a push keeps its message
//
// Invariants
//   (I1)  a counter for statistics orders nothing
//
// Decision: an on_drop that may throw is refused by the compiler. It runs in the middle of a push,
//   of a close and of a destructor, and none of them has anybody to tell.
// Decision: drop_newest gives on_drop the message of the push itself where that may be moved from,
//   and else a copy: a message that can only be moved should arrive somewhere too.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/hook.hpp>
#include <mailroom/core/concepts.hpp>

#include <cstdint>     // uint64_t
#include <type_traits> // decay, is_nothrow_invocable
#include <utility>     // forward, move

namespace mailroom::inline MAILROOM_ABI {

/// Chooses the close() that throws away what is inside.
struct discard_t {
  explicit discard_t() = default;
};
inline constexpr discard_t discard{};

namespace detail {

/// Counts the messages of a mailbox that are not delivered, and gives them to on_drop.
template <class T>
class losses {
public:
  /// Nobody wants the messages.
  losses() noexcept = default;

  /// `on_drop` gets them, as T&&.
  ///
  /// Throws    what the allocation and the copy or move of `on_drop` throw
  template <message_handler<T> F>
  explicit losses(F&& on_drop) : on_drop_{std::forward<F>(on_drop)} {
    static_assert(std::is_nothrow_invocable_v<std::decay_t<F>&, T&&>,
                  "mailroom: an on_drop must be noexcept");
  }

  /// Has somebody to be told of what is left in the end?
  bool is_watched() const noexcept { return static_cast<bool>(on_drop_); }

  /// A push was refused. Its message is where it was.
  void reject() noexcept { rejected_.fetch_add(1, relaxed); } // (I1)

  /// A message was taken out to make room, or does not come in.
  void drop(T&& message) noexcept {
    dropped_.fetch_add(1, relaxed); // (I1)
    hand_over(std::move(message));
  }

  /// The same for a message that stays where it is: on_drop gets a copy.
  ///
  /// Throws    what copying the message throws; then it is not counted
  void drop(const T& message) {
    if (is_watched()) return drop(T(message));
    dropped_.fetch_add(1, relaxed); // (I1)
  }

  /// A message was taken out because nobody will.
  void discard(T&& message) noexcept {
    discarded_.fetch_add(1, relaxed); // (I1)
    hand_over(std::move(message));
  }

  std::uint64_t rejected() const noexcept { return rejected_.load(relaxed); }   // (I1)
  std::uint64_t dropped() const noexcept { return dropped_.load(relaxed); }     // (I1)
  std::uint64_t discarded() const noexcept { return discarded_.load(relaxed); } // (I1)

private:
  using enum memory_order;

  void hand_over(T&& message) noexcept {
    if (on_drop_) on_drop_(std::move(message));
  }

  const hook<T&&> on_drop_{};
  atomic<std::uint64_t> rejected_;
  atomic<std::uint64_t> dropped_;
  atomic<std::uint64_t> discarded_;
};

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_LOSS_HPP
