// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_CHECKER_HPP
#define MAILROOM_TESTS_MODEL_CHECKER_HPP

// The checker, as a scenario and its caller see it.
//
// check() runs `body` again and again until every execution that C++20's memory model allows has
// been seen, up to what is independent. The body constructs the objects under test, hands functions
// to run(), which are the threads, and looks at the outcome with require(). It is executed afresh
// each time, so whatever it changes must be its own.
//
// Reported, whoever is to blame: a require() that is false, a data race on a cell or plain value,
// an access to what has ended or not begun, two ends of one life, a leak, a deadlock, a loop that
// does not end, an exception that leaves a thread.

#include "defect.hpp"
#include "engine.hpp"
#include "mutation.hpp"
#include "search.hpp"

#include <cstdint>          // uint64_t
#include <functional>       // function
#include <initializer_list> // initializer_list
#include <map>              // map
#include <source_location>  // source_location
#include <string>           // string
#include <vector>           // vector

namespace model {

struct options {
  reduction how = reduction::cache;
  int parked = -1;               ///< a thread that may stand still for ever, anywhere
  unsigned spurious = 0;         ///< how often a futex may wake without a reason
  unsigned longest = 3000;       ///< steps; whoever takes more does not end
  std::uint64_t random_seed = 0; ///< not 0: random executions instead of all
  std::uint64_t most_executions = ~std::uint64_t{0};
  double most_seconds = 1e9;
  bool accesses_are_weak = false; ///< takes seq_cst accesses for acquire and release: see README
  defect broken = defect::none;
};

struct result {
  bool ok = true;
  bool complete = false;        ///< all executions were seen
  std::string message;          ///< what went wrong
  std::string schedule;         ///< and how to see it again: for replay()
  std::uint64_t executions = 0; ///< begun
  std::uint64_t states = 0;     ///< different ones, with the cache
  std::uint64_t steps = 0;
  std::uint64_t parked = 0; ///< executions in which the victim stood still
  double seconds = 0;
  std::map<site, order> sites; ///< every order that was used, if asked for
};

using program = std::function<void()>;

/// Searches.
result check(const options& how, const program& body);
/// The same, with one order weakened.
result check(const options& how, const program& body, const mutation& weaker);
/// The same, and tells all places where an order is named.
result check_and_list_sites(const options& how, const program& body);

/// One execution, step by step, as a table with a column for each thread.
std::string replay(const options& how, const program& body, const std::string& schedule,
                   const mutation& weaker = {});

// ---- For bodies

/// Runs the functions as threads 1, 2, ... and waits for all.
void run(std::initializer_list<program> threads);

/// Reports an error unless `condition`.
void require(bool condition, const char* what);

/// Explores all answers below `count`.
unsigned any(unsigned count);

/// A loop that waits: goes on when something has changed that it read since the last time.
void await_change(std::source_location where = std::source_location::current());

/// Right after run(): the values that the atomic had, in modification order.
std::vector<std::uint64_t> history(const word& of);

/// The thread that is running: 0 is the body.
std::size_t this_thread() noexcept;

/// A moment of a thread. One is before another if it happens before it.
struct moment {
  std::uint32_t phase; // before run(), in it, after it
  std::size_t thread;
  std::uint16_t step;
  view known;
  bool is_before(const moment& later) const noexcept {
    if (phase != later.phase) return phase < later.phase;
    return later.known.clock[thread] >= step;
  }
};
moment this_moment();

} // namespace model

#endif // MAILROOM_TESTS_MODEL_CHECKER_HPP
