// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_COUNTED_HPP
#define MAILROOM_DETAIL_COUNTED_HPP

// An object that lives as long as somebody refers to it; the count is inside the object.
//
// Decision: not std::shared_ptr, whose count can neither be put in the object nor be driven by the
//   tests' own atomics, and whose pointer cannot be read without a lock while it is replaced.
//
// Invariants
//   (I1)  who makes a new reference holds one, or is kept from losing the object by other means
//
// Memory order
//   (R)   released: all that was done through a reference -> the destructor that runs after the
//         last one is gone.

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>

#include <concepts> // derived_from
#include <cstddef>  // size_t
#include <utility>  // exchange, forward, swap

namespace mailroom::inline MAILROOM_ABI::detail {

template <class T>
class ref;

/// The base of what is counted.
class counted {
public:
  counted() = default;
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  virtual ~counted() = default;

private:
  template <class T>
  friend class ref;

  void hold() const noexcept {
    references_.fetch_add(1, memory_order::relaxed); // (I1)
  }
  void drop() const noexcept {
    if (references_.fetch_sub(1, memory_order::acq_rel) == 1) delete this; // (R)
  }

  mutable atomic<std::size_t> references_;
};

/// A reference to a counted object, or to none.
template <class T>
class ref {
public:
  ref() noexcept = default;
  explicit ref(T* object) noexcept : object_{object} {
    if (object_ != nullptr) object_->hold();
  }
  ref(const ref& other) noexcept : ref{other.object_} {}
  ref(ref&& other) noexcept : object_{std::exchange(other.object_, nullptr)} {}
  template <std::derived_from<T> U>
  ref(const ref<U>& other) noexcept : ref{other.get()} {}
  ref& operator=(ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~ref() {
    if (object_ != nullptr) object_->drop();
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

private:
  T* object_ = nullptr;
};

/// Makes a counted object and the first reference to it.
template <class T, class... Args>
ref<T> make_counted(Args&&... args) {
  return ref<T>{new T(std::forward<Args>(args)...)};
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_COUNTED_HPP
