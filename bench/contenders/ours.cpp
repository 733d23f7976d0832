// SPDX-License-Identifier: MIT
// A queue of ours, and the same through handles where it has them. Built once for each.
#include <bench/contenders/ours.hpp>
#include <bench/harness/program.hpp>

#include <named.hpp>

namespace {

template <class Named>
void enter_both() {
  bench::enter<bench::ours<Named>>();
  if constexpr (bench::has_handles<Named>) bench::enter<bench::ours_by_handles<Named>>();
}

} // namespace

void bench::enter_all() { enter_both<named>(); }
