// SPDX-License-Identifier: MIT
#ifndef TREEGREP_PATTERN_HPP
#define TREEGREP_PATTERN_HPP

// What to look for in a line.

#include "careful_regex.hpp"
#include "required_text.hpp"

#include <string.h>

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
      careful_regex regex(text); // throws, unless the text is well formed
      alternatives_.push_back({required_text(text), std::move(regex)});
    }
  }

  std::vector<alternative> alternatives_;
};

} // namespace treegrep

#endif // TREEGREP_PATTERN_HPP
