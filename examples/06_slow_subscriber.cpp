// SPDX-License-Identifier: MIT
// You learn how to keep a slow subscriber from holding up the publisher: its mailbox drops the oldest
// message when full. What is lost is counted and told, so the subscriber knows what it has not seen.
#include <mailroom/topic/dispatcher.hpp>

#include <iostream>
#include <thread>

int main() {
  mailroom::dispatcher<int> sensors;
  auto display = sensors.subscribe("temperature", {.capacity = 3, //
                                                   .on_full = mailroom::overflow::drop_oldest});
  auto record = sensors.subscribe("temperature"); // waits for room: complete, whatever it takes

  long sum = 0;
  std::thread recorder([&] {
    while (const auto reading = record.pop()) sum += reading->value;
  });

  std::size_t dropped = 0;
  for (int degrees = 1; degrees <= 10'000; ++degrees) {
    dropped += sensors.publish("temperature", degrees).dropped; // never waits for the display
  }
  sensors.close();
  recorder.join();

  std::cout << "the record is complete: sum " << sum << ", missed " << record.missed() << '\n';
  std::cout << "the publisher was told of " << dropped << " drops\n";
  while (const auto reading = display.pop()) {
    std::cout << "the display shows " << reading->value << ", having missed " << reading->missed
              << '\n';
  }
  std::cout << "in all it missed " << display.missed() << '\n';
}
