// SPDX-License-Identifier: MIT
#include "search.hpp"

#include "engine.hpp"

#include <algorithm> // max
#include <bit>       // countr_zero, popcount

namespace model {
namespace {

std::size_t first_of(thread_set set) noexcept {
  return static_cast<std::size_t>(std::countr_zero(set));
}

} // namespace

void search::begin(reduction how, std::uint64_t random_seed, defect broken) {
  how_ = how;
  broken_ = broken;
  is_random_ = random_seed != 0;
  is_replay_ = false;
  seed_ = random_seed;
  path_.clear();
  visited_.clear();
}

void search::follow(const std::string& schedule) {
  begin(reduction::none, 0, defect::none);
  is_replay_ = true;
  // A thread is a letter, an answer a digit of base 36 behind a dot.
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    decision made{};
    if (schedule[i] != '.') {
      made.chosen = static_cast<std::uint8_t>(schedule[i] - 'A');
      made.wanted = only(made.chosen);
    } else if (++i != schedule.size()) {
      const char digit = schedule[i];
      made.is_answer = true;
      made.chosen = static_cast<std::uint8_t>(digit >= 'a' ? digit - 'a' + 10 : digit - '0');
      made.count = static_cast<std::uint8_t>(made.chosen + 1);
    }
    path_.push_back(made);
  }
}

std::string search::schedule() const {
  std::string text;
  for (std::size_t i = 0; i != at_; ++i) {
    const decision& each = path_[i];
    if (!each.is_answer) {
      text += static_cast<char>('A' + each.chosen);
    } else {
      text += '.';
      text += static_cast<char>(each.chosen < 10 ? '0' + each.chosen : 'a' + each.chosen - 10);
    }
  }
  return text;
}

void search::begin_execution() noexcept {
  at_ = 0;
  events_.clear();
  clocks_ = {};
  if (is_random_) path_.clear();
}

bool search::next_execution() {
  if (is_random_) return true;
  if (is_replay_) return false;
  for (; !path_.empty(); path_.pop_back()) {
    decision& last = path_.back();
    if (last.is_answer) {
      if (++last.chosen != last.count) return true;
      continue;
    }
    last.done |= only(last.chosen);
    const auto todo = static_cast<thread_set>(last.wanted & ~last.done & ~last.asleep);
    if (todo != 0) {
      last.chosen = static_cast<std::uint8_t>(first_of(todo));
      return true;
    }
  }
  return false;
}

unsigned search::random(unsigned below) noexcept {
  seed_ ^= seed_ << 13;
  seed_ ^= seed_ >> 7;
  seed_ ^= seed_ << 17;
  return static_cast<unsigned>((seed_ >> 11) % below);
}

unsigned search::choose(unsigned count) {
  if (count == 1) return 0;
  if (at_ < path_.size()) return path_[at_++].chosen;
  decision made{};
  made.is_answer = true;
  made.count = static_cast<std::uint8_t>(count);
  made.chosen = static_cast<std::uint8_t>(is_random_ ? random(count) : 0);
  path_.push_back(made);
  ++at_;
  return made.chosen;
}

std::size_t search::choose_thread(thread_set enabled, thread_set& asleep, std::size_t last,
                                  std::uint64_t state) {
  if (at_ < path_.size()) { // on the way to what is new
    const decision& known = path_[at_];
    current_ = at_++;
    asleep = 0;
    if (how_ != reduction::none) {
      asleep = static_cast<thread_set>((known.asleep | known.done) & ~only(known.chosen));
    }
    return known.chosen;
  }
  decision made{};
  made.enabled = enabled;
  made.asleep = static_cast<thread_set>(how_ == reduction::none ? 0 : asleep & enabled);
  auto candidates = static_cast<thread_set>(enabled & ~made.asleep);
  if (how_ == reduction::cache && !is_random_ && candidates != 0) {
    candidates = fresh(candidates, made.asleep, state);
  }
  if (candidates == 0) return nobody;
  std::size_t chosen = contains(candidates, last) ? last : first_of(candidates);
  if (is_random_) {
    for (unsigned skip = random(static_cast<unsigned>(std::popcount(candidates))); skip != 0;
         --skip) {
      candidates &= static_cast<thread_set>(candidates - 1);
    }
    chosen = first_of(candidates);
  }
  made.wanted = how_ == reduction::reversal ? only(chosen) : candidates;
  made.chosen = static_cast<std::uint8_t>(chosen);
  path_.push_back(made);
  current_ = at_++;
  asleep = made.asleep;
  return chosen;
}

