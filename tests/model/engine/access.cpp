// SPDX-License-Identifier: MIT
// The second half of the executor: what the steps do. The first one decides whose turn it is.
#include "executor.hpp"

#include "heap.hpp"
#include "text.hpp"

#include <cstddef> // ptrdiff_t
#include <utility> // exchange

namespace model {

// ---- What every access does

/// The location of a word in this execution. It gets one when its first thread comes by.
int executor::touch(const word& used) {
  if (used.mark_ != word::living) fail("an atomic is used that is none, or no more");
  if (used.made_in_ == phase_ && knowledge().clock[used.maker_] < used.made_at_) {
    fail("an atomic is used by a thread that need not see its beginning");
  }
  if (used.phase_ != phase_) {
    const heap::pause ours;
    used.location_ = memory_.add(used.name_, used.value_);
    used.phase_ = phase_;
    homes_[static_cast<std::size_t>(used.location_)] = &used;
  }
  return used.location_;
}

/// It is this thread's turn to use the location.
void executor::use(int id) {
  location& place = memory_.at(id);
  if (!place.is_alive) fail("an atomic is used after its end");
  place.used[current_] = knowledge().clock[current_];
  if (options_.broken == defect::clock_moves_too_early) tick();
}

/// What comes now is not part of what the last step handed on.
void executor::leave() {
  if (options_.broken != defect::clock_moves_too_early) tick();
}

void executor::tick() {
  thread& mine = me();
  const auto next = ++mine.state.current.clock[current_];
  mine.state.acquired.clock[current_] = next;
}

void executor::begin_life(word& made) noexcept {
  made.name_ = is_executing_ ? next_name() : 0;
  made.maker_ = static_cast<std::uint8_t>(current_);
  made.made_in_ = is_concurrent_ ? phase_ : 0;
  made.made_at_ = is_concurrent_ ? knowledge().clock[current_] : std::uint16_t{0};
}

void executor::end_life(word& ended) noexcept {
  if (ended.mark_ != word::living) fail("an atomic ends that is none, or has ended before");
  ended.mark_ = 0;
  if (!is_concurrent_ || ended.phase_ != phase_) return;
  location& place = memory_.at(ended.location_);
  place.is_alive = false;
  if (options_.broken == defect::no_lifetime_race) return;
  for (std::size_t i = 0; i != count_; ++i) {
    if (place.used[i] > knowledge().clock[i]) fail("an atomic ends while another thread uses it");
  }
}

std::uint32_t executor::next_name() noexcept {
  return static_cast<std::uint32_t>(current_ << 24U) + names_[current_]++;
}

void executor::keep(void** variable) noexcept { own_pointers_.push_back(variable); }

// ---- Orders and their mutations

order executor::effective(order written, role what, const code_place& at) {
  if (lists_sites_) note_site(written, what, at);
  const bool weaker = mutation_.where.line != 0 && !mutation_.is_removed && is_mutated(what, at);
  const order how = weaker ? mutation_.weaker : written;
  if (how != order::seq_cst || !options_.accesses_are_weak || what == role::fence) return how;
  if (what == role::store) return order::release;
  return what == role::rmw ? order::acq_rel : order::acquire;
}

bool executor::is_mutated(role what, const code_place& at) const noexcept {
  return mutation_.where.line == at.line() && mutation_.where.column == at.column() &&
         mutation_.where.what == what && mutation_.where.file == at.file_name();
}

bool executor::is_removed(role what, const code_place& at) {
  // A fence has an order, which is noted where it takes effect; a wake-up has none.
  if (lists_sites_ && what != role::fence) note_site(order::relaxed, what, at);
  return mutation_.is_removed && is_mutated(what, at);
}

void executor::note_site(order written, role what, const code_place& at) {
  const heap::pause ours;
  result_.sites.insert({{at.file_name(), at.line(), at.column(), what}, written});
}

// ---- Words

std::uint64_t executor::load(const word& from, order written, const code_place& at) {
  if (!is_concurrent_) return plain_value(from);
  const order how = effective(written, role::load, at);
  const int id = touch(from);
  step({kind::load, id, how == order::seq_cst, false, at});
  use(id);
  const message& read = memory_.load(me().state, id, how);
  sign(kind::load, memory_.at(id).name, read.writer);
  trace(id, how, read.value);
  leave();
  return read.value;
}

void executor::store(word& to, std::uint64_t value, order written, const code_place& at) {
  if (!is_concurrent_) {
    (void)plain_value(to);
    to.value_ = value;
    return;
  }
  const order how = effective(written, role::store, at);
  const int id = touch(to);
  step({kind::store, id, how == order::seq_cst, false, at});
  use(id);
  memory_.store(me().state, id, value, how, writer());
  sign(kind::store, memory_.at(id).name, 0);
  trace(id, how, value);
  leave();
}

std::uint64_t executor::modify(word& in, const change& made, order written, const code_place& at) {
  if (!is_concurrent_) {
    const std::uint64_t old = plain_value(in);
    in.value_ = made(old);
    return old;
  }
  const order how = effective(written, role::rmw, at);
  const int id = touch(in);
  step({kind::rmw, id, how == order::seq_cst, false, at});
  use(id);
  const std::size_t source = memory_.choose_source(me().state, id, how);
  return exchange_at(id, source, made(memory_.at(id).history[source].value), how);
}

/// The second half of a read-modify-write that succeeds.
std::uint64_t executor::exchange_at(int id, std::size_t source, std::uint64_t value, order how) {
  const message& read = memory_.at(id).history[source];
  const std::uint64_t old = read.value;
  sign(kind::rmw, memory_.at(id).name, read.writer);
  memory_.read(me().state, id, source, how);
  memory_.write_behind(me().state, id, source, value, how, writer());
  trace(id, how, old, value);
  leave();
  return old;
}

bool executor::compare_exchange(word& in, std::uint64_t& expected, std::uint64_t desired,
                                order written, order written_failure, const code_place& at) {
  if (!is_concurrent_) {
    const std::uint64_t old = plain_value(in);
    if (old == expected) in.value_ = desired;
    return old == std::exchange(expected, old);
  }
  const order how = effective(written, role::rmw, at);
  const order failure = effective(written_failure, role::failure, at);
  const int id = touch(in);
  step({kind::rmw, id, how == order::seq_cst || failure == order::seq_cst, false, at});
  use(id);
  const std::size_t source = memory_.choose_compared(me().state, id, expected, how, failure);
  const message& read = memory_.at(id).history[source];
  if (read.value == expected) {
    exchange_at(id, source, desired, how);
    return true;
  }
  expected = read.value;
  sign(kind::rmw, memory_.at(id).name, read.writer);
  memory_.read(me().state, id, source, failure);
  trace(id, failure, expected);
  leave();
  return false;
}

std::uint64_t executor::plain_value(const word& of) {
  if (of.mark_ != word::living) fail("an atomic is used that is none, or no more");
  return of.value_;
}

std::uint32_t executor::writer() noexcept {
  return static_cast<std::uint32_t>((current_ + 1) << 24U) + me().steps;
}

std::vector<std::uint64_t> executor::history(const word& of) {
  if (of.phase_ + 1 != phase_) return {plain_value(of)}; // nobody came by
  std::vector<std::uint64_t> values;
  for (const message& each : memory_.at(of.location_).history) values.push_back(each.value);
  return values;
}

bool executor::futex_wait(word& on, std::uint64_t expected, bool timed, const code_place& at) {
  if (!is_concurrent_) {
    if (plain_value(on) != expected) return true;
    if (!timed) fail("the only thread lies down");
    ++me().late;
    return false;
  }
  const int id = touch(on);
  step({kind::futex_wait, id, false, false, at});
  use(id);
  const std::uint64_t found = memory_.read_in_kernel(me().state, id);
  location& bed = memory_.at(id);
  sign(kind::futex_wait, bed.name,
       bed.history[me().state.looked[static_cast<std::size_t>(id)]].writer);
  trace(id, order::relaxed, found);
  if (found != expected && options_.broken != defect::futex_ignores_the_word) return true;
  me().is_woken = false;
  bed.sleepers.push_back(static_cast<std::uint8_t>(current_));
  step({kind::futex_sleep, id, false, timed, at});
  return wake_up(memory_.at(id), timed);
}

/// Returns   false if the thread got up because of the deadline
bool executor::wake_up(location& bed, bool timed) {
  if (me().is_woken) {
    memory_.pass_kernel(me().state, me().next.location);
    return true;
  }
  std::erase(bed.sleepers, static_cast<std::uint8_t>(current_));
  const bool may_be_late = timed && options_.broken != defect::timeout_never_comes;
  const bool is_late = may_be_late && (spurious_left_ == 0 || any(2, 2) == 0);
  sign(kind::futex_sleep, bed.name, is_late ? 1 : 2);
  if (is_late) {
    ++me().late;
  } else {
    --spurious_left_;
  }
  return !is_late;
}

void executor::futex_wake(word& on, bool all, const code_place& at) {
  if (!is_concurrent_) return;
  const bool is_less = is_removed(all ? role::wake_all : role::wake_one, at);
  if (is_less && !all) return;
  const int id = touch(on);
  step({kind::futex_wake, id, false, false, at});
  use(id);
  memory_.pass_kernel(me().state, id);
  auto& sleepers = memory_.at(id).sleepers;
  trace(id, order::relaxed, sleepers.size());
  for (bool again = true; again && !sleepers.empty(); again = all && !is_less) {
    const std::size_t chosen = all && !is_less ? 0 : any(static_cast<unsigned>(sleepers.size()), 3);
    threads_[sleepers[chosen]].is_woken = true;
    sleepers.erase(sleepers.begin() + static_cast<std::ptrdiff_t>(chosen));
  }
}

// ---- Everything else

void executor::lock(lock_word& it, const code_place& at) {
  if (!is_concurrent_) {
    if (it.owner_ >= 0) fail("deadlock: a lock is taken twice");
    it.owner_ = static_cast<int>(current_);
    return;
  }
  if (it.phase_ != phase_) {
    it.phase_ = phase_;
    it.last_unlock_ = 0;
    it.last_event_ = -1;
    it.handed_on_ = {};
    memory_.kept.push_back(&it.handed_on_);
  }
  step({.what = kind::lock, .where = at}, &it);
  it.owner_ = static_cast<int>(current_);
  sign(kind::lock, it.name_, it.last_unlock_);
  if (options_.broken != defect::lock_hands_on_nothing) me().state.current.join(it.handed_on_);
  me().state.acquired.join(me().state.current);
  trace(-1, order::acquire, 0);
}

/// No step of its own: whoever waits for the lock can do nothing but wait until it is free.
void executor::unlock(lock_word& it) {
  it.owner_ = -1;
  if (!is_concurrent_) return;
  it.last_unlock_ = writer();
  it.handed_on_ = knowledge();
  leave();
}

void executor::end_life(lock_word& ended) noexcept {
  if (ended.owner_ >= 0) fail("a lock ends while it is taken");
  if (is_concurrent_ && ended.phase_ == phase_) std::erase(memory_.kept, &ended.handed_on_);
}

void executor::fence(order written, const code_place& at) {
  if (!is_concurrent_ || is_removed(role::fence, at)) return;
  const order how = effective(written, role::fence, at);
  if (how == order::seq_cst) {
    step({.what = kind::fence, .where = at});
    sign(kind::fence, 0, 0);
  }
  memory_.fence(me().state, how);
  trace(-1, how, 0);
  leave();
}

/// The kernel passes a fence in every thread; here, in all of them at once.
void executor::fence_all(const code_place& at) {
  if (!is_concurrent_ || is_removed(role::fence, at)) return;
  if (effective(order::seq_cst, role::fence, at) != order::seq_cst) return; // is none
  step({.what = kind::fence_all, .where = at});
  std::uint64_t moment = 0;
  for (std::size_t i = 0; i != count_; ++i) moment = moment * 64 + threads_[i].steps;
  sign(kind::fence_all, 0, moment);
  memory_.fence(me().state, order::seq_cst); // the others see what it has done so far,
  for (std::size_t i = 0; i != count_; ++i) memory_.fence(threads_[i].state, order::seq_cst);
  memory_.fence(me().state, order::seq_cst); // and it sees what they have done
  trace(-1, order::seq_cst, 0);
  leave();
}

void executor::await(const code_place& at) {
  if (!is_concurrent_) fail("no end: the only thread waits for a change");
  step({.what = kind::await, .where = at});
  const std::uint32_t seen = memory_.see_news(me().state);
  sign(kind::await, seen, 0);
  trace(-1, order::relaxed, 0);
}

std::int64_t executor::now() {
  constexpr unsigned latest = 2;
  if (is_concurrent_ && me().late < latest && any(2, 4) == 1) ++me().late;
  return static_cast<std::int64_t>(me().late) << 50U;
}

void executor::trace(int id, order how, std::uint64_t value, std::uint64_t next) {
  if (!is_tracing_) return;
  const heap::pause ours;
  const operation& done = me().next;
  std::string text{name_of(done.what)};
  if (id >= 0) text += " a" + std::to_string(memory_.at(id).name);
  text += "  " + std::string{name_of(how)} + "  " + std::to_string(value);
  if (done.what == kind::rmw && next != value) text += " -> " + std::to_string(next);
  const std::string indent(current_ * 4 + 1, ' ');
  lines_.push_back("T" + std::to_string(current_) + indent + text + "    " + where(done.where));
}

} // namespace model
