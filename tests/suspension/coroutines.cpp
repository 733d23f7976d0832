// SPDX-License-Identifier: MIT
// Mailboxes in which a coroutine waits, or is about to.
//
// Who wakes a coroutine runs it, and stands still together with it: nobody else can go on with it
// then. All others are held up only at the lock of the list.
#include "worlds.hpp"

#include <mailroom/mailbox/async.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <atomic>    // atomic
#include <coroutine> // suspend_never
#include <exception> // terminate
#include <utility>   // exchange, move

namespace test {
namespace {

using box = mailroom::mailbox<int>;
using shared = std::shared_ptr<world<box>>;
using flag = std::shared_ptr<std::atomic<bool>>;

/// Begins at once, and is gone when it ends.
struct alone {
  struct promise_type {
    alone get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

alone pop(shared all, flag is_over) {
  const auto got = co_await all->box.async_pop();
  if (got) all->book.out(*got);
  is_over->store(true);
}

alone push(shared all, flag is_over) {
  int message = all->book.fresh();
  const int name = message;
  const bool is_in = co_await all->box.async_push(std::move(message));
  if (is_in) all->book.in(name);
  is_over->store(true);
}

using coroutine = alone (*)(shared, flag);
using act = bool (*)(world<box>&);

bool push_one(world<box>& all) { return (void)all.push(), true; }
bool pop_one(world<box>& all) { return (void)all.pop(), true; }
bool close(world<box>& all) { return all.box.close(), true; }

part carrying(const shared& all) {
  return {[all] { return all->fill(), all->drain(), true; }};
}
part to_the_end(const shared& all) {
  return {[all] {
    all->box.close();
    (void)all->drain();
    return all->pop() == queue_status::closed && all->box.is_drained();
  }};
}

std::string fault_of(world<box>& all) {
  (void)all.drain();
  return all.book.fault();
}

/// The victim does `does` while a coroutine is suspended.
scenery wakes(state at, coroutine who, act does) {
  return [=] {
    const shared all = world_at<box>(at);
    const flag is_over = std::make_shared<std::atomic<bool>>(false);
    const part begins{[=] { return who(all, is_over), true; }, 1};
    const part ends{[=] { return is_over->load(); }, 1};
    const auto same = [=, is_due = true]() mutable {
      if (std::exchange(is_due, false)) (void)does(*all);
      return is_over->load();
    };
    return scene{[=] { (void)does(*all); },
                 {{"the coroutine that waits", {begins}, {ends}},
                  {"the coroutine that waits, though another does the same", {begins}, {{same, 1}}},
                  {"try_push and try_pop", {begins}, {carrying(all)}},
                  {"a pop that waits for the end", {begins}, {to_the_end(all)}}},
                 [=] { all->box.close(); },
                 [=] { return fault_of(*all); }};
  };
}

/// The victim runs the coroutine, which finds nothing to do.
scenery suspends(state at, coroutine who) {
  return [=] {
    const shared all = world_at<box>(at);
    const flag is_over = std::make_shared<std::atomic<bool>>(false);
    return scene{[=] { (void)who(all, is_over); },
                 {{"try_push and try_pop", {}, {carrying(all)}},
                  {"a pop that waits for the end", {}, {to_the_end(all)}}},
                 [=] { all->box.close(); },
                 [=] { return fault_of(*all); }};
  };
}

} // namespace

std::vector<finding> examine_coroutines() {
  constexpr state empty{2, 0, 0};
  constexpr state full{2, 0, 2};
  return {examine("mailbox push, a coroutine waits", "blocking", {wakes(empty, pop, push_one)}),
          examine("mailbox pop, a coroutine waits", "blocking", {wakes(full, push, pop_one)}),
          examine("mailbox close, a coroutine waits", "blocking", {wakes(empty, pop, close)}),
          examine("mailbox async_pop, nothing there", "blocking", {suspends(empty, pop)}),
          examine("mailbox async_push, no room", "blocking", {suspends(full, push)})};
}

} // namespace test
