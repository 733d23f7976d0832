// SPDX-License-Identifier: MIT
// What takes the dispatcher's lock.
#include "markets.hpp"

namespace test {
namespace {

void nothing(market&) {}
void one_message(market& at) { (void)at.publish(at.one); }

/// Nobody takes its messages out before the end, so it must not stop the others' by being full.
void subscribe(market& at) {
  at.added = at.all.subscribe("a.*", {.capacity = 2, .on_full = mailroom::overflow::drop_oldest});
}
void subscribe_handler(market& at) { at.added = at.all.on("a.b", market::handler(at)); }
void cancel(market& at) { at.cancel(); }
void close(market& at) { at.all.close(); }
void use_new_name(market& at) { (void)at.publish_by_new_name(); }

} // namespace

std::vector<finding> examine_subscribing() {
  std::vector<finding> all;
  const auto add = [&all](const char* name, std::vector<scenery> states) {
    all.push_back(examine(name, "blocking", states));
  };
  const auto queued = audience::queued;
  const auto handler = audience::handler;
  const auto nobody = audience::nobody;
  add("publish by a new name", {at_market(queued, nothing, use_new_name)});
  add("subscribe",
      {at_market(queued, one_message, subscribe), at_market(nobody, nothing, subscribe_handler)});
  add("cancel", {at_market(queued, one_message, cancel), at_market(handler, one_message, cancel)});
  add("dispatcher close",
      {at_market(queued, one_message, close), at_market(handler, one_message, close),
       at_market(nobody, nothing, close)});
  return all;
}

} // namespace test
