// SPDX-License-Identifier: MIT
#ifndef MAILROOM_BENCH_HARNESS_MESSAGE_HPP
#define MAILROOM_BENCH_HARNESS_MESSAGE_HPP

// What is sent, and the books about it: nothing is fast that loses, doubles or reorders messages.

#include <bench/harness/machine.hpp>

#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <string>      // string
#include <type_traits> // conditional_t, is_same_v
#include <utility>     // pair
#include <vector>      // vector

namespace bench {

/// A message with its number in the first and in the last word.
template <std::size_t Bytes>
struct block {
  std::uint64_t words[Bytes / sizeof(std::uint64_t)];
};
using number = std::uint64_t;
template <std::size_t Bytes>
using message = std::conditional_t<Bytes == sizeof(number), number, block<Bytes>>;

/// A number says who has sent the message, and which of his it is, counted from 1. None is 0.
constexpr int sender_shift = 40;
constexpr number first_number(std::size_t sender) { return (number{sender} + 1) << sender_shift; }
constexpr std::size_t sender_of(number value) { return (value >> sender_shift) - 1; }

template <class T>
void write(T& into, number value) {
  if constexpr (std::is_same_v<T, number>) {
    into = value;
  } else {
    into.words[0] = value;
    into.words[sizeof(T) / sizeof(number) - 1] = value;
    keep(into);
  }
}

/// The number in a message; 0 if the message is torn.
template <class T>
number read(T& from) {
  if constexpr (std::is_same_v<T, number>) {
    return from;
  } else {
    keep(from);
    return from.words[0] == from.words[sizeof(T) / sizeof(number) - 1] ? from.words[0] : 0;
  }
}

/// What was wrong with what arrived. Nothing may be.
struct faults {
  bool lost = false;      ///< fewer came out than went in
  bool doubled = false;   ///< more came out than went in, or the same one twice in a row
  bool reordered = false; ///< of one sender's messages a later one came before an earlier one
  bool damaged = false;   ///< what came out is not what went in
  bool stuck = false;     ///< somebody has waited in vain, though nothing is missing

  bool any() const { return lost || doubled || reordered || damaged || stuck; }
  void operator|=(const faults& other) {
    lost |= other.lost;
    doubled |= other.doubled;
    reordered |= other.reordered;
    damaged |= other.damaged;
    stuck |= other.stuck;
  }
  std::string words() const {
    std::string all;
    for (const auto& [is_so, word] :
         {std::pair{lost, "loses"}, std::pair{doubled, "doubles"}, std::pair{reordered, "reorders"},
          std::pair{damaged, "damages"}, std::pair{stuck, "is stuck"}}) {
      if (is_so) all += (all.empty() ? "" : ", ") + std::string{word};
    }
    return all;
  }
};

/// What one receiver has got.
struct receipt {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  faults wrong;
};

/// The books of a receiver who is not alone, or has several senders: he sees some of each sender's
/// messages, in order.
class shared_book {
public:
  explicit shared_book(std::size_t senders) : last_(senders) {}

  void enter(number value) {
    ++receipt_.count;
    receipt_.sum += value;
    const std::size_t sender = sender_of(value);
    if (sender >= last_.size()) {
      receipt_.wrong.damaged = true;
      return;
    }
    receipt_.wrong.doubled |= value == last_[sender];
    receipt_.wrong.reordered |= value < last_[sender];
    last_[sender] = value;
  }
  const receipt& close() const { return receipt_; }

private:
  receipt receipt_;
  std::vector<number> last_;
};

/// The books of the only receiver of the only sender: he knows what comes next, so that the books
/// cost one comparison.
class private_book {
public:
  explicit private_book(std::size_t /*senders*/) {}

  void enter(number value) {
    if (value == next_) [[likely]] {
      ++next_;
    } else {
      surprise(value);
    }
  }
  const receipt& close() {
    for (; run_from_ != next_; ++run_from_) {
      ++receipt_.count;
      receipt_.sum += run_from_;
    }
    return receipt_;
  }

private:
  void surprise(number value) {
    close();
    ++receipt_.count;
    receipt_.sum += value;
    if (sender_of(value) != 0) {
      receipt_.wrong.damaged = true;
    } else if (value + 1 == next_) {
      receipt_.wrong.doubled = true;
    } else if (value < next_) {
      receipt_.wrong.reordered = true;
    } else { // those between may be lost, or come later
      next_ = run_from_ = value + 1;
    }
  }

  receipt receipt_;
  number next_ = first_number(0) + 1;
  number run_from_ = next_;
};

} // namespace bench

#endif // MAILROOM_BENCH_HARNESS_MESSAGE_HPP
