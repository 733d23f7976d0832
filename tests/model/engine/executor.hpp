// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_EXECUTOR_HPP
#define MAILROOM_TESTS_MODEL_EXECUTOR_HPP

// One execution after the other: the threads as fibers, one step at a time, as the search wants it.

#include "checker.hpp"
#include "engine.hpp"
#include "fiber.hpp"
#include "memory.hpp"
#include "search.hpp"

#include <array>   // array
#include <cstdint> // int64_t, uint16_t, uint32_t, uint64_t
#include <string>  // string
#include <vector>  // vector

namespace model {

/// What a read-modify-write makes of the old value.
struct change {
  std::uint64_t kept; // bits of it
  std::uint64_t added;
  std::uint64_t mask; // of the type
  std::uint64_t operator()(std::uint64_t old) const noexcept {
    return ((old & kept) + added) & mask;
  }
};

class executor {
public:
  static executor& get();

  result check(const options& how, const program& body, const mutation& weaker, bool list_sites);
  std::string replay(const options& how, const program& body, const std::string& schedule,
                     const mutation& weaker);
  void run(std::initializer_list<program> threads);
  [[noreturn]] void fail(const char* what);
  unsigned any(unsigned count, std::uint64_t why);
  moment this_moment();

  // ---- Words
  void begin_life(word& made) noexcept;
  void end_life(word& ended) noexcept;
  std::uint64_t load(const word& from, order written, const code_place& where);
  void store(word& to, std::uint64_t value, order written, const code_place& where);
  std::uint64_t modify(word& in, const change& how, order written, const code_place& where);
  bool compare_exchange(word& in, std::uint64_t& expected, std::uint64_t desired, order success,
                        order failure, const code_place& where);
  bool futex_wait(word& on, std::uint64_t expected, bool timed, const code_place& where);
  void futex_wake(word& on, bool all, const code_place& where);

  std::vector<std::uint64_t> history(const word& of);

  // ---- Everything else
  void lock(lock_word& it, const code_place& where);
  void unlock(lock_word& it);
  void end_life(lock_word& ended) noexcept;
  void fence(order written, const code_place& where);
  void fence_all(const code_place& where);
  void await(const code_place& where);
  std::int64_t now();
  bool is_concurrent() const noexcept { return is_concurrent_; }
  std::uint32_t phase() const noexcept { return phase_; }
  std::uint32_t next_name() noexcept;
  std::size_t current() const noexcept { return current_; }
  view& knowledge() noexcept { return threads_[current_].state.current; }
  defect broken() const noexcept { return options_.broken; }
  void keep(void** variable) noexcept;

private:
  static constexpr std::size_t nobody = search::nobody;

  struct thread {
    fiber stack;
    const program* body;
    bool is_finished;
    bool is_parked;
    bool is_woken;
    unsigned late; // how often time has passed
    std::uint32_t steps;
    operation next;
    lock_word* wanted; // by a lock operation
    thread_state state;
    std::array<void*, 2> own;
  };
  /// For the reversal: who used something last.
  struct last_users {
    int writer = -1;
    std::array<int, max_threads> readers;
    last_users() noexcept { readers.fill(-1); }
  };

  static void entry();
  void execute(const program& body);
  void start(std::size_t index, const program& body);
  void knows_nothing(thread& one, std::size_t index) noexcept;
  void end_execution();
  [[noreturn]] void leave_for_host();

  void step(const operation& next, lock_word* wanted = nullptr);
  void schedule();
  std::size_t pick();
  void take_turn(std::size_t index);
  bool is_enabled(const thread& one);
  bool is_over() const noexcept;
  void report_deadlock();
  bool acts_as_write(const operation& one);
  bool depend(const thread& a, const thread& b);
  search::steps dependencies(std::size_t index);
  void note_use(std::size_t index);
  std::uint64_t state();

  int touch(const word& used);
  void use(int id);
  void leave();
  void tick();
  void sign(kind what, std::uint32_t name, std::uint64_t detail) noexcept;
  order effective(order written, role what, const code_place& where);
  bool is_mutated(role what, const code_place& where) const noexcept;
  bool is_removed(role what, const code_place& where);
  void note_site(order written, role what, const code_place& where);
  std::uint64_t plain_value(const word& of);
  std::uint64_t exchange_at(int id, std::size_t source, std::uint64_t value, order how);
  std::uint32_t writer() noexcept;
  bool wake_up(location& bed, bool timed);
  void trace(int id, order how, std::uint64_t value) { trace(id, how, value, value); }
  void trace(int id, order how, std::uint64_t value, std::uint64_t next);
  thread& me() noexcept { return threads_[current_]; }

  options options_;
  mutation mutation_;
  bool lists_sites_ = false;
  bool is_tracing_ = false;
  result result_;

  search search_;
  view prologue_;
  memory memory_{[](unsigned count) { return get().search_.choose(count); }, prologue_};
  std::array<thread, max_threads> threads_;
  std::size_t count_ = 0;
  std::size_t current_ = 0;
  std::size_t last_ = nobody;
  fiber host_;
  bool is_executing_ = false;
  bool is_concurrent_ = false;
  bool is_failed_ = false;
  std::uint32_t phase_ = 1;
  std::uint32_t names_[max_threads] = {};
  unsigned taken_ = 0; // steps of all threads
  unsigned spurious_left_ = 0;
  thread_set asleep_ = 0;
  std::uint64_t signature_ = 0;
  std::array<const word*, max_locations> homes_{};
  std::array<last_users, max_locations> used_;
  last_users fences_; // readers: seq_cst accesses
  int last_fence_all_ = -1;
  std::array<int, max_threads> last_steps_; // of each thread
  std::vector<std::string> lines_;          // of a replay
  std::vector<void**> own_pointers_;
};

} // namespace model

#endif // MAILROOM_TESTS_MODEL_EXECUTOR_HPP
