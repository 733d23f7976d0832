// SPDX-License-Identifier: MIT
#ifndef MAILROOM_TESTS_MODEL_OPERATION_HPP
#define MAILROOM_TESTS_MODEL_OPERATION_HPP

// The steps of a thread that others can notice. Between two of them a thread runs undisturbed.

#include <atomic>          // memory_order
#include <cstdint>         // uint8_t
#include <source_location> // source_location
#include <string_view>     // string_view

namespace model {

using std::memory_order;
using order = std::memory_order;
using code_place = std::source_location;

enum class kind : std::uint8_t {
  start,       // before the first step
  load,        //
  store,       //
  rmw,         // also a compare-exchange that fails
  fence,       // seq_cst; the others are no step of their own
  fence_all,   // one in every thread
  await,       // a loop that waits: until something that it read has changed
  join,        // until all others have ended
  futex_wait,  // compares the word, and lies down
  futex_sleep, // until woken, or the deadline
  futex_wake,  //
  lock,        //
};

constexpr std::string_view name_of(kind what) noexcept {
  constexpr std::string_view names[] = {"start",      "load",        "store",      "rmw",
                                        "fence",      "fence_all",   "await",      "join",
                                        "futex_wait", "futex_sleep", "futex_wake", "lock"};
  return names[static_cast<std::size_t>(what)];
}

constexpr std::string_view name_of(order how) noexcept {
  switch (how) {
  case order::relaxed: return "relaxed";
  case order::consume: return "consume";
  case order::acquire: return "acquire";
  case order::release: return "release";
  case order::acq_rel: return "acq_rel";
  case order::seq_cst: return "seq_cst";
  }
  return "?";
}

struct operation {
  kind what = kind::start;
  int location = -1;
  bool seq_cst = false;
  bool timed = false; // futex_sleep: may end by itself
  code_place where{};

  /// Can it change what another operation on its location does?
  constexpr bool writes() const noexcept {
    return what != kind::load && what != kind::fence && what != kind::fence_all &&
           what != kind::await;
  }
};

constexpr bool acquires(order how) noexcept {
  return how == order::acquire || how == order::acq_rel || how == order::seq_cst;
}
constexpr bool releases(order how) noexcept {
  return how == order::release || how == order::acq_rel || how == order::seq_cst;
}

} // namespace model

#endif // MAILROOM_TESTS_MODEL_OPERATION_HPP
