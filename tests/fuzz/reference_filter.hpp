// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_REFERENCE_FILTER_HPP
#define MAILROOM_TESTS_FUZZ_REFERENCE_FILTER_HPP

// The rules of names and filters, told a second time: token by token, in lists, without a thought
// for speed. Shares nothing with the library but the name of the dialects.

#include <mailroom/topic/filter.hpp>

#include <cstddef>     // size_t
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace fuzz {

using tokens = std::vector<std::string>;

/// A text, cut at its dots; in dialect exact it is one token.
inline tokens split(std::string_view text, mailroom::dialect rules) {
  tokens all{""};
  for (const char c : text) {
    if (c == '.' && rules == mailroom::dialect::nats) {
      all.emplace_back();
    } else {
      all.back() += c;
    }
  }
  return all;
}

inline bool has_good_letters(const std::string& token, mailroom::dialect rules) {
  for (const char c : token) {
    if (c == '\0') return false;
    if (rules == mailroom::dialect::exact) continue;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') return false;
  }
  return !token.empty();
}

inline bool is_wildcard(const std::string& token, mailroom::dialect rules) {
  return rules == mailroom::dialect::nats && (token == "*" || token == ">");
}

inline bool is_filter(std::string_view text, mailroom::dialect rules) {
  const tokens all = split(text, rules);
  for (std::size_t i = 0; i != all.size(); ++i) {
    if (!has_good_letters(all[i], rules)) return false;
    if (is_wildcard(all[i], rules) && all[i] == ">" && i + 1 != all.size()) return false;
  }
  return true;
}

inline bool is_topic(std::string_view text, mailroom::dialect rules) {
  for (const std::string& token : split(text, rules)) {
    if (!has_good_letters(token, rules) || is_wildcard(token, rules)) return false;
  }
  return true;
}

/// Do the tokens of a topic from `t` on match those of a filter from `f` on?
inline bool matches_from(const tokens& filter, std::size_t f, const tokens& topic, std::size_t t,
                         mailroom::dialect rules) {
  if (f == filter.size() || t == topic.size()) return f == filter.size() && t == topic.size();
  if (is_wildcard(filter[f], rules)) {
    if (filter[f] == ">") return true; // one token or more, and the last of the filter
  } else if (filter[f] != topic[t]) {
    return false;
  }
  return matches_from(filter, f + 1, topic, t + 1, rules);
}

inline bool matches(std::string_view filter, std::string_view topic, mailroom::dialect rules) {
  return is_filter(filter, rules) && is_topic(topic, rules) &&
         matches_from(split(filter, rules), 0, split(topic, rules), 0, rules);
}

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_REFERENCE_FILTER_HPP
