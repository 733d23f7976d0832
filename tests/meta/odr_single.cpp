// SPDX-License-Identifier: MIT
// This unit knows the single header; it sends.
#include <single_include/mailroom/mailroom.hpp>

void send(mailroom::mailbox<int>& mail) {
  for (int i = 1; i <= 3; ++i) mail.push(i);
  mail.close();
}
