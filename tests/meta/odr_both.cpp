// SPDX-License-Identifier: MIT
// This unit meets both: the include guards are the same, so whichever comes second is empty.
#include <single_include/mailroom/mailroom.hpp>

#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailroom.hpp>

int receive_with_both(mailroom::mailbox<int>& mail) {
  int sum = 0;
  while (auto message = mail.pop()) sum += *message;
  return sum;
}
