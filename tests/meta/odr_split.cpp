// SPDX-License-Identifier: MIT
// This unit knows the split headers; it receives what a unit with the single header sent. And it asks
// the unit that is checked.
#include <mailroom/mailroom.hpp>

#include <typeinfo> // type_info

void send(mailroom::mailbox<int>& mail);
int receive_with_both(mailroom::mailbox<int>& mail);

const std::type_info& checked_mailbox();
int violations_of_a_checked_mailbox();

int main() {
  mailroom::mailbox<int> mail{8};
  send(mail);
  const int first = mail.pop().value_or(0);
  if (first != 1 || receive_with_both(mail) != 2 + 3) return 1;
  if (checked_mailbox() == typeid(mail)) return 2;
  return violations_of_a_checked_mailbox() == 1 ? 0 : 3;
}
