// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_ALLOCATORS_HPP
#define MAILROOM_TESTS_SUPPORT_ALLOCATORS_HPP

// Allocators that count, and that fail when they are told to.

#include <cstddef> // size_t, max_align_t
#include <cstdint> // uintptr_t
#include <limits>  // numeric_limits
#include <memory>  // allocator
#include <new>     // bad_alloc

namespace test {

/// Does std::allocator keep to the alignment of its type? The one that clang 14 makes of libstdc++
/// 12's in C++23 does not: it takes every call for one of the constant evaluation.
inline bool std_allocator_aligns() {
  struct alignas(4096) page {
    char bytes[4096];
  };
  std::allocator<page> pages;
  page* const some = pages.allocate(3);
  const bool aligns = reinterpret_cast<std::uintptr_t>(some) % alignof(page) == 0;
  pages.deallocate(some, 3);
  return aligns;
}

/// What all copies of one allocator have done. The n-th allocation from now fails; 0: none does.
struct allocation_log {
  std::size_t allocations = 0;
  std::size_t blocks = 0; // not given back yet
  std::size_t bytes = 0;  // in them
  std::size_t fail_at = 0;
};

/// Writes into a log. It has no default: a queue that forgets its allocator does not compile.
template <class T>
class logging_allocator {
public:
  using value_type = T;

  explicit logging_allocator(allocation_log& log) noexcept : log_{&log} {}
  template <class U>
  logging_allocator(const logging_allocator<U>& other) noexcept : log_{&other.log()} {}

  T* allocate(std::size_t count) {
    if (log_->fail_at != 0 && --log_->fail_at == 0) throw std::bad_alloc{};
    T* const block = std::allocator<T>{}.allocate(count);
    ++log_->allocations;
    ++log_->blocks;
    log_->bytes += count * sizeof(T);
    return block;
  }
  void deallocate(T* block, std::size_t count) noexcept {
    --log_->blocks;
    log_->bytes -= count * sizeof(T);
    std::allocator<T>{}.deallocate(block, count);
  }

  allocation_log& log() const noexcept { return *log_; }
  template <class U>
  friend bool operator==(const logging_allocator& a, const logging_allocator<U>& b) noexcept {
    return &a.log() == &b.log();
  }

private:
  allocation_log* log_;
};

} // namespace test

#endif // MAILROOM_TESTS_SUPPORT_ALLOCATORS_HPP
