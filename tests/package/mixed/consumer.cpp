// SPDX-License-Identifier: MIT
// Compiled as C++20, as the compiler comes.
#include "other.hpp"

int main() {
  letter_box box{2};
  send(box, 1);
  const bool arrived = box.pop() == 1;
  box.push(2);
  const letter second = receive(box);
  const letter third = receive(box);
  const bool answered = third.error() == mailroom::queue_status::empty;
  return arrived && second && *second == 2 && answered ? 0 : 1;
}
