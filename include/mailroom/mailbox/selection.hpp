// SPDX-License-Identifier: MIT
#ifndef MAILROOM_MAILBOX_SELECTION_HPP
#define MAILROOM_MAILBOX_SELECTION_HPP

// How one of several cases is chosen, and waited for: the inside of select.
//
// A case is an event, which has a list to wait in and can be attempted, or a time or a stop, which
// comes by itself. select.hpp has all of them.
//
//      look at the times and stops, then attempt each event, in an order that is drawn
//        |  none: for a while again and again
//        v
//      a place in the list of each event, a fence, a look --> one: leave all lists, carry it out
//        |  none: sleep until one of them wakes the thread, a time comes, or a stop
//        +--> again
//
// A thread takes its places in the lists, passes a fence, and looks: that is its half of what
// waiter.hpp calls (D).
//
// Invariants
//   (I1)  a case that is not carried out has taken no message, and has left its own where it was
//   (I2)  a wake-up that another case got is never carried away: who leaves without having used it
//         wakes the next of that list
//   (I3)  nobody sleeps on `busy`: that state ends without a wake-up
//
// Decision: the order in which cases are tried is drawn anew for each call, from the clock: no
//   state is left behind, in the thread or elsewhere.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/capacity.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/waiter.hpp>
#include <mailroom/mailbox/checks.hpp>

#include <array>   // array
#include <cstddef> // size_t
#include <cstdint> // uint32_t, uint64_t
#include <tuple>   // get, tuple
#include <utility> // index_sequence, index_sequence_for, make_index_sequence, swap

namespace mailroom::inline MAILROOM_ABI {

/// What a select has done.
struct [[nodiscard]] select_result {
  std::size_t index;   ///< of the case that was carried out; the number of cases if none was
  queue_status status; ///< success; timeout; stopped; closed: all are out; empty: none was ready

  explicit operator bool() const noexcept { return status == queue_status::success; }
};

namespace detail {

/// How a stop reaches the thread that selects.
struct unparking {
  sleeper* thread;
  void operator()() const noexcept { thread->unpark(); }
};

enum class preference : unsigned char { none, in_order };

/// One call of select.
template <class... Cases>
class selection {
  static constexpr std::size_t count = sizeof...(Cases);
  static constexpr std::size_t events = (std::size_t{Cases::is_event} + ... + 0);
  static_assert(events != 0, "mailroom: a select needs an on_pop or an on_push");

public:
  selection(preference order, Cases&... cases) noexcept : cases_{cases...} {
    if (order == preference::none) shuffle();
  }

  /// Looks at every case, and waits until one is ready; then carries it out.
  select_result wait() { return finish(look_until_done()); }

  /// The same without waiting.
  select_result look_once() { return finish(look()); }

private:
  using lists = std::array<wait_list*, events>;

  struct outcome {
    std::size_t index;
    queue_status status;
    bool saw_busy = false;
    bool is_done() const noexcept { return status != queue_status::empty; }
  };

  /// A wake-up that has not been used: the next of that list gets it. (I2)
  struct wake_up {
    wait_list* in_hand = nullptr;
    ~wake_up() { take(nullptr); }
    void take(wait_list* another) noexcept {
      if (in_hand != nullptr) in_hand->wake_one();
      in_hand = another;
    }
  };

  /// The thread's places in all the lists. A wake-up that it gets is then in hand.
  class attendance {
  public:
    attendance(sleeper& self, const lists& all, wake_up& woken) noexcept
        : attendance{self, all, woken, std::make_index_sequence<events>{}} {}
    attendance(const attendance&) = delete;
    attendance& operator=(const attendance&) = delete;
    ~attendance() {
      if (!self_.leave()) woken_.take(lists_[self_.event()]);
    }

  private:
    template <std::size_t... I>
    attendance(sleeper& self, const lists& all, wake_up& woken, std::index_sequence<I...>) noexcept
        : self_{(self.begin(), self)}, lists_{all}, woken_{woken},
          places_{{wait_list::place{*all[I], self, static_cast<std::uint32_t>(I)}...}} {}

    sleeper& self_;
    const lists& lists_;
    wake_up& woken_;
    std::array<wait_list::place, events> places_;
  };

  /// The stop callbacks, as long as the thread may sleep.
  struct watching {
    selection& all;
    ~watching() {
      all.for_each_other([](auto& one) { one.forget(); });
    }
  };

  outcome look();
  outcome look_until_done();
  outcome look_for_a_while();
  outcome sleep();
  select_result finish(const outcome& found);
  void shuffle() noexcept;
  lists all_lists() noexcept;
  void order_before_look() noexcept;

  /// Calls `visit` with case `which`.
  template <class F>
  void visit(std::size_t which, F&& call) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((I == which && (call(std::get<I>(cases_)), true)) || ...);
    }(std::index_sequence_for<Cases...>{});
  }
  /// Calls `call` with each case that is no event: the times and the stops.
  template <class F>
  void for_each_other(F&& call) {
    for (std::size_t i = 0; i != count; ++i) {
      visit(i, [&]<class Case>(Case& one) {
        if constexpr (!Case::is_event) call(one);
      });
    }
  }

