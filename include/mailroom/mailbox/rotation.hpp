// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_ROTATION_HPP
#define MAILROOM_MAILBOX_ROTATION_HPP

// Cases that take turns, in a set that changes; and their places in the lists of their mailboxes:
// the inside of selector.
//
//          turn
//            |
//      +-> [case]---[case]---[case]-+      a look begins with whose turn it is, and ends with the
//      |      |        |        |   |      first that can be carried out; the turn is then at the
//      +------|--------|--------|---+      next one
//           place    place    place        while somebody waits, one in the list of each mailbox
//
// Who waits stands in the lists, passes a fence, and looks: that is its half of what waiter.hpp
// calls (D).
//
// Invariants
//   (I1)  a wake-up is used by the next attempt at its case, or handed on to the next of that list:
//         when the turn ends before it comes to that case, when the case is removed, and in the end
//   (I2)  the set, and what the cases are, belongs to one thread. Others see the waiter and its
//         places, as waiter.hpp says
//   (I3)  nobody is in the set whose mailbox is at its end, or who has been removed; and nobody out
//         of the set has a place
//
// Decision: one waiter with a place in each list, not one for each case. It holds one wake-up at
//   most, and can give it back before a handler runs; so nobody sleeps beside a message which the
//   selector was told of, but which a slow handler keeps it from. What else keeps an event loop
//   from asking again does: there a mailbox should have no other reader.
// Decision: turns, not lots as in select: what is kept can remember whose turn it is.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/checks.hpp>

#include <cstddef>  // size_t
#include <cstdint>  // uint32_t
#include <memory>   // unique_ptr
#include <optional> // optional
#include <utility>  // exchange, move

namespace mailroom::inline MAILROOM_ABI::detail {

class rotation;

/// A case that can be in a set.
class kept_case {
public:
  kept_case(const kept_case&) = delete;
  kept_case& operator=(const kept_case&) = delete;
  virtual ~kept_case() = default;

  bool is_in_a_set() const noexcept { return set_ != nullptr; }

  /// Calls its handler, which may cancel the case, and destroy the set.
  static void carry_out(kept_case& one);

  /// Takes it out of its set, and destroys it; where its handler runs, when that has returned.
  static void cancel(std::unique_ptr<kept_case> one) noexcept;

protected:
  kept_case() = default;

private:
  friend class rotation;
  virtual queue_status attempt() = 0;
  virtual void finish() = 0;
  virtual wait_list& list() noexcept = 0;
  virtual void order_before_attempt() noexcept = 0;
  virtual bool is_asymmetric() const noexcept = 0;
  virtual void enter(presence& self) noexcept = 0;
  virtual void count_wait() noexcept = 0;

  void stand(waiter& who, std::uint32_t number) noexcept {
    enter(presence_);
    number_ = number;
    place_.emplace(list(), who, number);
  }
  void leave() noexcept {
    place_.reset();
    presence_.leave();
  }

  rotation* set_ = nullptr;
  kept_case* before_ = nullptr;
  kept_case* behind_ = nullptr;
  std::optional<wait_list::place> place_;
  [[no_unique_address]] presence presence_; // in the mailbox, while it has a place
  std::uint32_t number_ = 0;                // of its event, while it has a place
  unsigned runs_ = 0;                       // so many calls of its handler have not returned
  bool is_cancelled_ = false;               // by its handler: who runs that destroys it
};

template <class Case>
class kept_case_of final : public kept_case {
public:
  explicit kept_case_of(Case&& one) : case_{std::move(one)} {}

private:
  queue_status attempt() override { return case_.attempt(); }
  void finish() override { case_.finish(); }
  wait_list& list() noexcept override { return case_.list(); }
  void order_before_attempt() noexcept override { case_.order_before_attempt(); }
  bool is_asymmetric() const noexcept override { return Case::is_asymmetric; }
  void enter(presence& self) noexcept override { case_.enter(self); }
  void count_wait() noexcept override { case_.count_wait(); }

  Case case_;
};

class rotation {
public:
  struct outcome {
    kept_case* which; // to be carried out
    queue_status status;
  };

  rotation() = default;
  rotation(const rotation&) = delete;
  rotation& operator=(const rotation&) = delete;

  /// Leaves the cases alone, and all lists.
  ~rotation();

  /// Takes a case in, whose turn comes last. Nobody stands in the lists.
  void add(kept_case& one) noexcept;

  /// Takes a case out.
  void remove(kept_case& one) noexcept;

  /// An attempt at each in turn, until one succeeds. Those at their end leave the set.
  ///
  /// Returns   success; empty; closed if none is in the set; busy if one was, and none was ready
  outcome look();

