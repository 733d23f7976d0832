// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_STORAGE_HPP
#define MAILROOM_DETAIL_STORAGE_HPP

// A fixed number of elements: inside the object when the number is known, else from an allocator.
//
// The elements are atomics and cells, which are made without arguments and never moved. Nothing is
// allocated after construction; an allocation that fails leaves nothing behind.

#include <mailroom/detail/capacity.hpp>

#include <cstddef> // size_t
#include <memory>  // allocator_traits, to_address, uninitialized_default_construct_n, destroy_n

namespace mailroom::inline MAILROOM_ABI::detail {

/// `Count` elements inside the object; the allocator has nothing to do.
template <class Element, std::size_t Count, class Allocator>
class storage {
public:
  storage(std::size_t, const Allocator&) noexcept {}

  Element& operator[](std::size_t index) noexcept { return elements_[index]; }
  const Element& operator[](std::size_t index) const noexcept { return elements_[index]; }
  static constexpr std::size_t size() noexcept { return Count; }

private:
  Element elements_[Count];
};

/// A number of elements that is chosen at construction, from the allocator.
template <class Element, class Allocator>
class storage<Element, dynamic_capacity, Allocator> {
  using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<Element>;
  using traits = std::allocator_traits<allocator>;

public:
  storage(std::size_t count, const Allocator& source)
      : allocator_(source), count_{count}, elements_{traits::allocate(allocator_, count)} {
    std::uninitialized_default_construct_n(std::to_address(elements_), count_);
  }
  storage(const storage&) = delete;
  storage& operator=(const storage&) = delete;
  ~storage() {
    std::destroy_n(std::to_address(elements_), count_);
    traits::deallocate(allocator_, elements_, count_);
  }

  Element& operator[](std::size_t index) noexcept { return std::to_address(elements_)[index]; }
  const Element& operator[](std::size_t index) const noexcept {
    return std::to_address(elements_)[index];
  }
  std::size_t size() const noexcept { return count_; }

private:
  [[no_unique_address]] allocator allocator_;
  std::size_t count_;
  typename traits::pointer elements_;
};

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_STORAGE_HPP
