// SPDX-License-Identifier: MIT
#include "engine.hpp"

#include "executor.hpp"

namespace model {

void fail(const char* what) { executor::get().fail(what); }

// ---- Words

word::word(std::uint64_t value) noexcept : value_{value} { executor::get().begin_life(*this); }
word::~word() { executor::get().end_life(*this); }

std::uint64_t word::load(order how, const code_place& where) const noexcept {
  return executor::get().load(*this, how, where);
}
void word::store(std::uint64_t value, order how, const code_place& where) noexcept {
  executor::get().store(*this, value, how, where);
}
std::uint64_t word::exchange(std::uint64_t value, order how, const code_place& where) noexcept {
  return executor::get().modify(*this, {0, value, ~std::uint64_t{0}}, how, where);
}
std::uint64_t word::fetch_add(std::uint64_t value, std::uint64_t mask, order how,
                              const code_place& where) noexcept {
  return executor::get().modify(*this, {~std::uint64_t{0}, value, mask}, how, where);
}
bool word::compare_exchange(std::uint64_t& expected, std::uint64_t desired, order success,
                            order failure, const code_place& where) noexcept {
  return executor::get().compare_exchange(*this, expected, desired, success, failure, where);
}
bool word::futex_wait(std::uint64_t expected, bool timed, const code_place& where) noexcept {
  return executor::get().futex_wait(*this, expected, timed, where);
}
void word::futex_wake(bool all, const code_place& where) noexcept {
  executor::get().futex_wake(*this, all, where);
}

// ---- Plain objects

void plain::read(const code_place&) noexcept {
  executor& all = executor::get();
  if (!all.is_concurrent()) return;
  const auto& known = all.knowledge().clock;
  if (phase_ != all.phase()) *this = plain{all.phase()};
  if (known[writer_] < written_at_) fail("a data race: a read and a write of a plain object");
  read_at_[all.current()] = known[all.current()];
}

void plain::write(const code_place&) noexcept {
  executor& all = executor::get();
  if (!all.is_concurrent()) return;
  const auto& known = all.knowledge().clock;
  if (phase_ != all.phase()) *this = plain{all.phase()};
  if (known[writer_] < written_at_) fail("a data race: two writes of a plain object");
  for (std::size_t i = 0; i != max_threads; ++i) {
    if (all.broken() != defect::no_write_after_read_race && known[i] < read_at_[i]) {
      fail("a data race: a write and a read of a plain object");
    }
  }
  writer_ = static_cast<std::uint8_t>(all.current());
  written_at_ = known[writer_];
}

// ---- Locks

lock_word::lock_word() noexcept : name_{executor::get().next_name()} {}
lock_word::~lock_word() { executor::get().end_life(*this); }
void lock_word::lock(const code_place& where) noexcept { executor::get().lock(*this, where); }
void lock_word::unlock() noexcept { executor::get().unlock(*this); }

// ---- The rest

void fence_all(const code_place& where) noexcept { executor::get().fence_all(where); }
void fence(order how, const code_place& where) noexcept { executor::get().fence(how, where); }
void await(const code_place& where) noexcept { executor::get().await(where); }
std::int64_t now() noexcept { return executor::get().now(); }
std::size_t thread_index() noexcept { return executor::get().current(); }
void keep_per_thread(void** variable) noexcept { executor::get().keep(variable); }

// ---- What checker.hpp promises

result check(const options& how, const program& body) {
  return executor::get().check(how, body, {}, false);
}
result check(const options& how, const program& body, const mutation& weaker) {
  return executor::get().check(how, body, weaker, false);
}
result check_and_list_sites(const options& how, const program& body) {
  return executor::get().check(how, body, {}, true);
}
std::string replay(const options& how, const program& body, const std::string& schedule,
                   const mutation& weaker) {
  return executor::get().replay(how, body, schedule, weaker);
}
void run(std::initializer_list<program> threads) { executor::get().run(threads); }
void require(bool condition, const char* what) {
  if (!condition) fail(what);
}
std::vector<std::uint64_t> history(const word& of) { return executor::get().history(of); }
unsigned any(unsigned count) { return executor::get().any(count, 5); }
void await_change(std::source_location where) { executor::get().await(where); }
std::size_t this_thread() noexcept { return executor::get().current(); }

moment this_moment() { return executor::get().this_moment(); }

} // namespace model
