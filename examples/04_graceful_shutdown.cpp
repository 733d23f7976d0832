// SPDX-License-Identifier: MIT
// You learn two ways to end a thread that waits: closing its mailbox says that no more will come, a
// stop token says that this thread is no longer needed. Either way nothing that was sent is lost.
#include <mailroom/mailbox/mailbox.hpp>

#include <iostream>
#include <stop_token>
#include <string>
#include <thread>

int main() {
  const auto handle = [](const std::string& letter) { std::cout << "handled " << letter << '\n'; };

  std::cout << "-- close\n";
  mailroom::mailbox<std::string> counter{8};
  std::thread clerk([&] {
    const auto why = counter.run(handle);
    std::cout << "clerk: " << to_string(why) << '\n';
  });
  counter.push("a letter");
  counter.push("a parcel");
  counter.close(); // what was pushed before is handled, nothing can follow
  clerk.join();
  std::cout << "another push: " << (counter.push("a card") ? "taken" : "refused") << '\n';

  std::cout << "-- stop\n";
  mailroom::mailbox<std::string> depot{8};
  std::jthread driver([&](const std::stop_token& stop) {
    const auto why = depot.run(handle, stop);
    std::cout << "driver: " << to_string(why) << '\n';
  });
  depot.push("a letter");
  driver.request_stop(); // ends the waiting; a message that is there comes first
  driver.join();
  depot.push("a parcel"); // the mailbox is still open
  std::cout << "for the next driver: " << *depot.pop() << '\n';
}
