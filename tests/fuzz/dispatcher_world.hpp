// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_DISPATCHER_WORLD_HPP
#define MAILROOM_TESTS_FUZZ_DISPATCHER_WORLD_HPP

// What the fuzz target of the dispatcher does, said in a way that the library and a model can both
// do it: actions on slots for subscriptions and handles, and a log of all that was answered.
//
// The model lives through a step first, then the library; their logs must be the same. Handlers do
// actions too, each of a list of their own once, so that every step ends.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <array>            // array
#include <cstddef>          // size_t
#include <cstdint>          // uint8_t
#include <initializer_list> // initializer_list
#include <stdexcept>        // invalid_argument
#include <string_view>      // string_view
#include <utility>          // exchange
#include <vector>           // vector

namespace fuzz {

using mailroom::overflow;
using mailroom::queue_status;

inline constexpr std::size_t slot_count = 5;
inline constexpr std::size_t handle_count = 3;
inline constexpr std::size_t kept_count = 2;

// Those that match much stand more than once.
inline constexpr std::array<std::string_view, 18> filters{
    ">",   ">",   ">",   "a",   "a",     "*",     "*", "a.*",  "a.>",
    "a.>", "*.b", "a.b", "*.*", "*.*.>", "a.*.b", "",  "a..b", ">.a"};
inline constexpr std::array<std::string_view, 11> names{
    "a",  "a", "a", "a.b", "a.b", "b", "a.b.b", "a.name.that.is.too.long.for.a.string.of.its.own",
    "a.", "*", ""};
inline constexpr std::array<std::string_view, 3> groups{"", "g", "h"};
inline constexpr std::array<std::size_t, 8> capacities{1, 1, 2, 1, 2, 3, 4, 0};

/// What a handler throws that was told to; and, as nobody, what a copy throws of a fragile message.
struct trouble {
  int who;
};
inline constexpr int nobody = -1;

/// The message. Some break when they are copied.
class parcel : public test::tracked {
public:
  parcel(int value, bool fragile) : test::tracked{value}, fragile_{fragile} {}
  parcel(const parcel& other) : test::tracked{checked(other)}, fragile_{other.fragile_} {}
  parcel(parcel&&) noexcept = default;
  parcel& operator=(const parcel&) = delete;
  parcel& operator=(parcel&&) noexcept = default;
  ~parcel() = default;

private:
  static const parcel& checked(const parcel& other) {
    if (other.fragile_) throw trouble{nobody};
    return other;
  }
  bool fragile_;
};

enum class act : std::uint8_t {
  none,
  subscribe,
  on,
  cancel,
  cancel_self, // the rest of the list but `fail` is for everybody
  drop_slot,
  move_slot,
  publish,
  publish_by_handle,
  make_handle,
  copy_handle,
  move_handle,
  drop_handle,
  pop,
  run,
  look,
  ask,
  close,
  drop_hub,
  fail, // handlers only
};

/// One thing to do. What a, b and c say depends on what it is.
struct action {
  act what = act::none;
  std::size_t a = 0;
  std::size_t b = 0;
  std::size_t c = 0;
};
using actions = std::vector<action>;

/// The options of a subscription, out of an action.
struct wish {
  explicit wish(const action& from)
      : slot{from.a % slot_count}, filter{filters[from.b % filters.size()]},
        group{groups[from.c % 3]}, on_full{static_cast<overflow>(from.c / 3 % 4)},
        capacity{on_full == overflow::block ? 64 : capacities[from.c / 12 % capacities.size()]},
        takes_delivery{from.c % 2 == 0} {}
  std::size_t slot;
  std::string_view filter;
  std::string_view group;
  overflow on_full;
  std::size_t capacity; // so large for block that no publish of a step has to wait
  bool takes_delivery;
};

class world {
public:
  world() = default;
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  virtual ~world() = default;

  /// Does it, and logs what came of it. `then` is what a handler will do, one action a call.
  void take(const action& one, const actions& then = {}) {
    log({100 + static_cast<long>(one.what)});
    try {
      perform(one, then);
    } catch (const std::invalid_argument&) {
      log({-100});
    } catch (const trouble& thrown) {
      log({-200, thrown.who});
    }
  }

  /// Logs what can be seen of everything.
  virtual void observe() = 0;

  std::vector<long> take_log() { return std::exchange(log_, {}); }

protected:
  void log(std::initializer_list<long> entries) { log_.insert(log_.end(), entries); }
  void log_result(const mailroom::publish_result& result) {
    log({static_cast<long>(result.matched), static_cast<long>(result.delivered),
         static_cast<long>(result.dropped)});
  }
  static long index_of(std::string_view name) {
    for (std::size_t i = 0; i != names.size(); ++i) {
      if (names[i] == name) return static_cast<long>(i);
    }
    return -1;
  }
  int next_value() { return next_value_++; }
  int next_id() { return next_id_++; }

