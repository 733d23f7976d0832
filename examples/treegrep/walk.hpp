// SPDX-License-Identifier: MIT
#ifndef TREEGREP_WALK_HPP
#define TREEGREP_WALK_HPP

// Walk through directory trees and put every file into a mailbox.
//
// The rules are those of `grep -r`: a place from the command line may be a symbolic link; below it
// none is followed. Devices, pipes and sockets are passed over.

#include <mailroom/mailroom.hpp>

#include "failure.hpp"
#include "report.hpp"

#include <filesystem>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace treegrep {

class walker {
public:
  walker(mailroom::mailbox<file>& files, reporter publish, std::stop_token stop)
      : files_{files}, publish_{std::move(publish)}, stop_{std::move(stop)} {}

  /// Walks through all places, until done or stopped.
  void walk(const std::vector<std::string>& places) {
    for (const std::string& place : places) {
      if (stop_.stop_requested()) return;
      start(place);
      while (!directories_.empty() && !stop_.stop_requested()) {
        const path next = std::move(directories_.back());
        directories_.pop_back();
        list(next);
      }
    }
  }

private:
  using path = std::filesystem::path;
  using entry = std::filesystem::directory_entry;

  void start(const std::string& place) {
    std::error_code error;
    const auto status = std::filesystem::status(place, error);
    if (error) {
      skip(place, failure_of(error.value()));
    } else if (std::filesystem::is_directory(status)) {
      directories_.emplace_back(place);
    } else if (std::filesystem::is_regular_file(status)) {
      send(file{place, true});
    } else {
      skip(place, {"special", "Neither a file nor a directory"});
    }
  }

  void list(const path& directory) {
    std::error_code error;
    auto entries = std::filesystem::directory_iterator(directory, error);
    while (!error && entries != std::filesystem::directory_iterator{} && !stop_.stop_requested()) {
      visit(*entries);
      entries.increment(error);
    }
    if (error) skip(directory.string(), failure_of(error.value()));
  }

  void visit(const entry& found) {
    std::error_code error; // the kind of file may be unknown until we ask, and then it may be gone
    if (found.is_symlink(error)) {
      skip(found.path().string(), {"symlink", ""});
    } else if (found.is_directory(error)) {
      directories_.push_back(found.path());
    } else if (found.is_regular_file(error)) {
      send(file{found.path().string()});
    } else if (error) {
      skip(found.path().string(), failure_of(error.value()));
    } else {
      skip(found.path().string(), {"special", ""});
    }
  }

  void send(file&& found) {
    if (files_.push(std::move(found), stop_)) return;
    // NOLINTNEXTLINE(bugprone-use-after-move): a push that fails leaves its argument alone
    skip(found.path, {"interrupted", ""});
  }

  void skip(const std::string& what, failure why) {
    publish_.skipped(why.reason, {.path = what, .text = std::move(why.sentence)});
  }

  mailroom::mailbox<file>& files_;
  reporter publish_;
  std::stop_token stop_;
  std::vector<path> directories_; // still to be listed
};

} // namespace treegrep

#endif // TREEGREP_WALK_HPP
