// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_DISPATCHER_MODEL_HPP
#define MAILROOM_TESTS_FUZZ_DISPATCHER_MODEL_HPP

// What a dispatcher should do, without threads, locks, snapshots or caches: for every publish the
// filters are matched anew, by reference_filter.hpp, and a mailbox is a std::deque.
//
// It knows more than the contract says: destinations are served in the order in which they came,
// and the members of a group take turns from the first one on.

#include <mailroom/core/status.hpp>
#include <mailroom/topic/dispatcher.hpp>

#include <fuzz/dispatcher_world.hpp>
#include <fuzz/listener.hpp>
#include <fuzz/reference_filter.hpp>

#include <algorithm>   // any_of, find_if, none_of
#include <array>       // array
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <map>         // map
#include <memory>      // make_shared, shared_ptr
#include <optional>    // optional
#include <stdexcept>   // invalid_argument
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // exchange, move
#include <vector>      // vector

namespace fuzz {

class dispatcher_model final : public world {
public:
  explicit dispatcher_model(mailroom::dialect rules) : rules_{rules} {}

  void observe() override {
    std::size_t messages = 0;
    long handlers = 0;
    for (const member& each : slots_) {
      log({each && each->is_open, each ? static_cast<long>(each->lost) : 0});
      if (each) messages += each->box.size();
      if (each && !each->has_box && !each->is_cancelled) ++handlers;
    }
    for (const auto& each : kept_) messages += each.has_value();
    log({static_cast<long>(messages), handlers});
  }

  /// A slot whose subscription blocks and has many messages, so that it had better be emptied.
  bool is_almost_full(std::size_t slot) const {
    const member& it = slots_[slot];
    return it && it->wanted.on_full == overflow::block && it->box.size() > 20;
  }

  /// The first slot with messages from `from` on, around; `from` itself if there is none.
  std::size_t slot_with_messages(std::size_t from) const {
    for (std::size_t i = 0; i != slot_count; ++i) {
      const member& it = slots_[(from + i) % slot_count];
      if (it && !it->box.empty()) return (from + i) % slot_count;
    }
    return from;
  }

private:
  bool has_hub() const override { return has_hub_; }
  bool has_handle(std::size_t which) const override { return handles_[which].has_value(); }
  std::size_t slot_of(int id) const override {
    const auto found = std::find_if(slots_.begin(), slots_.end(),
                                    [id](const member& each) { return each && each->id == id; });
    return static_cast<std::size_t>(found - slots_.begin());
  }

  // ---- Subscriptions

  void subscribe(const wish& wanted) override {
    const int id = next_id();
    if (!is_filter(wanted.filter, rules_) || wanted.capacity == 0) throw std::invalid_argument{""};
    add(id, wanted, true, {});
  }
  void on(const wish& wanted, const actions& then) override {
    const int id = next_id();
    if (!is_filter(wanted.filter, rules_)) throw std::invalid_argument{""};
    add(id, wanted, false, then);
  }
  void add(int id, const wish& wanted, bool has_box, const actions& then) {
    const auto added = std::make_shared<listener>(listener{id, wanted, has_box, then, 0, {}});
    if (!has_box) added->wanted.group = {}; // a handler has no options
    if (is_closed_) {
      added->end();
    } else {
      listed_.push_back(added);
    }
    drop_slot(wanted.slot);
    slots_[wanted.slot] = added;
  }
  void cancel(std::size_t slot) override {
    const member it = slots_[slot];
    if (!it) return;
    it->is_open = false;
    it->is_cancelled = true;
    it->box.clear();
    std::erase(listed_, it);
    std::erase_if(turns_, [this](const auto& group) {
      return std::none_of(listed_.begin(), listed_.end(),
                          [&](const member& each) { return each->wanted.group == group.first; });
    });
  }
  void drop_slot(std::size_t slot) override {
    cancel(slot);
    slots_[slot] = nullptr;
  }
  void move_slot(std::size_t to, std::size_t from) override {
    if (to == from) return;
    drop_slot(to);
    slots_[to] = std::exchange(slots_[from], nullptr);
  }
  void close() override {
    if (std::exchange(is_closed_, true)) return;
    for (const member& each : std::exchange(listed_, {})) each->end();
  }
  void drop_hub() override {
    close();
    has_hub_ = false;
  }

  // ---- Publishing

