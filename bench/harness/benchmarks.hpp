// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_BENCHMARKS_HPP
#define MAILROOM_BENCH_HARNESS_BENCHMARKS_HPP

// What Google Benchmark measures, and its lines in the list that a program prints.

#include <bench/harness/contender.hpp>

#include <benchmark/benchmark.h>

#include <string> // string
#include <vector> // vector

namespace bench {

struct listed_benchmark {
  facts who;
  std::string scenario;
  std::string cell;
};

inline std::vector<listed_benchmark>& benchmarks() {
  static std::vector<listed_benchmark> all;
  return all;
}

/// Google Benchmark knows it as contender/scenario/cell.
template <class Body>
benchmark::internal::Benchmark& enter_benchmark(const facts& who, const std::string& scenario,
                                                const std::string& cell, Body body) {
  benchmarks().push_back({who, scenario, cell});
  const std::string name = std::string{who.name} + "/" + scenario + "/" + cell;
  return *benchmark::RegisterBenchmark(name.c_str(), body);
}

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_BENCHMARKS_HPP
