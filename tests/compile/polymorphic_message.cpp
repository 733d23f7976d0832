// SPDX-License-Identifier: MIT
// A message that does not fit is handed back: by assignment, or made anew where it was. The second
// would cut a derived object in half.
// expect: a polymorphic message needs a nothrow move assignment
#include <mailroom/queue/mpmc_queue.hpp>

#include <utility>

struct shape {
  shape() = default;
  shape(shape&&) noexcept {}
#ifdef WRONG
  shape& operator=(shape&&) = delete;
#else
  shape& operator=(shape&&) noexcept { return *this; }
#endif
  virtual ~shape() = default;
};

mailroom::queue_status put(mailroom::mpmc_queue<shape>& queue, shape& message) {
  return queue.try_push(std::move(message));
}
