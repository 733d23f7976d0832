// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TOPIC_ROUTING_HPP
#define MAILROOM_TOPIC_ROUTING_HPP

// Who gets what: for every topic that was named, the list of its destinations.
//
// Use it       never: it is the inside of dispatcher.
//
//      subscribers ---- filters ---+        (one lock, taken to subscribe, cancel, add a name)
//                                  v
//      name table:  "orders.eu" -> route -> destinations: [ loner | loner | group: a, b ]
//                   "orders.us" -> route -> destinations: [ loner ]         (no lock to read)
//
// Matching happens when a name is added or a subscription changes, not when a message is published.
// A change rebuilds the lists of the topics that its filter matches, and no others.
//
// Invariants
//   (I1)  a list never changes; a change replaces it. A subscriber that is gone may stand in a list
//         that somebody still holds: its mailbox is closed and refuses
//   (I2)  the members of one group that match a topic are one destination, whatever their filters
//         (the rule of NATS queue groups: one group, one delivery)
//   (I3)  a place in a round, or a number in a sequence, orders nothing
//   (I4)  what the lock protects is touched with the lock held; objects of users are destroyed, and
//         their code runs, without it

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/mutex.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/snapshot.hpp>
#include <mailroom/topic/name_table.hpp>
#include <mailroom/topic/subscriber.hpp>

#include <algorithm>   // any_of, find_if, none_of
#include <bit>         // countr_zero
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // current_exception, exception_ptr, rethrow_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // exchange, forward, move, pair
#include <vector>      // erase_if, vector

namespace mailroom::inline v0 {

/// What became of a published message.
struct publish_result {
  std::size_t matched;   ///< destinations: subscriptions of their own, and groups
  std::size_t delivered; ///< of these, how many have it
  std::size_t dropped;   ///< messages, this or older ones, that overflow policies discarded for it
};

namespace detail {

/// The members of a group take turns. The place in the round outlives every list.
struct round : counted {
  explicit round(std::string_view group) : name{group} {}
  const std::string name;
  atomic<std::size_t> turn;
};

/// One or several subscribers of which one gets the message.
template <class T>
struct destination {
  std::vector<ref<subscriber<T>>> members;
  ref<round> turns; // none for a loner

  /// Offers the message to the member whose turn it is; to the next if that one has no room, or has
  /// left. While none has room, and it is to wait, it waits for each a moment.
  ///
  /// Returns   what the member answered; busy for full, if that is worth waiting for
  queue_status offer(envelope<T>& sent, transfer how, patience wait, std::size_t& dropped) const;

private:
  std::size_t first_choice(patience wait) const noexcept;
};

/// All destinations of one topic.
template <class T>
struct destinations : counted {
  std::vector<destination<T>> all;

  /// Gives the message to all of them: first to those that need no waiting, then, one after the
  /// other, to those that block. Moves it to the last one.
  ///
  /// Throws    the first exception of a handler, or of a copy of the message, after everybody else
  ///           was served
  publish_result publish(envelope<T>& sent) const;

private:
  static void count(queue_status status, publish_result& result) noexcept;
};

/// Runs `call`, and keeps the first exception for later.
template <class F>
void run_guarded(F&& call, [[maybe_unused]] std::exception_ptr& first) {
#if MAILROOM_EXCEPTIONS
  try {
    std::forward<F>(call)();
  } catch (...) {
    if (!first) first = std::current_exception();
  }
#else
  std::forward<F>(call)();
#endif
}

/// One topic.
template <class T>
class route {
public:
  route(std::string_view name, ref<const destinations<T>> first)
      : list{std::move(first)}, name_{name} {}

  std::string_view name() const noexcept { return name_; }

  /// The number of a message that is published by name, not through a handle.
  std::uint64_t next_sequence() noexcept {
    return sequence_.fetch_add(1, memory_order::relaxed); // (I3)
  }

  snapshot<const destinations<T>> list;

private:
  const std::string name_;
  atomic<std::uint64_t> sequence_;
};

/// The routes and the subscribers of one dispatcher. Lives as long as anybody needs a part of it.
template <class T>
class routing final : public subscriber_list<T> {
public:
  explicit routing(dialect rules) : rules_{rules} {}

  dialect rules() const noexcept { return rules_; }
  grace_period& period() noexcept { return period_; }

