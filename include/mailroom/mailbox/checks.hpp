// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_CHECKS_HPP
#define MAILROOM_MAILBOX_CHECKS_HPP

// Checked mode: a mailbox that is used against its contract says so, and names both sides.
//
// Use it       in tests and while looking for a bug: -D MAILROOM_CHECKED=1, or the same #define
//              before the first header of the library. Without it this page is empty: no byte in a
//              mailbox, no instruction in a call.
// Instead use  a sanitizer, for races in the messages themselves. The lock below orders the calls
//              of a checked mailbox, so a race detector sees less of a program that is checked.
//
// Each mailbox has a list of the calls that are in it, each with its thread:
//
//      push     thread 0x7f..a0 (feeder)    at the producers' end
//      run      thread 0x7f..b0 (worker)    in its handler
//      push     thread 0x7f..c0 (main)      <-- comes in: the queue has one producer, and there is
//                                               one at that end already: reported
//
// Reported are (the names are those of violation_rule):
//
//      one_producer, one_consumer  two threads in a call of the same end, where the queue has one
//                         thread there. A call that waits is in it all the while, and so are a
//                         select and a coroutine that wait
//      destroyed_in_use   the mailbox is destroyed while somebody is in a call, in a handler of run
//                         or in on_drop, or waits in a select or a coroutine
//      waits_for_itself   the handler of run, over a queue with one consumer, pushes into its own
//                         full mailbox, or calls close_and_wait while messages are inside, with
//                         neither a deadline nor a token: only who waits could make room, or
//                         somebody who closes the mailbox, on which no handler should rely
//      push_from_on_drop  a push into the mailbox that is just discarding, and may again
//
// Not reported is what the contract allows: an end that is handed over, between two calls, to
// another thread; a handler that pops, or pushes with try_push, a deadline or a token. Nor what
// nobody can see from inside: two producers that never meet in a call, though nothing orders them.
// To make such meet, a call that finds the end in other hands than before stays for some
// microseconds. The handlers of a select and of consume_all, the body of a loop over a consumer,
// and a coroutine that was resumed are not known as handlers. What a thread does at an end where a
// coroutine of its own waits counts as part of that, though the coroutine may go on elsewhere.
//
// Files with and without it may be in one program: everything is in another inline namespace, so
// each kind has mailboxes of its own. Who hands a mailbox to a function of the other kind does not
// link; a class with a mailbox inside must be known to files of one kind only.
//
// Invariants
//   (I1)  the list and what is said in it belong to the lock of the list
//   (I2)  no code of the user runs under that lock, so no other lock is ever taken inside
//   (I3)  a call that a call of the same thread makes at the same end is part of it
//   (I4)  whose name is asked for under the lock has not left, and so not ended; a coroutine keeps
//         the name of its thread
//   (I5)  a child process touches neither list nor lock of what it inherited: threads that it does
//         not have may be in the one, and hold the other
//
// Memory order
//   (H)   handler: all that was done before it was set -> the thread that calls it.
//         Argued: the checker runs no checked mailboxes.
//
// Decision: a violation ends the program, as a failed assert does. Who sets a handler can do
//   otherwise; when that returns, the call goes on as if nothing had been seen.
// Decision: only overlapping calls are a second producer. To know whether two that do not overlap
//   were ordered needs the clocks of a race detector, for all that the program does.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/mutex.hpp>
#include <mailroom/core/concepts.hpp>

#include <type_traits> // is_empty

#if MAILROOM_CHECKED
#include <cstddef> // size_t
#include <cstdint> // uint64_t
#include <cstdio>  // fprintf
#include <cstdlib> // abort
#include <utility> // exchange
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

/// Where in a mailbox a call is: at one of the ends, in the user's code, or elsewhere.
enum class station : unsigned char { producing, consuming, elsewhere, handling, dropping };

} // namespace mailroom::inline MAILROOM_ABI::detail

#if MAILROOM_CHECKED

