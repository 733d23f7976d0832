// SPDX-License-Identifier: MIT
#include "executor.hpp"

#include "heap.hpp"
#include "text.hpp"

#include <chrono>  // steady_clock
#include <csignal> // SIGSEGV, SIGBUS, sigaction
#include <cstdio>  // snprintf
#include <cstdlib> // abort
#include <utility> // exchange, move

namespace model {
executor& executor::get() {
  static executor only;
  return only;
}

namespace {

/// A pointer that comes from the wrong moment leads anywhere: that ends the execution, too.
void catch_wild_pointers() {
  struct sigaction caught{};
  caught.sa_handler = [](int) { executor::get().fail("an address is used where nothing is"); };
  caught.sa_flags = SA_NODEFER; // nobody returns from there
  for (const int which : {SIGSEGV, SIGBUS}) sigaction(which, &caught, nullptr);
}

} // namespace

// ---- The search

result executor::check(const options& how, const program& body, const mutation& weaker,
                       bool list_sites) {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(clock::now() - begin).count(); };
  options_ = how;
  mutation_ = weaker;
  lists_sites_ = list_sites;
  result_ = {};
  catch_wild_pointers();
  search_.begin(how.how, how.random_seed, how.broken);
  for (;;) {
    execute(body);
    if (is_failed_) break;
    if (!search_.next_execution()) {
      result_.complete = true;
      break;
    }
    if (result_.executions >= how.most_executions) break;
    if (result_.executions % 256 == 0 && passed() > how.most_seconds) break;
  }
  result_.states = search_.states();
  result_.seconds = passed();
  return std::move(result_);
}

std::string executor::replay(const options& how, const program& body, const std::string& schedule,
                             const mutation& weaker) {
  options_ = how;
  mutation_ = weaker;
  result_ = {};
  search_.follow(schedule);
  is_tracing_ = true;
  execute(body);
  is_tracing_ = false;
  std::string table;
  for (const std::string& each : lines_) table += each + "\n";
  return table + (result_.ok ? "nothing went wrong" : result_.message) + "\n";
}

void executor::execute(const program& body) {
  ++phase_;
  count_ = 0;
  current_ = 0;
  last_ = nobody;
  is_concurrent_ = is_failed_ = false;
  for (auto& each : names_) each = 1;
  taken_ = 0;
  spurious_left_ = options_.spurious;
  asleep_ = 0;
  signature_ = 0;
  lines_.clear();
  for (void** each : own_pointers_) *each = nullptr;
  search_.begin_execution();
  heap::reset();
  start(0, body);
  count_ = 1;
  is_executing_ = true;
  heap::use(0);
  fiber::change(host_, threads_[0].stack);
  heap::use_system();
  is_executing_ = is_concurrent_ = false;
  ++phase_;
  ++result_.executions;
}

void executor::start(std::size_t index, const program& body) {
  const heap::pause ours;
  thread& made = threads_[index];
  made.body = &body;
  made.is_finished = made.is_parked = made.is_woken = false;
  made.late = 0;
  made.steps = 0;
  made.next = {};
  made.own = {};
  made.stack.restart(&executor::entry);
  knows_nothing(made, index);
}

void executor::knows_nothing(thread& one, std::size_t index) noexcept {
  one.state = {};
  one.state.current.clock[index] = options_.broken == defect::clock_begins_at_zero ? 0 : 1;
  one.state.acquired.clock = one.state.current.clock;
}

/// The whole life of a fiber.
void executor::entry() {
  executor& all = get();
  try {
    (*all.me().body)();
  } catch (...) {
    all.fail("an exception leaves a thread");
  }
  if (all.current_ == 0) all.end_execution();
  all.me().is_finished = true;
  all.schedule();
  std::abort(); // nobody comes back to a thread that has ended
}

void executor::end_execution() {
  if (options_.parked < 0 && heap::live() != 0) fail("a leak: something was not given back");
  leave_for_host();
}

void executor::leave_for_host() { fiber::leave(me().stack, host_); }

void executor::fail(const char* what) {
  heap::use_system();
  if (!is_executing_) {
    std::fprintf(stderr, "outside of an execution: %s\n", what);
    std::abort();
  }
  is_failed_ = true;
  result_.ok = false;
  result_.message = what;
  if (is_concurrent_) {
    result_.message +=
        " (thread " + std::to_string(current_) + ", last step at " + where(me().next.where) + ")";
  }
  result_.schedule = search_.schedule();
  leave_for_host();
}

