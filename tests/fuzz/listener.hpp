// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_FUZZ_LISTENER_HPP
#define MAILROOM_TESTS_FUZZ_LISTENER_HPP

// The parts of the model of a dispatcher: a message, a subscription, and a group of them.

#include <mailroom/core/status.hpp>
#include <mailroom/mailbox/mailbox.hpp>

#include <fuzz/dispatcher_world.hpp>
#include <fuzz/script.hpp>

#include <algorithm> // max
#include <cstddef>   // size_t
#include <cstdint>   // uint64_t
#include <deque>     // deque
#include <memory>    // shared_ptr
#include <string>    // string
#include <utility>   // exchange, move
#include <vector>    // vector

namespace fuzz {

/// A message on its way, and in a mailbox.
struct note {
  int value;
  bool fragile;
  std::uint64_t sequence;
  std::string topic;
  std::uint64_t lost;
};

/// One subscription: with a mailbox, or with a handler and what that will do.
struct listener {
  int id;
  wish wanted;
  bool has_box;
  actions then;
  std::size_t calls = 0;
  std::deque<note> box;
  std::uint64_t lost = 0;
  std::uint64_t told = 0;
  bool is_open = true;
  bool is_cancelled = false;

  bool has_room() const { return box.size() < wanted.capacity; }

  /// `breaks` says that a copy would throw.
  queue_status put(note sent, bool breaks, std::size_t& dropped) {
    if (!is_open) return queue_status::closed;
    sent.lost = lost;
    if (!has_room()) {
      expect(wanted.on_full != overflow::block, "a publish of the script would wait for ever");
      if (wanted.on_full == overflow::reject) return queue_status::full;
      const bool oldest = wanted.on_full == overflow::drop_oldest;
      if (oldest && breaks) throw trouble{nobody};
      ++lost;
      ++dropped;
      if (!oldest) return queue_status::dropped;
      box.pop_front();
    } else if (breaks) {
      throw trouble{nobody};
    }
    box.push_back(std::move(sent));
    return queue_status::success;
  }

  /// The intake ends; a handler is over at once.
  void end() {
    is_open = false;
    if (!has_box) is_cancelled = true;
  }

  /// What was lost and not told before this message.
  std::uint64_t missed_with(const note& taken) {
    const std::uint64_t until = wanted.on_full == overflow::drop_oldest ? lost : taken.lost;
    const std::uint64_t before = std::exchange(told, std::max(told, until));
    return told - before;
  }
};
using member = std::shared_ptr<listener>;

/// One or several subscriptions of which one gets the message.
struct target {
  std::vector<member> members;
  std::shared_ptr<std::size_t> turn; // none for a loner

  std::size_t first_choice() const {
    if (members.size() == 1) return 0;
    const std::size_t now = (*turn)++;
    for (std::size_t i = 0; i != members.size(); ++i) {
      if (members[(now + i) % members.size()]->has_room()) return (now + i) % members.size();
    }
    return now % members.size();
  }
};

} // namespace fuzz

#endif // MAILROOM_TESTS_FUZZ_LISTENER_HPP
