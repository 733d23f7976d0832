// SPDX-License-Identifier: MIT
#include "memory.hpp"

#include "engine.hpp"
#include "text.hpp"

#include <algorithm> // max, min
#include <utility>   // move

namespace model {
namespace {

/// A short list of the ways to go on, newest first.
struct ways {
  std::array<std::size_t, max_messages> which;
  unsigned count = 0;
  void add(std::size_t one) noexcept { which[count++] = one; }
};

} // namespace

void memory::reset() noexcept {
  size_ = 0;
  fences_ = {};
  threads.clear();
  kept.clear();
}

int memory::add(std::uint32_t name, std::uint64_t value) {
  if (size_ == max_locations) fail("the program has too many atomics for the checker");
  if (size_ == locations_.size()) locations_.emplace_back();
  location& made = locations_[size_];
  made.name = name;
  made.history.clear();
  made.history.push_back({value, 0, false, prologue_});
  made.seq_cst = 0;
  made.bucket = 0;
  made.sleepers.clear();
  made.used = {};
  made.is_alive = true;
  return static_cast<int>(size_++);
}

/// Coherence: not behind what the thread has seen; for seq_cst, not behind what came before.
std::size_t memory::oldest_allowed(const thread_state& thread, int id, order how) const noexcept {
  const auto index = static_cast<std::size_t>(id);
  stamp oldest = thread.current.seen[index];
  if (how == order::seq_cst) {
    if (broken != defect::access_ignores_accesses) {
      oldest = std::max(oldest, locations_[index].seq_cst);
    }
    if (broken != defect::access_ignores_fences) oldest = std::max(oldest, fences_.seen[index]);
  }
  return oldest;
}

/// Atomicity: nothing comes between an RMW and the message that it read.
bool memory::may_follow(const location& place, std::size_t which) const noexcept {
  if (which == place.newest()) return true;
  if (broken == defect::order_only_appended) return false;
  return broken == defect::rmw_not_atomic || !place.history[which + 1].by_rmw;
}

void memory::read(thread_state& thread, int id, std::size_t which, order how) {
  const auto index = static_cast<std::size_t>(id);
  location& place = at(id);
  const view& carried = place.history[which].carried;
  const auto seen = static_cast<stamp>(which);
  if (broken != defect::read_forgets_coherence) {
    thread.current.seen[index] = std::max(thread.current.seen[index], seen);
  }
  if (acquires(how) && broken != defect::acquire_takes_nothing) thread.current.join(carried);
  thread.acquired.join(carried);
  thread.acquired.join(thread.current);
  if (how == order::seq_cst) place.seq_cst = std::max(place.seq_cst, seen);
  thread.watched[index] = true;
  thread.looked[index] = seen;
}

const message& memory::load(thread_state& thread, int id, order how) {
  location& place = at(id);
  const std::size_t oldest = oldest_allowed(thread, id, how);
  const std::size_t which =
      place.newest() - choose_(static_cast<unsigned>(place.newest() - oldest + 1));
  read(thread, id, which, how);
  return place.history[which];
}

void memory::store(thread_state& thread, int id, std::uint64_t value, order how,
                   std::uint32_t writer) {
  location& place = at(id);
  const std::size_t oldest = oldest_allowed(thread, id, how);
  ways after;
  for (std::size_t i = place.newest() + 1; i-- != oldest;) {
    if (may_follow(place, i)) after.add(i);
  }
  const std::size_t before = after.which[choose_(after.count)];
  insert(thread, id, before + 1, {value, writer, false, {}}, how);
}

std::size_t memory::choose_source(thread_state& thread, int id, order how) {
  location& place = at(id);
  const std::size_t oldest = oldest_allowed(thread, id, how);
  ways source;
  for (std::size_t i = place.newest() + 1; i-- != oldest;) {
    if (may_follow(place, i)) source.add(i);
  }
  return source.which[choose_(source.count)];
}

std::size_t memory::choose_compared(thread_state& thread, int id, std::uint64_t expected,
                                    order success, order failure) {
  location& place = at(id);
  const std::size_t to_fail = broken == defect::failed_exchange_reads_last
                                  ? place.newest()
                                  : oldest_allowed(thread, id, failure);
  const std::size_t to_succeed = oldest_allowed(thread, id, success);
  ways source;
  for (std::size_t i = place.newest() + 1; i-- != std::min(to_fail, to_succeed);) {
    const bool equal = place.history[i].value == expected;
    if (equal ? i >= to_succeed && may_follow(place, i) : i >= to_fail) source.add(i);
  }
  return source.which[choose_(source.count)];
}

void memory::write_behind(thread_state& thread, int id, std::size_t source, std::uint64_t value,
                          order how, std::uint32_t writer) {
  const message& read = at(id).history[source];
  message made{value, writer, true, {}};
  if (broken != defect::release_sequence_broken) made.carried = read.carried;
  insert(thread, id, source + 1, std::move(made), how);
}

/// Puts a message into its place and lets it carry what its order says. An RMW's message comes with
/// what the one before it carried: the release sequence.
void memory::insert(thread_state& thread, int id, std::size_t position, message made, order how) {
  const auto index = static_cast<std::size_t>(id);
  location& place = at(id);
  if (place.history.size() == max_messages) fail("no end: a location has too many messages");
  if (position != place.history.size()) make_room(id, position);
  const auto seen = static_cast<stamp>(position);
  if (broken != defect::write_forgets_coherence) {
    thread.current.seen[index] = std::max(thread.current.seen[index], seen);
  }
  thread.acquired.seen[index] = std::max(thread.acquired.seen[index], seen);
  if (how == order::seq_cst) place.seq_cst = std::max(place.seq_cst, seen);
  if (!releases(how)) {
    if (broken != defect::release_fence_ignored) made.carried.join(thread.released);
  } else if (broken != defect::release_gives_nothing) {
    made.carried.join(thread.current);
  }
  made.carried.seen[index] = seen;
  place.history.insert(place.history.begin() + static_cast<std::ptrdiff_t>(position),
                       std::move(made));
}

/// All stamps of the location from `position` on move up by one.
void memory::make_room(int id, std::size_t position) {
  const auto index = static_cast<std::size_t>(id);
  const auto move_up = [position](stamp& each) {
    if (each >= position) ++each;
  };
  for (thread_state* each : threads) {
    move_up(each->current.seen[index]);
    move_up(each->acquired.seen[index]);
    move_up(each->released.seen[index]);
    move_up(each->looked[index]);
  }
  for (view* each : kept) move_up(each->seen[index]);
  move_up(fences_.seen[index]);
  for (std::size_t i = 0; i != size_; ++i) {
    for (message& each : locations_[i].history) move_up(each.carried.seen[index]);
  }
  move_up(at(id).seq_cst);
  move_up(at(id).bucket);
}

void memory::fence(thread_state& thread, order how) {
  if (acquires(how) && broken != defect::acquire_fence_ignored) {
    thread.current.join(thread.acquired);
  }
  if (how == order::seq_cst) {
    if (broken != defect::fence_reads_no_fence) thread.current.join_stamps(fences_);
    if (broken != defect::fence_ignores_accesses) {
      for (std::size_t i = 0; i != size_; ++i) {
        thread.current.seen[i] = std::max(thread.current.seen[i], locations_[i].seq_cst);
      }
    }
    thread.acquired.join(thread.current);
    if (broken != defect::fence_tells_no_fence) fences_.join_stamps(thread.current);
  }
  if (releases(how)) thread.released = thread.current;
}

bool memory::has_news(const thread_state& thread) const noexcept {
  for (std::size_t i = 0; i != size_; ++i) {
    if (thread.watched[i] && locations_[i].newest() > thread.looked[i]) return true;
  }
  return false;
}

/// Which location it is decides the search: to see all of them at once would hide that one may be
/// seen long before another.
std::uint32_t memory::see_news(thread_state& thread) {
  ways news;
  const auto see = [&](std::size_t i, std::size_t least) {
    thread.current.seen[i] = std::max(thread.current.seen[i], static_cast<stamp>(least));
    thread.acquired.seen[i] = std::max(thread.acquired.seen[i], static_cast<stamp>(least));
  };
  for (std::size_t i = 0; i != size_; ++i) {
    if (thread.watched[i] && locations_[i].newest() > thread.looked[i]) news.add(i);
  }
  const std::size_t chosen = news.which[choose_(news.count)];
  see(chosen, thread.looked[chosen] + std::size_t{1});
  if (broken == defect::await_sees_everything) {
    for (unsigned i = 0; i != news.count; ++i)
      see(news.which[i], locations_[news.which[i]].newest());
  }
  thread.watched.fill(false);
  return locations_[chosen].name;
}

/// The kernel promises that the futex operations of one word come one after the other, the return
/// of a wait that was woken among them: each sees of that word what the earlier ones had seen, and
/// of other words nothing.
std::uint64_t memory::read_in_kernel(thread_state& thread, int id) {
  pass_kernel(thread, id);
  const std::uint64_t value = load(thread, id, order::relaxed).value;
  location& place = at(id);
  place.bucket = std::max(place.bucket, thread.looked[static_cast<std::size_t>(id)]);
  return value;
}

void memory::pass_kernel(thread_state& thread, int id) {
  const auto index = static_cast<std::size_t>(id);
  location& place = at(id);
  stamp& seen = thread.current.seen[index];
  seen = std::max(seen, place.bucket);
  thread.acquired.seen[index] = std::max(thread.acquired.seen[index], seen);
  place.bucket = seen;
}

std::uint64_t memory::hash() const noexcept {
  std::uint64_t sum = 0; // over locations, whose numbers depend on the schedule
  for (std::size_t i = 0; i != size_; ++i) {
    const location& each = locations_[i];
    std::uint64_t one = mix(each.name + 1);
    for (const message& m : each.history) one = mix(one * 7 + m.writer);
    one = mix(one + each.seq_cst * 3 + fences_.seen[i] * std::uint64_t{1024} +
              each.bucket * std::uint64_t{262144});
    for (const std::uint8_t sleeper : each.sleepers) one = mix(one * 31 + sleeper + 7);
    sum += mix(one);
  }
  return sum;
}

} // namespace model
