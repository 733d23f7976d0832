// SPDX-License-Identifier: MIT
#ifndef TREEGREP_TERMINAL_HPP
#define TREEGREP_TERMINAL_HPP

// Standard error: messages for the user from any thread and, on a terminal, one line below them that
// is drawn again and again.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

namespace treegrep {

class terminal {
public:
  bool is_terminal() const { return is_terminal_; }

  /// Prints one line.
  void say(const std::string& message) {
    const std::lock_guard lock{mutex_};
    print(clear_ + message + "\n");
    clear_.clear();
  }

  /// Lets `write` put lines on the terminal by another way, say standard output.
  template <class F>
  void make_room(F&& write) {
    const std::lock_guard lock{mutex_};
    print(clear_);
    clear_.clear();
    std::forward<F>(write)();
  }

  /// Draws the line at the bottom.
  void draw(std::string line) {
    const std::lock_guard lock{mutex_};
    line.resize(std::min(line.size(), width() - 1));
    std::replace_if(line.begin(), line.end(), [](char c) { return c >= 0 && c < ' '; }, '?');
    clear_ = "\r\033[K"; // from now on there is something to clear
    print(clear_ + line);
  }

private:
  static void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  }

  static std::size_t width() {
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : 80;
  }

  const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::mutex mutex_;
  std::string clear_; // how to remove what is drawn
};

} // namespace treegrep

#endif // TREEGREP_TERMINAL_HPP