void executor::run(std::initializer_list<program> bodies) {
  if (is_concurrent_ || current_ != 0) fail("run() is for the body, not for its threads");
  if (bodies.size() + 1 > max_threads) fail("the program has too many threads for the checker");
  ++phase_;
  memory_.reset();
  memory_.broken = options_.broken;
  used_ = {};
  fences_ = {};
  last_fence_all_ = -1;
  last_steps_.fill(-1);
  knows_nothing(me(), 0);
  count_ = 1;
  for (const program& each : bodies) start(count_++, each);
  for (std::size_t i = 0; i != count_; ++i) memory_.threads.push_back(&threads_[i].state);
  is_concurrent_ = true;
  step({.what = kind::join});
  is_concurrent_ = false;
  for (std::size_t i = 0; i != memory_.size(); ++i) { // what is left is plain memory again
    if (memory_.at(static_cast<int>(i)).is_alive) {
      homes_[i]->value_ = memory_.at(static_cast<int>(i)).history.back().value;
    }
  }
  ++phase_;
}

// ---- The schedule

/// Makes `next` the step that this thread is about to take, and returns when it is its turn.
void executor::step(const operation& next, lock_word* wanted) {
  thread& mine = me();
  mine.next = next;
  mine.wanted = wanted;
  if (options_.parked == static_cast<int>(current_) && !mine.is_parked &&
      next.what != kind::futex_sleep && any(2, 1) == 1) {
    mine.is_parked = true;
    ++result_.parked;
  }
  schedule();
}

void executor::schedule() {
  const std::size_t chosen = pick();
  if (chosen == nobody) leave_for_host();
  if (chosen == current_) return;
  thread& left = me();
  current_ = chosen;
  heap::use(chosen);
  for (std::size_t i = 0; i != own_pointers_.size(); ++i) {
    left.own[i] = *own_pointers_[i];
    *own_pointers_[i] = me().own[i];
  }
  fiber::change(left.stack, me().stack);
}

bool executor::is_enabled(const thread& one) {
  if (one.is_finished || one.is_parked) return false;
  switch (one.next.what) {
  case kind::await: return memory_.has_news(one.state);
  case kind::join: return is_over();
  case kind::lock: return one.wanted->owner_ < 0;
  case kind::futex_sleep:
    if (one.is_woken || spurious_left_ != 0) return true;
    return one.next.timed && options_.broken != defect::timeout_never_comes;
  default: return true;
  }
}

bool executor::is_over() const noexcept {
  for (std::size_t i = 1; i != count_; ++i) {
    if (!threads_[i].is_finished) return false;
  }
  return true;
}

std::size_t executor::pick() {
  for (std::size_t i = 1; i != count_; ++i) { // to the first step of each, in order
    thread& each = threads_[i];
    if (each.next.what == kind::start && !each.is_finished) return i;
  }
  thread_set enabled = 0;
  for (std::size_t i = 0; i != count_; ++i) {
    if (is_enabled(threads_[i])) enabled |= only(i);
  }
  if (enabled == only(0)) return 0;
  if (enabled == 0) {
    report_deadlock();
    return nobody;
  }
  if (++taken_ > options_.longest) fail("no end: too many steps");
  const std::uint64_t now = search_.wants_state() ? state() : 0;
  const std::size_t chosen = search_.choose_thread(enabled, asleep_, last_, now);
  if (chosen == nobody) {
    if (search_.wants_steps()) {
      for (std::size_t i = 0; i != count_; ++i) {
        if (contains(enabled, i)) search_.look_ahead(i, dependencies(i));
      }
    }
    return nobody;
  }
  take_turn(chosen);
  return chosen;
}

void executor::take_turn(std::size_t index) {
  thread& chosen = threads_[index];
  if (options_.broken != defect::sleep_set_never_wakes) {
    for (std::size_t i = 0; i != count_; ++i) {
      if (contains(asleep_, i) && depend(threads_[i], chosen)) {
        asleep_ &= static_cast<thread_set>(~only(i));
      }
    }
  }
  if (search_.wants_steps()) {
    search_.record(index, dependencies(index));
    note_use(index);
  }
  last_ = index;
  ++chosen.steps;
  ++result_.steps;
}

void executor::report_deadlock() {
  const heap::pause ours;
  std::string stuck;
  bool only_parked = true;
  for (std::size_t i = 0; i != count_; ++i) {
    const thread& each = threads_[i];
    if (each.is_finished || each.next.what == kind::join) continue;
    if (!each.is_parked) only_parked = false;
    stuck += " T" + std::to_string(i) + (each.is_parked ? " (parked)" : "") + " before " +
             std::string{name_of(each.next.what)} + " at " + where(each.next.where);
  }
  if (only_parked) return;
  is_failed_ = true;
  result_.ok = false;
  result_.message = "deadlock:" + stuck;
  result_.schedule = search_.schedule();
}

