// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_EVENT_COUNT_HPP
#define MAILROOM_MAILBOX_EVENT_COUNT_HPP

// Lets a thread wait until something may have changed: the one waiting mechanism of the mailboxes.
//
// Use it       to wait for a condition that lives in a lock-free structure: the thread that changes
//              it pays two loads when nobody waits.
// Instead use  mailbox, which does all of this for a queue.
//
//      the waiting thread                     the thread that changes something
//      1  sleepers + 1                        1  publish, by a seq_cst RMW or with a fence behind
//      2  fence                               2  sleepers == 0?  then that was all
//      3  remember epoch                      3  epoch + 1
//      4  look again: done? then leave        4  wake one
//      5  sleep while epoch is the same
//      6  back to 3
//
// A thread that waits for one event sleeps on the event itself, as above. Who waits for several, or
// is no thread, has a place in the list of each (waiter.hpp).
//
// Invariants
//   (I1)  one of the two notices the other: either 4 sees what was published, or 2 sees the
//         sleeper. Both have a seq_cst step between their write and their read (Dekker)
//   (I2)  a wake-up that was meant for a message is never carried away: a sleeper that was woken
//         looks again before it leaves for a timeout or a stop, and one that leaves without having
//         been able to look (an exception, busy) wakes the next
//   (I3)  nobody sleeps on `busy`: that state ends without a wake-up
//   (I4)  a counter for statistics orders nothing, nor does a guess at how long to spin
//   (I5)  the own registration is withdrawn after the last look; who still sees it wakes once more
//
// Memory order
//   (D)   Dekker: the registration, then the heavy fence, then the look <-> the publication, then
//         the light fence, or none behind a seq_cst RMW, then the seq_cst load of sleepers.
//   (W)   wake: what was published before epoch moved -> the sleeper that reads the new epoch sees
//         it in its next look.
//
// A wake-up could only be missed by a thread that stands still between 3 and 5 while the epoch
// moves exactly 2^32 times.
//
// Decision: two ways to wait. Without a list there is no lock, so a producer of high priority is
//   not held up by a consumer that is just falling asleep, and to be woken costs one system call.
//   Where both kinds wait, one of each is woken: who finds nothing waits on.
// Decision: before it sleeps a thread looks again and again for a while, because to sleep and to be
//   woken costs several microseconds. How long is learnt: twice as long after it has helped, half
//   as long after it has not.
// Decision: then it may give the core away, once, and look again: where threads share cores, whom
//   it waits for is perhaps the next to run there, and nobody need sleep. It is tried in about one
//   wait of 16, and after it has helped in each, until it has been in vain 16 times. Where somebody
//   has kept the core for so long that he must be a stranger, it is tried half as often, down to
//   one wait of 4096: who sleeps is served before him, but not who gives way to him. Such a wait
//   may end late by as long as that.
//
// Sources: Vyukov's eventcount; Burckhardt, Alur, Martin, CheckFence, PLDI 2007 (publish, then look
// for a sleeper, is wrong without a fence); Karlin, Li, Manasse, Owicki, Empirical Studies of
// Competitive Spinning, SOSP 1991 (as long as it costs not to).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/fences.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/stop.hpp>
#include <mailroom/mailbox/waiter.hpp>

#include <algorithm>   // min
#include <cstdint>     // uint32_t, uint64_t
#include <type_traits> // is_same, remove_const

namespace mailroom::inline MAILROOM_ABI::detail {

/// What an attempt answers when it is worth waiting for another one.
constexpr bool is_unfinished(queue_status status) noexcept {
  return status == queue_status::empty || status == queue_status::full ||
         status == queue_status::busy;
}

/// Who changes something passes the light fence of Fences between that and notify, unless it was
/// done by a seq_cst RMW and the fences are symmetric.
template <class Wait, class Fences = symmetric_fences>
class event_count {
  static_assert(std::is_same_v<Wait, wait_policy::spin> ||
                    std::is_same_v<Wait, wait_policy::yield> ||
                    std::is_same_v<Wait, wait_policy::park> ||
                    std::is_same_v<Wait, wait_policy::park_fenced>,
                "mailroom: the wait policy is none of wait_policy::spin, yield, park, park_fenced");

public:
  static constexpr bool parks =
      std::is_same_v<Wait, wait_policy::park> || std::is_same_v<Wait, wait_policy::park_fenced>;

  static constexpr bool is_asymmetric = !std::is_same_v<Fences, symmetric_fences>;

  explicit event_count(const Fences& fences = {}) noexcept : fences_{fences} {}

