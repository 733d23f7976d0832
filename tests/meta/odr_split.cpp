// SPDX-License-Identifier: MIT
// This unit knows the split headers; it receives what a unit with the single header sent.
#include <mailroom/mailroom.hpp>

void send(mailroom::mailbox<int>& mail);
int receive_with_both(mailroom::mailbox<int>& mail);

int main() {
  mailroom::mailbox<int> mail{8};
  send(mail);
  const int first = mail.pop().value_or(0);
  return first == 1 && receive_with_both(mail) == 2 + 3 ? 0 : 1;
}
