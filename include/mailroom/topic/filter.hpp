// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_FILTER_HPP
#define MAILROOM_TOPIC_FILTER_HPP

// A topic filter: says which topic names a subscriber wants to hear.
//
// Use it       to check names and filters before they reach a dispatcher, or to match by hand.
// Instead use  dispatcher, which owns the filters of its subscribers and calls them itself.
//
// A name is a text; a dialect says how it is read. `exact` reads it whole: any bytes but NUL, equal
// or not. `nats` reads tokens between dots, and a filter may have wildcards among them:
//
//      filter   matches       does not match
//      a.b      a.b           a, a.b.c, A.B
//      a.*.c    a.b.c         a.c, a.b.b.c       * is exactly one token
//      a.>      a.b, a.b.c    a, b.a             > is one token or more, and ends the filter
//      a*.b     a*.b          ab.b               inside a token both are plain characters
//
// Tokens are not empty and hold no NUL, space, tab, CR, LF or FF; other bytes count as they are: no
// case folding, no Unicode normalisation. A topic has no wildcards: `a.*` is the name of none.
//
// Invariants, unless the filter was moved from
//   (I1)  pattern_ is a valid filter by rules_
//   (I2)  literal_ says that pattern_ is a valid topic too; then it matches this topic and no other
//
// Decision: the pattern stays text and is walked beside the topic. A list of tokens would save
//   looking for dots, and cost an allocation for each filter. Nothing is ever tried twice, for only
//   the last token of a filter can stand for several.
//
// Sources: NATS documentation, Subject-Based Messaging; nats-server, server/sublist.go, whose test
// cases are in tests/unit/topic/vectors.

#include <mailroom/detail/config.hpp>

#include <algorithm>   // min
#include <cstddef>     // size_t
#include <string>      // string, to_string
#include <string_view> // string_view

namespace mailroom::inline v0 {

/// How topic names and filters are read.
enum class dialect : unsigned char { exact, nats };

class topic_filter {
public:
  /// Makes the filter that `pattern` describes.
  ///
  /// Cost      O(pattern); one copy of the pattern
  /// Throws    std::invalid_argument that says what is wrong with the pattern, and where;
  ///           std::bad_alloc
  explicit topic_filter(std::string_view pattern, dialect rules = dialect::nats);

  /// Tells whether a filter can be made of `pattern`.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(pattern), no allocation; may run at compile time
  /// Throws    nothing
  [[nodiscard]] static constexpr bool valid(std::string_view pattern, dialect rules) noexcept;

  /// Tells whether `name` can be published to. Every such name is also a valid pattern.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(name), no allocation; may run at compile time
  /// Throws    nothing
  [[nodiscard]] static constexpr bool valid_topic(std::string_view name, dialect rules) noexcept;

  /// Tells whether `topic` is one of the names that the pattern stands for.
  ///
  /// Caller    anyone, concurrently with all other const members
  /// Progress  wait-free
  /// Cost      O(topic), whatever the pattern; no allocation
  /// Throws    nothing
  /// Returns   false also for a topic that is not valid
  [[nodiscard]] bool matches(std::string_view topic) const noexcept;

  /// The text the filter was made of; it lives as long as the filter.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] std::string_view pattern() const noexcept { return pattern_; }

  /// The dialect the pattern is read in.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Throws    nothing
  [[nodiscard]] dialect rules() const noexcept { return rules_; }

  /// Tells whether the pattern has no wildcard, and so matches one name only: itself.
  ///
  /// Caller    anyone
  /// Progress  wait-free
  /// Cost      O(1)
  /// Throws    nothing
  [[nodiscard]] bool is_literal() const noexcept { return literal_; }

  /// Compares pattern and dialect; filters that differ may still match the same topics.
  ///
  /// Caller    anyone, concurrently with all other const members
  /// Progress  wait-free
  /// Cost      O(pattern)
  /// Throws    nothing
  [[nodiscard]] bool operator==(const topic_filter&) const noexcept = default;

private:
  std::string pattern_; // (I1)
  dialect rules_;
  bool literal_; // (I2)
};

// ---- Definitions, in the order of the class

namespace detail {

/// What a text is meant to be.
enum class name_kind : unsigned char { filter, topic };

/// What is wrong with a text, and at which byte; false when nothing is.
struct name_fault {
  const char* reason = nullptr;
  std::size_t at = 0;

