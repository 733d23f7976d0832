// SPDX-License-Identifier: MIT
// moodycamel::ReaderWriterQueue (libreaderwriterqueue-dev), and the two that wait. try_enqueue
// takes no new memory.
#include <bench/harness/program.hpp>

#include <readerwriterqueue/readerwritercircularbuffer.h>
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

/// Waits for messages, never for room: it grows. A message without a number ends a wait.
struct blocking_queue {
  static constexpr bench::facts about = [] {
    bench::facts all = reader_writer_queue::about;
    all.name = "moodycamel BlockingReaderWriterQueue";
    return all;
  }();

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool push(const T& value) { return line_.enqueue(value); }
    bool pop(T& into) {
      line_.wait_dequeue(into);
      return bench::read(into) != 0;
    }
    bool try_pop(T& into) { return line_.try_dequeue(into); }
    void end() { line_.enqueue(T{}); }

  private:
    moodycamel::BlockingReaderWriterQueue<T> line_;
  };
};

/// Waits for both. A message without a number ends a wait, and then who waits for room gets some.
struct blocking_ring {
  static constexpr bench::facts about = [] {
    bench::facts all = reader_writer_queue::about;
    all.name = "moodycamel BlockingReaderWriterCircularBuffer";
    all.header = "readerwriterqueue/readerwritercircularbuffer.h";
    return all;
  }();

  template <class T>
  class queue {
  public:
    queue(std::size_t capacity, std::size_t /*threads*/) : line_(capacity) {}
    bool push(const T& value) {
      line_.wait_enqueue(value);
      return true;
    }
    bool pop(T& into) {
      line_.wait_dequeue(into);
      return bench::read(into) != 0;
    }
    bool try_pop(T& into) { return line_.try_dequeue(into); }
    void end() {
      T ignored{};
      if (!line_.try_enqueue(T{})) line_.try_dequeue(ignored);
    }

  private:
    moodycamel::BlockingReaderWriterCircularBuffer<T> line_;
  };
};

} // namespace

void bench::enter_all() {
  enter<reader_writer_queue>();
  enter_waiting<blocking_queue>();
  enter_waiting<blocking_ring>();
}
