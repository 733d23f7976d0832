// SPDX-License-Identifier: MIT
// Mailboxes in which somebody sleeps, or is about to.
//
// Whoever sleeps waits for a message, for room, or for the end; the operation that brings it also
// wakes. A victim that stands still before its wake-up leaves the sleeper asleep, and nobody else:
// the next operation of the same kind wakes it, and takes nothing away from it.
#include "worlds.hpp"

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <utility> // move

namespace test {
namespace {

using over_mpmc = mailroom::mailbox<int>;
using over_spsc = mailroom::mailbox<int, mailroom::spsc_queue<int>>;

template <class Box>
using shared = std::shared_ptr<world<Box>>;

/// In the end there is no message that nobody took, but those that the mailbox still holds.
template <class Box>
std::string fault_of(world<Box>& all) {
  (void)all.drain();
  return all.book.fault();
}

template <class Box>
part pop_once(const shared<Box>& all) {
  const auto pop = [all] {
    const auto message = all->box.pop();
    if (message) all->book.out(*message);
    return true;
  };
  return {pop, 1};
}

template <class Box>
part push_once(const shared<Box>& all) {
  const auto push = [all] {
    const int message = all->book.fresh();
    if (all->box.push(message)) all->book.in(message);
    return true;
  };
  return {push, 1};
}

/// The same as a select, which waits in a list.
template <class Box>
part select_once(const shared<Box>& all) {
  const auto pop = [all] {
    (void)mailroom::select(
        mailroom::on_pop(all->box, [&](int message) { all->book.out(message); }));
    return true;
  };
  return {pop, 1};
}

template <class Box>
part close_once(const shared<Box>& all) {
  return {[all] { return all->box.close(), true; }, 1};
}

/// The victim does `act` while `sleeper` sleeps; `next` is somebody else who does the same, and
/// `end` closes.
template <class Box>
scenery wakes(state at, const char* who, part (*act)(const shared<Box>&),
              part (*sleeper)(const shared<Box>&), part (*next)(const shared<Box>&)) {
  return [=] {
    const auto all = world_at<Box>(at);
    const std::string name = who;
    std::vector<company> companies{{name + " that sleeps", {sleeper(all)}, {}}};
    if (next != nullptr) {
      const char* const more =
          next == close_once<Box> ? ", though another closes" : ", though another does the same";
      companies.push_back({name + " that sleeps" + more, {sleeper(all)}, {next(all)}});
    }
    const auto once = act(all).round;
    return scene{[=] { (void)once(); }, companies, [=] { all->box.close(); },
                 [=] { return fault_of(*all); }};
  };
}

/// The victim itself finds nothing, and goes to sleep.
template <class Box>
scenery falls_asleep(state at, part (*act)(const shared<Box>&)) {
  return [=] {
    const auto all = world_at<Box>(at);
    const auto carry = [=] {
      (void)all->fill();
      return all->drain() == all->box.capacity() || all->box.is_closed();
    };
    const auto end = [=] {
      all->box.close();
      (void)all->drain();
      return all->pop() == queue_status::closed && all->box.is_drained();
    };
    const auto once = act(all).round;
    return scene{[=] { (void)once(); },
                 {{"try_push and try_pop", {}, {{carry}}},
                  {"a pop that sleeps, though another pushes", {pop_once(all)}, {push_once(all)}},
                  {"a pop that waits for the end", {}, {{end}}}},
                 [=] { all->box.close(); },
                 [=] { return fault_of(*all); }};
  };
}

/// The same without the second company. While the victim holds the lock of the list a push waits for
/// it, so that the victim may well be the one who gets the message, and a pop sleeps on.
scenery without_sleeper(scenery all) {
  return [all = std::move(all)] {
    scene one = all();
    one.companies.erase(one.companies.begin() + 1);
    return one;
  };
}

} // namespace

std::vector<finding> examine_sleepers() {
  constexpr state empty{2, 0, 0};
  constexpr state full{2, 0, 2};
  constexpr auto pop = pop_once<over_mpmc>;
  constexpr auto push = push_once<over_mpmc>;
  constexpr auto close = close_once<over_mpmc>;
  constexpr auto pop_spsc = pop_once<over_spsc>;
  constexpr auto push_spsc = push_once<over_spsc>;
  constexpr auto close_spsc = close_once<over_spsc>;
  const char* const a_pop = "the pop";
  const char* const a_push = "the push";
  std::vector<finding> all;
  const auto add = [&all](const char* name, const char* promised, std::vector<scenery> states) {
    all.push_back(examine(name, promised, states));
  };
  add("mailbox push, a pop sleeps", "blocking", {wakes<over_mpmc>(empty, a_pop, push, pop, push)});
  add("mailbox pop, a push sleeps", "blocking", {wakes<over_mpmc>(full, a_push, pop, push, pop)});
  add("mailbox close, a pop sleeps", "wait-free",
      {wakes<over_mpmc>(empty, a_pop, close, pop, close)});
  add("mailbox close, a push sleeps", "wait-free",
      {wakes<over_mpmc>(full, a_push, close, push, close)});
  add("mailbox pop, nothing there", "blocking", {falls_asleep<over_mpmc>(empty, pop)});
  constexpr auto select = select_once<over_mpmc>;
  const char* const a_select = "the select";
  add("mailbox push, a select sleeps", "blocking",
      {wakes<over_mpmc>(empty, a_select, push, select, push)});
  add("mailbox close, a select sleeps", "blocking",
      {wakes<over_mpmc>(empty, a_select, close, select, close)});
  add("select, nothing there", "blocking",
      {without_sleeper(falls_asleep<over_mpmc>(empty, select))});
  add("mailbox over spsc_queue push, a pop sleeps", "blocking",
      {wakes<over_spsc>(empty, a_pop, push_spsc, pop_spsc, close_spsc)});
  add("mailbox over spsc_queue pop, a push sleeps", "blocking",
      {wakes<over_spsc>(full, a_push, pop_spsc, push_spsc, close_spsc)});
  return all;
}

} // namespace test
