// SPDX-License-Identifier: MIT
#ifndef TREEGREP_CAREFUL_REGEX_HPP
#define TREEGREP_CAREFUL_REGEX_HPP

// A regular expression that cannot run away.
//
// std::regex_search may try an exponential number of ways through a line, and may call itself once
// for every character until the stack is full. We read the line through an iterator that counts the
// steps, looks at the depth of the stack, asks whether to stop, and throws when it is enough. (libc++
// copies the line first; there we rely on its own limits.)

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <regex>
#include <stdexcept>
#include <stop_token>
#include <string_view>

namespace treegrep {

/// Most of what a new thread gets; the rest is for the callers, and for what follows the last look.
inline std::size_t stack_to_use() {
  static const std::size_t most = [] {
    pthread_attr_t attributes;
    std::size_t size = 0;
    pthread_attr_init(&attributes);
    pthread_attr_getstacksize(&attributes, &size);
    pthread_attr_destroy(&attributes);
    return size / 4 * 3;
  }();
  return most;
}

class careful_regex {
public:
  /// The search of a line was given up: the expression needs too long, or too much stack.
  struct gave_up : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  /// Throws std::regex_error.
  explicit careful_regex(std::string_view expression)
      : regex_(checked(expression).data(), expression.size(),
               std::regex::ECMAScript | std::regex::optimize) {}

  /// Whether the line contains a match; throws gave_up, also on a stop request.
  bool search(std::string_view line, const std::stop_token& stop) const;

private:
  class watch;
  class iterator;

  /// Compiling recurses too, at most once for each character.
  static std::string_view checked(std::string_view expression) {
    if (expression.size() > 2000) throw std::regex_error(std::regex_constants::error_space);
    return expression;
  }

  std::regex regex_;
};

/// How far one search has gone.
class careful_regex::watch {
public:
  explicit watch(const std::stop_token& stop) : stop_{stop} {}

  void check_depth() const {
    const std::uintptr_t here = frame();
    if ((start_ > here ? start_ - here : here - start_) > stack_)
      throw gave_up("the expression needs too much stack");
  }

  void step() {
    check_depth();
    if (++steps_ % 4096 != 0) return;
    if (steps_ > 16'000'000) throw gave_up("the expression takes too long"); // about half a second
    if (stop_.stop_requested()) throw gave_up("interrupted");
  }

private:
  static std::uintptr_t frame() {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  }

  const std::stop_token& stop_;
  const std::size_t stack_ = stack_to_use();
  const std::uintptr_t start_ = frame();
  std::uint64_t steps_ = 0;
};

class careful_regex::iterator {
public:
  using iterator_category = std::bidirectional_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  iterator() = default;
  iterator(const char* at, watch* guard) : at_{at}, guard_{guard} {}

  reference operator*() const { return *at_; }
  iterator& operator++() {
    guard_->step();
    ++at_;
    return *this;
  }
  iterator& operator--() {
    --at_;
    return *this;
  }
  iterator operator++(int) {
    const iterator before = *this;
    ++*this;
    return before;
  }
  iterator operator--(int) {
    const iterator before = *this;
    --*this;
    return before;
  }
  bool operator==(const iterator& other) const {
    if (guard_ != nullptr) guard_->check_depth();
    return at_ == other.at_;
  }

private:
  const char* at_ = nullptr;
  watch* guard_ = nullptr;
};

inline bool careful_regex::search(std::string_view line, const std::stop_token& stop) const {
  watch guard{stop};
  const char* const end = line.data() + line.size();
  return std::regex_search(iterator{line.data(), &guard}, iterator{end, &guard}, regex_);
}

} // namespace treegrep

#endif // TREEGREP_CAREFUL_REGEX_HPP
