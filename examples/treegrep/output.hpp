// SPDX-License-Identifier: MIT
#ifndef TREEGREP_OUTPUT_HPP
#define TREEGREP_OUTPUT_HPP

// Standard output, which may be full, gone, or stuck behind a pager that does not read.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <stop_token>
#include <string_view>

namespace treegrep {

class output {
public:
  /// Writes the text. After a stop request it only ends the line in progress, and not even that if
  /// nobody reads.
  void write(std::string_view text, const std::stop_token& stop = {}) {
    while (!text.empty() && is_complete_) {
      const bool stopping = stop.stop_requested();
      if (stopping) text = text.substr(0, in_line_ ? text.find('\n') + 1 : 0);
      const bool ready = wait_until_ready();
      if (ready) text.remove_prefix(write_some(text));
      if (stopping && (!ready || !in_line_)) is_complete_ = false;
    }
  }

  /// Was everything written?
  bool is_complete() const { return is_complete_; }

  /// The errno of the write that failed, or 0.
  int error() const { return error_; }

private:
  /// False if nothing can be written for some time.
  static bool wait_until_ready() {
    pollfd out{STDOUT_FILENO, POLLOUT, 0};
    return ::poll(&out, 1, 20) != 0;
  }

  /// A pipe that is ready takes this much without blocking.
  std::size_t write_some(std::string_view text) {
    const ssize_t count =
        ::write(STDOUT_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) return 0;
      error_ = errno;
      is_complete_ = false;
      return 0;
    }
    const auto written = static_cast<std::size_t>(count);
    if (written != 0) in_line_ = text[written - 1] != '\n';
    return written;
  }

  bool is_complete_ = true;
  int error_ = 0;
  bool in_line_ = false; // the last byte written was not the end of a line
};

} // namespace treegrep

#endif // TREEGREP_OUTPUT_HPP
