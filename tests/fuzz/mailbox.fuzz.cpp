// SPDX-License-Identifier: MIT
// Fuzz target: one thread plays a script on a mailbox and on a model of it: every member, every
// overflow policy, over every queue, in selects and coroutines, with messages that fail, up to the
// close and behind it. After every step the statistics are those of the model, and add up, and
// on_drop was told of what the model has discarded.
//
// The first bytes choose the kind of mailbox, the policy, the capacity, and whether there is an
// on_drop; the steps are those of mailbox_game.hpp. Two kinds are channels: channel_game.hpp.

#include <mailroom/core/wait.hpp>
#include <mailroom/mailbox/mailbox.hpp>
#include <mailroom/queue/mpmc_queue.hpp>
#include <mailroom/queue/mpmc_ticket_queue.hpp>
#include <mailroom/queue/mpsc_queue.hpp>
#include <mailroom/queue/spsc_queue.hpp>

#include <fuzz/channel_game.hpp>
#include <fuzz/mailbox_game.hpp>
#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <cstddef>   // size_t
#include <cstdint>   // uint8_t
#include <limits>    // numeric_limits
#include <optional>  // optional
#include <stdexcept> // invalid_argument
#include <utility>   // move
#include <vector>    // vector

namespace {

using fuzz::expect;
using mailroom::mailbox;
using mailroom::mailbox_options;
using mailroom::mpmc_queue;
using mailroom::mpmc_ticket_queue;
using mailroom::mpsc_queue;
using mailroom::overflow;
using mailroom::spsc_queue;
namespace wait_policy = mailroom::wait_policy;

template <class Queue>
constexpr bool has_one_consumer = mailroom::queue_facts<Queue>::consumers == mailroom::arity::one;

/// The capacity of a mailbox that has no bound.
constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

/// Makes a mailbox, if its options make sense, which tells `told` if there is one.
template <class Mailbox>
void make(std::optional<Mailbox>& box, const mailbox_options& options, bool fixed,
          std::vector<int>* told) {
  using queue = typename Mailbox::queue_type;
  using T = typename Mailbox::value_type;
  const bool right = (fixed || options.capacity != 0) &&
                     !(has_one_consumer<queue> && options.on_full == overflow::drop_oldest);
  try {
    if (told == nullptr) {
      box.emplace(options);
    } else {
      box.emplace(options, [told](T&& lost) noexcept {
        const T taken{std::move(lost)};
        told->push_back(fuzz::value_of(taken));
      });
    }
  } catch (const std::invalid_argument&) {
  }
  expect(box.has_value() == right, "the constructor");
}

template <class Mailbox>
void play(fuzz::script& in, std::size_t fixed_capacity = 0) {
  constexpr overflow policies[]{overflow::block, overflow::reject, overflow::drop_newest,
                                overflow::drop_oldest};
  test::ledger book;
  std::vector<int> told;
  {
    const mailbox_options options{.capacity = in.below(10), .on_full = policies[in.below(4)]};
    std::vector<int>* const on_drop = in.one_in(2) ? &told : nullptr;
    std::optional<Mailbox> box;
    make(box, options, fixed_capacity != 0, on_drop);
    if (!box) return;
    expect(box->capacity() == (fixed_capacity == 0 ? options.capacity : fixed_capacity),
           "capacity");
    const auto in_the_end =
        fuzz::mailbox_game<Mailbox>{*box, options.on_full, in, book, on_drop}.play();
    box.reset();
    expect(told == in_the_end, "what on_drop was told by the destructor");
  }
  expect(book.is_balanced(), "a message that outlived its mailbox");
}

/// The same for channels: one after the other, until the script is over.
template <class Queue>
void play_channels(fuzz::script& in) {
  constexpr overflow policies[]{overflow::block, overflow::reject, overflow::drop_newest,
                                overflow::drop_oldest};
  constexpr std::size_t possible = has_one_consumer<Queue> ? 3 : 4;
  while (!in.is_over()) {
    const mailbox_options options{.capacity = 1 + in.below(5),
                                  .on_full = policies[in.below(possible)]};
    fuzz::channel_game<Queue>{options, in}.play();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using test::aligned;
  using test::move_only;
  using test::tracked;
  using test::unassignable;
  fuzz::script in{data, size};
  switch (in.below(15)) {
  case 0: play<mailbox<tracked>>(in); break;
  case 1: play<mailbox<tracked, spsc_queue<tracked>>>(in); break;
  case 2: play<mailbox<tracked, mpmc_queue<tracked, 3>, wait_policy::spin>>(in, 3); break;
  case 3: play<mailbox<tracked, spsc_queue<tracked, 4>, wait_policy::yield>>(in, 4); break;
  case 4: play<mailbox<move_only, mpmc_queue<move_only>, wait_policy::yield>>(in); break;
  case 5: play<mailbox<unassignable, spsc_queue<unassignable>, wait_policy::spin>>(in); break;
  case 6: play<mailbox<aligned<64>, mpmc_queue<aligned<64>>>>(in); break;
  case 7: play<mailbox<int>>(in); break;
  case 8: play<mailbox<tracked, mpmc_ticket_queue<tracked>>>(in); break;
  case 9:
    play<mailbox<move_only, mpmc_ticket_queue<move_only, 3>, wait_policy::yield>>(in, 3);
    break;
  case 10: play<mailbox<tracked, mpsc_queue<tracked>>>(in, unbounded); break;
  case 11:
    play<mailbox<move_only, mpsc_queue<move_only>, wait_policy::yield>>(in, unbounded);
    break;
  case 12: play_channels<mpmc_queue<int>>(in); break;
  case 13: play_channels<spsc_queue<int>>(in); break;
  default: play<mailbox<int, spsc_queue<int>>>(in); break;
  }
  return 0;
}