  /// Wakes one of those who wait here, if there is one.
  ///
  /// Caller    anyone, after publishing by a seq_cst RMW, or with a seq_cst fence behind it
  /// Progress  wait-free, with a system call only if somebody sleeps; but where one waits who is in
  ///           the list, blocking: on its lock
  void notify_one() noexcept;

  /// Wakes all of them. Otherwise as notify_one.
  void notify_all() noexcept;

  /// The same for a change that is not published in such a way, as a flag of somebody else.
  void interrupt() noexcept;

  /// Calls `attempt` until it answers anything but empty, full or busy, or the wait is ended.
  ///
  /// Caller    anyone
  /// Progress  blocking: waits for a notification, the stop, or the deadline
  /// Throws    what `attempt`, the token and the clock throw
  /// Returns   what `attempt` answered; else stopped, else timeout. Something that was there before
  ///           the stop or the deadline comes before them, and a stop before a timeout
  template <class Deadline, stoppable_token S, class Attempt>
  queue_status await(const Deadline& deadline, const S& token, Attempt&& attempt);

  /// Those who do not sleep here, but wait. Between a place in it and the look stands this fence.
  wait_list& list() noexcept { return list_; }
  void order_before_look() const noexcept { fences_.heavy(); }

  /// One of them begins to wait. For statistics.
  void count_wait() noexcept { waits_.fetch_add(1, relaxed); } // (I4)

  /// How often one waited, and how often a thread was woken. For statistics.
  std::uint64_t waits() const noexcept { return waits_.load(relaxed); }     // (I4)
  std::uint64_t wakeups() const noexcept { return wakeups_.load(relaxed); } // (I4)

private:
  using enum memory_order;
  static constexpr std::uint32_t most_credit = 16;
  static constexpr std::uint32_t least_caution = 16;
  static constexpr std::uint32_t most_caution = 4096;
  static constexpr nanoseconds longest_turn = 200'000;

  /// Counts the thread among the sleepers.
  struct registration {
    event_count& event;
    explicit registration(event_count& at) noexcept : event{at} {
      event.sleepers_.fetch_add(1, relaxed); // (D)
      event.fences_.heavy();
    }
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;
    ~registration() { event.sleepers_.fetch_sub(1, relaxed); } // (I5)
  };

  /// Wakes another sleeper for one that leaves without having looked. (I2)
  struct unused_wake_up {
    event_count& event;
    bool needed = false;
    ~unused_wake_up() {
      if (needed) event.notify_one();
    }
  };

  struct outcome {
    queue_status status;
    bool saw_busy;
  };

  void wake_sleeper() noexcept;
  template <class Deadline, stoppable_token S, class Attempt>
  static outcome look(const Deadline& deadline, const S& token, Attempt& attempt);
  template <class Attempt>
  queue_status spin(Attempt& attempt);
  template <class Attempt>
  queue_status look_after_others(Attempt& attempt);
  template <class Deadline, stoppable_token S, class Attempt>
  queue_status look_repeatedly(const Deadline& deadline, const S& token, Attempt& attempt);
  template <class Deadline, stoppable_token S, class Attempt>
  queue_status sleep(const Deadline& deadline, const S& token, Attempt& attempt);

