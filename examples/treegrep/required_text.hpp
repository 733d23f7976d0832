// SPDX-License-Identifier: MIT
#ifndef TREEGREP_REQUIRED_TEXT_HPP
#define TREEGREP_REQUIRED_TEXT_HPP

// The plain text that is in every match of a regular expression: "[a-z]+_lock *=" matches nothing
// that is without "_lock". std::regex is slow, so lines without the text are not shown to it.

#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>

namespace treegrep {

/// Remembers the longest run of plain characters.
class longest_run {
public:
  void add(char c) { run_ += c; }

  /// What follows a backslash; false if that is a code for another character, or for a group.
  bool add_escaped(char c) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) {
      add(c);
      return true;
    }
    end();
    return std::string_view("bBdDsSwW").find(c) != std::string_view::npos;
  }

  /// The last character is optional.
  void drop_last() {
    if (!run_.empty()) run_.pop_back();
    end();
  }

  void end() {
    if (run_.size() > longest_.size()) longest_ = run_;
    run_.clear();
  }

  const std::string& get() const { return longest_; }

private:
  std::string run_;
  std::string longest_;
};

/// The ']' of the class that begins at `at`, or npos if it is not a simple one.
inline std::size_t end_of_class(std::string_view expression, std::size_t at) {
  const std::size_t end = expression.find_first_of("[]\\", at + 1);
  return end != std::string_view::npos && expression[end] == ']' ? end : std::string_view::npos;
}

/// Finds the text in an ECMAScript expression that has been compiled. Empty if there is none, or it
/// is not easy to see because of groups, alternatives, or codes for characters.
inline std::string required_text(std::string_view expression) {
  longest_run text;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    switch (const char c = expression[i]) {
    case '(':
    case '|': return {};
    case '*':
    case '?': text.drop_last(); break;
    case '{':
      text.drop_last();
      i = expression.find('}', i);
      break;
    case '[':
      text.end();
      i = end_of_class(expression, i);
      break;
    case '+':
    case '.':
    case '^':
    case '$': text.end(); break;
    case '\\':
      if (!text.add_escaped(expression[++i])) return {};
      break;
    default: text.add(c);
    }
    if (i == std::string_view::npos) return {};
  }
  text.end();
  return text.get();
}

} // namespace treegrep

#endif // TREEGREP_REQUIRED_TEXT_HPP