namespace mailroom::inline MAILROOM_ABI {

enum class violation_rule : unsigned char {
  one_producer,
  one_consumer,
  destroyed_in_use,
  waits_for_itself,
  push_from_on_drop,
};

constexpr const char* to_string(violation_rule rule) noexcept {
  switch (rule) {
  case violation_rule::one_producer: return "a second producer";
  case violation_rule::one_consumer: return "a second consumer";
  case violation_rule::destroyed_in_use: return "destroyed in use";
  case violation_rule::waits_for_itself: return "waits for itself";
  case violation_rule::push_from_on_drop: return "a push from on_drop";
  }
  return "?";
}

/// A call in a mailbox, and who made it.
struct mailbox_visitor {
  const char* call;            ///< "push", "the handler of run", ...
  detail::thread_label thread; ///< as a debugger shows it: a number, and the name that it was given
};

/// What a checked mailbox has seen.
struct violation {
  violation_rule rule;
  const char* mailbox;      ///< its name
  mailbox_visitor comes;    ///< whose call is against the rule
  mailbox_visitor is_there; ///< because of this one, which is not over
};

using violation_handler = void (*)(const violation&) noexcept;

/// Says a violation in one line on stderr, and ends the program.
[[noreturn]] inline void abort_on_violation(const violation& seen) noexcept {
  std::fprintf(stderr,
               "mailroom: mailbox \"%s\": %s: %s in thread 0x%llx (%s), "
               "while %s is not over in thread 0x%llx (%s)\n",
               seen.mailbox, to_string(seen.rule), seen.comes.call,
               static_cast<unsigned long long>(seen.comes.thread.number), seen.comes.thread.name,
               seen.is_there.call, static_cast<unsigned long long>(seen.is_there.thread.number),
               seen.is_there.thread.name);
  std::abort();
}

namespace detail {
inline atomic<violation_handler> current_violation_handler{&abort_on_violation};
} // namespace detail

/// Sets who is told of violations, for all checked mailboxes, in place of abort_on_violation, which
/// nullptr stands for. It is called in the thread whose call is against the rule, before that goes
/// on.
///
/// Caller    anyone
/// Progress  wait-free
/// Returns   who was told before
inline violation_handler set_violation_handler(violation_handler wanted) noexcept {
  if (wanted == nullptr) wanted = &abort_on_violation;
  return detail::current_violation_handler.exchange(wanted, detail::memory_order::acq_rel); // (H)
}

namespace detail {

class presence;

/// Whether an end was last used by the same thread.
enum class hands : unsigned char { same, other };

/// The calls that are in one mailbox.
class visitors {
public:
  visitors(arity producers, arity consumers, const char* name) noexcept
      : name_{name}, how_many_{producers, consumers} {}

  /// The mailbox is about to be destroyed.
  void expect_none() noexcept;

  /// A call waits for a message to be taken out, and nothing else ends its wait.
  void expect_a_consumer(const char* call) noexcept;

private:
  friend class presence;
  struct finding {
    violation_rule rule;
    mailbox_visitor who;
  };

  static std::size_t index(station at) noexcept { return static_cast<std::size_t>(at); }
  bool is_inherited() const noexcept { return process_ != process_number(); }
  bool is_for_one(station at) const noexcept {
    return at <= station::consuming && how_many_[index(at)] == arity::one;
  }
  presence* newest_of(std::uint64_t thread) noexcept;
  finding look(const presence* own, station at, std::uint64_t thread) const noexcept;
  hands pass(station at, std::uint64_t thread) noexcept;
  void append(presence& last) noexcept;
  void remove(presence& gone) noexcept;
  void report(violation_rule rule, const mailbox_visitor& comes,
              const mailbox_visitor& is_there) const noexcept {
    const violation seen{rule, name_, comes, is_there};
    current_violation_handler.load(memory_order::acquire)(seen); // (H)
  }

  const char* const name_;
  const int process_ = process_number();
  const arity how_many_[2];        // at each end, by station
  std::uint64_t last_thread_[2]{}; // that came to it
  mutex lock_;
  presence* first_ = nullptr;
  presence* last_ = nullptr;
};

/// A call in a mailbox, from when it comes in until it leaves.
class presence {
public:
  presence() noexcept = default;
  presence(visitors& in, const char* call, station at) noexcept {
    if (enter(in, call, at) == hands::other) stay_for_a_moment();
  }
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;
  ~presence() { leave(); }

  /// Comes in, or goes to another station, or goes on in another thread.
  ///
  /// Returns   in whose hands the end was before
  hands enter(visitors& in, const char* call, station at) noexcept;
  void leave() noexcept;

  /// The thread may end before it leaves, for it is a coroutine that is in the mailbox.
  void keep_name() noexcept;

private:
  friend class visitors;
  mailbox_visitor named() const noexcept {
    return *who_.thread.name != 0 ? who_ : mailbox_visitor{who_.call, label_of(who_.thread.number)};
  }
  static void stay_for_a_moment() noexcept {
    const nanoseconds end = now() + longest_spin;
    while (now() < end) yield();
  }

