// SPDX-License-Identifier: MIT
// You learn how one message reaches everybody who wants it: subscribers name topics, with wildcards,
// and publishers do not know them. Members of a group share its messages; a handler runs at once.
#include <mailroom/topic/dispatcher.hpp>

#include <iostream>
#include <string>

using order = std::string;

void read_all(const std::string& name, mailroom::subscription<order>& inbox) {
  while (const auto next = inbox.pop()) {
    std::cout << name << ": " << next->value << " (" << next->topic() << ")\n";
  }
}

int main() {
  mailroom::dispatcher<order> orders;

  auto europe = orders.subscribe("orders.eu.*"); // * is one token
  auto archive = orders.subscribe("orders.>");   // > is all that follow
  auto first = orders.subscribe("orders.>", {.group = "packers"});
  auto second = orders.subscribe("orders.>", {.group = "packers"});
  auto alarm = orders.on("orders.*.urgent", [](const order& what) {
    std::cout << "alarm: " << what << " - in the publisher's thread\n";
  });

  orders.publish("orders.eu.new", "tea");
  orders.publish("orders.us.new", "coffee");
  orders.publish("orders.eu.urgent", "milk");
  auto handle = orders.topic("orders.us.new"); // looks the name up once
  handle.publish("sugar");
  std::cout << "for nobody: " << orders.publish("invoices", "paper").matched << " matches\n";

  orders.close(); // what is queued can still be read
  read_all("europe", europe);
  read_all("archive", archive);
  read_all("first packer", first);
  read_all("second packer", second);
}
