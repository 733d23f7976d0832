// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_TEXT_HPP
#define MAILROOM_TESTS_MODEL_TEXT_HPP

// Small things that several parts of the checker say in the same way.

#include "operation.hpp"

#include <cstdint> // uint64_t
#include <cstring> // strrchr
#include <string>  // string, to_string

namespace model {

/// Spreads a number over all 64 bits, so that sums of such numbers tell their parts apart.
///
/// Source: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9U;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

/// file.hpp:12
inline std::string where(const code_place& at) {
  const char* const slash = std::strrchr(at.file_name(), '/');
  return std::string{slash != nullptr ? slash + 1 : at.file_name()} + ":" +
         std::to_string(at.line());
}

} // namespace model

#endif // MAILROOM_TESTS_MODEL_TEXT_HPP