  visitors* in_ = nullptr; // whose list it is in
  mailbox_visitor who_{};
  station at_ = station::elsewhere;
  bool is_reported_ = false;
  presence* before_ = nullptr;
  presence* behind_ = nullptr;
};

// ---- Definitions, in the order of the classes

inline void visitors::expect_none() noexcept {
  if (is_inherited()) return; // (I5)
  const mailbox_visitor self{"~mailbox", label_of(thread_number())};
  mailbox_visitor found{};
  {
    const lock_guard held{lock_};
    if (first_ == nullptr) return;
    const presence* const own = newest_of(self.thread.number);
    found = (own == nullptr ? first_ : own)->named();
  }
  report(violation_rule::destroyed_in_use, self, found);
}

inline void visitors::expect_a_consumer(const char* call) noexcept {
  if (!is_for_one(station::consuming) || is_inherited()) return;
  const mailbox_visitor self{call, label_of(thread_number())};
  mailbox_visitor found{};
  {
    const lock_guard held{lock_};
    presence* each = first_;
    while (each != nullptr &&
           (each->at_ != station::handling || each->who_.thread.number != self.thread.number)) {
      each = each->behind_;
    }
    if (each == nullptr || each->is_reported_) return;
    each->is_reported_ = true;
    found = each->named();
  }
  report(violation_rule::waits_for_itself, self, found);
}

inline presence* visitors::newest_of(std::uint64_t thread) noexcept {
  presence* each = last_;
  while (each != nullptr && each->who_.thread.number != thread) each = each->before_;
  return each;
}

/// What speaks against a call that comes to a station. `own` is the newest of its thread.
inline visitors::finding visitors::look(const presence* own, station at,
                                        std::uint64_t thread) const noexcept {
  if (at == station::producing && own != nullptr && own->at_ == station::dropping) {
    return {violation_rule::push_from_on_drop, own->named()};
  }
  const auto rule =
      at == station::producing ? violation_rule::one_producer : violation_rule::one_consumer;
  if (!is_for_one(at)) return {rule, {}};
  const presence* each = first_;
  while (each != nullptr && (each->at_ != at || each->who_.thread.number == thread)) {
    each = each->behind_;
  }
  return {rule, each == nullptr ? mailbox_visitor{} : each->named()};
}

/// Notes who came last to an end that is for one.
inline hands visitors::pass(station at, std::uint64_t thread) noexcept {
  if (!is_for_one(at)) return hands::same;
  const std::uint64_t before = std::exchange(last_thread_[index(at)], thread);
  return before == 0 || before == thread ? hands::same : hands::other;
}

inline void visitors::append(presence& last) noexcept {
  last.in_ = this;
  last.before_ = last_;
  last.behind_ = nullptr;
  (last_ == nullptr ? first_ : last_->behind_) = &last;
  last_ = &last;
}

inline void visitors::remove(presence& gone) noexcept {
  (gone.before_ == nullptr ? first_ : gone.before_->behind_) = gone.behind_;
  (gone.behind_ == nullptr ? last_ : gone.behind_->before_) = gone.before_;
}

inline hands presence::enter(visitors& in, const char* call, station at) noexcept {
  leave();
  if (in.is_inherited()) return hands::same; // (I5)
  visitors::finding found{};
  hands last = hands::same;
  {
    const lock_guard held{in.lock_};
    const std::uint64_t thread = thread_number();
    const presence* const own = in.newest_of(thread);
    if (own != nullptr && own->at_ == at) return last; // (I3)
    found = in.look(own, at, thread);
    last = in.pass(at, thread);
    who_ = {call, {thread, ""}};
    at_ = at;
    is_reported_ = false;
    in.append(*this);
  }
  if (found.who.call != nullptr) in.report(found.rule, named(), found.who);
  return last;
}

inline void presence::leave() noexcept {
  visitors* const left = std::exchange(in_, nullptr);
  if (left == nullptr || left->is_inherited()) return; // (I5)
  const lock_guard held{left->lock_};
  left->remove(*this);
}

inline void presence::keep_name() noexcept {
  if (in_ == nullptr) return;
  const lock_guard held{in_->lock_};
  who_ = named();
  if (*who_.thread.name == 0) who_.thread.name[0] = '?'; // it has none, and is not asked again
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#else

namespace mailroom::inline MAILROOM_ABI::detail {

/// Nobody is remembered.
class visitors {
public:
  constexpr visitors(arity, arity, const char*) noexcept {}
  static void expect_none() noexcept {}
  static void expect_a_consumer(const char*) noexcept {}
};

class presence {
public:
  presence() noexcept {} // NOLINT(modernize-use-equals-default): else the compiler finds it unused
  presence(const visitors&, const char*, station) noexcept {}
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;
  ~presence() {} // NOLINT(modernize-use-equals-default): the same
  static void enter(const visitors&, const char*, station) noexcept {}
  static void leave() noexcept {}
  static void keep_name() noexcept {}
};

static_assert(std::is_empty_v<visitors> && std::is_empty_v<presence>);

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_CHECKED

#endif // MAILROOM_MAILBOX_CHECKS_HPP
