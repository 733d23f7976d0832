// SPDX-License-Identifier: MIT
// You learn how threads form a pipeline with a mailbox between each two: a mailbox waits, for a
// message or for room. Closing it is the last message, and travels down the pipeline by itself.
#include <mailroom/mailbox/mailbox.hpp>

#include <iostream>
#include <sstream>
#include <string>
#include <thread>

int main() {
  mailroom::mailbox<std::string> lines{2};
  mailroom::mailbox<std::string> words{2};

  std::thread reader([&] {
    std::istringstream text("a mailbox waits\nand closes\na queue never waits\n");
    for (std::string line; std::getline(text, line);) lines.push(std::move(line));
    lines.close();
  });

  std::thread splitter([&] {
    while (auto line = lines.pop()) {
      std::istringstream text(std::move(*line));
      for (std::string word; text >> word;) words.push(std::move(word));
    }
    words.close();
  });

  int count = 0;
  std::size_t letters = 0;
  while (auto word = words.pop()) {
    ++count;
    letters += word->size();
  }
  reader.join();
  splitter.join();
  std::cout << count << " words, " << letters << " letters\n";
}
