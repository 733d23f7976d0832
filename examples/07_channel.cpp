// SPDX-License-Identifier: MIT
// You learn the two ends of a channel: nobody closes it, it closes when the last producer has gone,
// and a producer learns from a refused push that the last consumer has.
#include <mailroom/mailbox/channel.hpp>

#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

int main() {
  auto [tx, rx] = mailroom::channel<std::string>(4);

  std::vector<std::thread> writers;
  for (const char* name : {"Ada", "Bob", "Cleo"}) {
    writers.emplace_back([name, out = tx]() mutable { // each has an end of its own
      for (int i = 0; i != 3; ++i) out.push(name);
    });
  }
  tx = {}; // main does not write

  int letters = 0;
  for (auto& letter : rx) letters += letter.empty() ? 0 : 1; // ends with the last writer's end
  for (std::thread& writer : writers) writer.join();
  std::cout << letters << " letters, and no more writers\n";

  auto [orders, kitchen] = mailroom::channel<std::string>(4);
  orders.push("soup");
  std::thread cook(
      [in = std::move(kitchen)]() mutable { std::cout << "cooks " << *in.pop() << '\n'; });
  cook.join(); // and with the thread goes the only consumer
  std::cout << "another order: " << (orders.push("fish") ? "taken" : "refused") << '\n';
}
