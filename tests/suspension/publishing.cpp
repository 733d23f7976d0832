// SPDX-License-Identifier: MIT
// What publishers and receivers do.
#include "markets.hpp"

namespace test {
namespace {

void nothing(market&) {}
void one_message(market& at) { (void)at.publish(at.one); }
void full(market& at) {
  while (at.publish(at.one)) {
  }
}

void by_handle(market& at) { (void)at.publish(at.one); }
void by_name(market& at) { (void)at.publish_by_name(); }
void try_pop(market& at) { (void)at.receive(); }
void ask(market& at) { (void)at.one.interested(), (void)at.all.interested("a.b"); }

} // namespace

std::vector<finding> examine_publishing() {
  std::vector<finding> all;
  const auto add = [&all](const char* name, const char* promised, std::vector<scenery> states) {
    all.push_back(examine(name, promised, states));
  };
  const auto queued = audience::queued;
  const auto group = audience::group;
  const auto handler = audience::handler;
  const auto nobody = audience::nobody;
  add("publish to mailboxes", "lock-free",
      {at_market(queued, one_message, by_handle), at_market(queued, full, by_handle),
       at_market(group, one_message, by_handle)});
  add("publish after a change", "lock-free",
      {at_market(queued, nothing, by_handle), at_market(group, nothing, by_handle),
       at_market(nobody, nothing, by_handle)});
  add("publish to a handler", "blocking", {at_market(handler, one_message, by_handle)});
  add("publish by a known name", "lock-free",
      {at_market(queued, nothing, by_name), at_market(queued, full, by_name),
       at_market(group, nothing, by_name), at_market(nobody, nothing, by_name)});
  add("subscription try_pop", "lock-free",
      {at_market(queued, nothing, try_pop), at_market(queued, one_message, try_pop),
       at_market(queued, full, try_pop)});
  add("interested", "wait-free",
      {at_market(queued, nothing, ask), at_market(nobody, nothing, ask)});
  return all;
}

} // namespace test
