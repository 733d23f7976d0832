// SPDX-License-Identifier: MIT
// A thread that stands still for ever before a step of an operation, for every step of each, and
// whom that stops. What is written down here is what the contracts of the operations say.
#include "probe.hpp"

#include <doctest/doctest.h>
#include <support/threads.hpp>

#include <map>    // map
#include <string> // string
#include <vector> // vector

namespace {

using test::finding;

/// Who is stopped, and while the victim stands before which steps; by operation.
using expected_stops = std::map<std::string, std::string>;

/// The others finished, nothing was lost or doubled, and exactly those were stopped.
void check(const std::vector<finding>& all, const expected_stops& stops) {
  std::size_t met = 0;
  for (const finding& one : all) {
    CAPTURE(one.operation);
    for (const std::string& fault : one.faults) FAIL_CHECK(fault);
    CHECK(one.points > 1);
    const auto expected = stops.find(one.operation);
    if (expected == stops.end()) {
      CHECK(test::stops_of(one) == "");
      CHECK(one.survived == one.points);
    } else {
      ++met;
      CHECK(test::stops_of(one) == expected->second);
      CHECK(one.survived < one.points);
    }
  }
  CHECK(met == stops.size());
}

/// One line for each of them, who is stopped in the same stretch.
std::string each_of(const std::vector<std::string>& who, const std::vector<std::string>& where) {
  std::string text;
  for (const std::string& one : who) {
    for (const std::string& at : where) text += one + ": " + at + "\n";
  }
  return text;
}

const std::chrono::seconds limit{280};

} // namespace

TEST_CASE("a queue with a lock stops the others while the lock is held") {
  const test::watchdog dog{"locked queue", limit};
  const auto all = test::examine_blocking_queues();
  const std::string held = "others: blocking_queues.cpp unlock\n";
  const std::string drawn = "others: blocking_queues.cpp store\n";
  check(all, {{"locked queue try_push", held},
              {"locked queue try_pop", held},
              {"ticket ring try_push", drawn},
              {"ticket ring try_pop", drawn}});
}

TEST_CASE("a ring of tickets stops the others at one of four steps") {
  const test::watchdog dog{"ticket ring", limit};
  for (const finding& one : test::examine_blocking_queues()) {
    if (one.operation.find("ticket ring") == std::string::npos) continue;
    CHECK(one.points == 4);
    CHECK(one.survived == 3);
  }
}

TEST_CASE("spsc_queue: wherever one side stands still, the other goes on") {
  const test::watchdog dog{"spsc_queue", limit};
  check(test::examine_spsc_queue(), {});
}

TEST_CASE(
    "mpmc_queue: wherever a thread stands still, the others go on, up to the exact capacity") {
  const test::watchdog dog{"mpmc_queue", limit};
  check(test::examine_mpmc_queue(), {});
}

TEST_CASE("mpmc_ticket_queue: who stands still between its CAS and its store stops the others, "
          "and nowhere else") {
  const test::watchdog dog{"mpmc_ticket_queue", limit};
  const std::vector<std::string> users{"try_push and try_pop", "try_push_range and try_pop_n",
                                       "consume_all"};
  const std::string building = "platform.hpp construct .. ticket_ring.hpp store";
  const std::string push = each_of(users, {building}) + each_of({"seal"}, {building});
  const std::string taking = "mpmc_ticket_queue.hpp destroy .. ticket_ring.hpp store";
  const std::string pop = each_of(users, {taking});
  check(test::examine_mpmc_ticket_queue(), {{"mpmc_ticket_queue try_push", push},
                                            {"mpmc_ticket_queue try_push_range", push},
                                            {"mpmc_ticket_queue try_pop", pop},
                                            {"mpmc_ticket_queue try_pop_n", pop},
                                            {"mpmc_ticket_queue consume_all", pop}});
}

TEST_CASE(
    "broadcast_queue: a push among many hides those behind it; who subscribes counts already") {
  const test::watchdog dog{"broadcasts", limit};
  const std::string pushes = "push and pop: gated_ring.hpp destroy .. gated_ring.hpp store\n"
                             "push and pop: platform.hpp construct .. gated_ring.hpp store\n";
  const std::string joins = "push and pop: reader_cursors.hpp fence .. reader_cursors.hpp store\n";
  check(test::examine_broadcasts(), {{"broadcast_queue of one subscribe", joins},
                                     {"broadcast_queue of many try_push", pushes},
                                     {"broadcast_queue of many try_push_range", pushes},
                                     {"broadcast_queue of many subscribe", joins}});
}

TEST_CASE(
    "mpsc_queue: a push that stands still between its ticket and its message hides later ones") {
  const test::watchdog dog{"mpsc_queue", limit};
  const std::string filling =
      "a pop of what is pushed behind: block_chain.hpp load .. mpsc_queue.hpp store\n";
  check(test::examine_mpsc_queue(),
        {{"mpsc_queue try_push", filling}, {"mpsc_queue try_push_range", filling}});
}

TEST_CASE("intrusive_mpsc_queue: wherever a thread stands still, the others go on") {
  const test::watchdog dog{"intrusive_mpsc_queue", limit};
  check(test::examine_intrusive_mpsc_queue(), {});
}

TEST_CASE("mailbox: only the end of one over spsc_queue waits, for a push that is in progress") {
  const test::watchdog dog{"mailboxes", limit};
  const std::string push = each_of({"a pop that waits for the end", "close(discard)"},
                                   {"fences.hpp fence .. closing.hpp store"});
  check(test::examine_mailboxes(), {{"mailbox over spsc_queue try_push", push},
                                    {"mailbox over spsc_queue push, with room", push}});
}

