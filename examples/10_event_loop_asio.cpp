// SPDX-License-Identifier: MIT
// You learn how an asio loop works with threads that use mailboxes, without ever being blocked by
// them. It sends numbers to a worker whenever there is room for one, takes the answers whenever
// there is one, and meanwhile does what else it has to do: here, to wait for a timer.
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/mailbox/select.hpp>
#include <mailroom/mailbox/selector.hpp>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <iostream>
#include <thread>

using mailroom::queue_status;
using mailroom::selector;

/// Carries out what is ready, whenever the descriptor is readable, until no case is left.
void serve(asio::posix::stream_descriptor& wire, selector& all) {
  wire.async_wait(wire.wait_read, [&](const asio::error_code& error) {
    if (error) return;
    queue_status status = queue_status::success;
    while (status == queue_status::success) status = all.try_select();
    if (status != queue_status::closed) serve(wire, all);
  });
}

int main() {
  mailroom::mailbox<int> numbers{1};
  mailroom::mailbox<int> squares{1};
  std::thread worker{[&] {
    while (const auto number = numbers.pop()) squares.push(*number * *number);
    squares.close();
  }};

  selector all;
  int next = 1;
  selector::registration sending;
  sending = all.add(mailroom::on_push(numbers, next, [&] {
    if (++next <= 5) return; // it is sent when there is room again
    sending.cancel();
    numbers.close();
  }));
  const auto receiving =
      all.add(mailroom::on_pop(squares, [](int square) { std::cout << square << '\n'; }));

  asio::io_context loop;
  asio::posix::stream_descriptor wire{loop, all.native_handle()};
  serve(wire, all);
  bool has_rung = false;
  asio::steady_timer timer{loop, std::chrono::milliseconds{20}};
  timer.async_wait([&](const asio::error_code&) { has_rung = true; });
  loop.run(); // until the timer has rung and no case is left
  std::cout << (has_rung ? "the timer rang too" : "the timer did not ring") << '\n';

  wire.release(); // the descriptor is the selector's, who closes it
  worker.join();
}