  /// Takes a place for `who` in each list, and passes a fence. A look must follow.
  void stand(waiter& who) noexcept;

  /// Leaves all lists. A wake-up that came is then in hand.
  ///
  /// Returns   who stood there and still waited; else nobody
  waiter* withdraw() noexcept;

  /// Gives a wake-up that is in hand to the next of its list.
  void hand_on() noexcept;

  /// Statistics: all of them begin to wait.
  void count_waits() noexcept {
    for_each([](kept_case& one) { one.count_wait(); });
  }

  bool is_standing() const noexcept { return standing_ != nullptr; }
  bool is_woken() const noexcept { return is_standing() && standing_->is_fired(); }
  std::size_t size() const noexcept { return size_; }

private:
  void unlink(kept_case& one) noexcept;
  template <class F>
  void for_each(F&& call) {
    kept_case* each = turn_;
    for (std::size_t left = size_; left != 0; --left) call(*std::exchange(each, each->behind_));
  }

  kept_case* turn_ = nullptr;
  std::size_t size_ = 0;
  waiter* standing_ = nullptr;
  kept_case* in_hand_ = nullptr; // whose wake-up is not used yet
};

// ---- Definitions, in the order of the classes

inline void kept_case::carry_out(kept_case& one) {
  struct call {
    kept_case& of;
    ~call() {
      if (--of.runs_ == 0 && of.is_cancelled_) delete &of;
    }
  };
  ++one.runs_;
  const call running{one};
  one.finish();
}

inline void kept_case::cancel(std::unique_ptr<kept_case> one) noexcept {
  if (one == nullptr) return;
  if (one->set_ != nullptr) one->set_->remove(*one);
  if (one->runs_ != 0) one.release()->is_cancelled_ = true;
}

inline rotation::~rotation() {
  (void)withdraw();
  hand_on();
  while (turn_ != nullptr) unlink(*turn_);
}

inline void rotation::add(kept_case& one) noexcept {
  one.set_ = this;
  if (turn_ == nullptr) turn_ = one.before_ = one.behind_ = &one;
  one.behind_ = turn_;
  one.before_ = turn_->before_;
  one.before_->behind_ = turn_->before_ = &one;
  ++size_;
}

/// It may have been woken up to the moment when its place is gone. (I1)
inline void rotation::remove(kept_case& one) noexcept {
  one.leave();
  if (is_woken()) (void)withdraw();
  if (in_hand_ == &one) hand_on();
  unlink(one);
}

inline rotation::outcome rotation::look() {
  bool saw_busy = false;
  for (std::size_t left = size_; left != 0; --left) {
    kept_case& one = *std::exchange(turn_, turn_->behind_);
    const queue_status status = one.attempt();
    saw_busy |= status == queue_status::busy;
    if (in_hand_ == &one && status != queue_status::busy) in_hand_ = nullptr; // (I1)
    if (status == queue_status::success) return {&one, status};
    if (status == queue_status::closed) unlink(one);
  }
  if (saw_busy) return {nullptr, queue_status::busy};
  return {nullptr, size_ == 0 ? queue_status::closed : queue_status::empty};
}

/// One fence of each kind: what one of them does, it does for all mailboxes.
inline void rotation::stand(waiter& who) noexcept {
  standing_ = &who;
  std::uint32_t number = 0;
  for_each([&](kept_case& one) { one.stand(who, number++); });
  bool has_passed[2]{};
  for_each([&](kept_case& one) {
    bool& passed = has_passed[one.is_asymmetric() ? 1 : 0];
    if (!passed) one.order_before_attempt();
    passed = true;
  });
}

inline waiter* rotation::withdraw() noexcept {
  if (!is_standing()) return nullptr;
  waiter& who = *std::exchange(standing_, nullptr);
  const bool was_waiting = who.leave();
  for_each([](kept_case& one) { one.leave(); });
  if (was_waiting) return &who;
  hand_on();
  for_each([&](kept_case& one) {
    if (one.number_ == who.event()) in_hand_ = &one;
  });
  return nullptr;
}

inline void rotation::hand_on() noexcept {
  if (in_hand_ != nullptr) std::exchange(in_hand_, nullptr)->list().wake_one();
}

inline void rotation::unlink(kept_case& one) noexcept {
  one.leave(); // (I3)
  one.set_ = nullptr;
  one.before_->behind_ = one.behind_;
  one.behind_->before_ = one.before_;
  if (turn_ == &one) turn_ = one.behind_;
  if (--size_ == 0) turn_ = nullptr;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_ROTATION_HPP
