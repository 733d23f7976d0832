// SPDX-License-Identifier: MIT
// A mailbox over a queue of ours, and the bare queue beside it where nobody waits: what is between
// them is the price of being able to wait. Built once for each queue.
#include <bench/contenders/mailbox.hpp>
#include <bench/harness/program.hpp>

#include <named.hpp>

namespace {

constexpr bench::facts bare = [] {
  bench::facts all = bench::ours<bench::named>::about;
  all.name = bench::named::bare_name;
  all.from = bench::origin::limit;
  return all;
}();

} // namespace

void bench::enter_all() {
  enter_waiting<mailbox_over<named>>();
  enter_waiting_single<ours<named>::queue<number>>(bare);
}
