// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_DEFECT_HPP
#define MAILROOM_TESTS_MODEL_DEFECT_HPP

// Who tests the tester: faults that the checker can be told to have. Each is a slip that somebody
// writing such a checker makes; the tests of the checker must notice every one (defects.test.cpp).

namespace model {

enum class defect : unsigned char {
  none,
  acquire_takes_nothing,       // an acquire load does not take what the message carries
  release_gives_nothing,       // a release store carries no view
  release_fence_ignored,       // a relaxed store behind a release fence carries nothing
  acquire_fence_ignored,       // an acquire fence does not take what earlier loads have read
  release_sequence_broken,     // an RMW does not hand on what it read
  rmw_not_atomic,              // a store may come between an RMW and what it read
  order_only_appended,         // modification order is the order of execution
  read_forgets_coherence,      // a load may go back behind an earlier load
  write_forgets_coherence,     // a load may go back behind a store of its own thread
  fence_reads_no_fence,        // a seq_cst fence ignores earlier seq_cst fences
  fence_tells_no_fence,        // a seq_cst fence leaves nothing for later ones
  fence_ignores_accesses,      // a seq_cst fence ignores earlier seq_cst accesses
  access_ignores_fences,       // a seq_cst load ignores earlier seq_cst fences
  access_ignores_accesses,     // a seq_cst load ignores earlier seq_cst stores
  clock_moves_too_early,       // steps after a release count as published with it
  clock_begins_at_zero,        // the steps before a thread's first operation race with nobody
  no_write_after_read_race,    // a write does not look for reads
  no_lifetime_race,            // an atomic may end while another thread is just using it
  failed_exchange_reads_last,  // a compare-exchange that fails sees only the newest message
  sleep_set_never_wakes,       // a sleeping thread is not woken by a step that depends on it
  reads_are_independent,       // a load and a store of one location commute
  cache_forgets_what_was_read, // two states are one although a load saw different messages
  cache_ignores_sleep_set,     // a state that was left in part counts as done
  reversal_stops_at_first,     // only the latest of the races of a step is reversed
  futex_ignores_the_word,      // a thread lies down although the word has changed
  timeout_never_comes,         // a timed wait ends by a wake-up only
  await_sees_everything,       // a loop that waits sees the newest of all it reads, not of one
  lock_hands_on_nothing,       // who takes a lock does not see what was done under it
};
inline constexpr unsigned defects = static_cast<unsigned>(defect::lock_hands_on_nothing);

} // namespace model

#endif // MAILROOM_TESTS_MODEL_DEFECT_HPP
