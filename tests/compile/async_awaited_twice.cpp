// SPDX-License-Identifier: MIT
// An operation is awaited once: who awaits it gives it away.
// expect: operator co_await
#include <mailroom/mailbox/async.hpp>

#include <utility>

void wait(mailroom::mailbox<int>& box) {
  auto operation = box.async_pop();
#ifdef WRONG
  auto awaited = operation.operator co_await();
#else
  auto awaited = std::move(operation).operator co_await();
#endif
  (void)awaited.await_ready();
}
