// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_TOPICS_HPP
#define MAILROOM_TESTS_SUPPORT_TOPICS_HPP

// What the tests of topics ask again and again: what became of a message, and what has arrived.

#include <mailroom/topic/dispatcher.hpp>

#include <doctest/doctest.h>
#include <support/print.hpp>

#include <array>   // array
#include <cstddef> // size_t
#include <string>  // string, to_string
#include <vector>  // vector

namespace test {

/// A publish_result that can be compared: matched, delivered, dropped.
using fate = std::array<std::size_t, 3>;

inline fate of(const mailroom::publish_result& result) {
  return {result.matched, result.delivered, result.dropped};
}

/// The values that wait in a subscription, which it takes out.
inline std::vector<int> drain(mailroom::subscription<int>& from) {
  std::vector<int> values;
  while (auto next = from.try_pop()) values.push_back(next->value);
  return values;
}

} // namespace test

namespace doctest {

template <>
struct StringMaker<test::fate> {
  static String convert(const test::fate& one) {
    const std::string text = std::to_string(one[0]) + " matched, " + std::to_string(one[1]) +
                             " delivered, " + std::to_string(one[2]) + " dropped";
    return String(text.c_str());
  }
};

} // namespace doctest

#endif // MAILROOM_TESTS_SUPPORT_TOPICS_HPP
