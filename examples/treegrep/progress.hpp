// SPDX-License-Identifier: MIT
#ifndef TREEGREP_PROGRESS_HPP
#define TREEGREP_PROGRESS_HPP

// Show on the terminal how far the search is. Ten lines a second are enough, so this subscriber is
// slow on purpose: its small mailbox drops the oldest report, nobody waits for it, and as it is told
// how many reports it missed, its count of files is right all the same.

#include <mailroom/mailroom.hpp>

#include "report.hpp"
#include "terminal.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>

namespace treegrep {

inline constexpr mailroom::subscription_options lossy{
    .capacity = 4, .on_full = mailroom::overflow::drop_oldest, .name = "progress"};

class progress {
public:
  explicit progress(terminal& screen) : screen_{screen} {}

  /// Draws one line, then rests unless it is over.
  void show(const mailroom::delivery<shared_report>& latest, const std::stop_token& over) {
    missed_ += latest.missed;
    ++seen_;
    if (over.stop_requested()) return;
    screen_.draw(std::to_string(seen_ + missed_) + " files, " + std::to_string(missed_) +
                 " missed by this line, now " + latest.value->path);
    rest(over);
  }

private:
  static void rest(const std::stop_token& over) {
    using namespace std::chrono_literals;
    std::mutex mutex;
    std::unique_lock lock{mutex};
    std::condition_variable_any().wait_for(lock, over, 100ms, [] { return false; });
  }

  terminal& screen_;
  std::uint64_t seen_ = 0;
  std::uint64_t missed_ = 0;
};

} // namespace treegrep

#endif // TREEGREP_PROGRESS_HPP