  // On a line of its own: a notifier only reads it while nobody waits.
  alignas(cache_line) atomic<std::uint32_t> sleepers_;
  wait_list list_;
  [[no_unique_address]] Fences fences_;
  alignas(cache_line) futex epoch_;
  atomic<std::uint32_t> patience_{longest_spin / 2}; // nanoseconds
  atomic<std::uint32_t> credit_;                     // so often it may give the core away in vain
  atomic<std::uint32_t> caution_{least_caution};     // waits from one try of that to the next
  atomic<std::uint64_t> waits_;
  atomic<std::uint64_t> wakeups_;
};

// ---- Definitions, in the order of the class

template <class Wait, class Fences>
inline void event_count<Wait, Fences>::notify_one() noexcept {
  if constexpr (parks) {
    list_.wake_one();
    if (sleepers_.load(seq_cst) != 0) wake_sleeper(); // (D)
  }
}

template <class Wait, class Fences>
void event_count<Wait, Fences>::notify_all() noexcept {
  if constexpr (parks) {
    list_.wake_all();
    if (sleepers_.load(seq_cst) == 0) return; // (D)
    wakeups_.fetch_add(1, relaxed);           // (I4)
    epoch_.word.fetch_add(1, release);        // (W)
    futex_wake_all(epoch_);
  }
}

template <class Wait, class Fences>
void event_count<Wait, Fences>::interrupt() noexcept {
  if constexpr (parks) {
    fences_.light();
    notify_all();
  }
}

template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
queue_status event_count<Wait, Fences>::await(const Deadline& deadline, const S& token,
                                              Attempt&& attempt) {
  queue_status status = look(deadline, token, attempt).status;
  if (!is_unfinished(status)) return status;
  count_wait();
  if constexpr (!std::is_same_v<Wait, wait_policy::spin> && longest_spin != 0) {
    status = spin(attempt);
    if (!is_unfinished(status)) return status;
  }
  if constexpr (parks) return sleep(deadline, token, attempt);
  return look_repeatedly(deadline, token, attempt);
}

template <class Wait, class Fences>
[[gnu::noinline]] void event_count<Wait, Fences>::wake_sleeper() noexcept {
  wakeups_.fetch_add(1, relaxed);    // (I4)
  epoch_.word.fetch_add(1, release); // (W)
  futex_wake_one(epoch_);
}

/// One attempt, and the verdict on it. The end of the wait is looked for first, so that whatever
/// happened before the stop or the deadline is still found.
template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
typename event_count<Wait, Fences>::outcome
event_count<Wait, Fences>::look(const Deadline& deadline, const S& token, Attempt& attempt) {
  const bool is_stopped = token.stop_requested();
  const bool is_late = !is_stopped && deadline.expired();
  const queue_status seen = attempt();
  const bool saw_busy = seen == queue_status::busy;
  if (!is_unfinished(seen)) return {seen, saw_busy};
  if (is_stopped) return {queue_status::stopped, saw_busy};
  return {is_late ? queue_status::timeout : seen, saw_busy};
}

/// Looks again and again, as long as that has been worth it lately.
template <class Wait, class Fences>
template <class Attempt>
queue_status event_count<Wait, Fences>::spin(Attempt& attempt) {
  const std::uint32_t patience = patience_.load(relaxed); // (I4)
  const nanoseconds end = now() + patience;
  do {
    for (int i = 0; i != looks_per_clock; ++i) {
      relax();
      const queue_status status = attempt();
      if (is_unfinished(status)) continue;
      if (patience < longest_spin) patience_.store(patience * 2, relaxed); // (I4)
      return status;
    }
  } while (now() < end);
  patience_.store(larger_of(patience / 2, shortest_spin), relaxed); // (I4)
  return look_after_others(attempt);
}

/// Looks once more when others have had the core, if that has been worth it lately.
template <class Wait, class Fences>
template <class Attempt>
queue_status event_count<Wait, Fences>::look_after_others(Attempt& attempt) {
  const std::uint32_t credit = credit_.load(relaxed);   // (I4)
  const std::uint32_t caution = caution_.load(relaxed); // (I4)
  if (credit == 0 && waits() % caution != 0) return queue_status::busy;
  const nanoseconds begin = now();
  yield();
  const bool was_long = now() - begin > longest_turn;
  const queue_status status = attempt();
  if (was_long) {
    credit_.store(0, relaxed);                                      // (I4)
    caution_.store(smaller_of(caution * 2, most_caution), relaxed); // (I4)
  } else if (is_unfinished(status)) {
    if (credit != 0) credit_.store(credit - 1, relaxed); // (I4)
  } else {
    credit_.store(most_credit, relaxed);    // (I4)
    caution_.store(least_caution, relaxed); // (I4)
  }
  return status;
}

template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
queue_status event_count<Wait, Fences>::look_repeatedly(const Deadline& deadline, const S& token,
                                                        Attempt& attempt) {
  for (;;) {
    const queue_status status = look(deadline, token, attempt).status;
    if (!is_unfinished(status)) return status;
    if constexpr (std::is_same_v<Wait, wait_policy::yield>) {
      yield();
    } else {
      relax();
    }
  }
}

template <class Wait, class Fences>
template <class Deadline, stoppable_token S, class Attempt>
queue_status event_count<Wait, Fences>::sleep(const Deadline& deadline, const S& token,
                                              Attempt& attempt) {
  const auto wake = [this]() noexcept { interrupt(); };
  const registration registered{*this};
  const stop_watch<S, std::remove_const_t<decltype(wake)>> watch{token, wake};
  unused_wake_up handed_on{*this};
  for (;;) {
    handed_on.needed = true;                               // until the attempt has answered
    const std::uint32_t epoch = epoch_.word.load(acquire); // (W)
    const outcome found = look(deadline, token, attempt);
    handed_on.needed = found.saw_busy;
    if (!is_unfinished(found.status)) return found.status;
    if (found.saw_busy) {
      yield(); // (I3)
    } else {
      (void)futex_wait(epoch_, epoch, std::min(deadline.wake_at(), watch.look_again_at()));
    }
  }
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_MAILBOX_EVENT_COUNT_HPP
