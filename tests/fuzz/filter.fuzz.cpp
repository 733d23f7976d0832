// SPDX-License-Identifier: MIT
// Fuzz target: any two texts, one as a filter and one as a topic, in both dialects, against the
// rules as reference_filter.hpp tells them. A text that is refused costs a std::invalid_argument
// that can be printed, and nothing else.
//
// The first byte says how the others are read: as they stand, or each as a piece of the alphabet in
// which texts nearly match.

#include <mailroom/topic/filter.hpp>

#include <fuzz/reference_filter.hpp>
#include <fuzz/script.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint8_t
#include <iterator>    // size
#include <optional>    // optional
#include <stdexcept>   // invalid_argument
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // move
#include <vector>      // vector

namespace {

using fuzz::expect;
using mailroom::dialect;
using mailroom::topic_filter;
using namespace std::string_view_literals;

constexpr std::string_view pieces[]{"a",    "b",  "ab", ".",  ".",  ".",  "*",    ".*",  ".>",
                                    ">",    "*a", ">>", " ",  "\t", "\r", "\n",   "\f",  "\v",
                                    "\0"sv, "..", "\\", "\"", "a",  "b",  "\x7f", "\xc3"};

/// A text with nothing behind it, not even a NUL, so that a sanitizer sees who reads too far.
using letters = std::vector<char>;

letters read(fuzz::script& in, std::size_t length, bool in_pieces) {
  const std::string_view bytes = in.text(length);
  if (!in_pieces) return {bytes.begin(), bytes.end()};
  std::string text;
  for (const char c : bytes) text += pieces[static_cast<unsigned char>(c) % std::size(pieces)];
  return {text.begin(), text.end()};
}

/// A refusal can be printed: it is one line, and says what is refused, why and where.
void check_complaint(const std::invalid_argument& error, std::string_view kind) {
  const std::string_view what = error.what();
  expect(what.starts_with("mailroom: " + std::string{kind} + " \""),
         "the beginning of the refusal");
  expect(what.find("\": ") != what.npos, "the reason of the refusal");
  expect(what.find(" at byte ") != what.npos, "the place of the refusal");
  expect(what.find_first_of("\n\r\t\f\v\x7f") == what.npos, "the refusal is one line");
}

std::optional<topic_filter> made(std::string_view pattern, dialect rules) {
  try {
    return topic_filter{pattern, rules};
  } catch (const std::invalid_argument& error) {
    check_complaint(error, "filter");
    return std::nullopt;
  } // anything else ends the program
}

bool is_accepted(std::string_view name, dialect rules) {
  try {
    mailroom::detail::check_topic(name, rules);
    return true;
  } catch (const std::invalid_argument& error) {
    check_complaint(error, "topic");
    return false;
  }
}

void check_name(std::string_view name, dialect rules) {
  const bool valid = fuzz::is_topic(name, rules);
  expect(topic_filter::valid_topic(name, rules) == valid, "valid_topic");
  expect(is_accepted(name, rules) == valid, "check_topic");
  expect(!valid || topic_filter::valid(name, rules), "a topic that is no pattern");
}

void check_filter(const topic_filter& filter, std::string_view pattern, std::string_view topic,
                  dialect rules) {
  expect(filter.pattern() == pattern, "pattern");
  expect(filter.rules() == rules, "rules");
  expect(filter.is_literal() == fuzz::is_topic(pattern, rules), "is_literal");
  expect(filter.matches(topic) == fuzz::matches(pattern, topic, rules), "matches");
  topic_filter copy{filter};
  expect(copy == filter, "a copy");
  const topic_filter moved{std::move(copy)};
  expect(moved == filter && moved.matches(topic) == filter.matches(topic), "a filter that moved");
}

void check(std::string_view pattern, std::string_view topic, dialect rules) {
  const bool valid = fuzz::is_filter(pattern, rules);
  expect(topic_filter::valid(pattern, rules) == valid, "valid");
  const std::optional<topic_filter> filter = made(pattern, rules);
  expect(filter.has_value() == valid, "the constructor");
  if (!filter) return;
  check_filter(*filter, pattern, topic, rules);
  check_filter(*filter, pattern, pattern, rules);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::script in{data, size};
  const bool in_pieces = in.byte() % 4 != 0;
  const std::size_t length = in.byte();
  const letters first = read(in, length, in_pieces);
  const letters second = read(in, 256, in_pieces);
  const std::string_view pattern{first.data(), first.size()};
  const std::string_view topic{second.data(), second.size()};
  for (const dialect rules : {dialect::exact, dialect::nats}) {
    check_name(pattern, rules);
    check_name(topic, rules);
    check(pattern, topic, rules);
    check(topic, pattern, rules);
  }
  return 0;
}
