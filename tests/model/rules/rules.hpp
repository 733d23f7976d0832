// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_RULES_HPP
#define MAILROOM_TESTS_MODEL_RULES_HPP

// The ways in which the rules of waiting are broken here, one at a time. edits.txt puts a question
// into copies of the headers for each of them; what is asked there is answered here.
//
//   W1  who publishes looks for sleepers behind a fence, and who waits looks again behind one
//   W2  a look that ends in sleep is exact: nobody sleeps on busy
//   W3  a wake-up is used, or handed on
//   W4  who wakes somebody does not touch what may be gone then
//   W5  the lock of a list is not held while user code runs
//   W6  close: nothing is lost, nothing comes late, everybody is told

namespace rules {

enum rule : unsigned char {
  none,
  // ---- A thread that sleeps on the event
  w1_thread_fence,
  w1_thread_look,
  w1_interrupt_fence,
  w2_thread_busy,
  w3_thread_late,
  w3_thread_stopped,
  w3_thread_failing,
  w3_thread_busy,
  w6_thread_one,
  // ---- Who stands in a list
  w4_wake_behind_the_lock,
  w4_look_at_one,
  w4_look_at_all,
  w5_resume_one,
  w5_resume_all,
  w6_list_one,
  // ---- A select
  w1_select_fence,
  w1_select_look,
  w2_select_busy,
  w3_select_carries,
  w3_select_left,
  w5_select_look,
  // ---- A coroutine
  w1_async_fence,
  w1_async_look,
  w1_async_notified,
  w2_async_busy,
  w3_async_carries,
  w3_async_busy,
  w4_async_suspended,
  // ---- A mailbox, and its end
  w1_publish_fence,
  w1_told_fence,
  w2_pop_busy,
  w2_end_busy,
  w3_end_one,
  w3_evicted,
  w6_pops_not_woken,
  w6_pushes_not_woken,
  w6_not_sealed,
  w6_not_watched,
  w6_flag_behind_the_look,
  w6_discard_busy,
  w6_discard_open,
  w6_end_not_told,
  // ---- The ends of a channel
  w6_last_producer,
  w6_last_consumer,
  w6_consumer_keeps,
  end,
};

inline rule broken_now = none;
inline bool broken(rule which) noexcept { return which == broken_now; }

} // namespace rules

#endif // MAILROOM_TESTS_MODEL_RULES_HPP
