// SPDX-License-Identifier: MIT
#include <mailroom/detail/storage.hpp>

#include <doctest/doctest.h>
#include <support/allocators.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uintptr_t
#include <memory>      // allocator
#include <new>         // bad_alloc
#include <type_traits> // is_copy_constructible

namespace {

using mailroom::dynamic_capacity;
using mailroom::detail::storage;

/// Is made without arguments and never moved, like the elements of the queues.
struct element {
  static inline int alive = 0;
  int value = 7;

  element() noexcept { ++alive; }
  element(const element&) = delete;
  element& operator=(const element&) = delete;
  ~element() { --alive; }
};

struct alignas(4096) page {
  char first = 'p';
};

template <class Element>
using on_heap = storage<Element, dynamic_capacity, test::logging_allocator<int>>;

} // namespace

TEST_CASE("storage: a known number of elements is inside the object") {
  {
    storage<element, 5, std::allocator<int>> elements{5, std::allocator<int>{}};
    CHECK(elements.size() == 5);
    CHECK(element::alive == 5);
    static_assert(sizeof(elements) == 5 * sizeof(element));
    elements[4].value = 9;
    const auto& same = elements;
    CHECK(same[4].value == 9);
    CHECK(same[0].value == 7);
  }
  CHECK(element::alive == 0);
}

TEST_CASE("storage: any other number comes from the allocator, at once") {
  test::allocation_log log;
  {
    on_heap<element> elements{1000, test::logging_allocator<int>{log}};
    CHECK(elements.size() == 1000);
    CHECK(element::alive == 1000);
    CHECK(log.allocations == 1);
    CHECK(log.bytes == 1000 * sizeof(element));
    elements[999].value = 9;
    const auto& same = elements;
    CHECK(same[999].value == 9);
    CHECK(same[0].value == 7);
  }
  CHECK(element::alive == 0);
  CHECK(log.blocks == 0);
  CHECK(log.bytes == 0);
}

TEST_CASE("storage: elements get the alignment that they want") {
  if (!test::std_allocator_aligns()) return; // not even alone
  test::allocation_log log;
  on_heap<page> pages{3, test::logging_allocator<int>{log}};
  CHECK(reinterpret_cast<std::uintptr_t>(&pages[1]) % 4096 == 0);
  CHECK(pages[2].first == 'p');
}

TEST_CASE("storage: an allocation that fails leaves nothing behind") {
  test::allocation_log log;
  log.fail_at = 1;
  const test::logging_allocator<int> failing{log};
  CHECK_THROWS_AS((on_heap<element>{4, failing}), std::bad_alloc);
  CHECK(log.blocks == 0);
  CHECK(element::alive == 0);
}

TEST_CASE("storage: it stays where it is") {
  static_assert(!std::is_copy_constructible_v<on_heap<element>>);
  static_assert(!std::is_move_constructible_v<on_heap<element>>);
  static_assert(!std::is_copy_assignable_v<on_heap<element>>);
}
