// SPDX-License-Identifier: MIT
// You learn how mailboxes and file descriptors share one event loop. Orders come through a pipe;
// each begins a job in a thread of its own, whose numbers come through a mailbox of its own. The
// loop waits for all of them in epoll_wait, and nowhere else.
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <sys/epoll.h>
#include <thread>
#include <unistd.h>
#include <vector>

using mailroom::queue_status;
using mailroom::selector;

struct job {
  int wanted;
  mailroom::mailbox<int> numbers{4};
  std::thread worker{[this] {
    for (int number = 1; number <= wanted; ++number) numbers.push(number);
    numbers.close();
  }};
  int sum = 0;
  selector::registration listening{};

  explicit job(int count) : wanted{count} {}
  ~job() { worker.join(); }
};

void watch(int loop, int descriptor) {
  epoll_event what{};
  what.events = EPOLLIN;
  what.data.fd = descriptor;
  if (::epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &what) != 0) std::abort();
}

int main() {
  int orders[2];
  if (::pipe(orders) != 0) return EXIT_FAILURE;
  std::thread customer{[to = orders[1]] {
    for (const int wanted : {10, 100, 200}) {
      const auto count = static_cast<unsigned char>(wanted);
      if (::write(to, &count, 1) != 1) std::abort();
    }
    ::close(to);
  }};

  std::vector<std::unique_ptr<job>> jobs;
  selector all;
  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  watch(loop, orders[0]);
  watch(loop, all.native_handle());

  bool is_open = true; // more orders may come
  while (is_open || all.size() != 0) {
    epoll_event ready{};
    if (::epoll_wait(loop, &ready, 1, -1) != 1) continue;
    if (ready.data.fd == all.native_handle()) {
      while (all.try_select() == queue_status::success) {
      }
      continue;
    }
    unsigned char count = 0;
    is_open = ::read(orders[0], &count, 1) == 1;
    if (is_open) {
      job& one = *jobs.emplace_back(std::make_unique<job>(count));
      one.listening = all.add(mailroom::on_pop(one.numbers, [&one](int n) { one.sum += n; }));
    } else {
      ::epoll_ctl(loop, EPOLL_CTL_DEL, orders[0], nullptr);
    }
  }

  for (const auto& each : jobs) {
    std::cout << each->wanted << " numbers, with the sum " << each->sum << '\n';
  }
  customer.join();
  ::close(loop);
  ::close(orders[0]);
}
