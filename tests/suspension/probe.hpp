// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUSPENSION_PROBE_HPP
#define MAILROOM_TESTS_SUSPENSION_PROBE_HPP

// Lets a victim stand still before each step of one operation in turn, and looks who else stops.
//
//      for every starting state, every step k, and every company:
//          make the state anew; let those that come early fall asleep
//          the victim begins, and stands still before its step k
//          the company does its rounds, until each of it has finished or is stopped
//          the victim goes on; all must finish; what went in must have come out

#include "stage.hpp"

#include <functional> // function
#include <set>        // set
#include <string>     // string
#include <utility>    // pair
#include <vector>     // vector

namespace test {

/// A thread that takes part in a scene: it does its round again and again, until the round says
/// that it is complete, and that so many times.
struct part {
  std::function<bool()> round;
  int rounds = 100;
};

/// Threads that are there together with the victim. Those that come early are asleep, or done,
/// before the victim begins; the others come when it stands still.
struct company {
  std::string name;
  std::vector<part> early;
  std::vector<part> late;
};

/// One starting state, used once.
struct scene {
  std::function<void()> victim;
  std::vector<company> companies;
  std::function<void()> wind_up;      // wakes whoever may still sleep when all is over
  std::function<std::string()> fault; // what went wrong, once all threads have ended
};
using scenery = std::function<scene()>;

/// Who is stopped, and where the victim then stands: the first and the last step of each stretch.
struct stop {
  std::string who;
  std::set<std::string> where;
};

/// What became of one operation, over all its starting states.
struct finding {
  std::string operation;
  std::string promised;
  long points = 0;
  long survived = 0;
  std::vector<stop> stops; // in the order of the companies
  std::set<std::string> faults;

  /// As "cancel, close": "nobody" is the good answer.
  std::string stopped() const;
};

finding examine(std::string operation, std::string promised, const std::vector<scenery>& states);

/// The stops, one on a line, as a test writes them down.
std::string stops_of(const finding& found);

/// All of the library's operations, in the order of the table.
std::vector<finding> examine_spsc_queue();
std::vector<finding> examine_mpmc_queue();
std::vector<finding> examine_mpmc_ticket_queue();
std::vector<finding> examine_broadcasts();
std::vector<finding> examine_mpsc_queue();
std::vector<finding> examine_intrusive_mpsc_queue();
std::vector<finding> examine_mailboxes();
std::vector<finding> examine_sleepers();
std::vector<finding> examine_coroutines();
std::vector<finding> examine_endings();
std::vector<finding> examine_publishing();
std::vector<finding> examine_subscribing();

/// What the probe must find: a queue with a lock, and the plainest ring of tickets.
std::vector<finding> examine_blocking_queues();

} // namespace test

#endif // MAILROOM_TESTS_SUSPENSION_PROBE_HPP
