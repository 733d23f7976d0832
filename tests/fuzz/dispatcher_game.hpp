// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_DISPATCHER_GAME_HPP
#define MAILROOM_TESTS_FUZZ_DISPATCHER_GAME_HPP

// The library's side of the script: does with a dispatcher what dispatcher_model.hpp does without.

#include <mailroom/core/status.hpp>
#include <mailroom/topic/dispatcher.hpp>

#include <fuzz/dispatcher_world.hpp>
#include <fuzz/messages.hpp>
#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <array>       // array
#include <cstddef>     // size_t
#include <memory>      // make_shared, make_unique, shared_ptr, unique_ptr
#include <optional>    // optional
#include <string_view> // string_view
#include <utility>     // as_const, exchange, forward, move

namespace fuzz {

class dispatcher_game final : public world {
  using delivery = mailroom::delivery<parcel>;
  using subscription = mailroom::subscription<parcel>;

public:
  dispatcher_game(mailroom::dialect rules, const test::ledger& book)
      : book_{book}, hub_{std::make_unique<mailroom::dispatcher<parcel>>(rules)} {}

  void observe() override {
    for (const slot& each : slots_) {
      log({each.of.is_active(), static_cast<long>(each.of.missed())});
    }
    log({static_cast<long>(book_.alive()), handler_mark_.use_count() - 1});
  }

private:
  struct slot {
    subscription of;
    int id = -1;
  };

  /// What its handlers have in common: they tell that they run, and then do their next action.
  struct handler {
    dispatcher_game* in;
    std::shared_ptr<int> mark; // counts the handlers that live
    int id;
    actions then;
    std::size_t calls = 0;

    void be_called(const parcel& message, const delivery* whole) {
      in->log({300, id, message.value()});
      if (whole != nullptr) in->log_delivery(*whole);
      if (calls == then.size()) return;
      const action next = then[calls++];
      in->follow(id, next);
    }
  };
  struct message_handler : handler {
    void operator()(const parcel& message) { be_called(message, nullptr); }
  };
  struct delivery_handler : handler {
    void operator()(delivery one) { be_called(one.value, &one); }
  };

  bool has_hub() const override { return hub_ != nullptr; }
  bool has_handle(std::size_t which) const override { return handles_[which].has_value(); }
  std::size_t slot_of(int id) const override {
    std::size_t i = 0;
    while (i != slots_.size() && slots_[i].id != id) ++i;
    return i;
  }

  // ---- Subscriptions

  void subscribe(const wish& wanted) override {
    const int id = next_id();
    subscription made = hub_->subscribe(
        wanted.filter,
        {.capacity = wanted.capacity, .on_full = wanted.on_full, .group = wanted.group});
    put(wanted.slot, id, std::move(made));
  }
  void on(const wish& wanted, const actions& then) override {
    const handler common{this, handler_mark_, next_id(), then};
    put(wanted.slot, common.id,
        wanted.takes_delivery ? hub_->on(wanted.filter, delivery_handler{common})
                              : hub_->on(wanted.filter, message_handler{common}));
  }
  void put(std::size_t which, int id, subscription made) {
    slots_[which].of = std::move(made);
    slots_[which].id = id;
  }
  void cancel(std::size_t which) override { slots_[which].of.cancel(); }
  void drop_slot(std::size_t which) override {
    slots_[which].id = -1;
    slots_[which].of = {};
  }
  void move_slot(std::size_t to, std::size_t from) override {
    subscription& source = slots_[from].of;
    slots_[to].of = std::move(source);
    slots_[to].id = to == from ? slots_[to].id : std::exchange(slots_[from].id, -1);
  }
  void close() override { hub_->close(); }
  void drop_hub() override { hub_.reset(); }

  // ---- Publishing

