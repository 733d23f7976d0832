// SPDX-License-Identifier: MIT
// You learn how several threads share the work in one mailbox, each taking the next job when it is
// free. What they find comes back through another mailbox, in any order.
#include <mailroom/mailbox/mailbox.hpp>

#include <iostream>
#include <map>
#include <thread>
#include <vector>

struct job {
  int first, last;
};

struct result {
  job done;
  int primes;
};

bool is_prime(int n) {
  for (int divisor = 2; divisor * divisor <= n; ++divisor) {
    if (n % divisor == 0) return false;
  }
  return n >= 2;
}

result work_on(job range) {
  int primes = 0;
  for (int n = range.first; n <= range.last; ++n) primes += is_prime(n) ? 1 : 0;
  return {range, primes};
}

int main() {
  mailroom::mailbox<job> jobs{4};
  mailroom::mailbox<result> results{16}; // room for all: they are read when the work is done

  std::vector<std::thread> workers(3);
  for (std::thread& worker : workers) {
    worker = std::thread([&] {
      while (const auto next = jobs.pop()) results.push(work_on(*next));
    });
  }

  for (int first = 0; first < 100'000; first += 10'000) {
    jobs.push(job{first, first + 9'999});
  }
  jobs.close();
  for (std::thread& worker : workers) worker.join();
  results.close();

  std::map<int, result> sorted;
  while (const auto next = results.pop()) sorted.emplace(next->done.first, *next);
  for (const auto& [first, found] : sorted) {
    std::cout << first << " to " << found.done.last << ": " << found.primes << " primes\n";
  }
}
