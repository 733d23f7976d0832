// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_WAITER_HPP
#define MAILROOM_MAILBOX_WAITER_HPP

// Who waits for several events, or is no thread; and where those stand that wait for the same.
//
// Use it       to wait for the first of several events, in a coroutine, or behind a descriptor.
// Instead use  event_count, where a thread waits for one event: that needs no list and no lock.
//
// A waiter has a place in the list of each event that it waits for: one for a pop, several for a
// select. Whoever makes such an event happen takes the first of its list who still waits, and tells
// it which event it was. What it means to be woken is the waiter's own: a thread stops sleeping, a
// coroutine is resumed, a file descriptor becomes readable.
//
//      wait_list "not empty" of a        [place]--[place]--[place]
//                                           |        |        |
//                                        waiter   waiter   waiter     a thread, a coroutine, ...
//                                                    |
//      wait_list "not empty" of b                 [place]             a select stands in two lists
//
// Invariants
//   (I1)  of all that may end a wait, one does: whoever changes verdict from waiting. An event does
//         it while it holds the lock of its list; the waiter itself, when it leaves
//   (I2)  a place is in its list from its construction until it is destroyed, or an event of that
//         list has come by, which has ended the wait or found it ended; so none meets it twice.
//         Links and members of the list belong to the list's lock
//   (I3)  an event uses a waiter, and a place of it, only while it holds the lock of a list that
//         the place is in, or from which it has just taken it. So a waiter that has destroyed its
//         places is forgotten. The exception is a waiter that asks to be resumed: who ended its
//         wait owns it from then on
//   (I4)  `length` is written under the lock; who reads 0 without it has nobody to wake, by (D)
//
// Memory order
//   (D)   Dekker: a place is counted, then a fence (fences.hpp), then the waiter looks <-> what it
//         waits for is published, then perhaps a fence, then the seq_cst load of length. One sees
//         the other.
//   (U)   unpark: what was done before it -> the thread, before its next look. (What an event has
//         done comes with the lock; this is for a stop.) By an RMW, so that who unparks it a
//         second time does not hide the first; the fence of (D) comes between the RMW of the
//         thread and its look.
//
// Decision: a lock, for as long as it takes to find who still waits, and for a system call when
//   that is a thread; and only where somebody waits. A list that is left in the middle, by
//   deadlines, stops and selects, needs one or has worse.
// Decision: a thread is woken under the lock. It passes the lock before it leaves, so it cannot be
//   gone while it is being woken.
//
// Sources: the wait queues with a word per waiter that Go's select and Rust's crossbeam-channel
// have; Mellor-Crummey, Scott, TOCS 1991 (a waiter waits on memory of its own).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/mutex.hpp>

#include <cstdint> // uint32_t, uint64_t

namespace mailroom::inline MAILROOM_ABI::detail {

/// One who waits for the first of some events.
class waiter {
public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Waits again. Only while it has no place.
  void begin() noexcept { verdict_.store(waiting, memory_order::relaxed); } // (I1)

  /// Ends the wait without an event.
  ///
  /// Returns   false if an event has ended it before
  bool leave() noexcept { return end(left); }

  /// Has an event ended the wait, and which?
  bool is_fired() const noexcept { return verdict() >= first_event; }
  std::uint32_t event() const noexcept { return verdict() - first_event; }

protected:
  ~waiter() = default;

private:
  friend class wait_list;
  static constexpr std::uint32_t waiting = 0;
  static constexpr std::uint32_t left = 1;
  static constexpr std::uint32_t first_event = 2;

  /// What being woken means, for a waiter whose wait an event has ended. Under the lock of the
  /// event's list, so it must be short, and wait for nobody.
  ///
  /// Returns   whether resume() is to be called when the lock is released; if not, the waiter may
  ///           be gone by then
  virtual bool wake() noexcept = 0;
  virtual void resume() noexcept {}

  std::uint32_t verdict() const noexcept { return verdict_.load(memory_order::relaxed); } // (I1)
  bool end(std::uint32_t verdict) noexcept {
    std::uint32_t expected = waiting;
    using enum memory_order;
    return verdict_.compare_exchange(expected, verdict, relaxed, relaxed); // (I1)
  }

  atomic<std::uint32_t> verdict_;
};

/// A thread that waits.
class sleeper final : public waiter {
public:
  /// Waits again. What was done before an unpark so far has happened before.
  void begin() noexcept {
    (void)unparked_.word.exchange(0, memory_order::relaxed); // (U)
    waiter::begin();
  }

  /// Sleeps until it is unparked, or the deadline; may also return early.
  void park(nanoseconds deadline) noexcept { (void)futex_wait(unparked_, 0, deadline); }