  void publish(std::string_view name, bool fragile, bool as_lvalue) override {
    const int value = next_value();
    if (!is_topic(name, rules_)) throw std::invalid_argument{""};
    const std::uint64_t sequence = sequences_[std::string{name}]++;
    const publishing_by_name now{*this};
    send({value, fragile, sequence, std::string{name}, 0}, as_lvalue);
  }
  void publish_by_handle(std::size_t which, bool fragile, bool as_lvalue) override {
    const int value = next_value();
    publisher& from = *handles_[which];
    send({value, fragile, from.sequence++, from.topic, 0}, as_lvalue);
  }
  std::vector<target> targets_of(const std::string& topic) {
    std::vector<target> all;
    for (const member& each : listed_) {
      if (!matches(each->wanted.filter, topic, rules_)) continue;
      std::shared_ptr<std::size_t> turn;
      if (!each->wanted.group.empty()) {
        auto& place = turns_[each->wanted.group];
        if (!place) place = std::make_shared<std::size_t>(0);
        turn = place;
      }
      const auto same = std::find_if(all.begin(), all.end(), [&turn](const target& other) {
        return turn && other.turn == turn;
      });
      if (same != all.end()) {
        same->members.push_back(each);
      } else {
        all.push_back({{each}, turn});
      }
    }
    return all;
  }
  void send(note sent, bool as_lvalue) {
    const std::vector<target> all = targets_of(sent.topic);
    if (all.empty()) return log_result({0, 0, 0});
    if (as_lvalue && sent.fragile) throw trouble{nobody};
    mailroom::publish_result result{all.size(), 0, 0};
    std::optional<trouble> first;
    for (std::size_t i = 0; i != all.size(); ++i) {
      try {
        const bool is_last = i + 1 == all.size();
        const queue_status status = offer(all[i], sent, sent.fragile && !is_last, result.dropped);
        if (status == queue_status::success) ++result.delivered;
        if (status == queue_status::closed) --result.matched;
      } catch (const trouble& thrown) {
        if (!first) first = thrown;
      }
    }
    if (first) throw *first;
    log_result(result);
  }
  /// `breaks` says that a copy would throw; the last target gets the message itself.
  queue_status offer(const target& to, const note& sent, bool breaks, std::size_t& dropped) {
    const std::size_t first = to.first_choice();
    for (std::size_t i = 0; i != to.members.size(); ++i) {
      const member& it = to.members[(first + i) % to.members.size()];
      const queue_status status = it->has_box ? it->put(sent, breaks, dropped) : call(it, sent);
      if (status != queue_status::closed) return status;
    }
    return queue_status::closed;
  }
  queue_status call(const member& it, const note& sent) {
    if (it->is_cancelled) return queue_status::closed;
    const bool takes_delivery = it->wanted.takes_delivery;
    if (takes_delivery && sent.fragile) throw trouble{nobody};
    log({300, it->id, sent.value});
    if (takes_delivery) log_delivery(sent, 0);
    if (it->calls != it->then.size()) follow(it->id, it->then[it->calls++]);
    return queue_status::success;
  }

  // ---- Handles

  struct publisher {
    std::string topic;
    std::uint64_t sequence = 0;
  };
  void make_handle(std::size_t which, std::string_view name) override {
    if (!is_topic(name, rules_)) throw std::invalid_argument{""};
    handles_[which] = publisher{std::string{name}};
  }
  void copy_handle(std::size_t to, std::size_t from) override {
    handles_[to] = publisher{handles_[from]->topic};
  }
  void move_handle(std::size_t to, std::size_t from) override {
    if (to != from) handles_[to] = std::exchange(handles_[from], std::nullopt);
  }
  void drop_handle(std::size_t which) override { handles_[which].reset(); }

  // ---- Receiving

  void log_delivery(const note& taken, std::uint64_t missed) {
    log({400, taken.value, static_cast<long>(taken.sequence), static_cast<long>(missed),
         index_of(taken.topic)});
  }
  void pop(std::size_t slot, std::size_t keep_in, bool with_token) override {
    const member& it = slots_[slot];
    if (!it || it->box.empty()) {
      const bool is_over = !it || !it->has_box || !it->is_open;
      return log({with_token ? -300 : is_over ? -301 : -302});
    }
    const note taken = std::move(it->box.front());
    it->box.pop_front();
    log_delivery(taken, it->missed_with(taken));
    if (keep_in < kept_count) kept_[keep_in] = taken;
  }
  void run(std::size_t slot, bool takes_delivery, const action& first) override {
    const member it = slots_[slot];
    if (!it || !it->has_box) return log({-301});
    for (int calls = 0; !it->box.empty(); ++calls) {
      const note taken = std::move(it->box.front());
      it->box.pop_front();
      if (takes_delivery) {
        log_delivery(taken, it->missed_with(taken));
      } else {
        log({500, taken.value});
      }
      if (calls == 0) follow(it->id, first);
    }
    log({it->is_open ? -303 : -301});
  }
  void look(std::size_t kept) override {
    if (kept_[kept]) log_delivery(*kept_[kept], 0);
  }
  void ask(std::string_view name) override {
    log({std::any_of(listed_.begin(), listed_.end(), [&](const member& each) {
      return matches(each->wanted.filter, name, rules_);
    })});
  }
  void ask_handle(std::size_t which) override {
    log({index_of(handles_[which]->topic), targets_of(handles_[which]->topic).empty() ? 0 : 1});
  }

  const mailroom::dialect rules_;
  bool has_hub_ = true;
  bool is_closed_ = false;
  std::vector<member> listed_;
  std::map<std::string_view, std::shared_ptr<std::size_t>> turns_; // of the groups
  std::map<std::string, std::uint64_t> sequences_;                 // of the names
  std::array<member, slot_count> slots_;
  std::array<std::optional<publisher>, handle_count> handles_;
  std::array<std::optional<note>, kept_count> kept_;
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_DISPATCHER_MODEL_HPP