TEST_CASE("mailbox: who sleeps is woken by the next one, wherever the first stands still") {
  const test::watchdog dog{"sleepers", limit};
  const std::string pop = "the pop that sleeps: ";
  const std::string push = "the push that sleeps: ";
  const std::string wake = " .. event_count.hpp wake\n";
  const std::string select = "the select that sleeps: "; // which waits in a list, with a lock
  const std::string unlock = " .. waiter.hpp unlock\n";
  const std::string select_too = "the select that sleeps, though another does the same: "
                                 "waiter.hpp compare_exchange" +
                                 unlock;
  const std::string select_or_close = "the select that sleeps, though another closes: "
                                      "waiter.hpp compare_exchange" +
                                      unlock;
  const std::string busy = "the pop that sleeps, though another closes: "
                           "fences.hpp fence .. line_ring.hpp store\n";
  check(
      test::examine_sleepers(),
      {{"mailbox push, a pop sleeps", pop + "closing.hpp load" + wake},
       {"mailbox pop, a push sleeps", push + "cell_exchange.hpp load" + wake},
       {"mailbox close, a pop sleeps", pop + "mailbox.hpp store" + wake},
       {"mailbox close, a push sleeps", push + "mailbox.hpp store" + wake},
       {"mailbox push, a select sleeps", select + "closing.hpp load" + unlock + select_too},
       {"mailbox close, a select sleeps", select + "mailbox.hpp store" + unlock + select_or_close},
       {"select, nothing there", "try_push and try_pop: waiter.hpp unlock\n"
                                 "a pop that waits for the end: waiter.hpp unlock\n"},
       {"mailbox over spsc_queue push, a pop sleeps", pop + "closing.hpp store" + wake + busy},
       {"mailbox over spsc_queue pop, a push sleeps", push + "line_ring.hpp load" + wake}});
}

TEST_CASE("mailbox: who runs a coroutine stops it, and stops others only while it holds the lock") {
  const test::watchdog dog{"coroutines", limit};
  const std::string all = "the coroutine that waits: ";
  const std::string woken = "the coroutine that waits, though another does the same: "
                            "waiter.hpp compare_exchange .. waiter.hpp unlock\n";
  const std::string unlock = " .. waiter.hpp unlock\n";
  const std::vector<std::string> held{"waiter.hpp compare_exchange .. waiter.hpp fetch_sub",
                                      "waiter.hpp fetch_sub", "waiter.hpp unlock"};
  const std::string carry = "try_push and try_pop";
  const std::string end = "a pop that waits for the end";
  const std::string suspending = each_of({carry, end}, {"waiter.hpp unlock"});
  check(test::examine_coroutines(),
        {{"mailbox push, a coroutine waits",
          all + "closing.hpp load" + unlock + woken + each_of({carry, end}, held)},
         {"mailbox pop, a coroutine waits",
          all + "cell_exchange.hpp load" + unlock + woken + each_of({carry, end}, held)},
         {"mailbox close, a coroutine waits",
          all + "mailbox.hpp store" + unlock + woken + each_of({end}, held)},
         {"mailbox async_pop, nothing there", suspending},
         {"mailbox async_push, no room", suspending}});
}

TEST_CASE("mailbox, channel: who waits for the end stops nobody; who brings it stops who waits") {
  const test::watchdog dog{"endings", limit};
  const std::string leaving = "channel.hpp fetch_sub .. ";
  const std::string taking = "cell_exchange.hpp load .. ";
  check(test::examine_endings(),
        {{"mailbox pop, another waits for the end",
          "close_and_wait: " + taking + "event_count.hpp wake\n" +
              "close_and_wait, though another closes behind the pop: " + taking +
              "exchange_ring.hpp compare_exchange\n"},
         {"channel, the last producer goes",
          "the pop that sleeps: " + leaving + "event_count.hpp wake\n" +
              "a pop that waits for the end: " + leaving + "mailbox.hpp store\n"},
         {"channel, the last consumer goes",
          "the push that sleeps: " + leaving + "event_count.hpp wake\n" +
              "a push that waits to be refused: " + leaving + "mailbox.hpp store\n"}});
}

TEST_CASE("publish stops no publish; a change waits while it takes the list, or runs a handler") {
  const test::watchdog dog{"publishing", limit};
  const std::string taking = each_of({"subscribe", "cancel of another", "cancel", "close"},
                                     {"snapshot.hpp load .. snapshot.hpp fetch_sub"});
  const std::string running =
      each_of({"cancel", "close"}, {"handler_gate.hpp load .. handler_gate.hpp fetch_sub"});
  check(test::examine_publishing(), {{"publish after a change", taking},
                                     {"publish to a handler", running},
                                     {"publish by a known name", taking},
                                     {"interested", taking}});
}

TEST_CASE("a change of subscriptions stops other changes and new names, and no other publish") {
  const test::watchdog dog{"subscribing", limit};
  const std::vector<std::string> all{"publish by a new name", "subscribe", "cancel of another",
                                     "cancel", "close"};
  const std::string taken = "counted.hpp fetch_add .. routing.hpp unlock";
  const std::string found = "name_table.hpp load .. routing.hpp unlock";
  const std::string taking = "snapshot.hpp load .. snapshot.hpp fetch_sub";
  check(test::examine_subscribing(),
        {{"publish by a new name",
          each_of({all[0]}, {found}) + each_of({all[1], all[2], all[3], all[4]}, {found, taking})},
         {"subscribe", each_of(all, {taken})},
         {"cancel", each_of(all, {found})},
         {"dispatcher close", each_of(all, {taken, "routing.hpp unlock"})}});
}