  /// And with each that is one.
  template <class F>
  void for_each_event(F&& call) {
    for (const std::size_t which : event_cases) {
      visit(which, [&]<class Case>(Case& one) {
        if constexpr (Case::is_event) call(one);
      });
    }
  }
  static wait_list* list_of(const lists& all, std::size_t which) noexcept {
    for (std::size_t i = 0; i != events; ++i) {
      if (event_cases[i] == which) return all[i];
    }
    return nullptr;
  }

  static constexpr std::array<std::size_t, events> event_cases = [] {
    std::array<std::size_t, events> all{};
    std::size_t found = 0;
    std::size_t i = 0;
    ((Cases::is_event ? void(all[found++] = i++) : void(++i)), ...);
    return all;
  }();

  std::tuple<Cases&...> cases_;
  std::array<std::size_t, events> order_ = event_cases; // in which they are tried
};

/// One attempt at each. The times and stops are looked at first, so that whatever happened before
/// them is still found.
template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look() {
  outcome found{count, queue_status::empty};
  for (std::size_t i = 0; i != count; ++i) {
    visit(i, [&]<class Case>(Case& one) {
      if constexpr (!Case::is_event) {
        if (found.status == queue_status::stopped || !one.has_come()) return;
        if (found.is_done() && Case::meaning != queue_status::stopped) return;
        found = {i, Case::meaning};
      }
    });
  }
  bool is_open = false;
  for (const std::size_t which : order_) {
    queue_status status = queue_status::closed;
    visit(which, [&]<class Case>(Case& one) {
      if constexpr (Case::is_event) status = one.attempt();
    });
    if (status == queue_status::success) return {which, status, found.saw_busy};
    is_open |= status != queue_status::closed;
    found.saw_busy |= status == queue_status::busy;
  }
  if (!is_open) return {count, queue_status::closed};
  return found;
}

/// All the while it is in the mailboxes of all its cases, for who checks.
template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look_until_done() {
  std::array<presence, events> presences;
  std::size_t entered = 0;
  for_each_event([&](auto& one) { one.enter(presences[entered++]); });
  const outcome found = look_for_a_while();
  return found.is_done() ? found : sleep();
}

template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::look_for_a_while() {
  outcome found = look();
  if constexpr (longest_spin != 0) {
    const nanoseconds end = now() + longest_spin / 4;
    while (!found.is_done() && now() < end) {
      relax();
      found = look();
    }
  }
  return found;
}

template <class... Cases>
typename selection<Cases...>::outcome selection<Cases...>::sleep() {
  sleeper self;
  const watching watch{*this};
  for_each_other([&](auto& one) { one.watch(self); });
  const lists all = all_lists();
  for_each_event([](auto& one) { one.count_wait(); });
  wake_up woken;
  for (;;) {
    outcome found{count, queue_status::empty, true};
    {
      const attendance here{self, all, woken};
      order_before_look();
      while (!found.is_done() && found.saw_busy) {
        found = look();
        if (found.saw_busy) yield(); // (I3)
      }
      const bool is_used =
          found.status != queue_status::success || woken.in_hand == list_of(all, found.index);
      if (is_used && !found.saw_busy) woken.in_hand = nullptr; // (I2)
      if (!found.is_done()) {
        nanoseconds wake_at = never;
        for_each_other([&](auto& one) { wake_at = smaller_of(wake_at, one.look_again_at()); });
        self.park(wake_at);
      }
    }
    if (found.is_done()) return found;
  }
}

template <class... Cases>
select_result selection<Cases...>::finish(const outcome& found) {
  visit(found.index, [](auto& one) { one.finish(); });
  return {found.index, found.status};
}

/// Draws an order.
template <class... Cases>
void selection<Cases...>::shuffle() noexcept {
  std::uint64_t drawn = random_seed();
  for (std::size_t left = events; left > 1; --left) {
    drawn = drawn * 6364136223846793005U + 1442695040888963407U; // Knuth's MMIX
    const auto which = static_cast<std::size_t>(((drawn >> 32) * left) >> 32);
    std::swap(order_[left - 1], order_[which]);
  }
}

template <class... Cases>
typename selection<Cases...>::lists selection<Cases...>::all_lists() noexcept {
  lists all{};
  for (std::size_t i = 0; i != events; ++i) {
    visit(event_cases[i], [&]<class Case>(Case& one) {
      if constexpr (Case::is_event) all[i] = &one.list();
    });
  }
  return all;
}

/// One fence of each kind: what one of them does, it does for all mailboxes.
template <class... Cases>
void selection<Cases...>::order_before_look() noexcept {
  bool has_passed[2]{};
  for_each_event([&]<class Case>(Case& one) {
    bool& passed = has_passed[Case::is_asymmetric ? 1 : 0];
    if (!passed) one.order_before_attempt();
    passed = true;
  });
}

} // namespace detail
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_MAILBOX_SELECTION_HPP
