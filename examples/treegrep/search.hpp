// SPDX-License-Identifier: MIT
#ifndef TREEGREP_SEARCH_HPP
#define TREEGREP_SEARCH_HPP

// Search one file after the other.
//
// The rules are those of `LC_ALL=C grep -I`, found by experiment with GNU grep 3.8: a file with a
// NUL byte anywhere, in a hole too, is binary, and then none of its lines counts, not even those
// before the NUL. Every other byte is a character. A line ends at '\n'; what follows the last '\n'
// is a line if there is anything; '\r' is nothing special. So whether a line counts is known only
// when the whole file has been read.

#include "failure.hpp"
#include "pattern.hpp"
#include "report.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace treegrep {

enum class lines { counted, kept };

/// A file descriptor that closes itself.
class descriptor {
public:
  explicit descriptor(int number) : number_{number} {}
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return number_; }

private:
  int number_;
};

/// One worker's search; it keeps its buffer from file to file.
class searcher {
public:
  searcher(const pattern& wanted, lines mode, std::stop_token stop)
      : wanted_{wanted}, mode_{mode}, stop_{std::move(stop)}, buffer_(std::size_t{128} * 1024) {}

  /// Searches a file and publishes what became of it.
  void search(file&& next, reporter& publish) {
    found_ = {.path = std::move(next.path)};
    lines_before_ = 0;
    unsearched_ = 0;
    if (failure why = search_file(next.follow); !why.reason.empty()) {
      publish.skipped(why.reason,
                      {.path = std::move(found_.path), .text = std::move(why.sentence)});
      return;
    }
    if (unsearched_ != 0) {
      std::string why =
          "lines not searched: " + std::to_string(unsearched_) + " (" + gave_up_ + ")";
      publish.skipped("regex", {.path = found_.path, .text = std::move(why)});
    }
    publish.searched(std::move(found_));
  }

private:
  failure search_file(bool follow) try {
    if (stop_.stop_requested()) return {"interrupted", ""};
    // O_NONBLOCK: if the file has become a pipe since the walk saw it, we do not wait for a writer.
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    const descriptor input{::open(found_.path.c_str(), flags)};
    if (input.get() < 0) return errno == ELOOP ? failure{"symlink", ""} : failure_of(errno);
    struct stat status{};
    if (::fstat(input.get(), &status) != 0) return failure_of(errno);
    if (!S_ISREG(status.st_mode)) return {"special", ""};
    return read_lines(input.get());
  } catch (const std::bad_alloc&) {
    return {"memory", "not enough memory"};
  }

  /// Reads the file and searches every complete line; what is left of a line moves to the front.
  failure read_lines(int input) {
    std::size_t kept = 0;
    for (;;) {
      if (stop_.stop_requested()) return {"interrupted", ""};
      if (kept == buffer_.size() && !grow()) return {"line_too_long", "a line is too long"};
      const ssize_t count = ::read(input, buffer_.data() + kept, buffer_.size() - kept);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure_of(errno);
      if (count == 0) break;
      const std::string_view fresh{buffer_.data() + kept, static_cast<std::size_t>(count)};
      if (fresh.find('\0') != std::string_view::npos) return {"binary", ""};
      found_.bytes += fresh.size();
      const std::string_view all{buffer_.data(), kept + fresh.size()};
      const std::size_t newline = fresh.rfind('\n');
      kept = all.size();
      if (newline == std::string_view::npos) continue;
      const std::size_t complete = all.size() - fresh.size() + newline + 1;
      search_lines(all.substr(0, complete));
      kept = all.size() - complete;
      std::copy(all.begin() + static_cast<std::ptrdiff_t>(complete), all.end(), buffer_.begin());
    }
    search_lines({buffer_.data(), kept});
    return stop_.stop_requested() ? failure{"interrupted", ""} : failure{};
  }

  /// Makes room for a longer line, within reason.
  bool grow() {
    if (buffer_.size() >= std::size_t{256} * 1024 * 1024) return false;
    buffer_.resize(buffer_.size() * 2);
    return true;
  }

  void search_lines(std::string_view text) {
    while (!text.empty() && !stop_.stop_requested()) {
      const std::size_t hit = wanted_.candidate(text);
      if (hit == std::string_view::npos) break;
      const std::size_t begin = hit == 0 ? 0 : text.rfind('\n', hit - 1) + 1;
      const std::size_t end = std::min(text.find('\n', hit), text.size());
      const std::string_view line = text.substr(begin, end - begin);
      count_lines(text.substr(0, begin));
      if (matches(line)) add(line);
      ++lines_before_;
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    count_lines(text);
  }

  bool matches(std::string_view line) try {
    return wanted_.matches(line, stop_);
  } catch (const std::runtime_error& error) { // careful_regex::gave_up or std::regex_error
    ++unsearched_;
    gave_up_ = error.what();
    return false;
  }

  void add(std::string_view line) {
    ++found_.lines;
    if (mode_ == lines::counted) return;
    found_.text.append(found_.path).append(":");
    found_.text.append(std::to_string(lines_before_ + 1)).append(":");
    found_.text.append(line).append("\n");
  }

  void count_lines(std::string_view passed) {
    if (mode_ == lines::counted) return; // nobody asks for line numbers
    lines_before_ += static_cast<std::uint64_t>(std::count(passed.begin(), passed.end(), '\n'));
  }

  const pattern& wanted_;
  const lines mode_;
  const std::stop_token stop_;
  std::vector<char> buffer_;

  // The file that is being searched:
  report found_;
  std::uint64_t lines_before_ = 0; // the place where we are
  std::uint64_t unsearched_ = 0;   // lines
  std::string gave_up_;            // why
};

} // namespace treegrep

#endif // TREEGREP_SEARCH_HPP
