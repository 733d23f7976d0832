// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_SNAPSHOT_HPP
#define MAILROOM_TOPIC_SNAPSHOT_HPP

// A counted object that readers take without a lock while a writer replaces it.
//
// A reader loads the pointer and then counts a reference; in between the writer could drop the last
// one. So a reader says where it is, in one of two counters, while it does these two steps, and a
// writer that has replaced the pointer waits, before it drops the old object, until everybody has
// left who may have seen it. No user code runs between the two steps, so the wait is short.
//
//      reader                                  writer (one at a time)
//      inside[phase] + 1                       pointer: old -> new
//      load the pointer, count a reference     twice: turn phase, wait for inside[old phase] == 0
//      inside[phase] - 1                       drop old
//
// The phase is only there so that the writer's wait ends: readers that come later count elsewhere.
//
// Memory order
//   (D)   Dekker: a reader counts itself and then loads the pointer, the writer replaces the
//         pointer and then reads the counters; all four are seq_cst. A reader that saw the old
//         pointer is seen in its counter, whichever phase it read.
//   (L)   left: the reference counted by a reader -> the writer that sees it gone. Argued: the
//         model checker never lets a reader be seen to leave before it has counted its reference,
//         but the two are relaxed steps on different words, and a machine may let them pass.
//   (N)   new: what the writer put into the object -> the reader that loads its pointer.
//
// Invariants
//   (I1)  any phase will do for a reader; the writer looks at both counters
//   (I2)  only one writer at a time changes the phase and the pointer
//   (I3)  who compares the pointer holds the object that it hopes for, and has seen all of it
//
// Sources: McKenney et al., sleepable read-copy update (the two counters and the phase).

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/counted.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint32_t
#include <utility> // move

namespace mailroom::inline MAILROOM_ABI::detail {

/// Knows which readers are between their two steps.
class grace_period {
public:
  /// A reader, from its first step to its last.
  class reader {
  public:
    explicit reader(grace_period& period) noexcept
        : counter_{period.counters_[stack_hint(reader_stripes)]
                       .inside[period.phase_.load(memory_order::relaxed) % 2]} { // (I1)
      counter_.fetch_add(1, memory_order::seq_cst);                              // (D)
    }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() { counter_.fetch_sub(1, memory_order::release); } // (L)

  private:
    atomic<std::uint32_t>& counter_;
  };

  /// Waits until all readers have left that began before the call.
  ///
  /// Caller    one thread at a time
  /// Progress  blocking: waits for readers, none of which waits for anybody
  void wait_for_readers() noexcept {
    for (int turn = 0; turn != 2; ++turn) {
      const auto phase = phase_.load(memory_order::relaxed); // (I2)
      phase_.store(phase + 1, memory_order::relaxed);        // (I1)
      for (stripe& each : counters_) {
        while (each.inside[phase % 2].load(memory_order::seq_cst) != 0) yield(); // (D) (L)
      }
    }
  }

private:
  struct alignas(cache_line / 2) stripe {
    atomic<std::uint32_t> inside[2];
  };

  stripe counters_[reader_stripes];
  atomic<std::uint32_t> phase_;
};

/// The place where the current object stands.
template <class T>
class snapshot {
public:
  explicit snapshot(ref<T> first) noexcept : owner_{std::move(first)}, current_{owner_.get()} {}

  /// Is this still the current object? The caller holds it, so its address is no other's.
  ///
  /// Caller    anyone
  /// Progress  wait-free: one load
  bool is_current(const ref<T>& held) const noexcept {
    return current_.load(memory_order::relaxed) == held.get(); // (I3)
  }

  /// The current object.
  ///
  /// Caller    anyone
  /// Progress  wait-free: three RMWs
  ref<T> load(grace_period& period) const noexcept {
    const grace_period::reader inside{period};
    return ref<T>{current_.load(memory_order::seq_cst)}; // (D) (N)
  }

  /// Replaces the object, and gives the old one back: it may be dropped after a grace period.
  ///
  /// Caller    one writer at a time
  [[nodiscard]] ref<T> replace(ref<T> next) noexcept {
    current_.exchange(next.get(), memory_order::seq_cst); // (D) (N)
    ref<T> old = std::move(owner_);
    owner_ = std::move(next);
    return old;
  }

  /// The current object, for the writer.
  const ref<T>& owner() const noexcept { return owner_; }

private:
  ref<T> owner_; // (I2)
  atomic<T*> current_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_SNAPSHOT_HPP
