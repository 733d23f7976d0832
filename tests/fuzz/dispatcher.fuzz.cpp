// SPDX-License-Identifier: MIT
// Fuzz target: a script of subscriptions, handles and messages, done by a dispatcher and by a model.
// Handlers cancel, publish, throw, close and destroy what they stand on. Both tell all that they
// answer, deliver and call; it must be the same, and no message and no handler may outlive its time.
//
// The first byte chooses the dialect; then each action is four bytes, and a handler has up to three
// actions of its own behind it.

#include <mailroom/topic/filter.hpp>

#include <fuzz/dispatcher_game.hpp>
#include <fuzz/dispatcher_model.hpp>
#include <fuzz/dispatcher_world.hpp>
#include <fuzz/script.hpp>
#include <support/tracked.hpp>

#include <cstddef> // size_t
#include <cstdint> // uint8_t
#include <cstdio>  // fprintf, stderr
#include <vector>  // vector

namespace {

using fuzz::act;
using fuzz::action;
using fuzz::actions;
using fuzz::dispatcher_game;
using fuzz::dispatcher_model;

constexpr act steps[]{act::subscribe,
                      act::subscribe,
                      act::subscribe,
                      act::on,
                      act::on,
                      act::on,
                      act::publish,
                      act::publish,
                      act::publish,
                      act::publish,
                      act::publish_by_handle,
                      act::publish_by_handle,
                      act::pop,
                      act::pop,
                      act::pop,
                      act::publish_by_handle,
                      act::cancel,
                      act::drop_slot,
                      act::move_slot,
                      act::make_handle,
                      act::run,
                      act::make_handle,
                      act::copy_handle,
                      act::move_handle,
                      act::look,
                      act::drop_handle,
                      act::ask,
                      act::none};
constexpr act handler_steps[]{
    act::fail,        act::cancel_self, act::cancel,      act::drop_slot,
    act::publish,     act::publish,     act::publish,     act::publish_by_handle,
    act::move_handle, act::make_handle, act::copy_handle, act::publish_by_handle,
    act::drop_handle, act::subscribe,   act::pop,         act::run,
    act::move_slot,   act::on,          act::ask,         act::close,
    act::drop_hub,    act::none};

template <std::size_t N>
action read(fuzz::script& in, const act (&choices)[N]) {
  const act what = choices[in.below(N)];
  const std::size_t a = in.byte();
  const std::size_t b = in.byte();
  return {what, a, b, in.byte()};
}

/// The model goes first. Both logs must say the same.
void step(dispatcher_model& model, dispatcher_game& game, const action& one,
          const actions& then = {}) {
  for (fuzz::world* const each :
       {static_cast<fuzz::world*>(&model), static_cast<fuzz::world*>(&game)}) {
    each->take(one, then);
    each->observe();
  }
  const std::vector<long> right = model.take_log();
  const std::vector<long> log = game.take_log();
  if (log == right) return;
  for (const auto* const each : {&right, &log}) {
    std::fprintf(stderr, each == &right ? "\nmodel:     " : "\ndispatcher:");
    for (const long entry : *each) std::fprintf(stderr, " %ld", entry);
  }
  fuzz::fail("the dispatcher and its model differ");
}

void play(fuzz::script& in, mailroom::dialect rules, const test::ledger& book) {
  dispatcher_model model{rules};
  dispatcher_game game{rules, book};
  while (!in.is_over()) {
    for (std::size_t slot = 0; slot != fuzz::slot_count; ++slot) {
      while (model.is_almost_full(slot)) step(model, game, {act::pop, slot, fuzz::kept_count, 0});
    }
    action one = read(in, steps);
    if (one.what == act::pop && one.a % 8 != 7) one.a = model.slot_with_messages(one.a);
    if (one.what == act::none && one.a % 8 == 7) {
      one.what = one.b % 2 == 0 ? act::close : act::drop_hub;
    }
    actions then(one.what == act::on ? in.below(4) : 0);
    for (action& each : then) each = read(in, handler_steps);
    step(model, game, one, then);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::script in{data, size};
  test::ledger book;
  play(in, in.one_in(4) ? mailroom::dialect::exact : mailroom::dialect::nats, book);
  fuzz::expect(book.is_balanced(), "a message that outlived everything");
  return 0;
}
