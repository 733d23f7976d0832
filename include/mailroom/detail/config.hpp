// SPDX-License-Identifier: MIT
#ifndef MAILROOM_DETAIL_CONFIG_HPP
#define MAILROOM_DETAIL_CONFIG_HPP

// What the compiler was told: the version, the cache line, whether exceptions exist, and whether
// mailboxes are checked.
//
// These are all the macros of the library. The only one that changes a type is MAILROOM_CHECKED,
// and it puts everything into another inline namespace, so that units with and without it can be in
// one program. Units with and without exceptions do not belong into one program, as with any header
// library: the linker keeps one copy of each inline function, and it may be the one that cannot
// catch.
//
// Decision: cache_line is a constant of ours. std::hardware_destructive_interference_size follows
//   -mtune, so two units of one program could disagree about a layout; and 64 is too little where
//   the adjacent line is prefetched with the first (x86-64) or lines are 128 bytes (Apple, POWER).

#include <cstddef>   // size_t
#include <cstdlib>   // abort
#include <stdexcept> // invalid_argument, length_error

#define MAILROOM_VERSION_MAJOR 0
#define MAILROOM_VERSION_MINOR 1
#define MAILROOM_VERSION_PATCH 0

/// The user defines it as 1, before the first header, for mailboxes that are checked while the
/// program runs: see mailbox/checks.hpp.
#ifndef MAILROOM_CHECKED
#define MAILROOM_CHECKED 0
#endif

/// The inline namespace in which everything stands.
#if MAILROOM_CHECKED
#define MAILROOM_ABI v0_checked
#else
#define MAILROOM_ABI v0
#endif

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define MAILROOM_EXCEPTIONS 1
#else
#define MAILROOM_EXCEPTIONS 0
#endif

namespace mailroom::inline MAILROOM_ABI::detail {

/// Data that different threads write stands at least this many bytes apart.
inline constexpr std::size_t cache_line = 128;

/// Lets a test start a queue at a position of its choice. Only tests define it.
struct test_access;

/// Reports a bad argument. Where exceptions are off there is nobody to tell: the program ends.
///
/// Throws    std::invalid_argument
[[noreturn]] inline void throw_invalid_argument([[maybe_unused]] const char* what) {
#if MAILROOM_EXCEPTIONS
  throw std::invalid_argument{what};
#else
  std::abort();
#endif
}

/// Reports a size that cannot be had.
///
/// Throws    std::length_error
[[noreturn]] inline void throw_length_error([[maybe_unused]] const char* what) {
#if MAILROOM_EXCEPTIONS
  throw std::length_error{what};
#else
  std::abort();
#endif
}

} // namespace mailroom::inline MAILROOM_ABI::detail

#endif // MAILROOM_DETAIL_CONFIG_HPP
