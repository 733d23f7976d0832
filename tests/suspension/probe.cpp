// SPDX-License-Identifier: MIT
#include "probe.hpp"

#include <algorithm> // find_if
#include <atomic>    // atomic
#include <cstddef>   // size_t
#include <deque>     // deque
#include <thread>    // thread

namespace test {
namespace {

// No round of one thread alone needs a tenth of it. Threads that compete take a step more for each
// success of another, and there are at most some hundred of those.
constexpr long patience_alone = 4'000;
constexpr long patience_together = 100'000;

/// The threads of one run.
class cast {
public:
  cast() {
    const std::lock_guard held{floor_now.lock};
    floor_now.is_over = false;
  }
  cast(const cast&) = delete;
  cast& operator=(const cast&) = delete;
  ~cast() {
    for (auto& thread : threads_) thread.join();
  }

  actor& play(const std::function<void()>& body, long park_before) {
    actor& one = actors_.emplace_back(park_before, 0);
    victim_ = &one;
    begin(one, [&one, body] { body(), one.end_round(); });
    return one;
  }
  actor& play(const part& what, long patience) {
    actor& one = actors_.emplace_back(actor::nowhere, patience);
    begin(one, [this, &one, what] {
      for (int i = 0; i != what.rounds && finish_round(what); ++i) one.end_round();
    });
    return one;
  }

  void wait() { wait_for_quiet(all_); }
  void let_go() {
    const std::lock_guard held{floor_now.lock};
    floor_now.is_over = true;
    for (actor* each : all_) {
      if (each->now != activity::sleeps && each->now != activity::done) each->now = activity::runs;
    }
    floor_now.changed.notify_all();
  }
  bool all_but(const actor& victim, activity state) const {
    const std::lock_guard held{floor_now.lock};
    for (const actor* each : all_) {
      if (each != &victim && each->now != state) return false;
    }
    return true;
  }
  bool has_given_up() const { return gave_up_.load(); }
  activity now(const actor& one) const {
    const std::lock_guard held{floor_now.lock};
    return one.now;
  }

private:
  /// A round that does not come to its end although the victim has long finished never will.
  bool finish_round(const part& what) {
    int strikes = 0;
    for (long tries = 1; !what.round(); ++tries) {
      suspension_point("round");
      if (tries % 1000 == 0 && victim_ != nullptr && now(*victim_) == activity::done) ++strikes;
      if (strikes == 10) return gave_up_.store(true), false;
    }
    return true;
  }

  template <class Body>
  void begin(actor& one, Body body) {
    all_.push_back(&one);
    threads_.emplace_back([&one, body] {
      this_actor = &one;
      body();
      this_actor = nullptr;
      one.end();
    });
  }

  const actor* victim_ = nullptr; // set before those that come late begin
  std::atomic<bool> gave_up_{false};
  std::deque<actor> actors_;
  std::vector<actor*> all_;
  std::vector<std::thread> threads_;
};

struct outcome {
  bool parked = false; // else the operation has no step k
  bool stopped = false;
  step where{};
  std::string fault;
};

outcome run(const scenery& make, long k, std::size_t with) {
  const scene now = make();
  const company& others = now.companies[with];
  outcome result;
  {
    cast threads;
    for (const part& each : others.early) threads.play(each, patience_alone), threads.wait();
    const actor& victim = threads.play(now.victim, k);
    threads.wait();
    result.parked = threads.now(victim) == activity::parked;
    if (result.parked) {
      result.where = victim.where;
      const bool alone = others.late.size() < 2;
      for (const part& each : others.late) {
        threads.play(each, alone ? patience_alone : patience_together);
      }
      threads.wait();
      result.stopped = !threads.all_but(victim, activity::done);
    }
    threads.let_go();
    threads.wait();
    const bool is_done = result.parked || threads.now(victim) == activity::done;
    if (is_done && !threads.all_but(victim, activity::done)) result.fault = "a thread sleeps on";
    if (threads.has_given_up()) result.fault = "a thread never gets on again";
    if (now.wind_up) now.wind_up();
  }
  if (now.fault && result.fault.empty()) result.fault = now.fault();
  if (!result.fault.empty()) result.fault = others.name + ": " + result.fault;
  return result;
}

/// The steps of one call, and which company is stopped while the victim stands before them.
class stretches {
public:
  explicit stretches(finding& into, const std::vector<company>& companies)
      : into_{into}, companies_{companies}, begun_(companies.size()), last_(companies.size()) {
    for (const company& each : companies) (void)stop_of(each.name);
  }

  void note(std::size_t with, const outcome& one) {
    if (!one.stopped) return close(with);
    last_[with] = one.where.text();
    if (begun_[with].empty()) begun_[with] = last_[with];
  }
  void close(std::size_t with) {
    if (begun_[with].empty()) return;
    const bool is_one = begun_[with] == last_[with];
    stop_of(companies_[with].name)
        .where.insert(is_one ? begun_[with] : begun_[with] + " .. " + last_[with]);
    begun_[with].clear();
  }

private:
  stop& stop_of(const std::string& who) {
    auto& all = into_.stops;
    const auto is = [&who](const stop& one) { return one.who == who; };
    const auto found = std::find_if(all.begin(), all.end(), is);
    return found != all.end() ? *found : all.emplace_back(stop{who, {}});
  }

  finding& into_;
  const std::vector<company>& companies_;
  std::vector<std::string> begun_;
  std::vector<std::string> last_;
};

/// One starting state, and every step of the operation from there.
void examine_state(finding& into, const scenery& make) {
  const std::vector<company> companies = make().companies;
  stretches found{into, companies};
  for (long k = 0;; ++k) {
    bool parked = false;
    bool stopped = false;
    for (std::size_t with = 0; with != companies.size(); ++with) {
      const outcome one = run(make, k, with);
      if (!one.fault.empty()) into.faults.insert(one.fault + " (step " + std::to_string(k) + ")");
      parked = one.parked;
      stopped = stopped || one.stopped;
      found.note(with, one);
    }
    if (!parked) break;
    ++into.points;
    into.survived += stopped ? 0 : 1;
  }
}

} // namespace

std::string finding::stopped() const {
  std::string names;
  for (const stop& one : stops) {
    if (!one.where.empty()) names += (names.empty() ? "" : ", ") + one.who;
  }
  return names.empty() ? "nobody" : names;
}

finding examine(std::string operation, std::string promised, const std::vector<scenery>& states) {
  finding result{std::move(operation), std::move(promised), 0, 0, {}, {}};
  for (const scenery& each : states) examine_state(result, each);
  return result;
}

std::string stops_of(const finding& found) {
  std::string text;
  for (const stop& one : found.stops) {
    for (const std::string& where : one.where) text += one.who + ": " + where + "\n";
  }
  return text;
}

} // namespace test
