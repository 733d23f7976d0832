// SPDX-License-Identifier: MIT
// Prints what became of every operation.
//
//      mailroom.suspension.table --table     in Markdown, as it stands in the README
//      mailroom.suspension.table --points    who is stopped, and between which steps
#include "probe.hpp"

#include <cstdio>      // fputs, printf
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace {

void print_row(const test::finding& row) {
  std::printf("| %s | %s | %ld | %ld | %s |\n", row.operation.c_str(), row.promised.c_str(),
              row.points, row.survived, row.stopped().c_str());
}

void print_points(const test::finding& row) {
  std::printf("%s: %ld of %ld\n%s", row.operation.c_str(), row.survived, row.points,
              test::stops_of(row).c_str());
  for (const std::string& fault : row.faults) std::printf("FAULT %s\n", fault.c_str());
}

} // namespace

int main(int count, char** words) {
  const std::string_view wish = count == 2 ? words[1] : "";
  if (wish != "--table" && wish != "--points") {
    std::fputs("usage: mailroom.suspension.table --table | --points\n", stderr);
    return 2;
  }
  const bool is_table = wish == "--table";
  if (is_table) {
    std::puts("| operation | promised | points | survived | who is stopped at the others |");
    std::puts("| --- | --- | ---: | ---: | --- |");
  }
  for (const auto examine :
       {test::examine_spsc_queue, test::examine_mpmc_queue, test::examine_mpmc_ticket_queue,
        test::examine_mpsc_queue, test::examine_intrusive_mpsc_queue, test::examine_broadcasts,
        test::examine_mailboxes, test::examine_sleepers, test::examine_coroutines,
        test::examine_endings, test::examine_publishing, test::examine_subscribing}) {
    for (const test::finding& row : examine()) (is_table ? print_row : print_points)(row);
  }
  return 0;
}
