// SPDX-License-Identifier: MIT
#include "heap.hpp"

#include "engine.hpp"
#include "view.hpp"

#include <cstdint> // uint64_t, uintptr_t
#include <cstring> // memset

namespace model::heap {
namespace {

constexpr std::size_t region_size = 1024 * 1024;
constexpr std::size_t regions_size = region_size * max_threads;
constexpr int off = -1;

/// Stands before every allocation.
struct alignas(16) header {
  std::uint64_t mark;
  std::size_t size;
};
constexpr std::uint64_t living = 0x6c6976696e67;
constexpr std::uint64_t freed = 0x6672656564;

int current = off;
std::size_t live_count = 0;
std::size_t used[max_threads] = {};

std::byte* arena() noexcept {
  static std::byte* const memory = static_cast<std::byte*>(std::aligned_alloc(4096, regions_size));
  return memory;
}

bool is_ours(const void* address) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto begin = reinterpret_cast<std::uintptr_t>(arena());
  return at >= begin && at < begin + regions_size;
}

void* allocate(std::size_t size, std::size_t alignment) {
  if (current == off) {
    void* const made =
        alignment <= alignof(std::max_align_t)
            ? std::malloc(size)
            : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (made == nullptr) throw std::bad_alloc{};
    return made;
  }
  const auto thread = static_cast<std::size_t>(current);
  if (alignment < 16) alignment = 16;
  const std::size_t start = (used[thread] + sizeof(header) + alignment - 1) / alignment * alignment;
  const std::size_t end = start + (size + 15) / 16 * 16;
  if (end > region_size) fail("the arena of a thread is used up");
  used[thread] = end;
  ++live_count;
  std::byte* const made = arena() + thread * region_size + start;
  new (made - sizeof(header)) header{living, size};
  std::memset(made, 0xA5, size);
  return made;
}

void release(void* address) noexcept {
  if (address == nullptr) return;
  if (!is_ours(address)) {
    std::free(address);
    return;
  }
  auto* const before = reinterpret_cast<header*>(static_cast<std::byte*>(address) - sizeof(header));
  if (before->mark == freed) fail("memory is given back twice");
  if (before->mark != living) fail("something is given back that is no memory");
  before->mark = freed;
  --live_count;
  std::memset(address, 0xDD, before->size);
}

} // namespace

void use(std::size_t thread) noexcept { current = static_cast<int>(thread); }
void use_system() noexcept { current = off; }

void reset() noexcept {
  live_count = 0;
  for (auto& each : used) each = 0;
}

std::size_t live() noexcept { return live_count; }

pause::pause() noexcept : former_{current} { current = off; }
pause::~pause() { current = former_; }

} // namespace model::heap

void* operator new(std::size_t size) { return model::heap::allocate(size, 1); }
void* operator new[](std::size_t size) { return model::heap::allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return model::heap::allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return model::heap::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* address) noexcept { model::heap::release(address); }
void operator delete[](void* address) noexcept { model::heap::release(address); }
void operator delete(void* address, std::size_t) noexcept { model::heap::release(address); }
void operator delete[](void* address, std::size_t) noexcept { model::heap::release(address); }
void operator delete(void* address, std::align_val_t) noexcept { model::heap::release(address); }
void operator delete[](void* address, std::align_val_t) noexcept { model::heap::release(address); }
void operator delete(void* address, std::size_t, std::align_val_t) noexcept {
  model::heap::release(address);
}
void operator delete[](void* address, std::size_t, std::align_val_t) noexcept {
  model::heap::release(address);
}
