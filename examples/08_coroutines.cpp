// SPDX-License-Identifier: MIT
// You learn how coroutines wait in a mailbox: a hundred thousand of them, on one thread. Each goes
// on inside the push that brings its message; those that get none go on when the mailbox closes.
#include <mailroom/mailbox/async.hpp>

#include <coroutine>
#include <cstdlib>
#include <iostream>

/// A coroutine that begins at once, belongs to nobody, and is gone when it ends. The library brings
/// none: any kind will do.
struct detached {
  struct promise_type {
    detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::abort(); }
  };
};

struct office {
  mailroom::mailbox<int> letters{16};
  int served = 0;
  int sent_home = 0;
  long long sum = 0;
};

detached customer(office& post) {
  const auto letter = co_await post.letters.async_pop();
  if (letter) {
    ++post.served;
    post.sum += *letter;
  } else {
    ++post.sent_home;
  }
}

detached clerk(office& post, int letters) {
  for (int number = 1; number <= letters; ++number) {
    if (!co_await post.letters.async_push(int{number})) break; // waits where there is no room
  }
  post.letters.close();
}

int main() {
  office post;
  for (int i = 0; i != 100'000; ++i) customer(post);
  std::cout << "waiting: " << post.letters.stats().pop_waits << '\n';

  clerk(post, 99'000);
  std::cout << "served: " << post.served << ", with the sum " << post.sum << '\n';
  std::cout << "sent home: " << post.sent_home << '\n';
}
