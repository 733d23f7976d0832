// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUSPENSION_MARKETS_HPP
#define MAILROOM_TESTS_SUSPENSION_MARKETS_HPP

// A dispatcher with an audience, and what threads do with it.
//
// The audience listens to one topic, "a.b". Another subscription, to "c.d", is there to be
// cancelled. Mailboxes refuse what they have no room for, so that no publish waits.

#include "probe.hpp"

#include <mailroom/topic/dispatcher.hpp>

#include <atomic>  // atomic
#include <cstddef> // size_t
#include <memory>  // make_shared, shared_ptr
#include <string>  // string, to_string
#include <vector>  // vector

namespace test {

enum class audience : unsigned char { nobody, queued, group, handler };

struct market {
  mailroom::dispatcher<int> all{};
  std::atomic<std::size_t> delivered{0};
  std::atomic<std::size_t> received{0};
  std::atomic<bool> is_cancelled{false}; // then messages in a mailbox are gone
  std::vector<mailroom::subscription<int>> listeners{};
  mailroom::subscription<int> bystander{};
  mailroom::subscription<int> added{}; // by the victim
  mailroom::topic<int> one{all.topic("a.b")};
  mailroom::topic<int> other{all.topic("a.b")};
  std::atomic<int> names{0};

  static auto handler(market& at) {
    return [&at](const int&) {
      suspension_point("handler");
      ++at.received;
    };
  }

  explicit market(audience who) {
    (void)all.topic("c.d");
    bystander = all.subscribe("c.d", box());
    if (who == audience::queued) listeners.push_back(all.subscribe("a.b", box()));
    if (who == audience::handler) listeners.push_back(all.on("a.b", handler(*this)));
    if (who == audience::group) {
      listeners.push_back(all.subscribe("a.b", box("g")));
      listeners.push_back(all.subscribe("a.*", box("g")));
    }
  }

  static mailroom::subscription_options box(const char* group = "") {
    return {.capacity = 2, .on_full = mailroom::overflow::reject, .group = group};
  }
  bool note(const mailroom::publish_result& result) {
    delivered += result.delivered;
    received += result.dropped; // nobody will
    return result.delivered == result.matched;
  }
  bool publish(mailroom::topic<int>& by) { return note(by.publish(1)); }
  bool publish_by_name() { return note(all.publish("a.b", 1)); }
  bool publish_by_new_name() { return note(all.publish("n." + std::to_string(++names), 1)); }

  std::size_t receive() {
    std::size_t count = 0;
    for (auto& each : listeners) count += each.try_pop() ? 1U : 0U;
    received += count;
    return count;
  }
  void cancel() {
    is_cancelled = true;
    for (auto& each : listeners) each.cancel();
  }

  std::string fault() {
    while (receive() != 0) {
    }
    while (added.try_pop()) ++received;
    if (received > delivered) return "a message was received that was not delivered";
    if (received < delivered && !is_cancelled) return "a message was lost";
    return "";
  }
};

/// Everything that another thread may do. A publish is done when everybody has the message; where
/// there is no room for it, some is made.
inline std::vector<company> passers_by(const std::shared_ptr<market>& at) {
  const auto alone = [](const char* name, std::function<bool()> round) {
    return company{name, {}, {{std::move(round)}}};
  };
  const auto publish = [at](auto how) { return [=] { return how() || at->receive() > 99; }; };
  const auto by_handle = publish([at] { return at->publish(at->other); });
  const auto by_name = publish([at] { return at->publish_by_name(); });
  const auto by_new_name = publish([at] { return at->publish_by_new_name(); });
  const auto is_asked = [at] { return at->other.interested() == at->all.interested("a.b"); };
  const auto subscribe = [at] {
    const auto until_the_end_of_the_round = at->all.on("a.b", market::handler(*at));
    return true;
  };
  return {alone("publish", by_handle),
          alone("publish by a known name", by_name),
          alone("interested", is_asked),
          alone("try_pop", [at] { return at->receive(), true; }),
          alone("publish by a new name", by_new_name),
          alone("subscribe", subscribe),
          alone("cancel of another", [at] { return at->bystander.cancel(), true; }),
          alone("cancel", [at] { return at->cancel(), true; }),
          alone("close", [at] { return at->all.close(), true; })};
}

/// A market, what happens there first, and what the victim does.
inline scenery at_market(audience who, std::function<void(market&)> before,
                         std::function<void(market&)> victim) {
  return [=] {
    const auto at = std::make_shared<market>(who);
    before(*at);
    return scene{[=] { victim(*at); }, passers_by(at), {}, [=] { return at->fault(); }};
  };
}

} // namespace test

#endif // MAILROOM_TESTS_SUSPENSION_MARKETS_HPP