  /// The route of a name; made if there is none.
  ///
  /// Progress  wait-free for a known name; else blocking: takes the lock
  /// Throws    std::invalid_argument for a bad name; std::bad_alloc
  route<T>& intern(std::string_view name);

  /// Would a message to this topic have a destination?
  bool is_wanted(std::string_view name) const noexcept;

  /// Adds a subscriber to all lists that it belongs to, or, if that throws, to none; finishes it if
  /// the routing is closed.
  void add(const ref<subscriber<T>>& added);
  void remove(subscriber<T>& gone) noexcept override;

  /// Forgets all subscribers and accepts no more. Their mailboxes are closed, not emptied.
  void close() noexcept;

private:
  using list = ref<const destinations<T>>;

  list build(std::string_view name);
  ref<round> round_of(const std::string& group);
  using rebuilt = std::vector<std::pair<route<T>*, list>>;
  [[nodiscard]] rebuilt rebuild_matching(const topic_filter& filter);

  const dialect rules_;
  mutable mutex lock_;
  mutable grace_period period_;
  name_table<route<T>> routes_;                 // (I4), but for find
  std::vector<ref<subscriber<T>>> subscribers_; // (I4)
  std::vector<ref<round>> rounds_;              // (I4)
  bool closed_ = false;                         // (I4)
  const list nobody_ = make_counted<destinations<T>>();
};

// ---- Definitions, in the order of the classes

template <class T>
std::size_t destination<T>::first_choice(patience wait) const noexcept {
  if (members.size() == 1) return 0;
  const std::size_t turn = wait == patience::none
                               ? turns->turn.fetch_add(1, memory_order::relaxed) // (I3)
                               : turns->turn.load(memory_order::relaxed);        // (I3)
  for (std::size_t i = 0; i != members.size(); ++i) {
    const std::size_t candidate = (turn + i) % members.size();
    if (members[candidate]->has_room()) return candidate;
  }
  return turn % members.size();
}

template <class T>
queue_status destination<T>::offer(envelope<T>& sent, transfer how, patience wait,
                                   std::size_t& dropped) const {
  const bool alone = members.size() == 1;
  for (;;) {
    const std::size_t first = first_choice(wait);
    queue_status status = queue_status::closed;
    for (std::size_t i = 0; i != members.size() && status == queue_status::closed; ++i) {
      subscriber<T>& member = *members[(first + i) % members.size()];
      status = member.offer(sent, how, alone || wait == patience::none ? wait : patience::moment,
                            dropped);
      if (status == queue_status::full && member.blocks()) status = queue_status::busy;
    }
    if (status != queue_status::busy || wait == patience::none) return status;
  }
}

template <class T>
void destinations<T>::count(queue_status status, publish_result& result) noexcept {
  if (status == queue_status::success) ++result.delivered;
  if (status == queue_status::closed) --result.matched; // it has left meanwhile
}

template <class T>
publish_result destinations<T>::publish(envelope<T>& sent) const {
  publish_result result{all.size(), 0, 0};
  std::exception_ptr failure;
  std::uint64_t waiting = 0; // a bit for each of the first 64 that has no room and blocks
  for (std::size_t i = 0; i != all.size(); ++i) {
    const bool is_last = i + 1 == all.size() && waiting == 0;
    run_guarded(
        [&] {
          const queue_status status =
              all[i].offer(sent, is_last ? transfer::move : transfer::copy,
                           i < 64 ? patience::none : patience::wait, result.dropped);
          if (status == queue_status::busy) waiting |= std::uint64_t{1} << i;
          count(status, result);
        },
        failure);
  }
  while (waiting != 0) {
    const auto& slow = all[static_cast<std::size_t>(std::countr_zero(waiting))];
    waiting &= waiting - 1;
    run_guarded(
        [&] {
          const auto how = waiting == 0 ? transfer::move : transfer::copy;
          count(slow.offer(sent, how, patience::wait, result.dropped), result);
        },
        failure);
  }
#if MAILROOM_EXCEPTIONS
  if (failure) std::rethrow_exception(failure);
#endif
  return result;
}

template <class T>
route<T>& routing<T>::intern(std::string_view name) {
  if (route<T>* known = routes_.find(name)) return *known;
  check_topic(name, rules_);
  const lock_guard locked{lock_};
  if (route<T>* known = routes_.find(name)) return *known;
  return routes_.add(name, build(name));
}

template <class T>
bool routing<T>::is_wanted(std::string_view name) const noexcept {
  if (route<T>* known = routes_.find(name)) return !known->list.load(period_)->all.empty();
  const lock_guard locked{lock_};
  return std::any_of(subscribers_.begin(), subscribers_.end(),
                     [&](const auto& each) { return each->filter().matches(name); });
}

template <class T>
void routing<T>::add(const ref<subscriber<T>>& added) {
  std::exception_ptr failure;
  rebuilt old; // dropped after the lock
  {
    const lock_guard locked{lock_};
    if (!closed_) {
      subscribers_.push_back(added);
      run_guarded([&] { old = rebuild_matching(added->filter()); }, failure);
      if (!failure) return;
      subscribers_.pop_back();
    }
  }
#if MAILROOM_EXCEPTIONS
  if (failure) std::rethrow_exception(failure);
#endif
  added->announce_end(); // the dispatcher is closed
  added->finish();
}

/// If there is no memory for a new list the subscriber stays in the old one, where it refuses.
template <class T>
void routing<T>::remove(subscriber<T>& gone) noexcept {
  rebuilt old;             // dropped after the lock
  ref<subscriber<T>> last; // likewise
  const lock_guard locked{lock_};
  const auto is = [&](const auto& each) { return each.get() == &gone; };
  const auto found = std::find_if(subscribers_.begin(), subscribers_.end(), is);
  if (found == subscribers_.end()) return;
  last = std::move(*found);
  subscribers_.erase(found);
  std::erase_if(rounds_, [&](const auto& turns) {
    return std::none_of(subscribers_.begin(), subscribers_.end(),
                        [&](const auto& each) { return each->group() == turns->name; });
  });
  std::exception_ptr no_memory;
  run_guarded([&] { old = rebuild_matching(gone.filter()); }, no_memory);
}

/// Allocates nothing, so a list is dropped under the lock; but its subscribers are not, for `gone`
/// holds them too.
template <class T>
void routing<T>::close() noexcept {
  std::vector<ref<subscriber<T>>> gone;
  {
    const lock_guard locked{lock_};
    if (closed_) return;
    closed_ = true;
    gone.swap(subscribers_);
    for (const auto& each : routes_.entries()) {
      const list old = each->list.replace(nobody_);
      period_.wait_for_readers();
    }
  }
  for (const auto& each : gone) each->announce_end();
  for (const auto& each : gone) each->finish();
}

/// The destinations of a name, from the subscribers of this moment.
template <class T>
ref<const destinations<T>> routing<T>::build(std::string_view name) {
  auto made = make_counted<destinations<T>>();
  for (const auto& each : subscribers_) {
    if (!each->filter().matches(name)) continue;
    auto found = made->all.end();
    if (!each->group().empty()) {
      found = std::find_if(made->all.begin(), made->all.end(), [&](const auto& candidate) {
        return candidate.turns && candidate.turns->name == each->group(); // (I2)
      });
    }
    if (found != made->all.end()) {
      found->members.push_back(each);
    } else {
      made->all.push_back({{each}, each->group().empty() ? ref<round>{} : round_of(each->group())});
    }
  }
  return made;
}

template <class T>
ref<round> routing<T>::round_of(const std::string& group) {
  for (const auto& turns : rounds_) {
    if (turns->name == group) return turns;
  }
  return rounds_.emplace_back(make_counted<round>(group));
}

/// Puts new lists in place for the topics that the filter matches: for all of them, or for none.
/// Returns the old ones.
template <class T>
typename routing<T>::rebuilt routing<T>::rebuild_matching(const topic_filter& filter) {
  rebuilt lists;
  if (filter.is_literal()) {
    route<T>* const known = routes_.find(filter.pattern());
    if (known != nullptr) lists.emplace_back(known, build(known->name()));
  } else {
    for (const auto& each : routes_.entries()) {
      if (filter.matches(each->name())) lists.emplace_back(each.get(), build(each->name()));
    }
  }
  for (auto& [at, place] : lists) place = at->list.replace(std::move(place));
  if (!lists.empty()) period_.wait_for_readers();
  return lists;
}

} // namespace detail
} // namespace mailroom::inline v0

#endif // MAILROOM_TOPIC_ROUTING_HPP