  template <class F>
  void publish_by(bool fragile, bool as_lvalue, F&& call) {
    const int value = next_value();
    parcel message{value, fragile};
    const auto result = as_lvalue ? call(std::as_const(message)) : call(std::move(message));
    expect(!as_lvalue || message.value() == value, "a message that was not to be moved");
    log_result(result);
  }
  void publish(std::string_view name, bool fragile, bool as_lvalue) override {
    const publishing_by_name now{*this};
    publish_by(fragile, as_lvalue, [&](auto&& message) {
      return hub_->publish(name, std::forward<decltype(message)>(message));
    });
  }
  void publish_by_handle(std::size_t which, bool fragile, bool as_lvalue) override {
    publish_by(fragile, as_lvalue, [&](auto&& message) {
      return handles_[which]->publish(std::forward<decltype(message)>(message));
    });
  }

  // ---- Handles

  void make_handle(std::size_t which, std::string_view name) override {
    if (handles_[which] && which % 2 == 0) {
      *handles_[which] = hub_->topic(name);
    } else {
      handles_[which].emplace(hub_->topic(name));
    }
  }
  void copy_handle(std::size_t to, std::size_t from) override {
    const auto& source = *handles_[from];
    if (handles_[to]) {
      *handles_[to] = source;
    } else {
      handles_[to].emplace(source);
    }
  }
  void move_handle(std::size_t to, std::size_t from) override {
    auto& source = *handles_[from];
    if (handles_[to]) {
      *handles_[to] = std::move(source);
    } else {
      handles_[to].emplace(std::move(source));
    }
    if (to != from) handles_[from].reset();
  }
  void drop_handle(std::size_t which) override { handles_[which].reset(); }

  // ---- Receiving

  void log_delivery(const delivery& one) {
    log({400, one.value.value(), static_cast<long>(one.sequence), static_cast<long>(one.missed),
         index_of(one.topic())});
  }
  void pop(std::size_t which, std::size_t keep_in, bool with_token) override {
    std::optional<delivery> taken;
    queue_status status{};
    if (with_token) {
      taken = slots_[which].of.pop(stopped{});
    } else if (auto next = slots_[which].of.try_pop()) {
      taken.emplace(std::move(*next));
    } else {
      status = next.error();
    }
    if (!taken) return log({with_token ? -300 : code_of(status)});
    log_delivery(*taken);
    if (keep_in >= kept_count) return;
    kept_[keep_in].reset();
    kept_[keep_in].emplace(std::move(*taken));
  }
  void run(std::size_t which, bool takes_delivery, const action& first) override {
    const int id = slots_[which].id;
    int calls = 0;
    const auto go_on = [&] {
      if (calls++ == 0) follow(id, first);
    };
    const auto with_delivery = [&](delivery one) {
      log_delivery(one);
      go_on();
    };
    const auto with_message = [&](const parcel& message) {
      log({500, message.value()});
      go_on();
    };
    subscription& from = slots_[which].of;
    log({code_of(takes_delivery ? from.run(with_delivery, stopped{})
                                : from.run(with_message, stopped{}))});
  }
  static long code_of(queue_status status) {
    switch (status) {
    case queue_status::closed: return -301;
    case queue_status::empty: return -302;
    case queue_status::stopped: return -303;
    default: return -399;
    }
  }
  void look(std::size_t kept) override {
    if (!kept_[kept]) return;
    const delivery& one = *kept_[kept];
    log({400, one.value.value(), static_cast<long>(one.sequence), 0, index_of(one.topic())});
  }
  void ask(std::string_view name) override { log({hub_->interested(name)}); }
  void ask_handle(std::size_t which) override {
    log({index_of(handles_[which]->name()), handles_[which]->interested()});
  }

  const test::ledger& book_;
  const std::shared_ptr<int> handler_mark_ = std::make_shared<int>(0);
  std::unique_ptr<mailroom::dispatcher<parcel>> hub_;
  std::array<slot, slot_count> slots_;
  std::array<std::optional<mailroom::topic<parcel>>, handle_count> handles_;
  std::array<std::optional<delivery>, kept_count> kept_;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_DISPATCHER_GAME_HPP
