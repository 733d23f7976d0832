// SPDX-License-Identifier: MIT
// moodycamel::ReaderWriterQueue (libreaderwriterqueue-dev). try_enqueue takes no new memory.
#include <bench/harness/program.hpp>

#include <readerwriterqueue/readerwriterqueue.h>

namespace {

struct reader_writer_queue {
  static constexpr bench::facts about{.name = "moodycamel ReaderWriterQueue",
                                      .header = "readerwriterqueue/readerwriterqueue.h",
                                      .producers = mailroom::arity::one,
                                      .consumers = mailroom::arity::one,
                                      .lock_free = true};

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool try_push(const T& value) { return line_.try_enqueue(value); }
    bool try_pop(T& into) { return line_.try_dequeue(into); }

  private:
    moodycamel::ReaderWriterQueue<T> line_;
  };
};

} // namespace

void bench::enter_all() { enter<reader_writer_queue>(); }