  /// Makes it look again.
  ///
  /// Caller    anyone, while the sleeper lives
  void unpark() noexcept {
    (void)unparked_.word.exchange(1, memory_order::release); // (U)
    futex_wake_one(unparked_);
  }

private:
  bool wake() noexcept override {
    unpark();
    return false;
  }

  futex unparked_;
};

/// Those who wait for the same event.
class wait_list {
public:
  class place;

  /// Wakes the first who still waits, if there is one.
  ///
  /// Caller    anyone, after publishing by a seq_cst RMW, or with a seq_cst fence behind it
  /// Progress  wait-free while nobody waits; else blocking: on the lock of the list
  void wake_one() noexcept;

  /// Wakes all who wait. Otherwise as wake_one.
  void wake_all() noexcept;

private:
  void wake_first() noexcept;
  void append(place& last) noexcept;
  void remove(place& gone) noexcept;
  bool take(place& first) noexcept;
  waiter* fire_until_resumed(std::uint64_t last) noexcept;

  atomic<std::uint32_t> length_; // (I4)
  mutex lock_;
  place* first_ = nullptr;
  place* last_ = nullptr;
  std::uint64_t arrivals_ = 0; // so many places were ever in it
};

/// A waiter's place in a list, from construction to destruction.
class wait_list::place {
public:
  /// Stands at the end of the list. The heavy fence must follow, and then a look.
  place(wait_list& list, waiter& who, std::uint32_t event = 0) noexcept
      : list_{list}, who_{who}, event_{event} {
    const lock_guard held{list.lock_};
    list.append(*this);
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  /// Is forgotten by the list. The waiter must have left, or an event have ended the wait.
  ~place() {
    const lock_guard held{list_.lock_}; // also when it is out: who wakes it may not be through
    if (is_in_) list_.remove(*this);
  }

private:
  friend class wait_list;
  wait_list& list_;
  waiter& who_;
  const std::uint32_t event_;
  bool is_in_ = false;
  std::uint64_t number_ = 0; // of its arrival
  place* before_ = nullptr;
  place* behind_ = nullptr;
};

// ---- Definitions, in the order of the class

inline void wait_list::wake_one() noexcept {
  if (length_.load(memory_order::seq_cst) != 0) wake_first(); // (D)
}

[[gnu::noinline]] inline void wait_list::wake_first() noexcept {
  waiter* to_resume = nullptr;
  bool somebody = false;
  {
    const lock_guard held{lock_};
    for (place* each = first_; each != nullptr && !somebody;) {
      place& next = *each;
      waiter& who = next.who_;
      each = each->behind_;
      somebody = take(next);
      if (somebody && who.wake()) to_resume = &who;
    }
  }
  if (to_resume != nullptr) to_resume->resume();
}

/// Those who come while others are resumed are not woken: it would never end.
inline void wait_list::wake_all() noexcept {
  if (length_.load(memory_order::seq_cst) == 0) return; // (D)
  std::uint64_t last = 0;
  for (;;) {
    waiter* to_resume = nullptr;
    {
      const lock_guard held{lock_};
      if (last == 0) last = arrivals_;
      to_resume = fire_until_resumed(last);
    }
    if (to_resume == nullptr) return;
    to_resume->resume(); // and then anybody may have gone
  }
}

inline void wait_list::append(place& last) noexcept {
  last.before_ = last_;
  (last_ == nullptr ? first_ : last_->behind_) = &last;
  last_ = &last;
  last.is_in_ = true;
  last.number_ = ++arrivals_;
  length_.fetch_add(1, memory_order::relaxed); // (D)
}

inline void wait_list::remove(place& gone) noexcept {
  (gone.before_ == nullptr ? first_ : gone.before_->behind_) = gone.behind_;
  (gone.behind_ == nullptr ? last_ : gone.behind_->before_) = gone.before_;
  gone.is_in_ = false;
  length_.fetch_sub(1, memory_order::relaxed); // (I4)
}

/// Takes a place out, and ends the wait of its waiter.
///
/// Returns   false if something has ended it before
inline bool wait_list::take(place& first) noexcept {
  const bool was_waiting = first.who_.end(waiter::first_event + first.event_);
  remove(first);
  return was_waiting;
}

/// Wakes those who came up to `last`, from the front on.
///
/// Returns   the first of them who is to be resumed without the lock, before the next is woken
inline waiter* wait_list::fire_until_resumed(std::uint64_t last) noexcept {
  for (place* each = first_; each != nullptr && each->number_ <= last;) {
    place& next = *each;
    each = each->behind_;
    waiter& who = next.who_;
    if (take(next) && who.wake()) return &who;
  }
  return nullptr;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_WAITER_HPP