  /// What a handler does; `id` is its own.
  void follow(int id, const action& one) {
    if (one.what == act::fail) throw trouble{id};
    if (one.what != act::cancel_self) return take(one);
    const std::size_t slot = slot_of(id);
    if (slot != slot_count) take({act::cancel, slot, 0, 0});
  }

  /// The dispatcher must live as long as a call of it.
  struct publishing_by_name {
    world& in;
    explicit publishing_by_name(world& where) : in{where} { ++in.publishing_by_name_; }
    publishing_by_name(const publishing_by_name&) = delete;
    publishing_by_name& operator=(const publishing_by_name&) = delete;
    ~publishing_by_name() { --in.publishing_by_name_; }
  };

  virtual bool has_hub() const = 0;
  virtual std::size_t slot_of(int id) const = 0; // slot_count if it is in none
  virtual bool has_handle(std::size_t which) const = 0;
  virtual void subscribe(const wish& wanted) = 0;
  virtual void on(const wish& wanted, const actions& then) = 0;
  virtual void cancel(std::size_t slot) = 0;
  virtual void drop_slot(std::size_t slot) = 0;
  virtual void move_slot(std::size_t to, std::size_t from) = 0;
  virtual void publish(std::string_view name, bool fragile, bool as_lvalue) = 0;
  virtual void publish_by_handle(std::size_t which, bool fragile, bool as_lvalue) = 0;
  virtual void make_handle(std::size_t which, std::string_view name) = 0;
  virtual void copy_handle(std::size_t to, std::size_t from) = 0;
  virtual void move_handle(std::size_t to, std::size_t from) = 0;
  virtual void drop_handle(std::size_t which) = 0;
  virtual void pop(std::size_t slot, std::size_t keep_in, bool with_token) = 0;
  virtual void run(std::size_t slot, bool takes_delivery, const action& first) = 0;
  virtual void look(std::size_t kept) = 0;
  virtual void ask(std::string_view name) = 0;
  virtual void ask_handle(std::size_t which) = 0;
  virtual void close() = 0;
  virtual void drop_hub() = 0;

private:
  void perform(const action& one, const actions& then) {
    const std::size_t slot = one.a % slot_count;
    const std::size_t other_slot = one.b % slot_count;
    switch (one.what) {
    case act::cancel: return cancel(slot);
    case act::drop_slot: return drop_slot(slot);
    case act::move_slot: return move_slot(slot, other_slot);
    case act::pop: return pop(slot, one.b % (kept_count + 1), one.c % 2 == 1);
    case act::run: return run(slot, one.b % 2 == 0, run_action(one));
    case act::look: return look(one.a % kept_count);
    case act::publish_by_handle:
    case act::copy_handle:
    case act::move_handle:
    case act::drop_handle: return perform_with_handle(one);
    case act::none:
    case act::cancel_self:
    case act::fail: return;
    default:
      if (has_hub()) perform_with_hub(one, then);
    }
  }
  void perform_with_handle(const action& one) {
    const std::size_t to = one.a % handle_count;
    const std::size_t from = one.b % handle_count;
    if (!has_handle(one.what == act::copy_handle || one.what == act::move_handle ? from : to)) {
      return;
    }
    switch (one.what) {
    case act::publish_by_handle: return publish_by_handle(to, one.b % 8 == 7, one.c % 2 == 1);
    case act::copy_handle: return copy_handle(to, from);
    case act::move_handle: return move_handle(to, from);
    default: return drop_handle(to);
    }
  }
  void perform_with_hub(const action& one, const actions& then) {
    const std::string_view name = names[one.b % names.size()];
    switch (one.what) {
    case act::subscribe: return subscribe(wish{one});
    case act::on: return on(wish{one}, then);
    case act::publish: return publish(name, one.a % 8 == 7, one.c % 2 == 1);
    case act::make_handle: return make_handle(one.a % handle_count, name);
    case act::ask:
      if (has_handle(one.a % handle_count)) ask_handle(one.a % handle_count);
      return ask(name);
    case act::close: return close();
    default:
      if (publishing_by_name_ == 0) drop_hub();
    }
  }
  /// What the handler of run does with its first message.
  static action run_action(const action& one) {
    constexpr std::array<act, 5> choices{act::none, act::cancel, act::drop_slot, act::fail,
                                         act::close};
    return {choices[one.c % choices.size()], one.a, 0, 0};
  }

  std::vector<long> log_;
  std::size_t publishing_by_name_ = 0;
  int next_value_ = 0;
  int next_id_ = 0;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_DISPATCHER_WORLD_HPP
