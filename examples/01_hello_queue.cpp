// SPDX-License-Identifier: MIT
// You learn how one thread hands messages to another. A queue never waits: it says that it is full,
// or empty, and the caller decides what to do about it.
#include <mailroom/queue/spsc_queue.hpp>

#include <iostream>
#include <string>
#include <thread>

int main() {
  mailroom::spsc_queue<std::string> queue{2};

  std::thread sender([&] {
    for (const std::string word : {"hello", "from", "the", "other", "thread"}) {
      while (queue.try_push(word) != mailroom::queue_status::success) std::this_thread::yield();
    }
  });

  for (int received = 0; received < 5;) {
    if (auto word = queue.try_pop()) {
      std::cout << *word << '\n';
      ++received;
    } else {
      std::this_thread::yield();
    }
  }
  sender.join();
}
