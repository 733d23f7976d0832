// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_SUPPORT_PRINT_HPP
#define MAILROOM_TESTS_SUPPORT_PRINT_HPP

// How the harness shows the types of the library, and lists of numbers.

#include <mailroom/core/status.hpp>

#include <doctest/doctest.h>

#include <string> // string, to_string
#include <vector> // vector

namespace doctest {

template <>
struct StringMaker<mailroom::queue_status> {
  static String convert(mailroom::queue_status status) {
    const auto name = mailroom::to_string(status);
    return String(name.data(), static_cast<unsigned>(name.size()));
  }
};

template <>
struct StringMaker<std::vector<int>> {
  static String convert(const std::vector<int>& numbers) {
    std::string text;
    for (const int number : numbers) text += std::to_string(number) + " ";
    return String(text.c_str());
  }
};

} // namespace doctest

#endif // MAILROOM_TESTS_SUPPORT_PRINT_HPP
