// SPDX-License-Identifier: MIT
// This unit is checked, the others are not: what it calls mailbox<int> is another type, so there are
// two functions send(mailbox<int>&) in the program, and each finds its own.
#define MAILROOM_CHECKED 1
#include <mailroom/mailroom.hpp>

#include <typeinfo> // type_info

namespace {

int violations = 0;

} // namespace

const std::type_info& checked_mailbox() { return typeid(mailroom::mailbox<int>); }

void send(mailroom::mailbox<int>& mail) {
  mail.push(1);
  mail.push(2); // is dropped, which on_drop answers by a push
  mail.close();
}

int violations_of_a_checked_mailbox() {
  mailroom::set_violation_handler([](const mailroom::violation&) noexcept { ++violations; });
  mailroom::mailbox<int>* self = nullptr;
  bool is_first = true;
  mailroom::mailbox<int> mail{{.capacity = 1, .on_full = mailroom::overflow::drop_newest},
                              [&](int&& value) noexcept {
                                if (is_first) {
                                  is_first = false;
                                  self->push(value);
                                }
                              }};
  self = &mail;
  send(mail);
  return mail.pop() == 1 ? violations : -1;
}
