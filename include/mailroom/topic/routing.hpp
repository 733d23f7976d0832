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
//   (I3)  a number in a sequence orders nothing
//   (I4)  what the lock protects is touched with the lock held; objects of users are destroyed, and
//         their code runs, without it

#include <mailroom/detail/config.hpp>
#include <mailroom/detail/platform.hpp>
#include <mailroom/detail/mutex.hpp>
#include <mailroom/detail/counted.hpp>
#include <mailroom/core/status.hpp>
#include <mailroom/core/concepts.hpp>
#include <mailroom/topic/filter.hpp>
#include <mailroom/topic/snapshot.hpp>
#include <mailroom/topic/name_table.hpp>
#include <mailroom/topic/patience.hpp>
#include <mailroom/topic/subscriber.hpp>
#include <mailroom/topic/queued_subscriber.hpp>
#include <mailroom/topic/destinations.hpp>

#include <algorithm>   // any_of, find_if, none_of
#include <cstddef>     // size_t
#include <cstdint>     // uint64_t
#include <exception>   // exception_ptr, rethrow_exception
#include <string>      // string
#include <string_view> // string_view
#include <utility>     // move, pair
#include <vector>      // erase_if, vector

namespace mailroom::inline MAILROOM_ABI {

/// What was left when the wait for the end of a dispatcher was over.
struct close_report {
  queue_status status;       ///< closed: everything is taken or gone, but for what only the caller
                             ///< could take, in its own handler; or why not: timeout, stopped
  std::size_t subscriptions; ///< with messages in their mailbox
  std::size_t messages;      ///< in all of these
};

namespace detail {

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
  explicit routing(dialect rules, error_hook<T> told = {})
      : subscriber_list<T>{std::move(told)}, rules_{rules} {}

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
  void retire(subscriber<T>& ended) noexcept override;

  /// Gives nobody a message any more, and accepts no more subscribers. Their mailboxes are closed,
  /// not emptied.
  void close() noexcept;

  /// The same, and waits until the mailboxes are empty.
  ///
  /// Throws    std::bad_alloc; it is closed then
  template <class Deadline, stoppable_token S>
  close_report close(const patience<Deadline, S>& limit);

private:
  using list = ref<const destinations<T>>;

  list build(std::string_view name);
  ref<round> round_of(const std::string& group);
  using rebuilt = std::vector<std::pair<route<T>*, list>>;
  using subscribers = std::vector<ref<subscriber<T>>>;
  [[nodiscard]] rebuilt rebuild_matching(const topic_filter& filter);
  [[nodiscard]] rebuilt lists_without(const subscriber<T>& gone) noexcept;
  static ref<subscriber<T>> take(subscribers& from, const subscriber<T>& which) noexcept;
  void reserve_ends();

  const dialect rules_;
  mutable mutex lock_;
  mutable grace_period period_;
  name_table<route<T>> routes_;    // (I4), but for find
  subscribers subscribers_;        // (I4)
  subscribers ended_;              // (I4): drained or closed, those with a mailbox
  std::vector<ref<round>> rounds_; // (I4)
  bool closed_ = false;            // (I4)
  const list nobody_ = make_counted<destinations<T>>();
};

// ---- Definitions, in the order of the classes

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
      run_guarded(
          [&] {
            reserve_ends();
            old = rebuild_matching(added->filter());
          },
          failure);
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

/// Makes room for all subscribers among those that have ended, so that to end needs no memory.
template <class T>
void routing<T>::reserve_ends() {
  const std::size_t most = ended_.size() + subscribers_.size();
  if (ended_.capacity() < most) ended_.reserve(2 * most);
}

template <class T>
void routing<T>::remove(subscriber<T>& gone) noexcept {
  rebuilt old;             // dropped after the lock
  ref<subscriber<T>> last; // likewise
  const lock_guard locked{lock_};
  last = take(ended_, gone);
  if (last) return;
  last = take(subscribers_, gone);
  if (last) old = lists_without(gone);
}

template <class T>
void routing<T>::retire(subscriber<T>& ended) noexcept {
  rebuilt old; // dropped after the lock
  const lock_guard locked{lock_};
  auto last = take(subscribers_, ended);
  if (!last) return;
  ended_.push_back(std::move(last)); // there is room: see add()
  old = lists_without(ended);
}

/// Allocates nothing, so a list is dropped under the lock; but its subscribers are not, for `gone`
/// holds them too.
template <class T>
void routing<T>::close() noexcept {
  subscribers gone;
  {
    const lock_guard locked{lock_};
    if (closed_) return;
    closed_ = true;
    for (const auto& each : subscribers_) {
      if (each->queue() != nullptr) ended_.push_back(each); // there is room: see add()
    }
    gone.swap(subscribers_);
    for (const auto& each : routes_.entries()) {
      const list old = each->list.replace(nobody_);
      period_.wait_for_readers();
    }
  }
  for (const auto& each : gone) each->announce_end();
  for (const auto& each : gone) each->finish();
}

template <class T>
template <class Deadline, stoppable_token S>
close_report routing<T>::close(const patience<Deadline, S>& limit) {
  close();
  subscribers ended;
  {
    const lock_guard locked{lock_};
    ended = ended_;
  }
  close_report result{queue_status::closed, 0, 0};
  for (const auto& each : ended) {
    const queue_status status = each->queue()->close_and_wait(limit.deadline, limit.token);
    if (result.status == queue_status::closed) result.status = status;
  }
  for (const auto& each : ended) {
    const std::size_t depth = each->queue()->depth();
    result.subscriptions += depth == 0 ? 0 : 1;
    result.messages += depth;
  }
  return result;
}

/// Takes a subscriber out of a list. Returns it, or none.
template <class T>
ref<subscriber<T>> routing<T>::take(subscribers& from, const subscriber<T>& which) noexcept {
  const auto is = [&](const auto& each) { return each.get() == &which; };
  const auto found = std::find_if(from.begin(), from.end(), is);
  if (found == from.end()) return {};
  auto taken = std::move(*found);
  from.erase(found);
  return taken;
}

/// Rebuilds the lists that `gone` is in. If there is no memory for a new one it stays in the old
/// one, where it refuses. Returns the old ones.
template <class T>
typename routing<T>::rebuilt routing<T>::lists_without(const subscriber<T>& gone) noexcept {
  std::erase_if(rounds_, [&](const auto& turns) {
    return std::none_of(subscribers_.begin(), subscribers_.end(),
                        [&](const auto& each) { return each->group() == turns->name; });
  });
  rebuilt old;
  std::exception_ptr no_memory;
  run_guarded([&] { old = rebuild_matching(gone.filter()); }, no_memory);
  return old;
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
} // namespace mailroom::inline MAILROOM_ABI

#endif // MAILROOM_TOPIC_ROUTING_HPP
