// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_ENGINE_HPP
#define MAILROOM_TESTS_MODEL_ENGINE_HPP

// What the platform of the checker is made of: atomics, plain values, futexes and locks whose every
// step the checker sees. detail/platform.hpp beside this folder gives them the shipped names.
//
// As long as a program has one thread (before run() and after it) all of this is plain memory: it
// costs no step, and nothing is explored.

#include "operation.hpp"
#include "view.hpp"

#include <array>   // array
#include <cstdint> // int64_t, uint8_t, uint16_t, uint32_t, uint64_t

namespace model {

/// Ends the execution, and the search, with this as the reason.
[[noreturn]] void fail(const char* what);

/// The inside of an atomic object.
class word {
public:
  explicit word(std::uint64_t value) noexcept;
  word(const word&) = delete;
  word& operator=(const word&) = delete;
  ~word();

  std::uint64_t load(order how, const code_place& where) const noexcept;
  void store(std::uint64_t value, order how, const code_place& where) noexcept;
  std::uint64_t exchange(std::uint64_t value, order how, const code_place& where) noexcept;
  /// Adds, in as many bits as `mask` has.
  std::uint64_t fetch_add(std::uint64_t value, std::uint64_t mask, order how,
                          const code_place& where) noexcept;
  bool compare_exchange(std::uint64_t& expected, std::uint64_t desired, order success,
                        order failure, const code_place& where) noexcept;

  /// Linux's futex, with an absolute deadline if `timed`. False when the deadline has passed.
  bool futex_wait(std::uint64_t expected, bool timed, const code_place& where) noexcept;
  void futex_wake(bool all, const code_place& where) noexcept;

private:
  friend class executor;
  static constexpr std::uint32_t living = 0x6C697665;

  mutable std::uint64_t value_; // while there is one thread
  std::uint32_t mark_ = living;
  std::uint32_t name_;              // the same in every schedule
  mutable std::uint32_t phase_ = 0; // in which location_ is valid
  mutable int location_ = -1;
  std::uint8_t maker_;
  std::uint16_t made_at_; // the maker's clock
  std::uint32_t made_in_; // phase
};

/// Watches over a plain object that several threads use.
class plain {
public:
  plain() = default;
  explicit plain(std::uint32_t phase) noexcept : phase_{phase} {}

  /// Reports a race unless all earlier writes (and, for a write, reads) happen before.
  void read(const code_place& where) noexcept;
  void write(const code_place& where) noexcept;

private:
  std::uint32_t phase_ = 0;
  std::uint8_t writer_ = 0;
  std::uint16_t written_at_ = 0;
  std::array<std::uint16_t, max_threads> read_at_{};
};

/// A lock whose waiting the checker sees.
class lock_word {
public:
  lock_word() noexcept;
  lock_word(const lock_word&) = delete;
  lock_word& operator=(const lock_word&) = delete;
  ~lock_word();
  void lock(const code_place& where) noexcept;
  void unlock() noexcept;

private:
  friend class executor;
  std::uint32_t name_;
  std::uint32_t phase_ = 0;
  int owner_ = -1;
  std::uint32_t last_unlock_ = 0; // which thread, and its step
  int last_event_ = -1;
  view handed_on_;
};

void fence(order how, const code_place& where) noexcept;
void fence_all(const code_place& where) noexcept;
void await(const code_place& where) noexcept;

/// Nanoseconds. Time passes when the search wants it to: at once, beyond every deadline.
std::int64_t now() noexcept;

/// The thread that is running: 0 is the one that starts the others.
std::size_t thread_index() noexcept;

/// Gives every thread its own copy of the pointer.
void keep_per_thread(void** variable) noexcept;

} // namespace model

#endif // MAILROOM_TESTS_MODEL_ENGINE_HPP
