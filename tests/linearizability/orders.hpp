// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_LINEARIZABILITY_ORDERS_HPP
#define MAILROOM_TESTS_LINEARIZABILITY_ORDERS_HPP

// What readers of a broadcast have seen, and whether there is one order of all messages that
// explains it: each reader has seen a run of that order, without a gap but for those that it was
// told of, and each producer's messages stand in it in their order.
//
// A reader that has read to the end knows where in the order each of its messages stands, for it
// knows how many lie behind. Where one that has left began, its first message tells.

#include <cstddef>       // size_t
#include <cstdint>       // uint32_t, uint64_t
#include <string>        // string, to_string
#include <unordered_map> // unordered_map
#include <utility>       // move
#include <vector>        // vector

namespace linearizability {

/// Who has sent it, and as which of theirs, from 1.
struct ticket {
  std::uint32_t producer = 0;
  std::uint32_t number = 0;
  friend bool operator==(const ticket&, const ticket&) = default;
};

/// What one reader has seen.
struct testimony {
  struct sight {
    std::uint64_t behind; // messages that it had passed before
    ticket message;
  };
  std::vector<sight> seen;
  std::uint64_t passed = 0; // in the end
  std::uint64_t missed = 0;
  bool to_the_end = true; // else it has left before
};

/// The messages of `sent[i]` are those of producer i. `is_lossy`: gaps are allowed.
class order_checker {
public:
  order_checker(std::vector<std::uint32_t> sent, bool is_lossy)
      : sent_{std::move(sent)}, is_lossy_{is_lossy} {
    for (const std::uint32_t count : sent_) total_ += count;
    order_.resize(total_);
  }

  /// Nothing, or the first thing that is wrong, in words.
  std::string check(const std::vector<testimony>& all) {
    for (const testimony& one : all) {
      if (auto wrong = check_alone(one); !wrong.empty()) return wrong;
      if (!one.to_the_end) continue;
      if (one.passed > total_) return "more came out than went in";
      if (auto wrong = place(one, total_ - one.passed); !wrong.empty()) return wrong;
    }
    if (auto wrong = check_producers(); !wrong.empty()) return wrong;
    for (const testimony& one : all) {
      if (one.to_the_end || one.seen.empty()) continue;
      const auto first = index_.find(key(one.seen[0].message));
      if (first == index_.end()) continue; // nobody else has seen it
      if (first->second < one.seen[0].behind) return "a reader passed more than there were";
      if (auto wrong = place(one, first->second - one.seen[0].behind); !wrong.empty()) return wrong;
    }
    return "";
  }

private:
  static std::uint64_t key(ticket one) { return std::uint64_t{one.producer} << 32 | one.number; }
  static std::string name(ticket one) {
    return "message " + std::to_string(one.number) + " of producer " + std::to_string(one.producer);
  }

  /// What can be said of a reader by itself.
  std::string check_alone(const testimony& one) const {
    if (one.seen.size() + one.missed != one.passed) return "got and missed are not all it passed";
    if (!is_lossy_ && one.missed != 0) return "a reader missed a message";
    std::uint64_t next = 0;
    for (const auto& each : one.seen) {
      const ticket message = each.message;
      if (message.producer >= sent_.size() || message.number == 0 ||
          message.number > sent_[message.producer]) {
        return name(message) + " was never sent";
      }
      if (each.behind < next) return name(message) + " came where another had been";
      if (!is_lossy_ && each.behind != next) return "a gap before " + name(message);
      next = each.behind + 1;
    }
    return next <= one.passed ? "" : "it has seen more than it passed";
  }

  /// All that it has seen, where it stands in the order.
  std::string place(const testimony& one, std::uint64_t first) {
    for (const auto& each : one.seen) {
      const std::uint64_t at = first + each.behind;
      if (at >= total_) return name(each.message) + " came behind the last";
      ticket& known = order_[at];
      if (known == each.message) continue;
      if (known != ticket{})
        return name(each.message) + " for one, " + name(known) + " for another";
      if (!index_.emplace(key(each.message), at).second) return name(each.message) + " came twice";
      known = each.message;
    }
    return "";
  }

  std::string check_producers() const {
    std::vector<std::uint32_t> last(sent_.size());
    for (const ticket& one : order_) {
      if (one == ticket{}) {
        if (!is_lossy_) return "a message was lost";
        continue;
      }
      if (one.number <= last[one.producer]) return name(one) + " came late";
      last[one.producer] = one.number;
    }
    return "";
  }

  std::vector<std::uint32_t> sent_;
  bool is_lossy_;
  std::uint64_t total_ = 0;
  std::vector<ticket> order_; // a ticket{} where nobody knows
  std::unordered_map<std::uint64_t, std::uint64_t> index_;
};

} // namespace linearizability

#endif // MAILROOM_TESTS_LINEARIZABILITY_ORDERS_HPP