  constexpr explicit operator bool() const noexcept { return reason != nullptr; }
};

/// Why no token may hold `c`; nullptr when it may.
constexpr const char* refusal_of(char c) noexcept {
  if (c == '\0') return "forbidden NUL";
  if (c == ' ') return "forbidden space";
  if (c == '\t') return "forbidden tab";
  if (c == '\r') return "forbidden carriage return";
  if (c == '\n') return "forbidden line feed";
  if (c == '\f') return "forbidden form feed";
  return nullptr;
}

/// Tells whether the token that begins at `at` is the character `c` and nothing else.
constexpr bool is_token(std::string_view text, std::size_t at, char c) noexcept {
  return at < text.size() && text[at] == c && (at + 1 == text.size() || text[at + 1] == '.');
}

/// The first fault of a text in dialect exact.
constexpr name_fault find_fault_exact(std::string_view text) noexcept {
  if (text.empty()) return {"empty name", 0};
  const std::size_t nul = text.find('\0');
  if (nul != text.npos) return {refusal_of('\0'), nul};
  return {};
}

/// The first fault of a text in dialect nats.
constexpr name_fault find_fault_nats(std::string_view text, name_kind kind) noexcept {
  for (std::size_t begin = 0, end = 0;; begin = ++end) {
    for (; end != text.size() && text[end] != '.'; ++end) {
      if (const char* reason = refusal_of(text[end])) return {reason, end};
    }
    if (end == begin) return {"empty token", begin};
    const bool tail = is_token(text, begin, '>');
    if (kind == name_kind::topic && (tail || is_token(text, begin, '*'))) {
      return {"wildcard in a topic name", begin};
    }
    if (tail && end != text.size()) return {"'>' before the last token", begin};
    if (end == text.size()) return {};
  }
}

/// The first fault of a text: the one place that knows which filters and names are valid.
constexpr name_fault find_fault(std::string_view text, dialect rules, name_kind kind) noexcept {
  return rules == dialect::exact ? find_fault_exact(text) : find_fault_nats(text, kind);
}

/// Throws    std::invalid_argument: mailroom: filter "a..b": empty token at byte 2
[[noreturn]] inline void throw_fault(std::string_view text, name_kind kind, name_fault fault) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string what = kind == name_kind::filter ? "mailroom: filter \"" : "mailroom: topic \"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      what += c;
    } else { // a NUL would end the message here, a line feed would split it
      what += "\\x";
      what += digits[byte / 16U];
      what += digits[byte % 16U];
    }
  }
  what += "\": ";
  what += fault.reason;
  what += " at byte " + std::to_string(fault.at);
  throw_invalid_argument(what.c_str());
}

/// Throws    std::invalid_argument for a name that cannot be published to: what is wrong, and where
inline void check_topic(std::string_view name, dialect rules) {
  if (const name_fault fault = find_fault(name, rules, name_kind::topic)) {
    throw_fault(name, name_kind::topic, fault);
  }
}

} // namespace detail

inline topic_filter::topic_filter(std::string_view pattern, dialect rules)
    : pattern_{pattern}, rules_{rules}, literal_{valid_topic(pattern, rules)} {
  using enum detail::name_kind;
  if (const detail::name_fault fault = detail::find_fault(pattern, rules, filter)) {
    detail::throw_fault(pattern, filter, fault);
  }
}

constexpr bool topic_filter::valid(std::string_view pattern, dialect rules) noexcept {
  return !detail::find_fault(pattern, rules, detail::name_kind::filter);
}

constexpr bool topic_filter::valid_topic(std::string_view name, dialect rules) noexcept {
  return !detail::find_fault(name, rules, detail::name_kind::topic);
}

inline bool topic_filter::matches(std::string_view topic) const noexcept {
  const std::string_view pattern = pattern_;
  if (literal_) return topic == pattern; // (I2)
  // A wildcard checks what it stands for; a plain token equals one that (I1) has checked.
  for (std::size_t p = 0, t = 0;; ++p, ++t) { // a token begins at p, and one at t
    if (detail::is_token(pattern, p, '>')) return valid_topic(topic.substr(t), rules_);
    if (detail::is_token(pattern, p, '*')) {
      const std::size_t end = std::min(topic.find('.', t), topic.size());
      if (!valid_topic(topic.substr(t, end - t), rules_)) return false;
      t = end;
      ++p;
    } else {
      for (; p != pattern.size() && pattern[p] != '.'; ++p, ++t) {
        if (t == topic.size() || topic[t] != pattern[p]) return false;
      }
    }
    if (p == pattern.size() || t == topic.size()) return p == pattern.size() && t == topic.size();
    if (topic[t] != '.') return false;
  }
}

} // namespace mailroom::inline v0

#endif // MAILROOM_TOPIC_FILTER_HPP