/// A seq_cst load of a location whose newest message is already the last word commutes with its
/// like: it has but one answer, and changes nothing.
bool executor::acts_as_write(const operation& one) {
  if (one.what != kind::load) return one.writes();
  return one.seq_cst && !memory_.at(one.location).is_settled();
}

bool executor::depend(const thread& a, const thread& b) {
  const operation& x = a.next;
  const operation& y = b.next;
  if (x.what == kind::fence_all || y.what == kind::fence_all) return true;
  if (x.what == kind::await || y.what == kind::await) {
    const operation& other = x.what == kind::await ? y : x;
    return other.what == kind::store || other.what == kind::rmw;
  }
  if (x.what == kind::lock || y.what == kind::lock) return a.wanted == b.wanted;
  if (x.what == kind::fence || y.what == kind::fence) {
    const operation& other = x.what == kind::fence ? y : x;
    if (other.what == kind::fence) return true;
    return other.seq_cst && acts_as_write(other);
  }
  if (x.location < 0 || x.location != y.location) return false;
  if (options_.broken == defect::reads_are_independent) return x.writes() && y.writes();
  return acts_as_write(x) || acts_as_write(y);
}

/// The earlier steps that the step of this thread depends on: the latest of each kind.
search::steps executor::dependencies(std::size_t index) {
  const thread& one = threads_[index];
  const operation& next = one.next;
  search::steps earlier;
  const auto all_readers = [&](const last_users& used) {
    for (const int reader : used.readers) earlier.push_back(reader);
  };
  earlier.push_back(last_fence_all_);
  if (next.what == kind::fence_all) {
    for (const int last : last_steps_) earlier.push_back(last);
  } else if (next.what == kind::lock) {
    earlier.push_back(one.wanted->last_event_);
  } else if (next.what == kind::fence) {
    earlier.push_back(fences_.writer);
    all_readers(fences_);
  } else if (next.location >= 0) {
    const last_users& used = used_[static_cast<std::size_t>(next.location)];
    const bool writes = acts_as_write(next);
    if (writes || options_.broken != defect::reads_are_independent) earlier.push_back(used.writer);
    if (writes && options_.broken != defect::reads_are_independent) all_readers(used);
    if (next.seq_cst && writes) earlier.push_back(fences_.writer);
  }
  return earlier;
}

/// Remembers the step that was just recorded as the last of its kind.
void executor::note_use(std::size_t index) {
  const thread& one = threads_[index];
  const operation& next = one.next;
  const int step = search_.last_step();
  const auto write = [&](last_users& used) {
    used.writer = step;
    used.readers.fill(-1);
  };
  last_steps_[index] = step;
  if (next.what == kind::fence_all) {
    last_fence_all_ = step;
  } else if (next.what == kind::lock) {
    one.wanted->last_event_ = step;
  } else if (next.what == kind::fence) {
    write(fences_);
  } else if (next.what == kind::await) {
    for (std::size_t i = 0; i != memory_.size(); ++i) {
      if (one.state.watched[i]) used_[i].readers[index] = step;
    }
  } else if (next.location >= 0) {
    last_users& used = used_[static_cast<std::size_t>(next.location)];
    const bool writes = acts_as_write(next);
    if (writes) write(used);
    if (!writes) used.readers[index] = step;
    if (next.seq_cst && writes) fences_.readers[index] = step;
  }
}

/// Two states are the same if every thread has read the same messages, and all orders agree.
std::uint64_t executor::state() {
  std::uint64_t sum = mix(signature_) + memory_.hash();
  for (std::size_t i = 0; i != count_; ++i) {
    const thread& each = threads_[i];
    sum = mix(sum * 5 + each.steps * 64U + each.late * 8U + (each.is_finished ? 4U : 0U) +
              (each.is_parked ? 2U : 0U) + (each.is_woken ? 1U : 0U));
  }
  return sum + spurious_left_;
}

/// Adds to what identifies the state. A sum, since independent steps may come in either order.
void executor::sign(kind what, std::uint32_t name, std::uint64_t detail) noexcept {
  if (options_.broken == defect::cache_forgets_what_was_read) detail = 0;
  std::uint64_t one = mix(current_ + 1);
  one = mix(one + me().steps);
  one = mix(one + static_cast<std::uint64_t>(what));
  one = mix(one + name);
  signature_ += mix(one + detail);
}

unsigned executor::any(unsigned count, std::uint64_t why) {
  const unsigned chosen = search_.choose(count);
  sign(kind::start, 1, why * 1024 + chosen + 1);
  return chosen;
}

moment executor::this_moment() {
  tick();
  return {phase_, current_, knowledge().clock[current_], knowledge()};
}

} // namespace model
