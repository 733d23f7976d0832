// SPDX-License-Identifier: MIT
// How the driver talks to a program: one JSON object in each line of the answer.
//   list                     the cases, and what Google Benchmark measures
//   run CASE MILLISECONDS    one sample of a case, with the distance of the cores before and after
//   check                    every case of ours for a moment; fails if a message is missing
//   benchmark ...            Google Benchmark, with its options

#include <bench/harness/program.hpp>

#include <cstdio>  // fprintf, printf
#include <cstdlib> // strtod, strtoul
#include <string>  // string

namespace {

using namespace bench;

const char* text(bool value) { return value ? "true" : "false"; }

void list(std::size_t index, const facts& who, const std::string& scenario, const std::string& cell,
          const std::string& variant) {
  constexpr const char* origins[] = {"ours", "peer", "baseline", "limit"};
  std::printf("{\"case\": %zu, \"contender\": \"%s\", \"header\": \"%s\", \"from\": \"%s\", "
              "\"producers\": %d, \"consumers\": %d, \"fifo\": %s, \"lock_free\": %s, "
              "\"scenario\": \"%s\", \"cell\": \"%s\", "
              "\"variant\": \"%s\"}\n",
              index, who.name, who.header, origins[static_cast<std::size_t>(who.from)],
              static_cast<int>(who.producers), static_cast<int>(who.consumers),
              text(who.order == mailroom::ordering::fifo), text(who.lock_free), scenario.c_str(),
              cell.c_str(), variant.c_str());
}

int list() {
  for (std::size_t i = 0; i != cases().size(); ++i) {
    const run_case& one = cases()[i];
    list(i, one.who, one.scenario, one.cell, one.variant);
  }
  for (std::size_t i = 0; i != benchmarks().size(); ++i) {
    const listed_benchmark& one = benchmarks()[i];
    list(i, one.who, one.scenario, one.cell, "");
  }
  return 0;
}

int run(std::size_t index, double milliseconds) {
  if (index >= cases().size()) return 2;
  const run_case& one = cases()[index];
  const bool is_placed = one.scenario != "memory";
  const double before = is_placed ? distance() : 0;
  const outcome result = one.sample(milliseconds);
  const double after = is_placed ? distance() : 0;
  std::printf("{\"before\": %.1f, \"after\": %.1f, \"figures\": [%.4f, %.4f, %.4f], "
              "\"disturbed\": %s, \"faults\": \"%s\"}\n",
              before, after, result.ns, result.second, result.third, text(result.disturbed),
              result.wrong.words().c_str());
  return 0;
}

int check() {
  int bad = 0;
  for (const run_case& one : cases()) {
    const faults wrong = one.sample(0.1).wrong;
    if (!wrong.any()) continue;
    std::fprintf(stderr, "%s %s %s, %s: %s messages\n", one.who.name, one.scenario.c_str(),
                 one.cell.c_str(), one.variant.c_str(), wrong.words().c_str());
    if (one.who.from != origin::peer) bad = 1;
  }
  std::printf("%zu cases\n", cases().size());
  return cases().empty() ? 1 : bad;
}

} // namespace

int main(int count, char** words) {
  if (cores().size() < 2) {
    std::fprintf(stderr, "mailroom: measurements need two cores; this program may use one.\n");
    return 3;
  }
  enter_all();
  const std::string what = count > 1 ? words[1] : "";
  if (what == "list") return list();
  if (what == "check") return check();
  if (what == "run" && count == 4) {
    return run(std::strtoul(words[2], nullptr, 10), std::strtod(words[3], nullptr));
  }
  if (what == "benchmark") {
    --count;
    words[1] = words[0];
    benchmark::Initialize(&count, words + 1);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  }
  std::fprintf(stderr, "usage: %s list | check | run CASE MILLISECONDS | benchmark ...\n",
               words[0]);
  return 2;
}
