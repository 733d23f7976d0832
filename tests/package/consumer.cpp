// SPDX-License-Identifier: MIT
// What every consumer project builds: one message from one thread to another.
#include <mailroom/mailroom.hpp>

#include <cstdio>
#include <string>
#include <thread>

int main() {
  mailroom::mailbox<std::string> box{1};
  std::thread sender{[&box] {
    box.push("a letter");
    box.close();
  }};
  const std::string letter = box.pop().value_or("nothing");
  const bool is_over = !box.pop();
  sender.join();
  std::printf("received %s\n", letter.c_str());
  return letter == "a letter" && is_over ? 0 : 1;
}
