// SPDX-License-Identifier: MIT
// Fuzz target: any two texts, as filter and topic and as two filters, in all dialects, against the
// rules as reference_filter.hpp tells them. A text that is refused costs a std::invalid_argument
// that can be printed, and nothing else. What the wildcards take can be put together to the topic
// again; what two filters say of each other holds for the topics at hand.
//
// The first byte says how the others are read: as they stand, or each as a piece of an alphabet in
// which texts nearly match.

#include <mailroom/topic/filter.hpp>

#include <fuzz/reference_filter.hpp>
#include <fuzz/script.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint8_t
#include <iterator>    // size
#include <optional>    // optional
#include <span>        // span
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

using alphabet = std::span<const std::string_view>;

constexpr std::string_view odd[]{"a",  "b",  "ab",   ".",  ".",  "*",    ".*", ".>",       ">",
                                 "*a", ">>", " ",    "\t", "\r", "\n",   "\f", "\v",       "..",
                                 "\\", "\"", "\0"sv, "#.", ".#", "/",    "/+", "/#",       "+/",
                                 "$",  "#",  "\x7f", "//", "a.", "\xc3", "+",  "$share/g/"};
constexpr std::string_view dotted[]{"a", "a", "a.", "a.", "b", "b.", ".", "*.", "#.", ".#", ".>"};
constexpr std::string_view slashed[]{"a", "a", "a/", "a/", "b/", "/", "+/", "/#", "/+", "$"};

/// A text with nothing behind it, not even a NUL, so that a sanitizer sees who reads too far.
using letters = std::vector<char>;

/// Bytes as they stand, or each as a piece of the alphabet, if there is one.
letters read(fuzz::script& in, std::size_t length, alphabet from) {
  const std::string_view bytes = in.text(length);
  if (from.empty()) return {bytes.begin(), bytes.end()};
  std::string text;
  for (const char c : bytes) text += from[static_cast<unsigned char>(c) % from.size()];
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
  expect(!valid || topic_filter::valid(name, rules) || name.starts_with("$share/"),
         "a topic that is no pattern");
}

/// Puts what the wildcards took into their places: is it the topic?
void check_captures(const topic_filter& filter, std::string_view topic, dialect rules) {
  const fuzz::tokens body = fuzz::body(filter.pattern(), rules);
  std::vector<std::string_view> taken(filter.wildcards(), "untouched");
  if (!filter.capture(topic, taken)) {
    for (const auto& each : taken) expect(each == "untouched", "a capture of what does not match");
    return;
  }
  fuzz::tokens words;
  std::size_t wildcard = 0;
  for (const std::string& token : body) {
    if (!fuzz::is_wildcard(token, rules)) {
      words.push_back(token);
      continue;
    }
    const std::string_view piece = taken.at(wildcard++);
    if (piece.data() == nullptr) continue;
    expect(piece.data() >= topic.data() &&
               piece.data() + piece.size() <= topic.data() + topic.size(),
           "a capture outside of the topic");
    const fuzz::tokens found =
        piece.empty() ? fuzz::tokens{""} : fuzz::split(piece, rules); // an empty word in amqp
    expect(!fuzz::is_one(token, rules) || found.size() == 1, "one token for several");
    words.insert(words.end(), found.begin(), found.end());
  }
  expect(wildcard == taken.size(), "wildcards");
  expect(words == fuzz::split(topic, rules), "the captures make another topic");
}

void check_filter(const topic_filter& filter, std::string_view pattern, std::string_view topic,
                  dialect rules) {
  expect(filter.pattern() == pattern, "pattern");
  expect(filter.rules() == rules, "rules");
  bool literal = !fuzz::is_shared(pattern, rules);
  for (const auto& token : fuzz::split(pattern, rules)) {
    literal = literal && !fuzz::is_wildcard(token, rules);
  }
  expect(filter.is_literal() == literal, "is_literal");
  expect(filter.matches(topic) == fuzz::matches(pattern, topic, rules), "matches");
  check_captures(filter, topic, rules);
  expect(filter.covers(filter), "a filter covers itself");
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

/// What two filters say of each other, for the one topic that is known.
void check_relations(const topic_filter& a, const topic_filter& b, std::string_view topic) {
  const bool overlaps = a.overlaps(b);
  expect(overlaps == b.overlaps(a), "overlaps, the other way round");
  expect(overlaps || !(a.matches(topic) && b.matches(topic)), "a topic of both");
  const bool covers = a.covers(b);
  expect(!covers || a.matches(topic) || !b.matches(topic), "a topic that is not covered");
  expect(!covers || overlaps, "covered without an overlap");
  expect(!(b.is_literal() && a.matches(b.pattern())) || covers, "a name that is not covered");
}

void check_pair(std::string_view a, std::string_view b, std::string_view topic, dialect rules) {
  if (!topic_filter::valid(a, rules) || !topic_filter::valid(b, rules)) return;
  const topic_filter one{a, rules};
  const topic_filter other{b, rules};
  for (const std::string_view name : {a, b, topic}) {
    check_relations(one, other, name);
    check_relations(other, one, name);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::script in{data, size};
  constexpr alphabet alphabets[]{{}, odd, dotted, dotted, slashed};
  const alphabet letters_of = alphabets[in.below(std::size(alphabets))];
  const std::size_t most = in.one_in(4) ? 256 : 12;
  const letters first = read(in, in.below(most), letters_of);
  const letters second = read(in, in.below(most), letters_of);
  const std::string_view pattern{first.data(), first.size()};
  const std::string_view topic{second.data(), second.size()};
  const letters third = read(in, 12, letters_of);
  const std::string_view name{third.data(), third.size()};
  for (const dialect rules : {dialect::exact, dialect::nats, dialect::mqtt, dialect::amqp}) {
    check_name(pattern, rules);
    check_name(topic, rules);
    check(pattern, topic, rules);
    check(topic, pattern, rules);
    check_pair(pattern, topic, name, rules);
  }
  return 0;
}
