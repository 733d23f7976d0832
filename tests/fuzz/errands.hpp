// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_ERRANDS_HPP
#define MAILROOM_TESTS_FUZZ_ERRANDS_HPP

// The coroutines of the game of the mailboxes: each pops or pushes one message, and may wait. It
// goes on inside of the call that wakes it, or when it is its turn.

#include <mailroom/mailbox/async.hpp>

#include <fuzz/mailbox_model.hpp>
#include <fuzz/messages.hpp>
#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <cstddef>  // size_t
#include <iterator> // next
#include <list>     // list
#include <optional> // optional
#include <utility>  // move
#include <version>  // __cpp_lib_coroutine

#if defined(__cpp_lib_coroutine)
#include <support/task.hpp>
#endif

namespace fuzz {

/// Where a coroutine goes on that has waited.
enum class goes_on { here, in_turn };

#if defined(__cpp_lib_coroutine)

/// A stop source for one callback, in one thread.
class stop_switch {
  template <class F>
  class callback {
  public:
    callback(const auto& from, F act) : source_{*from.source}, act_{std::move(act)} {
      source_.called_ = this;
      source_.call_ = [](void* self) { static_cast<callback*>(self)->act_(); };
    }
    callback(const callback&) = delete;
    callback& operator=(const callback&) = delete;
    ~callback() { source_.called_ = nullptr; }

  private:
    stop_switch& source_;
    F act_;
  };

public:
  struct token {
    template <class F>
    using callback_type = callback<F>;
    stop_switch* source;
    bool stop_requested() const noexcept { return source->stopped_; }
    static constexpr bool stop_possible() noexcept { return true; }
  };

  token get_token() noexcept { return {this}; }
  void request_stop() {
    stopped_ = true;
    if (called_ != nullptr) call_(called_);
  }

private:
  bool stopped_ = false;
  void* called_ = nullptr;
  void (*call_)(void*) = nullptr;
};

template <class Mailbox>
class errands {
  using T = typename Mailbox::value_type;

public:
  errands(Mailbox& box, mailbox_model& model) : box_{box}, model_{model} {}

  void pop(goes_on where) {
    one& own = all_.emplace_back(next_++);
    if (where == goes_on::here) {
      own.here.emplace(pop_here(box_, own));
    } else {
      own.in_turn.emplace(pop_in_turn(turns_, box_, own));
    }
    model_.begin_pop(own.who);
  }
  void push(int value, goes_on where) {
    one& own = all_.emplace_back(next_++);
    own.message.emplace(value);
    own.pushed = value;
    if (where == goes_on::here) {
      own.here.emplace(push_here(box_, own));
    } else {
      own.in_turn.emplace(push_in_turn(turns_, box_, own));
    }
    model_.begin_push(own.who, value);
  }

  /// Lets those go on whose turn it is, or stops or destroys one that waits.
  void meddle(script& in) {
    if (in.one_in(2)) return void(test::run_all(turns_));
    for (auto each = all_.begin(); each != all_.end(); ++each) {
      if (!model_.is_waiting(each->who) || !in.one_in(2)) continue;
      model_.leave(each->who);
      if (in.one_in(2)) return void(all_.erase(each));
      return each->source.request_stop();
    }
  }

  /// Each is back when the model says so, or will be when it is its turn; and has what it says.
  void check() {
    for (auto each = all_.begin(); each != all_.end();) {
      const bool waits = model_.is_waiting(each->who);
      expect(!waits || !each->is_back, "a coroutine that should wait");
      expect(waits || each->is_back || each->in_turn, "a coroutine that should be back");
      if (each->is_back) expect_answer(*each);
      each = each->is_back ? all_.erase(each) : std::next(each);
    }
  }
  bool any_push_waits() const {
    for (const one& each : all_) {
      if (each.message && model_.is_waiting(each.who)) return true;
    }
    return false;
  }

  /// How many messages they hold: those to be pushed, which stay where they are, and those that
  /// were taken for a coroutine whose turn has not come.
  std::size_t messages() const {
    std::size_t count = 0;
    for (const one& each : all_) {
      if (each.message || (!model_.is_waiting(each.who) && model_.answer_of(each.who))) ++count;
    }
    return count;
  }

  /// All that can go on do, and the others are destroyed.
  void end() {
    test::run_all(turns_);
    check();
    for (const one& each : all_) model_.leave(each.who);
    all_.clear();
  }

private:
  struct one {
    explicit one(int number) : who{number} {}
    const int who;
    std::optional<T> message; // to be pushed
    int pushed = 0;
    std::optional<T> got;
    bool is_in = false;
    bool is_back = false;
    stop_switch source;
    std::optional<test::task> here; // last: it uses the others
    std::optional<test::queued_task> in_turn;
  };

  static test::task pop_here(Mailbox& box, one& own) {
    auto got = co_await box.async_pop(own.source.get_token());
    if (got) own.got.emplace(std::move(*got));
    own.is_back = true;
  }
  static test::queued_task pop_in_turn(test::run_queue&, Mailbox& box, one& own) {
    auto got = co_await box.async_pop(own.source.get_token());
    if (got) own.got.emplace(std::move(*got));
    own.is_back = true;
  }
  static test::task push_here(Mailbox& box, one& own) {
    own.is_in = co_await box.async_push(std::move(*own.message), own.source.get_token());
    own.is_back = true;
  }
  static test::queued_task push_in_turn(test::run_queue&, Mailbox& box, one& own) {
    own.is_in = co_await box.async_push(std::move(*own.message), own.source.get_token());
    own.is_back = true;
  }

  void expect_answer(const one& own) const {
    const auto right = model_.answer_of(own.who);
    if (own.message) {
      expect(own.is_in == right.has_value(), "the answer of an async_push");
    } else {
      expect(own.got.has_value() == right.has_value(), "the answer of an async_pop");
      if (right) expect(value_of(*own.got) == *right, "what an async_pop got");
    }
  }

  Mailbox& box_;
  mailbox_model& model_;
  test::run_queue turns_;
  std::list<one> all_; // they do not move
  int next_ = 0;
};

#else

/// Without coroutines nobody waits.
template <class Mailbox>
class errands {
public:
  errands(Mailbox&, mailbox_model&) {}
  void pop(goes_on) {}
  void push(int, goes_on) {}
  void meddle(script&) {}
  void check() {}
  void end() {}
  static constexpr bool any_push_waits() { return false; }
  static constexpr std::size_t messages() { return 0; }
};

#endif

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_ERRANDS_HPP
