// SPDX-License-Identifier: MIT
#include "fiber.hpp"

#include <cstdint> // uintptr_t
#include <cstdlib> // abort
#include <cstring> // memcpy

// A pointer to what is being handled and a count of what is on its way, one pair for each thread.
// Both libraries of the Itanium ABI have it; only one of them declares it.
namespace __cxxabiv1 { // NOLINT(bugprone-reserved-identifier)
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals() noexcept;
} // namespace __cxxabiv1

#if defined(__x86_64__)
// Saves what a call must keep, exchanges the stack pointers, and restores from the other stack.
extern "C" void model_change_stack(void** from, void* to);
asm(R"(
.text
.globl model_change_stack
.hidden model_change_stack
.type model_change_stack,@function
model_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size model_change_stack,.-model_change_stack
)");
#endif

namespace model {

void fiber::restart(void (*entry)()) {
  if (!stack_) stack_ = std::make_unique_for_overwrite<std::byte[]>(stack_size);
  exceptions_ = {};
#if defined(__x86_64__)
  const auto end =
      reinterpret_cast<std::uintptr_t>(stack_.get() + stack_size) & ~std::uintptr_t{63};
  void** top = reinterpret_cast<void**>(end);
  *--top = nullptr; // where entry would return to
  *--top = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved != 6; ++saved) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = stack_size;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

void fiber::change(fiber& from, fiber& to) {
  auto* const globals = __cxxabiv1::__cxa_get_globals();
  std::memcpy(&from.exceptions_, static_cast<void*>(globals), sizeof from.exceptions_);
  std::memcpy(static_cast<void*>(globals), &to.exceptions_, sizeof to.exceptions_);
#if defined(__x86_64__)
  model_change_stack(&from.stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
}

void fiber::leave(fiber& from, fiber& to) {
  change(from, to);
  std::abort(); // nobody comes back
}

} // namespace model