/// Who has not left this state before. A thread that slept at all earlier visits has not.
thread_set search::fresh(thread_set candidates, thread_set asleep, std::uint64_t state) {
  const auto [found, is_new] = visited_.try_emplace(state, asleep);
  if (is_new) return candidates;
  const thread_set left_out = found->second;
  found->second &= asleep;
  if (broken_ == defect::cache_ignores_sleep_set) return 0;
  return static_cast<thread_set>(left_out & candidates);
}

// ---- Reversal

search::clock search::joined(std::size_t thread, const steps& earlier) const {
  clock now = clocks_[thread];
  for (const int step : earlier) {
    if (step < 0) continue;
    const event& e = events_[static_cast<std::size_t>(step)];
    for (std::size_t i = 0; i != max_threads; ++i) now[i] = std::max(now[i], e.clock[i]);
  }
  return now;
}

void search::look_ahead(std::size_t thread, const steps& earlier) {
  const clock now = joined(thread, earlier);
  for (const int step : earlier) {
    if (step >= 0) reverse(thread, step, now);
    if (broken_ == defect::reversal_stops_at_first && step >= 0) break;
  }
}

void search::record(std::size_t thread, const steps& earlier) {
  look_ahead(thread, earlier);
  clock now = joined(thread, earlier);
  ++now[thread];
  clocks_[thread] = now;
  events_.push_back({thread, current_, now});
}

/// The steps between `from` and the present that do not depend on it could run before it: those
/// threads of them that nothing keeps from being the first.
thread_set search::initials(const event& from, std::size_t first, std::size_t thread,
                            const clock& now) {
  thread_set begins = 0;
  thread_set seen = 0;
  const auto depends_on_some = [&](const auto& has_seen, std::size_t until) {
    for (std::size_t k = first; k != until; ++k) {
      if (is_after(events_[k], from)) continue;
      if (has_seen(events_[k])) return true;
    }
    return false;
  };
  for (std::size_t j = first; j != events_.size(); ++j) {
    const event& each = events_[j];
    if (is_after(each, from) || contains(seen, each.thread)) continue;
    seen |= only(each.thread);
    if (!depends_on_some([&](const event& e) { return is_after(each, e); }, j)) {
      begins |= only(each.thread);
    }
  }
  const auto seen_now = [&](const event& e) { return now[e.thread] >= e.clock[e.thread]; };
  if (!contains(seen, thread) && !depends_on_some(seen_now, events_.size())) begins |= only(thread);
  return begins;
}

/// The step that `thread` is about to take races with `earlier`: wants an execution in which it, or
/// what leads to it, comes first.
void search::reverse(std::size_t thread, int earlier, const clock& now) {
  const auto index = static_cast<std::size_t>(earlier);
  const event from = events_[index];
  if (from.thread == thread) return;
  if (from.clock[from.thread] <= clocks_[thread][from.thread]) return; // ordered before already
  decision& there = path_[from.decision];
  const thread_set begins = initials(from, index + 1, thread, now);
  if ((begins & (there.wanted | there.done)) != 0) return;
  const auto possible = static_cast<thread_set>(begins & there.enabled);
  if (possible == 0) {
    there.wanted |= there.enabled;
  } else {
    there.wanted |= only(contains(possible, thread) ? thread : first_of(possible));
  }
}

} // namespace model
