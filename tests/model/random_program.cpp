// SPDX-License-Identifier: MIT
#include "random_program.hpp"

#include "engine/heap.hpp"

#include <mailroom/detail/mutex.hpp>
#include <mailroom/detail/platform.hpp>

#include <array>   // array
#include <utility> // move

namespace model {
namespace {

using mailroom::detail::atomic;
using verb = instruction::verb;

unsigned draw(std::uint64_t& random, unsigned below) noexcept {
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return static_cast<unsigned>((random >> 11) % below);
}

template <std::size_t N>
order draw(std::uint64_t& random, const std::array<order, N>& from) noexcept {
  return from[draw(random, N)];
}

constexpr std::array loads{order::relaxed, order::acquire, order::seq_cst};
constexpr std::array stores{order::relaxed, order::release, order::seq_cst};
constexpr std::array fences{order::acquire, order::release, order::acq_rel, order::seq_cst};
constexpr std::array all{order::relaxed, order::acquire, order::release, order::acq_rel,
                         order::seq_cst};

instruction make_instruction(std::uint64_t& random, alphabet from, std::size_t locations,
                             unsigned value) {
  const auto where = draw(random, static_cast<unsigned>(locations));
  const unsigned kind = draw(random, from == alphabet::without_fence_all ? 22 : 25);
  if (kind < 8) return {verb::load, where, draw(random, loads), {}, value};
  if (kind < 14) return {verb::store, where, draw(random, stores), {}, value};
  if (kind < 16) return {verb::add, where, draw(random, all), {}, value};
  if (kind < 18) return {verb::fence, where, draw(random, fences), {}, value};
  if (kind < 21) {
    return {verb::exchange_if_zero, where, draw(random, all), draw(random, loads), value};
  }
  if (kind >= 22) return {verb::fence_all, where, order::seq_cst, {}, value};
  return {verb::under_lock, where, draw(random, loads), {}, value};
}

/// What runs: the locations, a lock, and what was read.
struct machine {
  std::array<atomic<unsigned>, 3> words;
  mailroom::detail::mutex lock;
  unsigned last_inside = 0;
  std::array<std::string, 4> seen;

  void note(std::size_t thread, char what, unsigned value) {
    seen[thread] += what;
    seen[thread] += std::to_string(value);
  }

  void execute(const instruction& one, std::size_t thread) {
    auto& word = words[one.where];
    switch (one.what) {
    case verb::load: note(thread, 'r', word.load(one.how)); break;
    case verb::store: word.store(one.value, one.how); break;
    case verb::add: note(thread, 'a', word.fetch_add(1000, one.how)); break;
    case verb::fence: mailroom::detail::fence(one.how); break;
    case verb::fence_all: mailroom::detail::fence_all_threads(); break;
    case verb::exchange_if_zero: {
      unsigned found = 0;
      const bool done = word.compare_exchange(found, one.value, one.how, one.failure);
      note(thread, done ? 'x' : 'f', found);
      break;
    }
    case verb::under_lock: {
      const mailroom::detail::lock_guard held{lock};
      note(thread, 'l', std::exchange(last_inside, one.value));
      note(thread, 'r', word.load(one.how));
      break;
    }
    }
  }
};

} // namespace

random_program make_program(std::uint64_t& random, alphabet from) {
  random_program made{2, {}};
  const unsigned threads = 2 + draw(random, 2);
  const unsigned length = threads == 2 ? 2 + draw(random, 3) : 2 + draw(random, 2);
  unsigned value = 1;
  for (unsigned t = 0; t != threads; ++t) {
    auto& one = made.threads.emplace_back();
    for (unsigned i = 0; i != length; ++i) {
      one.push_back(make_instruction(random, from, made.locations, value++));
    }
  }
  return made;
}

std::set<std::string> graphs(const random_program& what, const options& how, result& found) {
  std::set<std::string> all_seen;
  found = check(how, [&] {
    machine m;
    const auto thread = [&](std::size_t index) {
      return [&, index] {
        if (index >= what.threads.size()) return;
        for (const auto& each : what.threads[index]) m.execute(each, index);
      };
    };
    run({thread(0), thread(1), thread(2)});
    std::string graph;
    for (const auto& each : m.seen) graph += each + "|";
    for (auto& each : m.words) {
      for (const auto value : history(each.inside())) graph += std::to_string(value) + ",";
      graph += ";";
    }
    const heap::pause ours;
    all_seen.insert(std::string{graph.data(), graph.size()});
  });
  return all_seen;
}

} // namespace model
