// SPDX-License-Identifier: MIT
// Breaks the rules of waiting, one at a time and in one place each, and looks whether the scenario
// that stands beside it notices.
//
//   mailroom.model.rules [--only TEXT]   those that have TEXT in their line
//   mailroom.model.rules --table         in Markdown, as it stands in README.md
//
// The exit code is 0 if all are noticed, 1 if not, 2 for arguments that make no sense.
#include "rules.hpp"

#include "../scenarios/scenario.hpp"

#include <mailroom/detail/platform.hpp>

#include <algorithm>   // find_if
#include <cstdio>      // fflush, fprintf, printf, puts
#include <set>         // set
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace {

struct breach {
  rules::rule which;
  const char* name;
  const char* whose;
  const char* what;
  const char* structure;
  const char* scenario; // that notices

  std::string noticed_by() const { return std::string{structure} + ": " + scenario; }
};

/// In the order of the table.
const breach breaches[] = {
    // ---- W1
    {rules::w1_thread_fence, "W1", "a thread", "no fence behind its registration", "event_count",
     "W1: one waits"},
    {rules::w1_thread_look, "W1", "a thread", "the epoch is read behind the look, not before",
     "event_count", "W1: one waits"},
    {rules::w1_interrupt_fence, "W1", "a thread",
     "no fence between a flag and the look for sleepers", "event_count",
     "an interrupt is never missed"},
    {rules::w1_select_fence, "W1", "a select", "no fence behind its places", "select",
     "one selects"},
    {rules::w1_select_look, "W1", "a select", "no look behind its places", "select", "one selects"},
    {rules::w1_async_fence, "W1", "a coroutine", "no fence behind its place",
     "async over spsc_queue", "a push wakes a pop"},
    {rules::w1_async_look, "W1", "a coroutine", "no look behind its place", "async over spsc_queue",
     "a push wakes a pop"},
    {rules::w1_async_notified, "W1", "a coroutine", "suspended although notified meanwhile",
     "async over spsc_queue", "a push wakes a pop"},
    {rules::w1_publish_fence, "W1", "a mailbox", "no fence behind a push or a pop",
     "mailbox over spsc_queue", "passes on"},
    {rules::w1_told_fence, "W1", "close_and_wait",
     "no fence behind the pops of a queue without bound", "mailbox over mpsc_queue",
     "the last pop ends the wait for the end"},
    // ---- W2
    {rules::w2_thread_busy, "W2", "a thread", "sleeps on busy", "event_count",
     "W2: busy is looked at again"},
    {rules::w2_pop_busy, "W2", "a pop", "busy is taken for empty", "mailbox over spsc_queue",
     "W2: a pop waits out a push that is refused"},
    {rules::w2_select_busy, "W2", "a select", "sleeps on busy", "select",
     "W2: busy is looked at again"},
    {rules::w2_async_busy, "W2", "a coroutine", "is suspended on busy", "async",
     "W2: busy is looked at again"},
    {rules::w2_end_busy, "W2", "close_and_wait", "a push in the middle is taken for a message",
     "mailbox over spsc_queue", "W2: the end waits out a push"},
    // ---- W3
    {rules::w3_thread_late, "W3", "a thread", "leaves late without a look", "event_count",
     "W3: a late one hands its wake-up on"},
    {rules::w3_thread_stopped, "W3", "a thread", "leaves stopped without a look", "event_count",
     "W3: a stopped one hands its wake-up on"},
    {rules::w3_thread_failing, "W3", "a thread", "leaves by an exception and wakes nobody",
     "event_count", "W3: a failing one hands its wake-up on"},
    {rules::w3_thread_busy, "W3", "a thread", "leaves on busy and wakes nobody", "event_count",
     "W3: one that saw only busy hands its wake-up on"},
    {rules::w3_select_carries, "W3", "a select", "takes another and wakes nobody", "select",
     "W3: who takes another hands its wake-up on"},
    {rules::w3_select_left, "W3", "a select", "forgets a wake-up that came as it left", "select",
     "W3: who takes another hands its wake-up on"},
    {rules::w3_async_carries, "W3", "a coroutine",
     "forgets a wake-up that came behind its last look", "async over mpmc_queue",
     "W3: a newcomer hands its wake-up on"},
    {rules::w3_async_busy, "W3", "a coroutine", "is stopped on busy and wakes nobody", "async",
     "W3: one that saw only busy hands its wake-up on"},
    {rules::w3_end_one, "W3", "close_and_wait", "finds the end and wakes none of the others",
     "mailbox", "W3: two wait for the end"},
    {rules::w3_evicted, "W3", "close_and_wait",
     "drop_oldest takes the last one out and tells nobody", "mailbox",
     "drop_oldest ends the wait for the end"},
    // ---- W4
    {rules::w4_wake_behind_the_lock, "W4", "a select", "is woken behind the unlock", "select",
     "W3: a late one hands its wake-up on"},
    {rules::w4_look_at_one, "W4", "a coroutine", "is looked at when it is resumed, by a push",
     "async over spsc_queue", "a push wakes a pop"},
    {rules::w4_look_at_all, "W4", "a coroutine", "is looked at when it is resumed, by close",
     "async over spsc_queue", "close ends a pop"},
    {rules::w4_async_suspended, "W4", "a coroutine", "is looked at by who has suspended it",
     "async over spsc_queue", "a push wakes a pop"},
    // ---- W5
    {rules::w5_resume_one, "W5", "a coroutine", "is resumed under the lock, by a push",
     "async over spsc_queue", "a push wakes a pop"},
    {rules::w5_resume_all, "W5", "a coroutine", "is resumed under the lock, by close",
     "async over spsc_queue", "close ends a pop"},
    {rules::w5_select_look, "W5", "a select", "looks, and sleeps, under the lock", "select",
     "is stopped while it wakes"},
    // ---- W6
    {rules::w6_not_sealed, "W6", "a mailbox", "the last pop does not seal",
     "mailbox over mpmc_queue", "R-30: closes during a push"},
    {rules::w6_not_watched, "W6", "a mailbox",
     "the last pop does not wait for a push in the middle", "mailbox over spsc_queue",
     "R-30: closes during a push"},
    {rules::w6_flag_behind_the_look, "W6", "a mailbox",
     "a push looks whether it is open, then says so", "mailbox",
     "the end overlooks nothing, over spsc_queue"},
    {rules::w6_thread_one, "W6", "a thread", "one is woken instead of all", "event_count",
     "all are woken"},
    {rules::w6_pops_not_woken, "W6", "a thread", "close wakes no pop", "mailbox over mpmc_queue",
     "R-32: closes behind a push"},
    {rules::w6_pushes_not_woken, "W6", "a thread", "close wakes no push", "mailbox over mpmc_queue",
     "closes before a sleeping push"},
    {rules::w6_list_one, "W6", "a select", "one is woken instead of all", "select",
     "W6: all in the list are woken"},
    {rules::w6_list_one, "W6", "a coroutine", "one is woken instead of all",
     "async over mpmc_queue", "W6: close ends all who wait"},
    {rules::w6_pops_not_woken, "W6", "a coroutine", "close wakes no pop", "async over spsc_queue",
     "close ends a pop"},
    {rules::w6_pushes_not_woken, "W6", "a select", "close wakes no push", "select",
     "a push is ended by close"},
    {rules::w6_discard_busy, "W6", "close(discard)", "does not wait for a push in the middle",
     "mailbox over spsc_queue", "discards during a push"},
    {rules::w6_discard_open, "W6", "close(discard)", "discards, then closes",
     "mailbox over mpmc_queue", "discards during a push"},
    {rules::w6_end_not_told, "W6", "close_and_wait", "who finds the end does not tell",
     "mailbox over mpsc_queue", "the last pop ends the wait for the end"},
    {rules::w6_last_producer, "W6", "a channel", "the last producer goes and does not close",
     "channel over spsc_queue", "the producer goes behind a push"},
    {rules::w6_last_consumer, "W6", "a channel", "the last consumer goes and does not close",
     "channel over spsc_queue", "the consumer goes before a push"},
    {rules::w6_consumer_keeps, "W6", "a channel", "the last consumer goes and discards nothing",
     "channel over spsc_queue", "the consumer goes before a push"},
};

void print_table() {
  std::puts("| rule | whose | broken so that | noticed by |");
  std::puts("| --- | --- | --- | --- |");
  for (const breach& each : breaches) {
    std::printf("| %s | %s | %s | %s |\n", each.name, each.whose, each.what,
                each.noticed_by().c_str());
  }
}

std::vector<scenario::scenario> all_scenarios() {
  std::vector<scenario::scenario> all;
  scenario::add_waiter(all);
  scenario::add_mailbox(all);
  scenario::add_select(all);
  scenario::add_channel(all);
  scenario::add_async(all);
  return all;
}

constexpr double most_seconds = 60; // that a scenario may need to notice
constexpr double short_while = 2;   // in which nothing is noticed while nothing is broken

model::result check(const scenario::scenario& one, rules::rule broken, double seconds) {
  rules::broken_now = broken;
  auto how = one.how;
  how.most_seconds = seconds;
  return model::check(how, [&] {
    mailroom::detail::threads_are_apart = true;
    mailroom::detail::kernel_has_fence_for_all = false;
    one.body();
  });
}

/// Is it noticed, and only because of it?
bool is_noticed(const breach& what, const std::vector<scenario::scenario>& all) {
  const auto one = std::find_if(all.begin(), all.end(), [&](const scenario::scenario& each) {
    return each.name == what.noticed_by();
  });
  std::string verdict = "there is no such scenario";
  bool is_right = false;
  if (one != all.end()) {
    const auto whole = check(*one, rules::none, short_while);
    const auto hurt = check(*one, what.which, most_seconds);
    is_right = whole.ok && !hurt.ok;
    verdict = !whole.ok ? "fails as it is: " + whole.message
              : hurt.ok ? "IS NOT NOTICED"
                        : hurt.message;
    verdict += " (" + std::to_string(hurt.seconds) + " s)";
  }
  std::printf("%s %s, %s\n  %s: %s\n", what.name, what.whose, what.what, what.noticed_by().c_str(),
              verdict.c_str());
  std::fflush(stdout);
  return is_right;
}

/// Does the list know all of them?
bool is_complete() {
  std::set<int> listed;
  for (const breach& each : breaches) listed.insert(each.which);
  return listed.size() == rules::end - 1;
}

} // namespace

int main(int count, char** words) {
  const std::string_view wish = count > 1 ? words[1] : "";
  if (wish == "--table") return print_table(), 0;
  if (count != 1 && !(count == 3 && wish == "--only")) {
    std::fprintf(stderr, "usage: %s [--table | --only TEXT]\n", words[0]);
    return 2;
  }
  const auto all = all_scenarios();
  std::size_t noticed = 0, total = 0;
  for (const breach& each : breaches) {
    const std::string line = std::string{each.name} + " " + each.whose + ", " + each.what;
    if (count == 3 && line.find(words[2]) == std::string::npos) continue;
    ++total;
    noticed += is_noticed(each, all) ? 1U : 0U;
  }
  std::printf("rules: %zu of %zu breaches are noticed\n", noticed, total);
  if (!is_complete()) std::puts("rules: one of them is not in the list");
  return noticed == total && total != 0 && is_complete() ? 0 : 1;
}
