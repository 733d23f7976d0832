// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_FIBER_HPP
#define MAILROOM_TESTS_MODEL_FIBER_HPP

// A thread of the program under test is a stack of its own that runs until it hands on.
//
// An execution that is given up leaves its stacks as they are: nothing on them is unwound, and what
// they had allocated goes with the arena (heap.hpp). The state of the exceptions that a stack is
// handling belongs to it and is switched along.

#include <cstddef> // size_t
#include <memory>  // unique_ptr

#if !defined(__x86_64__)
#include <ucontext.h> // ucontext_t
#endif

namespace model {

class fiber {
public:
  fiber() = default;
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;
  ~fiber() = default;

  /// Lets the next switch begin `entry`, which never returns, on an empty stack.
  void restart(void (*entry)());

  /// Leaves `from`, which may be no fiber but the program's own stack, and goes on in `to`.
  static void change(fiber& from, fiber& to);

  /// The same for good.
  [[noreturn]] static void leave(fiber& from, fiber& to);

private:
  static constexpr std::size_t stack_size = 256 * 1024;
  struct handled_exceptions {
    void* caught = nullptr;
    unsigned int uncaught = 0;
  };

  std::unique_ptr<std::byte[]> stack_;
  handled_exceptions exceptions_;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

} // namespace model

#endif // MAILROOM_TESTS_MODEL_FIBER_HPP
