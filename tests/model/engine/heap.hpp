// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_HEAP_HPP
#define MAILROOM_TESTS_MODEL_HEAP_HPP

// Memory of an execution: everything that the program under test allocates with new.
//
// Each thread takes from a region of its own and nothing is used twice, so that an address depends
// on the thread and on what it did before, not on the schedule; a pointer into freed memory never
// meets a new object; and what is left at the end is a leak. A new execution begins empty.

#include <cstddef> // size_t
#include <cstdlib> // malloc, free
#include <new>     // bad_alloc

namespace model::heap {

/// Turns the arena on for `thread`, or off: then new and delete are the system's.
void use(std::size_t thread) noexcept;
void use_system() noexcept;

/// Forgets everything.
void reset() noexcept;

/// How many allocations were not given back.
std::size_t live() noexcept;

/// While it lives, what is allocated is the checker's own.
class pause {
public:
  pause() noexcept;
  pause(const pause&) = delete;
  pause& operator=(const pause&) = delete;
  ~pause();

private:
  int former_;
};

} // namespace model::heap

#endif // MAILROOM_TESTS_MODEL_HEAP_HPP
