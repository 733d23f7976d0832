// SPDX-License-Identifier: MIT
// What it costs to find that a filter of dialect amqp with so many `#` does not match a topic of 31
// words, measured by Google Benchmark; and what it costs the naive way, in which each `#` tries all
// lengths. The topic is read into words beforehand for the naive way, which so has less to do.
#include <mailroom/topic/filter.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>     // size_t
#include <cstdint>     // int64_t
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace {

using words = std::vector<std::string_view>;

constexpr std::size_t topic_words = 31;

std::string topic() {
  std::string made = "a";
  for (std::size_t i = 1; i != topic_words; ++i) made += ".a";
  return made;
}

/// "#.a.#.a.#.b": the last word is in no topic.
std::string filter_with(std::int64_t hashes) {
  std::string made;
  for (std::int64_t i = 1; i != hashes; ++i) made += "#.a.";
  return made + "#.b";
}

words split(std::string_view text) {
  words all;
  for (;;) {
    const std::size_t dot = text.find('.');
    all.push_back(text.substr(0, dot));
    if (dot == text.npos) return all;
    text.remove_prefix(dot + 1);
  }
}

bool naive(const words& filter, std::size_t f, const words& topic, std::size_t t) {
  if (f == filter.size()) return t == topic.size();
  if (filter[f] == "#") {
    for (std::size_t behind = t; behind <= topic.size(); ++behind) {
      if (naive(filter, f + 1, topic, behind)) return true;
    }
    return false;
  }
  return t != topic.size() && (filter[f] == "*" || filter[f] == topic[t]) &&
         naive(filter, f + 1, topic, t + 1);
}

void ours(benchmark::State& state) {
  const mailroom::topic_filter filter{filter_with(state.range(0)), mailroom::dialect::amqp};
  const std::string name = topic();
  for (auto _ : state) {
    bool matched = filter.matches(name);
    benchmark::DoNotOptimize(matched);
    if (matched) state.SkipWithError("matches what it should not");
  }
}

void backtracking(benchmark::State& state) {
  const std::string text = filter_with(state.range(0));
  const std::string name = topic();
  const words filter = split(text);
  const words all = split(name);
  for (auto _ : state) {
    bool matched = naive(filter, 0, all, 0);
    benchmark::DoNotOptimize(matched);
    if (matched) state.SkipWithError("matches what it should not");
  }
}

} // namespace

BENCHMARK(ours)->ArgName("hashes")->DenseRange(1, 5)->Arg(10)->Arg(15)->Arg(31);
BENCHMARK(backtracking)->ArgName("hashes")->DenseRange(1, 5);

BENCHMARK_MAIN();
