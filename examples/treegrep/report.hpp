// SPDX-License-Identifier: MIT
#ifndef TREEGREP_REPORT_HPP
#define TREEGREP_REPORT_HPP

// What the threads of treegrep tell each other.
//
//      walk --> mailbox<file> --> workers --> dispatcher --> match.<extension>  print, count
//                                                       --> miss.<extension>   count
//                                                       --> skip.<reason>      tell, count
//
// Every file that the walk meets ends in exactly one match, miss or skip. A file that was searched
// but for some lines has a skip in addition.

#include <mailroom/mailroom.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace treegrep {

struct file {
  std::string path;
  bool follow = false; // given on the command line: may be a symbolic link
};

struct report {
  std::string path;
  std::uint64_t bytes = 0; // read
  std::uint64_t lines = 0; // that match
  std::string text = {}; // match: the lines as they are printed; skip: why, if the user should know
};

/// Several subscribers read the same report.
using shared_report = std::shared_ptr<const report>;
using report_dispatcher = mailroom::dispatcher<shared_report>;

/// The token of a topic that stands for a file's extension: "-" if it has none, "?" if it is too odd
/// to be one.
inline std::string extension(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return "-";
  const std::string_view letters = name.substr(dot + 1);
  const bool plain = std::all_of(letters.begin(), letters.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '+';
  });
  return plain && letters.size() <= 16 ? std::string(letters) : "?";
}

/// One thread's way to publish: it keeps the handles of the topics that it has used, so that a name
/// is looked up in the dispatcher once and not for every file.
class reporter {
public:
  explicit reporter(report_dispatcher& reports) : reports_{&reports} {}

  void searched(report&& result) {
    const std::string kind = result.lines != 0 ? "match." : "miss.";
    publish(kind + extension(result.path), std::move(result));
  }

  void skipped(std::string_view reason, report&& result) {
    publish("skip." + std::string(reason), std::move(result));
  }

private:
  void publish(const std::string& name, report&& result) {
    auto topic = topics_.find(name);
    if (topic == topics_.end()) topic = topics_.emplace(name, reports_->topic(name)).first;
    topic->second.publish(std::make_shared<const report>(std::move(result)));
  }

  report_dispatcher* reports_;
  std::unordered_map<std::string, mailroom::topic<shared_report>> topics_;
};

} // namespace treegrep

#endif // TREEGREP_REPORT_HPP
