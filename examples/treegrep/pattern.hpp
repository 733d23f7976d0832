// SPDX-License-Identifier: MIT
#ifndef TREEGREP_PATTERN_HPP
#define TREEGREP_PATTERN_HPP

// What to look for in a line.

#include "careful_regex.hpp"

#include <string.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace treegrep {

enum class syntax { plain, regex };

/// Where `wanted` begins in `text`, or npos. memmem is the fastest search that C libraries have.
inline std::size_t find_in(std::string_view text, std::string_view wanted) {
  const void* const hit = memmem(text.data(), text.size(), wanted.data(), wanted.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

/// The longest plain text that is in every match of an expression in which nothing is optional but
/// single characters: "[a-z]+_lock *\(" cannot match where there is no "_lock". Empty if that is not
/// easy to see. std::regex is slow, so lines without the text are not shown to it.
inline std::string required_text(std::string_view expression) {
  std::string longest;
  std::string run;
  const auto end_run = [&] {
    if (run.size() > longest.size()) longest = run;
    run.clear();
  };
  for (std::size_t i = 0; i < expression.size(); ++i) {
    switch (const char c = expression[i]) {
    case '(':
    case '|': return {}; // groups and alternatives
    case '*':
    case '?':
    case '{': // the character before may be missing
      if (!run.empty()) run.pop_back();
      end_run();
      if (c == '{') i = std::min(expression.find('}', i), expression.size());
      break;
    case '+':
    case '.':
    case '^':
    case '$': end_run(); break;
    case '[': // one of several characters
      end_run();
      i = expression.find_first_of("[]\\", i + 1);
      if (i == std::string_view::npos || expression[i] != ']') return {};
      break;
    case '\\':
      if (++i == expression.size()) return {};
      if (std::ispunct(static_cast<unsigned char>(expression[i])) != 0) {
        run += expression[i];
      } else if (std::string_view("bBdDsSwW").find(expression[i]) != std::string_view::npos) {
        end_run();
      } else {
        return {}; // a code, or what a group has matched
      }
      break;
    default: run += c;
    }
  }
  end_run();
  return longest;
}

class pattern {
public:
  /// Throws std::regex_error. Lines of `text` are alternatives, as for grep.
  pattern(std::string_view text, syntax how) {
    for (;;) {
      const std::size_t end = text.find('\n');
      add(text.substr(0, end), how);
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
  }

  /// A place in the first line that may match, or npos if no line can; quick.
  std::size_t candidate(std::string_view text) const {
    return alternatives_.size() == 1 ? find_in(text, alternatives_.front().required) : 0;
  }

  /// Whether the candidate's line does match; throws careful_regex::gave_up.
  bool matches(std::string_view line, const std::stop_token& stop) const {
    for (const alternative& each : alternatives_) {
      if (find_in(line, each.required) == std::string_view::npos) continue;
      if (!each.regex || each.regex->search(line, stop)) return true;
    }
    return false;
  }

private:
  struct alternative {
    std::string required;               // is in every line that matches
    std::optional<careful_regex> regex; // decides, if there is one
  };

  void add(std::string_view text, syntax how) {
    if (how == syntax::plain) {
      alternatives_.push_back({std::string(text), std::nullopt});
    } else {
      alternatives_.push_back({required_text(text), careful_regex(text)});
    }
  }

  std::vector<alternative> alternatives_;
};

} // namespace treegrep

#endif // TREEGREP_PATTERN_HPP
