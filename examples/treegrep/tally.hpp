// SPDX-License-Identifier: MIT
#ifndef TREEGREP_TALLY_HPP
#define TREEGREP_TALLY_HPP

// Count what was found, and make a table of it.

#include "report.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace treegrep {

class tally {
public:
  /// Counts a report that was published to `topic`.
  void add(std::string_view topic, const report& result) {
    const std::size_t dot = topic.find('.');
    const std::string_view kind = topic.substr(0, dot);
    const std::string_view name = topic.substr(dot + 1);
    if (kind == "skip") {
      ++skipped_[std::string(name)];
      if (!result.text.empty()) ++failures_;
      return;
    }
    ++searched_;
    bytes_ += result.bytes;
    if (kind == "match") matches_[std::string(name)] += {result.lines, 1};
  }

  std::uint64_t lines() const { return total().lines; }
  std::uint64_t failures() const { return failures_; }

  /// The line that everybody waits for.
  std::string headline() const {
    const counts all = total();
    return std::to_string(all.lines) + " matching lines in " + std::to_string(all.files) + " files";
  }

  /// How many files were skipped, and why: "3 binary, 1 permission"; empty if none.
  std::string skips() const {
    std::string text;
    for (const auto& [reason, files] : skipped_) {
      text += (text.empty() ? "" : ", ") + std::to_string(files) + " " + reason;
    }
    return text;
  }

  std::string table(std::chrono::duration<double> time, unsigned workers) const {
    std::ostringstream out;
    out << std::fixed << std::setprecision(2);
    out << "\n" << row("extension", "lines", "files");
    for (const auto& [name, found] : by_lines()) out << row(shown(name), found.lines, found.files);
    out << "\n" << row("skipped", "", "files");
    for (const auto& [reason, files] : skipped_) out << row(reason, "", files);
    const double megabytes = static_cast<double>(bytes_) / 1e6;
    out << "\n" << row("files searched", "", searched_);
    out << row("bytes", "", bytes_);
    out << row("workers", "", workers);
    out << row("seconds", "", time.count());
    out << row("MB/s", "", megabytes / time.count());
    return out.str();
  }

private:
  struct counts {
    std::uint64_t lines = 0;
    std::uint64_t files = 0;
    counts& operator+=(const counts& more) {
      lines += more.lines;
      files += more.files;
      return *this;
    }
  };

  using named_counts = std::pair<std::string, counts>;

  counts total() const {
    counts all;
    for (const auto& [name, found] : matches_) all += found;
    return all;
  }

  /// The extensions, the one with most lines first.
  std::vector<named_counts> by_lines() const {
    std::vector<named_counts> sorted(matches_.begin(), matches_.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a.second.lines != b.second.lines ? a.second.lines > b.second.lines : a.first < b.first;
    });
    return sorted;
  }

  static std::string shown(const std::string& token) {
    if (token == "-") return "(none)";
    if (token == "?") return "(other)";
    return "." + token;
  }

  template <class Lines, class Files>
  static std::string row(const std::string& name, const Lines& lines, const Files& files) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(2) << std::left << std::setw(18) << name << std::right
        << std::setw(12) << lines << std::setw(14) << files << "\n";
    return out.str();
  }

  std::map<std::string, counts> matches_;        // by extension
  std::map<std::string, std::uint64_t> skipped_; // by reason
  std::uint64_t failures_ = 0;                   // skips that were worth a message
  std::uint64_t searched_ = 0;
  std::uint64_t bytes_ = 0;
};

} // namespace treegrep

#endif // TREEGREP_TALLY_HPP
