// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_CONTRACT_WAITING_FLAVORS_HPP
#define MAILROOM_TESTS_CONTRACT_WAITING_FLAVORS_HPP

// The kinds of mailboxes that the contract is run on, and the words that it is written in.

#include <mailroom/mailbox/mailbox.hpp>

#include <contract/queue_flavors.hpp>
#include <doctest/doctest.h>
#include <support/print.hpp>
#include <support/tracked.hpp>
#include <support/waiting.hpp>

#include <cstddef>     // size_t, ptrdiff_t
#include <functional>  // function
#include <iterator>    // input_iterator_tag
#include <optional>    // optional
#include <string>      // string
#include <type_traits> // is_same
#include <utility>     // move
#include <vector>      // vector

namespace contract {

using mailroom::arity;
using mailroom::mailbox_options;
using mailroom::never_stop;
using mailroom::overflow;
using mailroom::queue_facts;
using mailroom::queue_status;
using test::background;
using test::wait_for_pops;
using test::wait_for_pushes;
using namespace std::chrono_literals;

// ---- Flavors

/// A mailbox whose capacity is chosen when it is made, or is part of its type.
template <template <class, std::size_t, class> class Queue, class Wait>
struct waiting_on_heap {
  static constexpr bool parks = std::is_same_v<Wait, mailroom::wait_policy::park>;
  template <class T, std::size_t>
  using mailbox =
      mailroom::mailbox<T, Queue<T, mailroom::dynamic_capacity, std::allocator<T>>, Wait>;
};
template <template <class, std::size_t, class> class Queue, class Wait>
struct waiting_inside {
  static constexpr bool parks = std::is_same_v<Wait, mailroom::wait_policy::park>;
  template <class T, std::size_t Capacity>
  using mailbox = mailroom::mailbox<T, Queue<T, Capacity, std::allocator<T>>, Wait>;
};

/// A mailbox of a flavor.
template <class Flavor, std::size_t Capacity, class T = int>
class box : public Flavor::template mailbox<T, Capacity> {
  using base = typename Flavor::template mailbox<T, Capacity>;

public:
  explicit box(overflow on_full = overflow::block)
      : base{mailbox_options{.capacity = Capacity, .on_full = on_full}} {}
};

/// How many threads may push into, and pop from, a mailbox of this kind.
template <class Mailbox>
inline constexpr int producers =
    queue_facts<typename Mailbox::queue_type>::producers == arity::many ? 3 : 1;
template <class Mailbox>
inline constexpr int consumers =
    queue_facts<typename Mailbox::queue_type>::consumers == arity::many ? 3 : 1;

// ---- Small words

/// Everything that is there, without waiting.
template <class Mailbox>
std::vector<int> take_all(Mailbox& mail) {
  std::vector<int> values;
  while (auto message = mail.try_pop()) values.push_back(value_of(*message));
  return values;
}

/// Pushes the numbers from `first`, `count` of them, for which there is room.
template <class Mailbox>
void put(Mailbox& mail, int first, std::size_t count) {
  for (const int value : numbers(first, count)) {
    REQUIRE(mail.try_push(typename Mailbox::value_type(value)) == queue_status::success);
  }
}

/// Calls that wait, each in a thread of its own.
template <class Call>
class several {
public:
  several(int count, Call call) {
    for (int i = 0; i != count; ++i) calls_.push_back(std::make_unique<one>(bound{call, i}));
  }
  bool any_is_back() const {
    for (const auto& each : calls_) {
      if (each->is_back()) return true;
    }
    return false;
  }
  auto get() {
    std::vector<std::invoke_result_t<Call&, int>> all;
    for (auto& each : calls_) all.push_back(each->get());
    return all;
  }

private:
  struct bound {
    Call call;
    int number;
    auto operator()() { return call(number); }
  };
  using one = background<bound>;
  std::vector<std::unique_ptr<one>> calls_;
};

/// Reads numbers from a script; it can be passed over once, and only moved.
class single_pass {
public:
  using value_type = int;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  single_pass(int first, int end) noexcept : next_{first}, end_{end} {}
  single_pass(single_pass&&) noexcept = default;
  single_pass& operator=(single_pass&&) noexcept = default;
  ~single_pass() = default;

  int operator*() const noexcept { return next_; }
  single_pass& operator++() noexcept {
    ++next_;
    return *this;
  }
  void operator++(int) noexcept { ++next_; }
  friend bool operator==(const single_pass& at, std::default_sentinel_t) noexcept {
    return at.next_ == at.end_;
  }

private:
  int next_;
  int end_;
};

/// Numbers from `at`; looking at the one that is `fails_at` throws.
struct failing_iterator {
  using value_type = int;
  using difference_type = std::ptrdiff_t;

  int at = 0;
  int fails_at = -1;

  int operator*() const {
    if (at == fails_at) throw test::boom{};
    return at;
  }
  failing_iterator& operator++() noexcept {
    ++at;
    return *this;
  }
  failing_iterator operator++(int) noexcept {
    auto old = *this;
    ++at;
    return old;
  }
  friend bool operator==(failing_iterator a, failing_iterator b) noexcept { return a.at == b.at; }
};

/// A message whose copy throws if it says so. It may be used by many threads, unlike the tracked.
struct fragile {
  int value = 0;
  bool breaks = false;

  explicit fragile(int number, bool broken = false) noexcept : value{number}, breaks{broken} {}
  fragile(const fragile& other) : value{other.value}, breaks{other.breaks} {
    if (breaks) throw test::boom{};
  }
  fragile(fragile&&) noexcept = default;
  fragile& operator=(const fragile&) = default;
  fragile& operator=(fragile&&) noexcept = default;
  ~fragile() = default;
};
inline int value_of(const fragile& message) { return message.value; }

/// A message that is made from a string, which it takes the text out of.
struct letter {
  std::string text;
  letter(std::string from) noexcept : text{std::move(from)} {} // NOLINT: implicit, as a user might
};

inline std::string text_of(int number) { return std::string(40, 'x') + std::to_string(number); }

/// Makes a new text each time it is looked at.
struct text_iterator {
  using value_type = std::string;
  using difference_type = std::ptrdiff_t;

  int at = 0;

  std::string operator*() const { return text_of(at); }
  text_iterator& operator++() noexcept {
    ++at;
    return *this;
  }
  text_iterator operator++(int) noexcept { return text_iterator{at++}; }
  friend bool operator==(text_iterator a, text_iterator b) noexcept { return a.at == b.at; }
};

/// A clock that does something else each time it is asked, and then shows a time long after all.
struct meddling_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<meddling_clock>;
  static constexpr bool is_steady = false;

  static inline std::function<void()> act;
  static time_point now() {
    if (act) act();
    return time_point{1000h};
  }
};

/// What a call answers in statuses, though it says it otherwise.
template <class T>
queue_status status_of(const mailroom::expected<T, queue_status>& result) {
  return result.error();
}

} // namespace contract

#endif // MAILROOM_TESTS_CONTRACT_WAITING_FLAVORS_HPP
