// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_MESSAGES_HPP
#define MAILROOM_TESTS_FUZZ_MESSAGES_HPP

// How the games see a message: as a number. With iterators and messages that fail when they are told
// to, and a wait that is over before it begins.

#include <mailroom/core/concepts.hpp>

#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <cstddef>     // size_t, ptrdiff_t
#include <iterator>    // default_sentinel_t
#include <type_traits> // is_base_of
#include <vector>      // vector

namespace fuzz {

inline int value_of(int message) { return message; }
inline int value_of(const test::entry& message) { return message.value(); }

template <class T>
constexpr bool is_counted = std::is_base_of_v<test::entry, T>;

/// A message so large that a block of mpsc_queue holds as few of them as of any.
template <class Message>
struct alignas(64) roomy : Message {
  using Message::Message;
};

/// The messages from `first` on.
template <class T>
std::vector<T> messages(int first, std::size_t count) {
  std::vector<T> all;
  all.reserve(count);
  for (std::size_t i = 0; i != count; ++i) all.emplace_back(first + static_cast<int>(i));
  return all;
}

/// Numbers that are read one after the other, once each; the last one throws if it is told to.
struct stream {
  using value_type = int;
  using difference_type = std::ptrdiff_t;
  int at;
  int end;
  bool ends_badly;

  int operator*() const {
    if (ends_badly && at + 1 == end) throw test::boom{};
    return at;
  }
  stream& operator++() noexcept { return ++at, *this; }
  void operator++(int) noexcept { ++at; }
  friend bool operator==(const stream& a, std::default_sentinel_t) noexcept {
    return a.at == a.end;
  }
};

/// An output iterator that compares what comes with the model, and that fails when told to.
template <class T, class Model>
struct sink {
  using difference_type = std::ptrdiff_t;
  Model* model;
  std::size_t fail_at;

  sink& operator*() noexcept { return *this; }
  sink& operator++() noexcept { return *this; }
  sink operator++(int) noexcept { return *this; }
  sink& operator=(const T& message) {
    if (fail_at != 0 && --fail_at == 0) throw test::boom{};
    model->expect_front(value_of(message));
    return *this;
  }
};

/// Lets the n-th thing that a message does during the call fail. Says whether the call threw.
template <class T, class F>
bool throws_at(std::size_t n, test::ledger& book, F&& call) {
  const bool armed = is_counted<T> && n != 0;
  book.fail_at(static_cast<int>(n));
  bool threw = false;
  try {
    call();
  } catch (const test::boom&) {
    threw = true;
  }
  expect(threw || !armed || book.is_armed(), "a failure that nobody was told of");
  book.fail_at(0);
  return threw;
}

/// The token of a wait that was stopped before it began.
struct stopped {
  static constexpr bool stop_requested() noexcept { return true; }
  static constexpr bool stop_possible() noexcept { return true; }
};
static_assert(mailroom::stoppable_token<stopped>);

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_MESSAGES_HPP
