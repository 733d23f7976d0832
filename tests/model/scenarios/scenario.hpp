// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_SCENARIO_HPP
#define MAILROOM_TESTS_MODEL_SCENARIO_HPP

// What is checked: small programs over the shipped headers, all of whose executions must be right.

#include "../engine/checker.hpp"

#include <string> // string
#include <vector> // vector

namespace scenario {

enum class depth : unsigned char {
  quick, // in every run
  deep,  // only when asked for
};

struct scenario {
  std::string name; // structure: what happens
  model::program body;
  model::options how = {};
  depth when = depth::quick;
};

/// In the order of the floors.
void add_spsc_queue(std::vector<scenario>& all);
void add_mpmc_queue(std::vector<scenario>& all);
void add_mpmc_ticket_queue(std::vector<scenario>& all);
void add_mpsc_queue(std::vector<scenario>& all);
void add_intrusive_mpsc_queue(std::vector<scenario>& all);
void add_broadcast_queue(std::vector<scenario>& all);
void add_waiter(std::vector<scenario>& all);
void add_select(std::vector<scenario>& all);
void add_selector(std::vector<scenario>& all);
void add_mailbox(std::vector<scenario>& all);
void add_channel(std::vector<scenario>& all);
void add_async(std::vector<scenario>& all);
void add_topic(std::vector<scenario>& all);
/// What nobody may stop: every scenario with a thread that stands still.
void add_parked(std::vector<scenario>& all);

} // namespace scenario

#endif // MAILROOM_TESTS_MODEL_SCENARIO_HPP
