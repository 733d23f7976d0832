// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_REFERENCE_FILTER_HPP
#define MAILROOM_TESTS_FUZZ_REFERENCE_FILTER_HPP

// The rules of names and filters, told a second time: token by token, in lists and tables, and
// without a thought for speed. Shares nothing with the library but the name of the dialects.

#include <mailroom/topic/filter.hpp>

#include <cstddef>     // size_t
#include <string>      // string
#include <string_view> // string_view
#include <vector>      // vector

namespace fuzz {

using tokens = std::vector<std::string>;

/// A text, cut at its separators; in dialect exact it is one token. The empty text is no token in
/// amqp, an empty one elsewhere.
inline tokens split(std::string_view text, mailroom::dialect rules) {
  using enum mailroom::dialect;
  if (rules == amqp && text.empty()) return {};
  tokens all{""};
  for (const char c : text) {
    if (rules != exact && c == (rules == mqtt ? '/' : '.')) {
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
    if (rules != mailroom::dialect::nats) continue;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') return false;
  }
  return true;
}

inline bool is_good(std::string_view text, mailroom::dialect rules) {
  using enum mailroom::dialect;
  if (text.empty()) return rules == amqp;
  if (rules == amqp && text.size() > 255) return false;
  if (rules == mqtt && text.size() > 65535) return false;
  for (const std::string& token : split(text, rules)) {
    if (!has_good_letters(token, rules)) return false;
    if (token.empty() && rules == nats) return false;
  }
  return true;
}

inline bool is_one(const std::string& token, mailroom::dialect rules) {
  return rules != mailroom::dialect::exact &&
         token == (rules == mailroom::dialect::mqtt ? "+" : "*");
}

inline bool is_several(const std::string& token, mailroom::dialect rules) {
  return rules != mailroom::dialect::exact &&
         token == (rules == mailroom::dialect::nats ? ">" : "#");
}

inline bool is_wildcard(const std::string& token, mailroom::dialect rules) {
  return is_one(token, rules) || is_several(token, rules);
}

inline bool is_shared(std::string_view filter, mailroom::dialect rules) {
  const tokens all = split(filter, rules);
  return rules == mailroom::dialect::mqtt && all.size() > 1 && all[0] == "$share";
}

/// The tokens of a filter that take part in a match.
inline tokens body(std::string_view filter, mailroom::dialect rules) {
  tokens all = split(filter, rules);
  if (is_shared(filter, rules)) all.erase(all.begin(), all.begin() + 2);
  return all;
}

inline bool is_filter(std::string_view text, mailroom::dialect rules) {
  if (!is_good(text, rules)) return false;
  if (is_shared(text, rules)) {
    const std::string group = split(text, rules)[1];
    if (group.empty() || group.find_first_of("+#") != group.npos) return false;
    const tokens rest = body(text, rules);
    if (rest.empty() || (rest.size() == 1 && rest[0].empty())) return false;
  }
  const tokens all = body(text, rules);
  for (std::size_t i = 0; i != all.size(); ++i) {
    if (rules == mailroom::dialect::mqtt && all[i].size() > 1 &&
        all[i].find_first_of("+#") != all[i].npos) {
      return false;
    }
    if (rules == mailroom::dialect::amqp) continue;
    if (is_several(all[i], rules) && i + 1 != all.size()) return false;
  }
  return true;
}

inline bool is_topic(std::string_view text, mailroom::dialect rules) {
  using enum mailroom::dialect;
  if (!is_good(text, rules)) return false;
  if (rules == mqtt) return text.find_first_of("+#") == text.npos;
  for (const std::string& token : split(text, rules)) {
    if (rules == nats && is_wildcard(token, rules)) return false;
  }
  return true;
}

/// A table of the answers for all ends of the filter and all ends of the topic.
inline bool matches_tokens(const tokens& filter, const tokens& topic, mailroom::dialect rules) {
  std::vector<std::vector<bool>> table(filter.size() + 1,
                                       std::vector<bool>(topic.size() + 1, false));
  for (std::size_t f = filter.size() + 1; f-- != 0;) {
    for (std::size_t t = topic.size() + 1; t-- != 0;) {
      if (f == filter.size()) {
        table[f][t] = t == topic.size();
      } else if (is_several(filter[f], rules)) {
        const bool takes_none = rules != mailroom::dialect::nats && table[f + 1][t];
        const bool takes_more = t != topic.size() && (table[f][t + 1] || table[f + 1][t + 1]);
        table[f][t] = takes_none || takes_more;
      } else {
        table[f][t] = t != topic.size() && table[f + 1][t + 1] &&
                      (is_one(filter[f], rules) || filter[f] == topic[t]);
      }
    }
  }
  return table[0][0];
}

inline bool matches(std::string_view filter, std::string_view topic, mailroom::dialect rules) {
  if (!is_filter(filter, rules) || !is_topic(topic, rules)) return false;
  const tokens wanted = body(filter, rules);
  const bool hides = !wanted.empty() && is_wildcard(wanted[0], rules);
  if (rules == mailroom::dialect::mqtt && hides && topic.starts_with('$')) return false;
  return matches_tokens(wanted, split(topic, rules), rules);
}

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_REFERENCE_FILTER_HPP
