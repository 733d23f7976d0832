// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_MEMORY_HPP
#define MAILROOM_TESTS_MODEL_MEMORY_HPP

// C++20's memory, as an operational model: each location keeps all its messages in modification
// order, and a thread reads any message that its view does not forbid.
//
//      location    m0 - m1 - m2 - m3        a store goes anywhere behind what its thread has seen,
//                        ^         ^        but not between an RMW and the message that it read
//                  thread's stamp  newest
//
//   release      the message carries the view of its thread; an RMW adds what it read carried
//   acquire      the thread joins what the message carries; a relaxed load keeps it for a fence
//   seq_cst      accesses of one location agree with the order in which they are executed, and a
//                fence sees, and passes on, all that fences and accesses before it have seen
//
// The choices (which message, which place) are the search's; all others follow.
//
// Sources: Kang, Hur, Lahav, Vafeiadis, Dreyer, A Promising Semantics for Relaxed-Memory
// Concurrency, POPL 2017 (views and timestamps; without its promises); Lahav, Vafeiadis, Kang, Hur,
// Dreyer, Repairing Sequential Consistency in C/C++11, PLDI 2017 (the model itself, RC11).

#include "defect.hpp"
#include "heap.hpp"
#include "operation.hpp"
#include "view.hpp"

#include <array>   // array
#include <cstdint> // uint16_t, uint32_t, uint64_t
#include <vector>  // vector

namespace model {

/// For what must not lie in the arena of the program under test.
template <class T>
struct system_allocator {
  using value_type = T;
  system_allocator() = default;
  template <class U>
  system_allocator(const system_allocator<U>&) noexcept {}
  T* allocate(std::size_t count) {
    void* const made = std::malloc(count * sizeof(T));
    if (made == nullptr) throw std::bad_alloc{};
    return static_cast<T*>(made);
  }
  void deallocate(T* address, std::size_t) noexcept { std::free(address); }
  bool operator==(const system_allocator&) const = default;
};
template <class T>
using list = std::vector<T, system_allocator<T>>;

struct message {
  std::uint64_t value;
  std::uint32_t writer; // the thread and its step: the message's name, whatever the schedule
  bool by_rmw;
  view carried;
};

struct location {
  std::uint32_t name;    // the same in every schedule
  list<message> history; // in modification order
  stamp seq_cst;         // the newest message that a seq_cst access has written or read
  stamp bucket;          // futex: the newest that whoever passed the kernel's lock has seen
  list<std::uint8_t> sleepers;
  std::array<std::uint16_t, max_threads> used; // the clock of each thread's last access
  bool is_alive;

  std::size_t newest() const noexcept { return history.size() - 1; }
  /// Does a seq_cst load have but one answer?
  bool is_settled() const noexcept { return seq_cst == newest(); }
};

/// What the model keeps of a thread.
struct thread_state {
  view current;  // what it has seen
  view acquired; // what an acquire fence would let it see
  view released; // what its relaxed stores carry: its view at its last release fence
  std::array<stamp, max_locations> looked{}; // what it read since it last awaited a change,
  std::array<bool, max_locations> watched{}; // and where
};

/// Answers which of `count` ways to go.
using chooser = unsigned (*)(unsigned count);

class memory {
public:
  memory(chooser choose, const view& prologue) noexcept : choose_{choose}, prologue_{prologue} {}

  void reset() noexcept;
  int add(std::uint32_t name, std::uint64_t value);
  location& at(int id) noexcept { return locations_[static_cast<std::size_t>(id)]; }
  std::size_t size() const noexcept { return size_; }
  defect broken = defect::none;

  /// The message that is read; the state of the thread is then as after the access.
  const message& load(thread_state& thread, int id, order how);
  void store(thread_state& thread, int id, std::uint64_t value, order how, std::uint32_t writer);

  /// Which message a read-modify-write reads; `write` then puts the new one behind it.
  std::size_t choose_source(thread_state& thread, int id, order how);
  /// Likewise for a compare-exchange: any message, but one equal to `expected` only if the new
  /// message can go behind it.
  std::size_t choose_compared(thread_state& thread, int id, std::uint64_t expected, order success,
                              order failure);
  void read(thread_state& thread, int id, std::size_t which, order how);
  void write_behind(thread_state& thread, int id, std::size_t source, std::uint64_t value,
                    order how, std::uint32_t writer);

  void fence(thread_state& thread, order how);

  /// Is there, at a location that the thread watches, a message newer than the one it read?
  bool has_news(const thread_state& thread) const noexcept;
  /// Lets the thread see at least one such message; the name of its location.
  std::uint32_t see_news(thread_state& thread);

  /// A value as the kernel compares it, under the lock of the word's bucket.
  std::uint64_t read_in_kernel(thread_state& thread, int id);
  void pass_kernel(thread_state& thread, int id);

  /// All orders that the schedule has brought about, in one number.
  std::uint64_t hash() const noexcept;

private:
  std::size_t oldest_allowed(const thread_state& thread, int id, order how) const noexcept;
  bool may_follow(const location& place, std::size_t which) const noexcept;
  void insert(thread_state& thread, int id, std::size_t position, message made, order how);
  void make_room(int id, std::size_t position);

  chooser choose_;
  const view& prologue_;
  list<location> locations_;
  std::size_t size_ = 0;
  view fences_; // what seq_cst fences have seen

public:
  /// Views that have to be kept in step when a message is put in before others.
  list<thread_state*> threads;
  list<view*> kept;
};

} // namespace model

#endif // MAILROOM_TESTS_MODEL_MEMORY_HPP
