// SPDX-License-Identifier: MIT
// You learn what a handler that throws costs: its own message, and no other. The dispatcher is told
// which handler it was, and what it had; everybody else, and the rest of the queue, is served.
#include <mailroom/topic/dispatcher.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>

int main() {
  const auto report = [](const mailroom::handler_failure<int>& failure) noexcept {
    try {
      std::rethrow_exception(failure.error);
    } catch (const std::exception& error) {
      std::cout << failure.subscription << " failed on message " << failure.value << ": "
                << error.what() << '\n';
    }
  };
  mailroom::dispatcher<int> payments{mailroom::dialect::nats, report};
  auto ledger = payments.subscribe("payments", {.name = "ledger"});
  auto audit = payments.subscribe("payments", {.name = "audit"});

  for (int number = 1; number <= 5; ++number) payments.publish("payments", number);
  payments.close(); // what is queued is still delivered

  int booked = 0;
  (void)ledger.run([&](int number) {
    if (number == 2) throw std::runtime_error{"account closed"};
    ++booked;
  });
  int seen = 0;
  (void)audit.run([&](int) { ++seen; });
  std::cout << "the ledger has " << booked << " of 5, the audit " << seen << '\n';
}
