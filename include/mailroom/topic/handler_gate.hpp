// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_HANDLER_GATE_HPP
#define MAILROOM_TOPIC_HANDLER_GATE_HPP

// Lets the handlers of a subscription run until it is cancelled, and waits for those that do.
//
// Use it       never: it is the inside of subscription.
//
//      run_handler --> cancelled? --> count, run, leave --> the last one destroys the handler
//      cancel ------->  refuse, wait until nobody runs
//
// Invariants
//   (I1)  after wait_for_handlers() has returned no handler begins, and none runs but for those
//         that the calling thread is in, and, if it is in one, those excused by (I2)
//   (I2)  a handler that has cancelled is excused until it leaves: others that cancel inside do not
//         wait for it. It stops being excused before it stops running, and is looked at in the
//         opposite order, so nobody is excused for another
//   (I3)  whoever wants to destroy the handler has seen that nobody runs it; one of them does
//   (I4)  who begins to hand out messages while others wait for the end of that need not be seen
//
// Memory order
//   (D)   Dekker: whoever runs a handler counts itself and then looks at cancelled; refuse() sets
//         cancelled and then the count is looked at; all four are seq_cst. One sees the other. And:
//         whoever changes what others wait for does so by a seq_cst RMW, then looks for sleepers.
//   (L)   left: what a handler did -> the cancel() that waited for it; what was done while messages
//         were handed out -> who waited for the end of that.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/core/wait.hpp>
#include <mailroom/core/clock.hpp>
#include <mailroom/mailbox/event_count.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint32_t
#include <utility> // forward

namespace mailroom::inline MAILROOM_ABI::detail {

/// A handler that the current thread is running, and the one around it.
struct handler_frame {
  const void* owner;
  handler_frame* outer;
  bool has_cancelled = false; // its own subscription
};

/// Who has handlers. The base of a subscriber, of which it is the half that knows no message.
class handler_gate : public counted {
public:
  bool is_cancelled() const noexcept { return cancelled_.load(memory_order::seq_cst) != 0; } // (D)

  /// Lets no handler begin any more.
  void refuse() noexcept { cancelled_.store(1, memory_order::seq_cst); } // (D)

  /// Waits for the handlers that run in other threads, behind refuse(). A handler that cancels its
  /// own subscription is itself not waited for by others who do the same. (I1)
  ///
  /// Returns   whether nobody runs a handler now, not even this thread
  bool wait_for_handlers() noexcept;

  /// Is this thread in a handler of the subscription?
  bool runs_here() const noexcept;

  /// Waits for those who hand out messages.
  ///
  /// Caller    anyone but one of them
  void wait_for_runs() noexcept;

  /// Destroys the handler, if nobody has yet. Whoever has seen, behind refuse(), that none runs
  /// calls it: the handler may own what keeps the subscriber alive. Who comes in later sees the
  /// cancellation and does not touch it.
  void drop_handler_once() noexcept {
    if (dropped_.exchange(1, memory_order::relaxed) == 0) drop_handler(); // (I3)
  }

protected:
  /// Hands out messages, as long as it lives.
  class ongoing_run {
  public:
    explicit ongoing_run(handler_gate& owner) noexcept : of_{owner} {
      of_.runs_.fetch_add(1, memory_order::relaxed); // (I4)
    }
    ongoing_run(const ongoing_run&) = delete;
    ongoing_run& operator=(const ongoing_run&) = delete;
    ~ongoing_run() {
      of_.runs_.fetch_sub(1, memory_order::seq_cst); // (D) (L)
      of_.idle_.notify_all();
    }

  private:
    handler_gate& of_;
  };

  /// Runs `call` as a handler, unless the subscription is cancelled.
  ///
  /// Returns   success or closed
  template <class F>
  queue_status run_handler(F&& call) {
    const running_handler frame{*this};
    if (is_cancelled()) return queue_status::closed;
    std::forward<F>(call)();
    return queue_status::success;
  }

private:
  /// Counts a handler while it runs, and remembers in which thread.
  struct running_handler {
    handler_gate& of;
    handler_frame frame;
    explicit running_handler(handler_gate& owner) noexcept;
    running_handler(const running_handler&) = delete;
    running_handler& operator=(const running_handler&) = delete;
    ~running_handler();
  };

  virtual void drop_handler() noexcept = 0;
  bool excuse_own_handlers() noexcept;

  atomic<std::uint32_t> cancelled_;
  atomic<std::uint32_t> dropped_;
  atomic<std::size_t> running_;
  atomic<std::size_t> excused_; // of these, how many have called cancel() themselves
  atomic<std::size_t> runs_;
  event_count<wait_policy::park> idle_;
};

// ---- Definitions, in the order of the class

inline bool handler_gate::wait_for_handlers() noexcept {
  const bool is_inside = excuse_own_handlers();
  (void)idle_.await(no_deadline{}, never_stop{}, [this, is_inside]() noexcept {
    const std::size_t running = running_.load(memory_order::seq_cst);                 // (D) (L)
    const std::size_t excused = is_inside ? excused_.load(memory_order::relaxed) : 0; // (I2)
    return running <= excused ? queue_status::success : queue_status::empty;
  });
  return !is_inside;
}

inline bool handler_gate::runs_here() const noexcept {
  const auto* frame = innermost_handler;
  while (frame != nullptr && frame->owner != this) frame = frame->outer;
  return frame != nullptr;
}

inline void handler_gate::wait_for_runs() noexcept {
  (void)idle_.await(no_deadline{}, never_stop{}, [this]() noexcept {
    const std::size_t runs = runs_.load(memory_order::acquire); // (L)
    return runs == 0 ? queue_status::success : queue_status::empty;
  });
}

inline handler_gate::running_handler::running_handler(handler_gate& owner) noexcept
    : of{owner}, frame{&owner, innermost_handler} {
  innermost_handler = &frame;
  of.running_.fetch_add(1, memory_order::seq_cst); // (D)
}

inline handler_gate::running_handler::~running_handler() {
  innermost_handler = frame.outer;
  if (frame.has_cancelled) of.excused_.fetch_sub(1, memory_order::relaxed); // (I2)
  const bool is_over = of.is_cancelled(); // before leaving, so that nobody comes in after us
  const bool is_last = of.running_.fetch_sub(1, memory_order::seq_cst) == 1; // (D) (L)
  of.idle_.notify_all();
  if (is_over && is_last) of.drop_handler_once();
}

/// Returns   whether this thread is in a handler of the subscription
inline bool handler_gate::excuse_own_handlers() noexcept {
  bool is_inside = false;
  std::size_t added = 0;
  for (auto* frame = innermost_handler; frame != nullptr; frame = frame->outer) {
    if (frame->owner != this) continue;
    is_inside = true;
    added += frame->has_cancelled ? 0 : 1;
    frame->has_cancelled = true;
  }
  if (added != 0) {
    excused_.fetch_add(added, memory_order::seq_cst); // (D)
    idle_.notify_all();
  }
  return is_inside;
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_TOPIC_HANDLER_GATE_HPP
